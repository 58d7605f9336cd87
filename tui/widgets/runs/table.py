"""The runs table: ten thousand rows, of which only those that are to be seen are drawn.

Owns marks, the order, applying a filter, and keeping the cursor on its run. Moving the cursor is
`cursor_rows.py`'s, what a run shows in a column `run_columns.py`'s; what the rows are, and what becomes of
them, is the screen's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.events import MouseScrollDown, MouseScrollUp
from textual.geometry import Size
from textual.message import Message

from tui.store.runs.filter import RunFilter
from tui.store.runs.row import Key, RunRow, sort_rows
from tui.widgets.common.cells import fit
from tui.widgets.common.row_list import RowList, moving
from tui.widgets.runs.columns import BY_NAME, MARK, MARK_WIDTH, Layout, cell, lay_out, longest

_WHEEL = 3  # lines that a notch of the wheel goes


class RunTable(RowList):
    """Runs, one a line, under a header."""

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
    RunTable .rows--id { text-style: bold; }
    RunTable .rows--rest { color: $text-disabled; }
    RunTable .rows--spark { color: $secondary; }
    RunTable .rows--pending { color: $warning; }
    RunTable .rows--running { color: $primary; }
    RunTable .rows--done { color: $success; }
    RunTable .rows--failed { color: $error; }
    RunTable .rows--cancelled { color: $text-muted; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Open", id="runs.open"),
        *moving("runs", "run"),
        Binding("m", "mark", "Mark", id="runs.mark"),
        Binding("space", "mark(1)", "Mark, go on", show=False, id="runs.mark_on"),
        Binding("M", "mark_all", "Mark all shown, or none", show=False, id="runs.mark_all"),
        Binding("s,greater_than_sign", "sort_next(1)", "Sort by the next column", show=False, id="runs.sort"),
        Binding(
            "less_than_sign", "sort_next(-1)", "Sort by the column before", show=False, id="runs.sort_back"
        ),
        Binding("S", "reverse", "Reverse the order", show=False, id="runs.reverse"),
    ]

    @dataclass
    class Opened(Message):
        """Somebody wants to see a run."""

        row: RunRow

    @dataclass
    class Moved(Message):
        """The cursor is on another run, on other news of it, or on none."""

        row: RunRow | None

    @dataclass
    class Marked(Message):
        """Other runs are marked."""

        rows: Sequence[RunRow]

    @dataclass
    class Sorted(Message):
        """The order has changed."""

        column: str
        reverse: bool

    def __init__(self, now: Callable[[], float], column: str = "age", reverse: bool = False, **options: Any):
        super().__init__(**options)
        self._now = now
        self.sort_column = column if column in BY_NAME else "age"
        self.sort_reverse = reverse
        self.rows: Sequence[RunRow] = ()
        """All runs, shown or not."""
        self.shown: list[RunRow] = []
        """The runs that the filter lets through, in order."""
        self.filter = RunFilter()
        self._marks: set[Key] = set()
        self._wanted: Key | None = None
        self._layout: Layout = ()
        self._longest: Mapping[str, int] = {}
        self._painted: dict[int, tuple[RunRow, str]] = {}
        self.empty = ""
        """What is said where no run is shown."""

    @property
    def count(self) -> int:
        """Runs that are shown."""
        return len(self.shown)

    @property
    def row(self) -> RunRow | None:
        """The run under the cursor."""
        return self.shown[self.cursor] if self.cursor < len(self.shown) else None

    @property
    def marked(self) -> list[RunRow]:
        """The marked runs, those first that are shown, in the order of the table."""
        if not self._marks:
            return []
        found = {row.key: row for row in self.shown if row.key in self._marks}
        hidden = [row for row in self.rows if row.key in self._marks and row.key not in found]
        return [*found.values(), *hidden]

    @property
    def chosen(self) -> list[RunRow]:
        """What an action is for: the marked runs, or the one under the cursor."""
        return self.marked or ([self.row] if self.row else [])

    def show(self, rows: Sequence[RunRow], *, begun: bool = True) -> None:
        """Other rows, or news of them; the cursor stays on its run.

        Before the list has begun to be true, a cursor that nobody has moved stays at the top instead.
        """
        self.rows = rows
        self._longest = longest(rows)
        self._arrange(tie=begun)

    def filter_by(self, chosen: RunFilter) -> None:
        """Show only what a filter lets through."""
        self.filter = chosen
        self._arrange()

    def sort_by(self, column: str, reverse: bool | None = None) -> None:
        """Another order; without a direction it is the one that people look for."""
        self.sort_column = column
        self.sort_reverse = BY_NAME[column].high_first if reverse is None else reverse
        self._arrange(keep_view=False)
        self.refresh()
        self.post_message(self.Sorted(self.sort_column, self.sort_reverse))

    def unmark(self) -> None:
        """No run is marked any more."""
        self._marks.clear()
        self._remarked()

    def tick(self) -> None:
        """Time has passed: repaint the lines on which that shows."""
        for y, (row, shown) in self._painted.items():
            if shown != self._clocks(row):
                self.refresh_line(y)

    def draw_row(self, at: int, width: int) -> list[Segment]:
        """A run."""
        row, now, end = self.shown[at], self._now(), MARK_WIDTH
        self._painted[self.line_of(at)] = (row, self._clocks(row))
        mark = MARK if row.key in self._marks else " "
        parts = [Segment(f"{mark:<{MARK_WIDTH}}", self.look("mark"))]
        for column, start, cells in self._layout:
            parts.append(Segment(" " * (start - end)))
            parts += [Segment(text, self.look(style)) for text, style in cell(column, row, cells, now)]
            end = start + cells
        return parts

    def draw_header(self, width: int) -> list[Segment]:
        """The columns' names; an arrow shows the order."""
        parts, end = [], 0
        for column, start, cells in self._layout:
            parts.append(Segment(" " * (start - end)))
            title, style = column.title if cells >= len(column.title) else column.short, Style.null()
            if column.name == self.sort_column:
                title = f"{fit(title, min(len(title), cells - 1))}{'▼' if self.sort_reverse else '▲'}"
                style = self.look("sorted")
            parts.append(Segment(title.rjust(cells) if column.right else fit(title, cells), style))
            end = start + cells
        return parts

    def draw_blank(self, y: int, width: int) -> list[Segment]:
        """Where no run is shown, why that is so."""
        self._painted.pop(y, None)
        said = self.empty if y == self.HEADER + 1 and not self.shown else ""
        return [Segment(fit(f"  {said}", width), self.look("quiet"))]

    def on_resize(self) -> None:
        """Columns come and go with the room that there is."""
        self._painted.clear()
        self._fit_view()
        self.refresh()

    def action_open(self) -> None:
        """See the run under the cursor."""
        if self.row is not None:
            self._wanted = self.row.key
            self.post_message(self.Opened(self.row))

    def action_mark(self, then: int = 0) -> None:
        """Mark the run under the cursor, or unmark it; then go on."""
        if self.row is not None:
            self._marks ^= {self.row.key}
            self._remarked()
            self.go(self.cursor + then)

    def action_mark_all(self) -> None:
        """Mark every run that is shown; where they all are, none."""
        keys = {row.key for row in self.shown}
        self._marks = self._marks - keys if keys <= self._marks else self._marks | keys
        self._remarked()

    def action_sort_next(self, by: int) -> None:
        """The next column that is to be seen."""
        names = [column.name for column, _, _ in self._layout] or [self.sort_column]
        at = names.index(self.sort_column) if self.sort_column in names else -1
        self.sort_by(names[(at + by) % len(names)])

    def action_reverse(self) -> None:
        """The other way round."""
        self.sort_by(self.sort_column, not self.sort_reverse)

    def header_clicked(self, x: int) -> None:
        """A click on a column's name sorts by it, one more the other way round."""
        for column, start, width in self._layout:
            if start <= x < start + width + 1:
                again = column.name == self.sort_column
                self.sort_by(column.name, not self.sort_reverse if again else None)

    def clicked(self, x: int, twice: bool) -> None:
        """The first cells mark; twice opens."""
        if x < MARK_WIDTH:
            self.action_mark()
        elif twice:
            self.action_open()

    def arrived(self, moved: bool) -> None:
        """From now on the cursor stays on this run."""
        self._wanted = self.row.key if self.row else None
        if moved:
            self.post_message(self.Moved(self.row))

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        """The lines go, and take the cursor with them where it would be lost."""
        self._wheel(event, _WHEEL)

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        """The same, upwards."""
        self._wheel(event, -_WHEEL)

    def _wheel(self, event: MouseScrollDown | MouseScrollUp, by: int) -> None:
        event.stop()
        event.prevent_default()
        if self.max_scroll_y == 0:
            self.go(self.cursor + (1 if by > 0 else -1))
            return
        top = max(0, min(self.scroll_offset.y + by, int(self.max_scroll_y)))
        self.scroll_to(y=top, animate=False, immediate=True)
        self.go(max(top, min(self.cursor, top + self.page - 1)))

    def _arrange(self, *, keep_view: bool = True, tie: bool = True) -> None:
        """Filter and sort anew. The cursor stays on its run, and the run where it is on the screen.

        `tie`: a cursor that belongs to no run yet belongs to the one that it is on from now on.
        """
        before, was = self.row, self.cursor
        self.shown = sort_rows(
            self.filter.apply(self.rows, self._now()), self.sort_column, reverse=self.sort_reverse
        )
        self._fit_view()
        at = self._find(self._wanted)
        if at is None:
            at = max(0, min(was, len(self.shown) - 1))
            if tie and self._wanted is None and self.shown:
                self._wanted = self.shown[at].key
        top = self.scroll_offset.y
        if keep_view and top > 0 and at != was:
            self.scroll_to(y=max(0, top + at - was), animate=False, immediate=True)
        self.cursor = at
        self.reveal()
        self._repaint()
        if self.row is not before:
            self.post_message(self.Moved(self.row))

    def _find(self, key: Key | None) -> int | None:
        if key is None:
            return None
        same = (at for at, row in enumerate(self.shown) if row.run_id == key[2] and row.key == key)
        return next(same, None)

    def _fit_view(self) -> None:
        self._layout = lay_out(self.scrollable_content_region.width - 1, self._longest)
        self.virtual_size = Size(0, len(self.shown) + self.HEADER)

    def _repaint(self) -> None:
        """Only the lines that are not as they were."""
        top = self.scroll_offset.y
        for y in range(self.HEADER, self.size.height):
            at = top + y - self.HEADER
            row = self.shown[at] if at < len(self.shown) else None
            known = self._painted.get(y)
            if row is not (known[0] if known else None) or row is None:
                self.refresh_line(y)

    def _remarked(self) -> None:
        self.refresh()
        self.post_message(self.Marked(self.marked))

    def _clocks(self, row: RunRow) -> str:
        """What of a line changes as time goes by."""
        now = self._now()
        return "".join(
            text for column in ("age", "progress") for text, _ in cell(BY_NAME[column], row, 17, now)
        )
