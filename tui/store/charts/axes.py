"""Axes of charts: their bounds, ticks and labels. Pure.

Ticks are at multiples of 1, 2, 2.5 or 5, on logarithmic axes at powers of ten, of times at units of a clock.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

_CLOCK = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)
_FLAT = 1e-12
_TINY = 1e-290
"""A span that is too small for ticks, whose distance would be 0."""


def nice_step(span: float, most: int, *, whole: bool = False) -> float:
    """The smallest round step with at most `most` steps in a span."""
    least = span / max(most, 1)
    if whole and least <= 1:
        return 1.0
    power = 10.0 ** math.floor(math.log10(least)) if least > 0 else 1.0
    for factor in (1, 2, 2.5, 5, 10):
        step = factor * power
        if step >= least * (1 - 1e-9) and not (whole and step != int(step)):
            return step
    return 10 * power


def bounds(low: float, high: float, most: int) -> tuple[float, float, float]:
    """(from, to, tick step): the range extended to round numbers, so that it seldom changes."""
    span, largest = high - low, max(abs(low), abs(high))
    if span <= max(_FLAT * largest, _TINY):
        span = largest * 0.2 if largest > _TINY else 1.0
        low, high = low - span / 2, high + span / 2
    step = nice_step(span, most)
    fine = step / 4
    return math.floor(low / fine + 1e-9) * fine, math.ceil(high / fine - 1e-9) * fine, step


def ticks(low: float, high: float, step: float) -> list[float]:
    """Multiples of a step from one bound to the other."""
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [index * step for index in range(first, last + 1)]


def log_bounds(low: float, high: float, most: int) -> tuple[float, float, list[float]]:
    """(from, to, ticks), all as exponents of ten."""
    if high - low < 0.05:
        low, high = low - 0.5, high + 0.5
    if high - low >= 1.5:
        step = max(1, math.ceil((high - low) / max(most, 1)))
        first, last = math.floor(low + 1e-9), math.ceil(high - 1e-9)
        marks = [float(at) for at in range(first, last + 1) if at % step == 0]
        return (
            min(low, marks[0] if marks[0] - low > -0.3 else low),
            high,
            [m for m in marks if low <= m <= high],
        )
    decades = range(math.floor(low), math.ceil(high) + 1)
    marks = [math.log10(f) + d for d in decades for f in (1, 2, 3, 5)]
    shown = [mark for mark in marks if low - 1e-9 <= mark <= high + 1e-9]
    return low, high, shown[:: -(-len(shown) // max(most, 1)) or 1]


def number_text(value: float, step: float) -> str:
    """The label of a tick, with as many digits as the step needs."""
    if value == 0:
        return "0"
    unit, name = _unit(value)
    digits = _digits(step / unit)
    if name:
        return _without_zeros(f"{value / unit:.{digits}f}") + name
    if 1e-4 < abs(value) < _HUGE and digits <= _MOST_DIGITS:
        return f"{value:.{digits}f}"
    mantissa = min(max(0, math.floor(math.log10(abs(value)) + 1e-9) + _digits(step)), 16)
    return (
        f"{value:.{mantissa}e}".replace("e-0", "e-")
        .replace("e+0", "e")
        .replace("e+", "e")
        .replace(".0e", "e")
    )


def _digits(step: float) -> int:
    """Decimals that distinguish multiples of a step."""
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    return digits + 1 if round(step * 10.0**digits, 6) % 1 else digits


def _without_zeros(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


_UNITS = ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k"))
_HUGE = 1e21
"""Beyond it there is no common unit."""
_MOST_DIGITS = 8


def _unit(value: float) -> tuple[float, str]:
    """The unit of a large number, and its letter."""
    if abs(value) < _HUGE:
        for limit, name in _UNITS:
            if abs(value) >= limit:
                return (1e3 if name == "k" else limit), name
    return 1.0, ""


def short(value: float) -> str:
    """Four significant digits at most, with k, M and so on: `0.4123`, `12.3k`, `3e-6`, `3.403e38`."""
    if not math.isfinite(value):
        return {math.inf: "∞", -math.inf: "-∞"}.get(value, "NaN")
    unit, name = _unit(value)
    text = f"{value / unit:.4g}".replace("e-0", "e-").replace("e+", "e")
    return f"{text}{name}" if text != "-0" else "0"


def step_text(value: float, step: float | None = None) -> str:
    """An optimiser step; on an axis, with as many digits as the distance of ticks needs."""
    if abs(value) < 1e4:
        return f"{value:.0f}"
    return short(value) if step is None else number_text(value, step)


def clock_step(span: float, most: int) -> float:
    """The smallest step of a clock with at most `most` steps in a span of seconds."""
    least = span / max(most, 1)
    return next((float(step) for step in _CLOCK if step >= least), nice_step(span / 86400, most) * 86400)


def clock_text(seconds: float) -> str:
    """Time since the start: `45s`, `12m`, `1m30`, `1h30`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    big, small, unit = (*divmod(whole, 60), "m") if whole < 3600 else (*divmod(whole // 60, 60), "h")
    return f"{big}{unit}{small:02d}" if small else f"{big}{unit}"


def extent(of: Sequence[Sequence[float]]) -> tuple[float, float] | None:
    """The first and last x of several rising lists."""
    filled = [xs for xs in of if len(xs)]
    return (min(xs[0] for xs in filled), max(xs[-1] for xs in filled)) if filled else None
