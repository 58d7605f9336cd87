"""The runs table: marks, order, filter, and a cursor that stays on its run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.events import MouseScrollDown, MouseScrollUp
from textual.message import Message

from tui.store.runs.filter import RunFilter
from tui.store.runs.row import Key, RunRow, sort_rows
from tui.widgets.common.row_list import moving
from tui.widgets.runs.columns import BY_NAME, MARK_WIDTH, longest
from tui.widgets.runs.lines import RunLines

_WHEEL = 3  # lines of a notch of the wheel


class RunTable(RunLines):
    """Runs, one per line, under a header."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Open", id="runs.open"),
        *moving("runs", "run"),
        Binding("m", "mark", "Mark", id="runs.mark"),
        Binding("space", "mark(1)", "Mark, move down", show=False, id="runs.mark_on"),
        Binding("M", "mark_all", "Mark all shown, or none", show=False, id="runs.mark_all"),
        Binding("s,greater_than_sign", "sort_next(1)", "Sort by the next column", show=False, id="runs.sort"),
        Binding(
            "less_than_sign", "sort_next(-1)", "Sort by the column before", show=False, id="runs.sort_back"
        ),
        Binding("S", "reverse", "Reverse the order", show=False, id="runs.reverse"),
    ]

    @dataclass
    class Opened(Message):
        """Open a run."""

        row: RunRow

    @dataclass
    class Moved(Message):
        """The cursor is on another run, on a newer row of its run, or on none."""

        row: RunRow | None

    @dataclass
    class Marked(Message):
        """Marks changed."""

        rows: Sequence[RunRow]

    @dataclass
    class Sorted(Message):
        """The order changed."""

        column: str
        reverse: bool

    def __init__(
        self, now: Callable[[], float], column: str = "age", reverse: bool = False, **options: Any
    ) -> None:
        super().__init__(now, column, reverse, **options)
        self.rows: Sequence[RunRow] = ()
        """All runs, shown or not."""
        self.filter = RunFilter()
        self._cursor_key: Key | None = None
        """The run that the cursor stays on."""

    @property
    def marked(self) -> list[RunRow]:
        """The marked runs: first those that are shown, in order."""
        if not self.marks:
            return []
        found = {row.key: row for row in self.shown if row.key in self.marks}
        hidden = [row for row in self.rows if row.key in self.marks and row.key not in found]
        return [*found.values(), *hidden]

    def show(self, rows: Sequence[RunRow], *, begun: bool = True) -> None:
        """Show other rows, or newer ones; the cursor stays on its run.

        Until the list has `begun` to be current, a cursor that was not moved stays at the top instead.
        """
        self.rows = rows
        self.longest = longest(rows)
        self._arrange(tie=begun)

    def filter_by(self, chosen: RunFilter) -> None:
        """Show only the runs that pass a filter."""
        self.filter = chosen
        self._arrange()

    def sort_by(self, column: str, reverse: bool | None = None) -> None:
        """Sort by a column, by default in the direction that its values are looked for."""
        self.sort_column = column
        self.sort_reverse = BY_NAME[column].high_first if reverse is None else reverse
        self._arrange(keep_view=False)
        self.refresh()
        self.post_message(self.Sorted(self.sort_column, self.sort_reverse))

    def unmark(self) -> None:
        """Remove all marks."""
        self.marks.clear()
        self._marks_changed()

    def action_open(self) -> None:
        """Open the run under the cursor."""
        if self.row is not None:
            self._cursor_key = self.row.key
            self.post_message(self.Opened(self.row))

    def action_mark(self, then: int = 0) -> None:
        """Mark or unmark the run under the cursor, then move the cursor."""
        if self.row is not None:
            self.marks ^= {self.row.key}
            self._marks_changed()
            self.go(self.cursor + then)

    def action_mark_all(self) -> None:
        """Mark every run that is shown, or unmark them if all are marked."""
        keys = {row.key for row in self.shown}
        self.marks = self.marks - keys if keys <= self.marks else self.marks | keys
        self._marks_changed()

    def action_sort_next(self, by: int) -> None:
        """Sort by another visible column."""
        names = [column.name for column, _, _ in self.layout_of_columns] or [self.sort_column]
        at = names.index(self.sort_column) if self.sort_column in names else -1
        self.sort_by(names[(at + by) % len(names)])

    def action_reverse(self) -> None:
        """Reverse the order."""
        self.sort_by(self.sort_column, not self.sort_reverse)

    def header_clicked(self, x: int) -> None:
        """Sort by the clicked column; again to reverse."""
        for column, start, width in self.layout_of_columns:
            if start <= x < start + width + 1:
                again = column.name == self.sort_column
                self.sort_by(column.name, not self.sort_reverse if again else None)

    def clicked(self, x: int, twice: bool) -> None:
        """A click on the first cells marks; a double click opens."""
        if x < MARK_WIDTH:
            self.action_mark()
        elif twice:
            self.action_open()

    def arrived(self, moved: bool) -> None:
        """Keep the cursor on this run from now on."""
        self._cursor_key = self.row.key if self.row else None
        if moved:
            self.post_message(self.Moved(self.row))

    @on(MouseScrollDown)
    @on(MouseScrollUp)
    def _wheel(self, event: MouseScrollDown | MouseScrollUp) -> None:
        """Scroll; the cursor moves along where it would leave the screen."""
        by = _WHEEL if isinstance(event, MouseScrollDown) else -_WHEEL
        event.stop()
        event.prevent_default()
        if self.max_scroll_y == 0:
            self.go(self.cursor + (1 if by > 0 else -1))
            return
        top = max(0, min(self.scroll_offset.y + by, int(self.max_scroll_y)))
        self.scroll_to(y=top, animate=False, immediate=True)
        self.go(max(top, min(self.cursor, top + self.page - 1)))

    def _arrange(self, *, keep_view: bool = True, tie: bool = True) -> None:
        """Filter and sort. The cursor stays on its run, and the run on its line of the screen.

        `tie`: a cursor that has no run yet stays on the present one from now on.
        """
        before, was = self.row, self.cursor
        self.shown = sort_rows(
            self.filter.apply(self.rows, self.now()), self.sort_column, reverse=self.sort_reverse
        )
        self.fit_columns()
        at = self._find(self._cursor_key)
        if at is None:
            at = max(0, min(was, len(self.shown) - 1))
            if tie and self._cursor_key is None and self.shown:
                self._cursor_key = self.shown[at].key
        top = self.scroll_offset.y
        if keep_view and top > 0 and at != was:
            self.scroll_to(y=max(0, top + at - was), animate=False, immediate=True)
        self.cursor = at
        self.reveal()
        self.repaint_changed()
        if self.row is not before:
            self.post_message(self.Moved(self.row))

    def _find(self, key: Key | None) -> int | None:
        if key is None:
            return None
        same = (at for at, row in enumerate(self.shown) if row.run_id == key[2] and row.key == key)
        return next(same, None)

    def _marks_changed(self) -> None:
        self.refresh()
        self.post_message(self.Marked(self.marked))
