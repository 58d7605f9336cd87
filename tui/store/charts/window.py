"""The range of x that charts show: zooming, panning, following a live run. Steps and seconds alike."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from tui.store.charts import axes
from tui.store.charts.series import Series

_LEAST = 1.0
"""The smallest span of a part: a step, or a second."""
_PAN = 0.25


@dataclass
class ChartWindow:
    """`whole` is the full range; `part`, if set, what is shown of it."""

    whole: tuple[float, float] = (0.0, 1.0)
    part: tuple[float, float] | None = None

    @property
    def shown(self) -> tuple[float, float]:
        """The first and last x shown."""
        return self.part or self.whole

    def grow(self, whole: tuple[float, float]) -> None:
        """The full range has changed; a part at its end stays at its end."""
        if self.part is not None and self.part[1] >= self.whole[1] and whole[1] > self.whole[1]:
            self.part = (self.part[0] + whole[1] - self.whole[1], whole[1])
        if self.part is not None and self.part[0] >= whole[1]:
            self.part = None  # from a longer run
        self.whole = whole

    def zoom(self, factor: float, around: float | None) -> None:
        """Zoom to a share of what is shown, around an x, or at the end of what is shown."""
        low, high = self.shown
        span = max((high - low) * factor, _LEAST)
        if span >= self.whole[1] - self.whole[0]:
            self.part = None
        elif around is not None and low <= around <= high:
            self._show(around - span * (around - low) / (high - low), span)
        else:
            self._show(high - span, span)

    def pan(self, by: int) -> None:
        """Move a part by quarters of its span."""
        if self.part is not None:
            span = self.part[1] - self.part[0]
            self._show(self.part[0] + by * span * _PAN, span)

    def reset(self) -> None:
        """Show the full range."""
        self.part = None

    def _show(self, low: float, span: float) -> None:
        low = max(self.whole[0], min(low, self.whole[1] - span))
        self.part = (low, low + span)


def reach(clocks: Sequence[Series], *, by_time: bool) -> tuple[float, float] | None:
    """The range of x of runs, by the Unix seconds of their steps; its end is rounded up.

    By time, x are seconds since each run's first metrics; else steps.
    """
    if by_time:
        lengths = [clock.values[-1] - clock.values[0] for clock in clocks if clock.values]
        found = (0.0, max(lengths)) if lengths else None
    else:
        found = axes.extent([clock.steps for clock in clocks])
    if found is None:
        return None
    low, high = found
    leap = axes.nice_step(high - low, 50, whole=not by_time)
    return low, max(math.ceil(high / leap) * leap, low + 1)


def step_cursor(xs: Sequence[float], cursor: float | None, by: int) -> float | None:
    """The x `by` points further; without a cursor, the first or last x; None without points."""
    if not xs:
        return None
    if cursor is None:
        return xs[-1] if by < 0 else xs[0]
    at = bisect_left(xs, cursor)
    between = at == len(xs) or xs[at] != cursor
    return xs[max(0, min(at + by - (between and by > 0), len(xs) - 1))]


def nearest(xs: Sequence[float], x: float) -> float | None:
    """The nearest of rising x."""
    at = bisect_left(xs, x)
    return min(xs[max(0, at - 1) : at + 1], key=lambda other: abs(other - x), default=None)
