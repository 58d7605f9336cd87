"""Log lines with keys and mouse: moving, following, selecting, copying.

`scroll.py` shows the lines; `pane.py` finds them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.events import MouseDown, MouseMove, MouseUp, Resize
from textual.message import Message

from tui.store.logs.search import LogRows
from tui.widgets.common.clipboard import copy
from tui.widgets.logs.render import plain_of
from tui.widgets.logs.scroll import LogScroll

_MOST_COPIED = 10_000


class LogView(LogScroll, can_focus=True):
    """Lines of a log, to move about in."""

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

    @dataclass
    class Moved(Message):
        """The cursor, the selection or following changed."""

        view: LogView

    @dataclass
    class Chosen(Message):
        """Enter was pressed on a line."""

        view: LogView

    def show(self, rows: LogRows, offset: int | None = None) -> None:
        """Show other lines; the cursor goes to the line at a byte offset, or the next one there is."""
        self.rows = rows
        self.selected_from = None
        self.grown()
        if offset is not None and not self.follow:
            self.go_to(rows.row_of(offset))

    def grown(self) -> None:
        """Show lines that were appended; without following, the visible lines stay."""
        self.fit_to_rows()
        if self.follow:
            self.show_end()
        else:
            self.place_cursor(self.cursor)
        self.refresh()

    def go_to(self, row: int) -> None:
        """Put the cursor on a row, away from the edges; following stops."""
        self.follow = False
        self.place_cursor(row)
        _, height = self.room
        top = self.scroll_offset.y
        if not top <= self.cursor < top + height - 1 or (
            self.wrap and self.cursor not in self.visible_rows()
        ):
            self.scroll_to_row(self.cursor - height // 3)
            self.show_cursor()

    # --- changes -------------------------------------------------------------------------------------

    def on_resize(self, _: Resize) -> None:
        """Keep the end, or the cursor, visible."""
        self.fit_to_rows()
        if self.follow:
            self.show_end()
        else:
            self.show_cursor()

    def watch_wrap(self) -> None:
        """Scroll to the first column; keep the cursor visible."""
        self.scroll_x = 0
        self.grown()
        self.show_cursor()
        self.post_message(self.Moved(self))

    def watch_stamps(self) -> None:
        """Draw lines with or without their times."""
        self.grown()
        self.post_message(self.Moved(self))

    def watch_follow(self, follow: bool) -> None:
        """Scroll to the end when following begins."""
        if follow:
            self.selected_from = None
            self.grown()
        self.post_message(self.Moved(self))

    def watch_selected_from(self) -> None:
        """Report the selection."""
        self.post_message(self.Moved(self))

    def watch_cursor(self) -> None:
        """Report the cursor, unless it merely follows the end."""
        if not self.follow:
            self.post_message(self.Moved(self))

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Scrolling back by any means stops following; the cursor stays visible, as in a pager."""
        super().watch_scroll_y(old_value, new_value)
        if self._is_placing:
            return
        if new_value < old_value and new_value < self.max_scroll_y:
            self.follow = False
        if not self.follow and (rows := self.visible_rows()):
            self.cursor = max(rows[0], min(self.cursor, rows[-1]))

    # --- actions -------------------------------------------------------------------------------------

    def action_move(self, by: int) -> None:
        """Move the cursor by rows."""
        if by < 0:
            self.follow = False
        self.place_cursor(self.cursor + by)
        self.show_cursor()

    def action_page(self, by: int) -> None:
        """Move the cursor by the visible lines."""
        self.action_move(by * max(1, len(set(self.visible_rows())) - 1))

    def action_first(self) -> None:
        """Move the cursor to the first line."""
        self.action_move(-len(self.rows))

    def action_last(self) -> None:
        """Move the cursor to the last line, and follow unless lines are being selected."""
        if self.selected_from is None:
            self.follow = True
        self.action_move(len(self.rows))

    def action_shift(self, by: int) -> None:
        """Scroll sideways by half the width."""
        self.fit_to_rows()
        x = self.scroll_offset.x + by * max(1, self.room[0] // 2)
        self.scroll_to(x=x, animate=False, immediate=True)

    def action_follow(self) -> None:
        """Follow, or stop."""
        self.follow = not self.follow

    def action_switch(self, what: str) -> None:
        """Switch `stamps` or `wrap` on or off."""
        setattr(self, what, not getattr(self, what))

    def action_select(self) -> None:
        """Start selecting lines, or drop the selection."""
        self.follow = False
        self.selected_from = self.cursor if self.selected_from is None else None

    def action_copy(self) -> None:
        """Copy the selected lines, uncut, to the clipboard (OSC 52: also over ssh)."""
        first, last = self.selection
        count = last - first + 1
        lines = self.read_rows(first, min(count, _MOST_COPIED)) if len(self.rows) else []
        if lines:
            more = f" of {count:,}: save the log for the rest" if count > len(lines) else ""
            what = f"{len(lines):,} line{'s' * (len(lines) != 1)}{more}"
            copy(self, "\n".join(plain_of(line) for line in lines), what)
        self.selected_from = None

    def action_choose(self) -> None:
        """Report that Enter was pressed."""
        self.post_message(self.Chosen(self))

    # --- mouse ---------------------------------------------------------------------------------------

    def on_mouse_down(self, event: MouseDown) -> None:
        """Put the cursor on the clicked line; dragging selects."""
        row = self.row_at(event.y)
        if row is not None and event.button == 1:
            self.follow = False
            self.selected_from = None
            self.cursor = row
            self.capture_mouse()

    def on_mouse_move(self, event: MouseMove) -> None:
        """Extend the selection, also beyond the edges of the widget."""
        if self.app.mouse_captured is not self:
            return
        beyond = self.cursor + (1 if event.y > 0 else -1)
        row = beyond if (at := self.row_at(event.y)) is None else at
        if self.selected_from is None and row != self.cursor:
            self.selected_from = self.cursor
        self.place_cursor(row)
        self.show_cursor()

    def on_mouse_up(self, _: MouseUp) -> None:
        """End the drag."""
        self.release_mouse()
