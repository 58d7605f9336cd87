"""The lines of the runs table: one for each run, of which only the visible ones are drawn.

`columns.py` knows what a run shows in each column.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Size

from tui.store.runs.row import Key, RunRow
from tui.text.format import fit
from tui.widgets.common.row_list import RowList
from tui.widgets.runs.columns import BY_NAME, MARK, MARK_WIDTH, Layout, cell, lay_out


class RunLines(RowList):
    """Runs in order, under a header; lines are repainted only if they changed."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "rows--id",
        "rows--rest",
        "rows--spark",
        "rows--pending",
        "rows--running",
        "rows--done",
        "rows--failed",
        "rows--cancelled",
    }
    DEFAULT_CSS = """
    RunLines .rows--id { text-style: bold; }
    RunLines .rows--rest { color: $text-disabled; }
    RunLines .rows--spark { color: $secondary; }
    RunLines .rows--pending { color: $warning; }
    RunLines .rows--running { color: $primary; }
    RunLines .rows--done { color: $success; }
    RunLines .rows--failed { color: $error; }
    RunLines .rows--cancelled { color: $text-muted; }
    """

    def __init__(self, now: Callable[[], float], column: str, reverse: bool, **options: Any) -> None:
        super().__init__(**options)
        self.sort_column = column if column in BY_NAME else "age"
        self.sort_reverse = reverse
        self.shown: list[RunRow] = []
        """The runs that pass the filter, in order."""
        self.marks: set[Key] = set()
        """Keys of the marked runs."""
        self.empty = ""
        """Text where no run is shown."""
        self.now = now
        self.layout_of_columns: Layout = ()
        self.longest: Mapping[str, int] = {}
        """Column → cells of its longest value."""
        self._painted: dict[int, tuple[RunRow, str]] = {}
        """Line of the widget → the run on it, and the parts that time changes."""

    @property
    def count(self) -> int:
        """Number of runs that are shown."""
        return len(self.shown)

    @property
    def row(self) -> RunRow | None:
        """The run under the cursor."""
        return self.shown[self.cursor] if self.cursor < len(self.shown) else None

    def tick(self) -> None:
        """Repaint the lines that time has changed."""
        for y, (row, clocks) in self._painted.items():
            if clocks != self._clocks(row):
                self.refresh_line(y)

    def draw_row(self, at: int, width: int) -> list[Segment]:
        """The line of a run."""
        row, now, end = self.shown[at], self.now(), MARK_WIDTH
        self._painted[self.line_of(at)] = (row, self._clocks(row))
        mark = MARK if row.key in self.marks else " "
        parts = [Segment(f"{mark:<{MARK_WIDTH}}", self.look("mark"))]
        for column, start, cells in self.layout_of_columns:
            parts.append(Segment(" " * (start - end)))
            parts += [Segment(text, self.look(style)) for text, style in cell(column, row, cells, now)]
            end = start + cells
        return parts

    def draw_header(self, width: int) -> list[Segment]:
        """Titles of the columns; an arrow shows the order."""
        parts, end = [], 0
        for column, start, cells in self.layout_of_columns:
            parts.append(Segment(" " * (start - end)))
            title, style = column.title if cells >= len(column.title) else column.short, Style.null()
            if column.name == self.sort_column:
                title = f"{fit(title, min(len(title), cells - 1))}{'▼' if self.sort_reverse else '▲'}"
                style = self.look("sorted")
            parts.append(Segment(title.rjust(cells) if column.right else fit(title, cells), style))
            end = start + cells
        return parts

    def draw_blank(self, y: int, width: int) -> list[Segment]:
        """A line below the runs: blank, or why none is shown."""
        self._painted.pop(y, None)
        text = self.empty if y == self.HEADER + 1 and not self.shown else ""
        return [Segment(fit(f"  {text}", width), self.look("quiet"))]

    def on_resize(self) -> None:
        """Fit the columns to the new width."""
        self._painted.clear()
        self.fit_columns()
        self.refresh()

    def fit_columns(self) -> None:
        """Choose the columns and widths that fit, and set the height of all lines."""
        self.layout_of_columns = lay_out(self.scrollable_content_region.width - 1, self.longest)
        self.virtual_size = Size(0, len(self.shown) + self.HEADER)

    def repaint_changed(self) -> None:
        """Repaint the lines whose run changed."""
        top = self.scroll_offset.y
        for y in range(self.HEADER, self.size.height):
            at = top + y - self.HEADER
            row = self.shown[at] if at < len(self.shown) else None
            known = self._painted.get(y)
            if row is not (known[0] if known else None) or row is None:
                self.refresh_line(y)

    def _clocks(self, row: RunRow) -> str:
        """The parts of a line that time changes."""
        now = self.now()
        return "".join(
            text for column in ("age", "progress") for text, _ in cell(BY_NAME[column], row, 17, now)
        )
