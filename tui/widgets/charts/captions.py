"""The legend and the status line of charts. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Iterable

from textual.content import Content

from tui.store.charts import axes
from tui.text.format import plain
from tui.widgets.charts.braille import PATTERNS
from tui.widgets.charts.palette import run_colour, run_letter
from tui.widgets.charts.plot import ChartView

_KEYS = ("←→ read values", "g columns")
"""Keys that the footer has no room for."""


def status(shown: int, known: int, view: ChartView, *, zoomed: bool) -> str:
    """`3 of 52 charts · smoothing 0.6 · steps 10 to 20 · cursor at step 12`."""
    text = axes.clock_text if view.by_time else axes.step_text
    parts = [f"{shown} charts" if shown == known else f"{shown} of {known:,} charts"]
    parts.append(f"smoothing {view.smoothing:g}" if view.smoothing else "not smoothed")
    parts += ["log scale"] if view.log else []
    if zoomed:
        what = "" if view.by_time else "steps "
        parts.append(f"{what}{text(math.ceil(view.low))} to {text(view.high)}")
    if view.cursor is not None:
        parts.append(f"cursor at {'' if view.by_time else 'step '}{text(view.cursor)}")
    return " · ".join(parts)


def status_line(text: str, width: int) -> Content:
    """A text, and at the right as many of the keys as fit."""
    for count in range(len(_KEYS), 0, -1):
        keys = " · ".join(_KEYS[:count])
        gap = width - len(text) - len(keys)
        if gap >= 3:
            return Content(text) + Content.styled(" " * gap + keys, "$text-disabled")
    return Content(text)


def legend(runs: Iterable[tuple[int, str]], dark: bool, width: int) -> Content:
    """Letter, pattern and name of each run (number, name), on as many lines as needed."""
    lines = [Content("")]
    for mark, label in runs:
        sample = PATTERNS[mark % len(PATTERNS)].sample
        sign = Content.styled(f"{run_letter(mark)} {sample} ", run_colour(mark, dark))
        name = sign + Content(f"{plain(label)}   ")
        if lines[-1].cell_length and lines[-1].cell_length + name.cell_length > width:
            lines.append(Content(""))
        lines[-1] += name
    return Content("\n").join(lines)
