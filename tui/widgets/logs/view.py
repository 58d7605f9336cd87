"""The lines of a log on the screen: only those that are to be seen are read.

Owns scrolling, the cursor, wrapping, following and selecting. Which lines there are is a `LogRows`'; what
they look like is `paint.py`'s; finding them, and what stands above and below, is `pane.py`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from textual.binding import Binding, BindingType
from textual.events import MouseDown, MouseMove, MouseUp, Resize
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget

from remote.contract.errors import VfmError
from tui.store.logs.log_file import Line
from tui.store.logs.search import LogRows
from tui.widgets.common.clipboard import copy
from tui.widgets.logs.paint import STYLES, WIDEST, LogPaint, Sight
from tui.widgets.logs.render import plain_of

_MOST_COPIED = 10_000


class LogView(ScrollView, can_focus=True):
    """A pane of log lines with a cursor."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"log--{name}" for name in STYLES}
    DEFAULT_CSS = """
    LogView {
        height: 1fr; background: $surface; overflow-x: auto; overflow-y: scroll;
        scrollbar-size-vertical: 1; scrollbar-size-horizontal: 0;
        scrollbar-background: $surface; scrollbar-background-hover: $surface;
        scrollbar-background-active: $surface;
        scrollbar-color: $primary-muted;
    }
    LogView .log--cursor { background: $panel; }
    LogView:focus .log--cursor { background: $primary-muted; }
    LogView .log--selected { background: $secondary-muted; }
    LogView .log--hit { color: $warning; text-style: bold reverse; }
    LogView .log--error { color: $error; }
    LogView .log--warning { color: $warning; }
    LogView .log--tag { color: $secondary; }
    LogView .log--time { color: $foreground 55%; }
    LogView .log--more { color: $accent; text-style: bold; }
    LogView .log--event { color: $accent; text-style: bold; }
    LogView .log--failure { color: $error; text-style: bold; }
    LogView .log--mark { color: $primary; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "move(1)", "Down a line", show=False, id="log.down"),
        Binding("up,k", "move(-1)", "Up a line", show=False, id="log.up"),
        Binding("pagedown,space", "page(1)", "Page down", show=False, id="log.page_down"),
        Binding("pageup,b", "page(-1)", "Page up", show=False, id="log.page_up"),
        Binding("home,g", "first", "First line", show=False, id="log.first"),
        Binding("end,G", "last", "Last line, and follow", show=False, id="log.last"),
        Binding("left", "shift(-1)", "Scroll left", show=False, id="log.left"),
        Binding("right", "shift(1)", "Scroll right", show=False, id="log.right"),
        Binding("f", "follow", "Follow", id="log.follow"),
        Binding("t", "switch('stamps')", "Times on or off", show=False, id="log.times"),
        Binding("w", "switch('wrap')", "Wrap", id="log.wrap"),
        Binding("v", "select", "Select lines", show=False, id="log.select"),
        Binding("y", "copy", "Copy the lines", show=False, id="log.copy"),
        Binding("enter", "choose", "Choose the line", show=False, id="log.choose"),
    ]

    follow = reactive(True, init=False)
    stamps = reactive(False, init=False)
    wrap = reactive(False, init=False)
    cursor = reactive(0, init=False)
    selected_from: reactive[int | None] = reactive(None, init=False)
    """Where a selection of lines began."""
    hits: reactive[Any] = reactive(None, init=False)
    """A compiled pattern whose hits are marked, or None."""
    _frame: tuple[Any, list[Strip], list[int]] | None = None
    """What it was made for; the pane's strips; the row of each."""

    @dataclass
    class Moved(Message):
        """The cursor, the selection or following changed."""

        view: LogView

    @dataclass
    class Chosen(Message):
        """Enter on a line."""

        view: LogView

    def __init__(self, rows: LogRows, **options: Any) -> None:
        super().__init__(**options)
        self.empty = ""
        """What is said where there is no line."""
        self.rows = rows
        """The lines that are shown."""
        self._problem = ""
        self._longest = 0
        self._painter: LogPaint | None = None
        self._placing = False

    @property
    def line(self) -> Line | None:
        """The line under the cursor."""
        return next(iter(self._read(self.cursor, 1)), None)

    @property
    def selection(self) -> tuple[int, int]:
        """First and last selected row."""
        other = self.cursor if self.selected_from is None else self.selected_from
        return min(self.cursor, other), max(self.cursor, other)

    def show(self, rows: LogRows, offset: int | None = None) -> None:
        """Show other lines; the cursor goes to the line at `offset`, or to the next one that matches."""
        self.rows = rows
        self.selected_from = None
        self.grown()
        if offset is not None and not self.follow:
            self.go_to(rows.row_of(offset))

    def grown(self) -> None:
        """There may be more lines: take them in, and stay where the reader is."""
        self._fit()
        if self.follow:
            self._to_end()
        else:
            self._place(self.cursor)
        self.refresh()

    def go_to(self, row: int) -> None:
        """Put the cursor on a row, away from the edges; following stops."""
        self.follow = False
        self._place(row)
        _, height = self._room
        top = self.scroll_offset.y
        if not top <= self.cursor < top + height - 1 or (self.wrap and self.cursor not in self._shown()):
            self._scroll(self.cursor - height // 3)
            self._show_cursor()

    def render_line(self, y: int) -> Strip:
        """One row of the pane."""
        _, strips, _ = self._laid_out()
        return strips[y] if y < len(strips) else self._paint.blank

    def refresh(
        self, *regions: Region, repaint: bool = True, layout: bool = False, recompose: bool = False
    ) -> Self:
        """What is on the screen is made anew when it is looked at next."""
        self._frame = None
        return super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)

    def notify_style_update(self) -> None:
        """Other colours: draw anew."""
        super().notify_style_update()
        self._painter = self._frame = None

    def on_resize(self, _: Resize) -> None:
        """The end stays the end."""
        self._fit()
        if self.follow:
            self._to_end()
        else:
            self._show_cursor()

    def watch_wrap(self) -> None:
        """Wrapped lines need no scrolling to the right; the cursor stays in sight."""
        self.scroll_x = 0
        self.grown()
        self._show_cursor()
        self.post_message(self.Moved(self))

    def watch_stamps(self) -> None:
        """Times come or go."""
        self.grown()
        self.post_message(self.Moved(self))

    def watch_follow(self, follow: bool) -> None:
        """Follow: to the end, now and whenever there is more."""
        if follow:
            self.selected_from = None
            self.grown()
        self.post_message(self.Moved(self))

    def watch_selected_from(self) -> None:
        """How many lines are selected is said elsewhere."""
        self.post_message(self.Moved(self))

    def watch_cursor(self) -> None:
        """What the cursor is on may interest others; at the end, while following, it is no news."""
        if not self.follow:
            self.post_message(self.Moved(self))

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Scrolling back by any means pauses; the cursor comes along, as in a pager."""
        super().watch_scroll_y(old_value, new_value)
        if self._placing:
            return
        if new_value < old_value and new_value < self.max_scroll_y:
            self.follow = False
        if not self.follow and (shown := self._shown()):
            self.cursor = max(shown[0], min(self.cursor, shown[-1]))

    def action_move(self, by: int) -> None:
        """The cursor goes, the lines follow where they must."""
        if by < 0:
            self.follow = False
        self._place(self.cursor + by)
        self._show_cursor()

    def action_page(self, by: int) -> None:
        """As many lines as the pane shows."""
        self.action_move(by * max(1, len(set(self._shown())) - 1))

    def action_first(self) -> None:
        """The first line."""
        self.action_move(-len(self.rows))

    def action_last(self) -> None:
        """The last line, and whatever comes after it; a selection only goes to the last line."""
        if self.selected_from is None:
            self.follow = True
        self.action_move(len(self.rows))

    def action_shift(self, by: int) -> None:
        """Half the pane's width to a side."""
        self._fit()
        x = self.scroll_offset.x + by * max(1, self._room[0] // 2)
        self.scroll_to(x=x, animate=False, immediate=True)

    def action_follow(self) -> None:
        """Follow, or stay."""
        self.follow = not self.follow

    def action_switch(self, what: str) -> None:
        """Switch times or wrapping."""
        setattr(self, what, not getattr(self, what))

    def action_select(self) -> None:
        """Begin a selection of lines, or drop it."""
        self.follow = False
        self.selected_from = self.cursor if self.selected_from is None else None

    def action_copy(self) -> None:
        """The selected lines, whole, to the clipboard (OSC 52: also over ssh)."""
        first, last = self.selection
        lines = self._read(first, min(last - first + 1, _MOST_COPIED)) if len(self.rows) else []
        if lines:
            more = f" of {last - first + 1:,}: the rest with save" if last - first + 1 > len(lines) else ""
            what = f"{len(lines):,} line{'s' * (len(lines) != 1)}{more}"
            copy(self, "\n".join(plain_of(line) for line in lines), what)
        self.selected_from = None

    def action_choose(self) -> None:
        """Somebody else knows what that means."""
        self.post_message(self.Chosen(self))

    def on_mouse_down(self, event: MouseDown) -> None:
        """A click puts the cursor; a drag selects."""
        row = self._row_at(event.y)
        if row is not None and event.button == 1:
            self.follow = False
            self.selected_from = None
            self.cursor = row
            self.capture_mouse()

    def on_mouse_move(self, event: MouseMove) -> None:
        """Dragging selects lines, also beyond the edges."""
        if self.app.mouse_captured is not self:
            return
        beyond = self.cursor + (1 if event.y > 0 else -1)
        row = beyond if (at := self._row_at(event.y)) is None else at
        if self.selected_from is None and row != self.cursor:
            self.selected_from = self.cursor
        self._place(row)
        self._show_cursor()

    def on_mouse_up(self, _: MouseUp) -> None:
        """The drag is over."""
        self.release_mouse()

    def _read(self, first: int, count: int) -> Sequence[Line]:
        try:
            self._problem = ""
            return self.rows.read(first, count)
        except VfmError as error:
            self._problem = error.message
            return []

    def _row_at(self, y: int) -> int | None:
        shown = self._shown()
        return shown[y] if 0 <= y < len(shown) else None

    def _place(self, row: int) -> None:
        self.cursor = max(0, min(row, len(self.rows) - 1))

    @property
    def _room(self) -> tuple[int, int]:
        """Columns and rows for lines: the first column is for marks."""
        region = self.scrollable_content_region
        return max(1, region.width - 1), max(1, region.height)

    def _fit(self) -> None:
        """Say how far one can scroll: in the end the last lines fill the pane."""
        rows, (_, height) = len(self.rows), self._room
        if not self.wrap:
            self._longest = max(self._longest, self._paint.widest)
            whole = Size(min(self._longest, WIDEST) + 1, rows)
        else:
            whole = Size(0, rows + height - self._fitting(rows - 1, -1) if rows else 0)
        if whole != self.virtual_size:
            # Set as usual it would lay out the whole screen anew; the bar is always there, so nothing moves.
            self.set_reactive(Widget.virtual_size, whole)
            self._scroll_update(whole)

    def _fitting(self, row: int, way: int) -> int:
        """How many lines from a row on, up or down, are seen whole; at least one."""
        _, height = self._room
        if not self.wrap:
            return height
        first = max(0, row - height + 1) if way < 0 else row
        lines = self._read(first, height if way > 0 else row - first + 1)
        used = count = 0
        for line in lines[::way]:
            used += len(self._paint.rows(line))
            if used > height:
                break
            count += 1
        return max(1, count)

    def _show_cursor(self) -> None:
        """Scroll no further than must be for the cursor's line to be seen."""
        top = self.scroll_offset.y
        if self.cursor < top:
            self._scroll(self.cursor)
        elif self.cursor >= top + self._fitting(top, 1) and not self._is_at_end:
            self._scroll(self.cursor - self._fitting(self.cursor, -1) + 1)

    @property
    def _is_at_end(self) -> bool:
        return self.scroll_offset.y >= self.max_scroll_y

    def _to_end(self) -> None:
        self.cursor = max(0, len(self.rows) - 1)
        self._scroll(self.max_scroll_y)

    def _scroll(self, top: int) -> None:
        self._placing = True
        self.scroll_to(y=max(0, min(top, self.max_scroll_y)), animate=False, immediate=True)
        self._placing = False

    @property
    def _paint(self) -> LogPaint:
        """What draws lines as they are to be seen now."""
        width, height = self._room
        left = 0 if self.wrap else self.scroll_offset.x
        sight = Sight(width, height, left, self.wrap, self.stamps, self.hits)
        if self._painter is None or self._painter.sight != sight:
            self._painter = LogPaint(self, sight)
        return self._painter

    def _laid_out(self) -> tuple[Any, list[Strip], list[int]]:
        """The pane as it stands; made anew only when something changed."""
        made_for = (self.scroll_offset, self._room)
        if self._frame is None or self._frame[0] != made_for:
            self._frame = (made_for, *self._lay_out())
        return self._frame

    def _shown(self) -> list[int]:
        """The row that each row of the screen belongs to."""
        return self._laid_out()[2]

    def _lay_out(self) -> tuple[list[Strip], list[int]]:
        (_, height), rows, paint = self._room, len(self.rows), self._paint
        at_end = self._is_at_end
        first = max(0, rows - height) if at_end else self.scroll_offset.y
        lines = self._read(first, height)
        if not lines:
            return [paint.said(self._problem or self.empty)], []
        strips: list[Strip] = []
        numbers: list[int] = []
        for row, line in enumerate(lines, first):
            drawn = paint.on_ground(paint.rows(line), self._ground_of(row))
            strips += drawn
            numbers += [row] * len(drawn)
        cut = slice(-height, None) if at_end else slice(0, height)
        return strips[cut], numbers[cut]

    def _ground_of(self, row: int) -> str:
        """What a row stands on."""
        low, high = self.selection
        if self.selected_from is not None and low <= row <= high:
            return "selected"
        return "cursor" if row == self.cursor and not self.follow else ""
