"""Layout of a chart in cells: dots, ticks, letters, gaps, and the scales of both axes.

`chart.py` adds colours and the cursor.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tui.store.charts import axes
from tui.store.charts.curves import Bucket, Curve, Trace
from tui.widgets.charts.braille import PATTERNS, Canvas, Scale
from tui.widgets.charts.palette import run_letter

MARKS = "•◆▲■"
_SPARSE = 4
"""Columns of dots per point from which on points are marked one by one."""
_MOST_TICKS = 8
_TALL = 8
"""Rows from which on the x axis has its own line."""
_END = 2
"""Cells at the right for the letters at the ends of several lines."""


@dataclass(frozen=True)
class ChartView:
    """The view that all charts of a grid share."""

    smoothing: float = 0.0
    log: bool = False
    low: float = 0.0
    high: float = 1.0
    """Range of x: steps, or seconds since the start."""
    by_time: bool = False
    cursor: float | None = None


@dataclass
class ChartLine:
    """A run's line; its number `mark` determines colour, letter and pattern."""

    label: str
    mark: int
    curve: Curve
    trace: Trace | None = field(default=None, repr=False)


@dataclass
class Plot:
    """A chart laid out in cells, without its title."""

    width: int
    height: int
    margin: int
    """Cells left of the dots, for tick labels and the axis."""
    rows: list[list[tuple[str, int]]]
    """Pieces of dots and their ink: a line's number, plus `FAINT` for raw values under a smoothed line."""
    labels: dict[int, str]
    """Row → label of the y axis."""
    x_labels: list[tuple[int, str]]
    """(cell, text) of the labels of the x axis; cells are counted from the axis."""
    signs: dict[tuple[int, int], tuple[str, int]]
    """(row, cell) → a sign over the dots, and its ink."""
    holes: int
    """Number of visible values that cannot be drawn."""
    scale: Scale

    def row_of(self, y: float) -> int:
        """The row of cells that a value lies in."""
        return row_of(y, self.scale, self.height)


FAINT = 100
HOLE = 999


def plot(lines: Sequence[ChartLine], view: ChartView, width: int, height: int, margin: int = 6) -> Plot:
    """Lay a chart out in `width` × `height` cells, tick labels and x axis included.

    `margin` is a guess of what it will be: the one that it was last time spares thinning twice.
    """
    inner = max(1, height - (2 if height >= _TALL else 1))
    end = _END if len(lines) > 1 else 0
    faint = range(FAINT, FAINT + len(lines))
    shown = [_buckets(line, view, 2 * (width - margin - end), faint=len(lines) == 1) for line in lines]
    low, high, marks, labels = _scale(shown, view.log, max(2, min(inner // 2, _MOST_TICKS)))
    needed = max([5, *map(len, labels)]) + 1
    if needed != margin:
        margin = needed
        shown = [_buckets(line, view, 2 * (width - margin - end), faint=len(lines) == 1) for line in lines]
    canvas = Canvas(width - margin - end, inner, faint=faint)
    scale = Scale(high, (canvas.lines - 1) / (high - low))
    signs = _draw(canvas, lines, shown, scale)
    holes = _mark_holes(canvas, lines, view, signs)
    if len(lines) > 1:
        _name_ends(canvas, lines, shown, scale, signs)
    tick_rows = {row_of(mark, scale, inner): text for mark, text in zip(marks, labels, strict=True)}
    x_labels = _x_labels(view, canvas.width)
    rows = list(canvas.rows())
    return Plot(canvas.width, canvas.height, margin, rows, tick_rows, x_labels, signs, holes, scale)


def row_of(y: float, scale: Scale, height: int) -> int:
    """The row of cells of a value, or the nearest row."""
    return max(0, min(scale.line(y) // 4, height - 1))


def cell_of(x: float, view: ChartView, width: int) -> int | None:
    """The cell of an x, counted from the axis; None if it is not visible."""
    if view.high <= view.low:
        return 0
    column = round((x - view.low) / (view.high - view.low) * (2 * width - 1))
    return column // 2 if 0 <= column < 2 * width else None


def x_of(cell: int, view: ChartView, width: int) -> float:
    """The x in the middle of a cell."""
    return view.low + (cell * 2 + 0.5) / max(1, 2 * width - 1) * (view.high - view.low)


_Shown = tuple[list[Bucket], list[Bucket]]


def _buckets(line: ChartLine, view: ChartView, columns: int, *, faint: bool) -> _Shown:
    """Buckets of the line, and of the faint raw values under it."""
    curve = line.curve
    strong = curve.line.buckets(view.low, view.high, columns)
    if curve.smooth is None or not faint:
        return strong, []
    return strong, curve.raw.buckets(view.low, view.high, columns)


def _scale(shown: Sequence[_Shown], log: bool, most: int) -> tuple[float, float, list[float], list[str]]:
    """(from, to, ticks, their labels) of the y axis."""
    buckets = [bucket for pair in shown for part in pair for bucket in part]
    low = min((bucket.low for bucket in buckets), default=0.0)
    high = max((bucket.high for bucket in buckets), default=1.0)
    if log:
        low, high, marks = axes.log_bounds(low, high, most)
        return low, high, marks, [axes.short(float(f"{10**mark:.3g}")) for mark in marks]
    low, high, step = axes.bounds(low, high, most)
    marks = axes.ticks(low, high, step)
    return low, high, marks, [axes.number_text(mark, step) for mark in marks]


def _draw(
    canvas: Canvas, lines: Sequence[ChartLine], shown: Sequence[_Shown], scale: Scale
) -> dict[tuple[int, int], tuple[str, int]]:
    """Draw the lines, with a sign at each point of a line that has few."""
    signs: dict[tuple[int, int], tuple[str, int]] = {}
    for index, (_, (strong, faint)) in enumerate(zip(lines, shown, strict=True)):
        mark = lines[index].mark
        canvas.curve(faint, scale, FAINT + index, PATTERNS[0])
        canvas.curve(strong, scale, index, PATTERNS[mark % len(PATTERNS)])
        visible = [bucket for bucket in faint or strong if 0 <= bucket.column < canvas.columns]
        if len(visible) * _SPARSE * 2 <= canvas.columns:
            for bucket in visible:
                row = row_of(bucket.last, scale, canvas.height)
                signs[row, bucket.column // 2] = (MARKS[mark % len(MARKS)], index)
    return signs


def _mark_holes(
    canvas: Canvas,
    lines: Sequence[ChartLine],
    view: ChartView,
    signs: dict[tuple[int, int], tuple[str, int]],
) -> int:
    """Put a cross at the bottom for values that cannot be drawn."""
    count = 0
    for line in lines:
        for x in line.curve.raw.holes:
            cell = cell_of(x, view, canvas.width)
            if cell is not None:
                count += 1
                signs[canvas.height - 1, cell] = ("×", HOLE)
    return count


def _name_ends(
    canvas: Canvas,
    lines: Sequence[ChartLine],
    shown: Sequence[_Shown],
    scale: Scale,
    signs: dict[tuple[int, int], tuple[str, int]],
) -> None:
    """Put each run's letter at the end of its line, in a row of its own."""
    taken: set[tuple[int, int]] = set()
    for index, (line, (strong, _)) in enumerate(zip(lines, shown, strict=True)):
        within = [bucket for bucket in strong if 0 <= bucket.column < canvas.columns]
        if not within:
            continue
        cell = within[-1].column // 2 + 1
        row = row_of(within[-1].last, scale, canvas.height)
        free = [r for r in _around(row, canvas.height) if not any((r, c) in taken for c in (cell - 1, cell))]
        if free:
            taken.add((free[0], cell))
            signs[free[0], cell] = (run_letter(line.mark), index)


def _around(row: int, height: int) -> Iterable[int]:
    return sorted(range(height), key=lambda other: (abs(other - row), other))


def _x_labels(view: ChartView, width: int) -> list[tuple[int, str]]:
    most, span = max(1, width // 12), view.high - view.low
    step = axes.clock_step(span, most) if view.by_time else axes.nice_step(span, most, whole=True)
    found = []
    for x in axes.ticks(view.low, view.high, step):
        cell = cell_of(x, view, width)
        if cell is not None:
            found.append((cell, axes.clock_text(x) if view.by_time else axes.step_text(x, step)))
    return found
