"""The visible lines of a log: read, laid out and scrolled, with a cursor and selected lines.

`tui/store/logs/search.py:LogRows` knows which lines there are; `paint.py` draws them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

from textual.geometry import Region, Size
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget

from remote.contract.errors import VfmError
from tui.store.logs.log_file import Line
from tui.store.logs.search import LogRows
from tui.widgets.logs.paint import STYLES, WIDEST, LogPaint, Sight


class LogScroll(ScrollView):
    """Lines of a log, of which only the visible ones are read."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"log--{name}" for name in STYLES}
    DEFAULT_CSS = """
    LogScroll {
        height: 1fr; background: $surface; overflow-x: auto; overflow-y: scroll;
        scrollbar-size-vertical: 1; scrollbar-size-horizontal: 0;
        scrollbar-background: $surface; scrollbar-background-hover: $surface;
        scrollbar-background-active: $surface;
        scrollbar-color: $primary-muted;
    }
    LogScroll .log--cursor { background: $panel; }
    LogScroll:focus .log--cursor { background: $primary-muted; }
    LogScroll .log--selected { background: $secondary-muted; }
    LogScroll .log--hit { color: $warning; text-style: bold reverse; }
    LogScroll .log--error { color: $error; }
    LogScroll .log--warning { color: $warning; }
    LogScroll .log--tag { color: $secondary; }
    LogScroll .log--time { color: $foreground 55%; }
    LogScroll .log--more { color: $accent; text-style: bold; }
    LogScroll .log--event { color: $accent; text-style: bold; }
    LogScroll .log--failure { color: $error; text-style: bold; }
    LogScroll .log--mark { color: $primary; }
    """

    follow = reactive(True, init=False)
    """Whether the last line stays visible."""
    stamps = reactive(False, init=False)
    """Whether each line shows its time."""
    wrap = reactive(False, init=False)
    cursor = reactive(0, init=False)
    """Row under the cursor."""
    selected_from: reactive[int | None] = reactive(None, init=False)
    """Row at which the selection began; None without one."""
    hits: reactive[Any] = reactive(None, init=False)
    """A compiled pattern whose matches are highlighted, or None."""
    _frame: tuple[Any, list[Strip], list[int]] | None = None
    """What the frame depends on; a strip for each row of the screen; the log's row on each."""

    def __init__(self, rows: LogRows, **options: Any) -> None:
        super().__init__(**options)
        self.empty = ""
        """Text where there are no lines."""
        self.rows = rows
        """The lines."""
        self._problem = ""
        self._longest = 0
        self._painter: LogPaint | None = None
        self._is_placing = False

    @property
    def line(self) -> Line | None:
        """The line under the cursor."""
        return next(iter(self.read_rows(self.cursor, 1)), None)

    @property
    def selection(self) -> tuple[int, int]:
        """First and last selected row, or twice the cursor's."""
        other = self.cursor if self.selected_from is None else self.selected_from
        return min(self.cursor, other), max(self.cursor, other)

    def read_rows(self, first: int, count: int) -> Sequence[Line]:
        """Lines from a row on; none where reading fails, which the widget then says."""
        try:
            self._problem = ""
            return self.rows.read(first, count)
        except VfmError as error:
            self._problem = error.message
            return []

    def row_at(self, y: int) -> int | None:
        """The row on a line of the widget."""
        rows = self.visible_rows()
        return rows[y] if 0 <= y < len(rows) else None

    def visible_rows(self) -> list[int]:
        """The log's row on each line of the widget."""
        return self._lay_out()[2]

    def place_cursor(self, row: int) -> None:
        """Put the cursor on a row, or the nearest one, without scrolling."""
        self.cursor = max(0, min(row, len(self.rows) - 1))

    def show_cursor(self) -> None:
        """Scroll as little as shows the cursor's line."""
        top = self.scroll_offset.y
        if self.cursor < top:
            self.scroll_to_row(self.cursor)
        elif self.cursor >= top + self._fitting(top, 1) and not self._is_at_end:
            self.scroll_to_row(self.cursor - self._fitting(self.cursor, -1) + 1)

    def show_end(self) -> None:
        """Scroll to the last line, with the cursor on it."""
        self.cursor = max(0, len(self.rows) - 1)
        self.scroll_to_row(round(self.max_scroll_y))

    def scroll_to_row(self, top: int) -> None:
        """Scroll so that a row is the first visible one; the cursor stays."""
        self._is_placing = True
        self.scroll_to(y=max(0, min(top, self.max_scroll_y)), animate=False, immediate=True)
        self._is_placing = False

    def render_line(self, y: int) -> Strip:
        """One line of the widget."""
        _, strips, _ = self._lay_out()
        return strips[y] if y < len(strips) else self._paint.blank

    def refresh(
        self, *regions: Region, repaint: bool = True, layout: bool = False, recompose: bool = False
    ) -> Self:
        """Lay out anew at the next rendering."""
        self._frame = None
        return super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)

    def notify_style_update(self) -> None:
        """Draw anew in other colours."""
        super().notify_style_update()
        self._painter = self._frame = None

    def fit_to_rows(self) -> None:
        """Set the virtual size: at the end of scrolling, the last lines fill the widget."""
        rows, (_, height) = len(self.rows), self.room
        if not self.wrap:
            self._longest = max(self._longest, self._painter.widest if self._painter else 0)
            whole = Size(min(self._longest, WIDEST) + 1, rows)
        else:
            whole = Size(0, rows + height - self._fitting(rows - 1, -1) if rows else 0)
        if whole != self.virtual_size:
            # Set as usual it would lay out the whole screen anew; the bar is always there, so nothing moves.
            self.set_reactive(Widget.virtual_size, whole)
            self._scroll_update(whole)

    @property
    def room(self) -> tuple[int, int]:
        """Columns and rows for lines; the first column is for marks."""
        region = self.scrollable_content_region
        return max(1, region.width - 1), max(1, region.height)

    def _fitting(self, row: int, direction: int) -> int:
        """Number of lines from a row on, down (1) or up (-1), that fit as a whole; at least one."""
        _, height = self.room
        if not self.wrap:
            return height
        first = max(0, row - height + 1) if direction < 0 else row
        lines = self.read_rows(first, height if direction > 0 else row - first + 1)
        used = count = 0
        for line in lines[::direction]:
            used += len(self._paint.rows(line))
            if used > height:
                break
            count += 1
        return max(1, count)

    @property
    def _is_at_end(self) -> bool:
        return self.scroll_offset.y >= self.max_scroll_y

    @property
    def _paint(self) -> LogPaint:
        """Draws lines as they are shown now."""
        width, height = self.room
        left = 0 if self.wrap else self.scroll_offset.x
        sight = Sight(width, height, left, self.wrap, self.stamps, self.hits)
        if self._painter is None or self._painter.sight != sight:
            self._painter = LogPaint(self, sight)
        return self._painter

    def _lay_out(self) -> tuple[Any, list[Strip], list[int]]:
        """The frame; made anew only if something changed."""
        depends_on = (self.scroll_offset, self.room)
        if self._frame is None or self._frame[0] != depends_on:
            self._frame = (depends_on, *self._make_frame())
        return self._frame

    def _make_frame(self) -> tuple[list[Strip], list[int]]:
        (_, height), rows, paint = self.room, len(self.rows), self._paint
        at_end = self._is_at_end
        first = max(0, rows - height) if at_end else self.scroll_offset.y
        lines = self.read_rows(first, height)
        if not lines:
            return [paint.message(self._problem or self.empty)], []
        strips: list[Strip] = []
        numbers: list[int] = []
        for row, line in enumerate(lines, first):
            drawn = paint.on_ground(paint.rows(line), self._background(row))
            strips += drawn
            numbers += [row] * len(drawn)
        cut = slice(-height, None) if at_end else slice(0, height)
        return strips[cut], numbers[cut]

    def _background(self, row: int) -> str:
        low, high = self.selection
        if self.selected_from is not None and low <= row <= high:
            return "selected"
        return "cursor" if row == self.cursor and not self.follow else ""
