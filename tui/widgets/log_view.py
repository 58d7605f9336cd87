"""The lines of a journal on the screen: only those that are to be seen are read.

Owns scrolling, the cursor, wrapping, following and how a line looks. Which lines there are is a
`LogMatches`'; finding them, and the lines above and below that steer this, are `log_pane.py`'s.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, ClassVar

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.events import MouseDown, MouseMove, MouseUp
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from remote.contract.errors import VfmError
from remote.contract.events import split_source
from tui.store.journal import Line
from tui.store.log_matches import LogMatches
from tui.widgets.terminal_text import read_terminal
from tui.words import size

_WIDEST = 100_000
_SPANS = 200


class LogView(ScrollView, can_focus=True):
    """A pane of log lines with a cursor."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "log--cursor",
        "log--selected",
        "log--hit",
        "log--error",
        "log--warning",
        "log--tag",
        "log--time",
        "log--event",
    }
    DEFAULT_CSS = """
    LogView { height: 1fr; background: $surface; scrollbar-size-vertical: 1; scrollbar-size-horizontal: 1; }
    LogView .log--cursor { background: $panel; }
    LogView:focus .log--cursor { background: $primary-muted; }
    LogView .log--selected { background: $secondary-muted; }
    LogView .log--hit { background: $warning; color: $background; text-style: bold; }
    LogView .log--error { color: $error; }
    LogView .log--warning { color: $warning; }
    LogView .log--tag { color: $secondary; }
    LogView .log--time { color: $text-muted; }
    LogView .log--event { color: $accent; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "move(1)", "Down", show=False, id="log.down"),
        Binding("up,k", "move(-1)", "Up", show=False, id="log.up"),
        Binding("pagedown", "page(1)", "Page down", show=False, id="log.page_down"),
        Binding("pageup", "page(-1)", "Page up", show=False, id="log.page_up"),
        Binding("home,g", "first", "First line", show=False, id="log.first"),
        Binding("end,G", "last", "Last line, follow", show=False, id="log.last"),
        Binding("left", "scroll_left", "Left", show=False, id="log.left"),
        Binding("right", "scroll_right", "Right", show=False, id="log.right"),
        Binding("f", "follow", "Follow", id="log.follow"),
        Binding("t", "toggle('stamps')", "Times", show=False, id="log.times"),
        Binding("w", "toggle('wrap')", "Wrap", id="log.wrap"),
        Binding("v", "select", "Select lines", show=False, id="log.select"),
        Binding("y", "copy", "Copy", show=False, id="log.copy"),
    ]

    follow = reactive(True)
    stamps = reactive(False)
    wrap = reactive(False)
    cursor = reactive(0)

    @dataclass
    class Moved(Message):
        """The cursor, the selection or following changed."""

        view: LogView

    def __init__(self, matches: LogMatches, **options: Any) -> None:
        super().__init__(**options)
        self._matches = matches
        self.hits: Any = None
        """A compiled pattern whose hits are highlighted."""
        self.selected_from: int | None = None
        """Where a selection of lines began."""
        self._strips: list[Strip] = []
        self._key: Any = None
        self._longest = 0

    @property
    def matches(self) -> LogMatches:
        """The lines that are shown."""
        return self._matches

    @property
    def rows(self) -> int:
        """How many lines there are to scroll through."""
        return len(self._matches)

    @property
    def line(self) -> Line | None:
        """The line under the cursor."""
        found = self._matches.read(self.cursor, 1) if self.rows else []
        return found[0] if found else None

    @property
    def selection(self) -> tuple[int, int]:
        """First and last selected row."""
        other = self.cursor if self.selected_from is None else self.selected_from
        return min(self.cursor, other), max(self.cursor, other)

    def show(self, matches: LogMatches, offset: int | None = None) -> None:
        """Show other lines; the cursor goes to the line at `offset`, or to the next one that matches."""
        self._matches = matches
        self.selected_from = None
        self.grown()
        if offset is not None and not self.follow:
            self.go_to(matches.row_of(offset))

    def grown(self) -> None:
        """There may be more lines: take them in, and stay where the reader is."""
        self._key = None
        width = min(self._longest, _WIDEST)
        self.virtual_size = Size(0 if self.wrap else width, self.rows)
        if self.follow:
            self._to_end()
        elif self.cursor >= self.rows:
            self.cursor = max(0, self.rows - 1)
        self.refresh()

    def go_to(self, row: int) -> None:
        """Put the cursor on a row, away from the edges; following stops."""
        self.follow = False
        row = max(0, min(row, self.rows - 1))
        self.cursor = row
        height = self.scrollable_content_region.height
        top = self.scroll_offset.y
        if not top <= row < top + height - 1:
            self._scroll(row - height // 3)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """One row of the pane."""
        strips = self._viewport()
        width = self.scrollable_content_region.width
        return strips[y] if y < len(strips) else Strip.blank(width, self.rich_style)

    def watch_wrap(self) -> None:
        """Wrapped lines need no scrolling to the right."""
        self.scroll_x = 0
        self.grown()

    def watch_stamps(self) -> None:
        """Times come or go."""
        self.grown()

    def watch_follow(self, follow: bool) -> None:
        """Follow: to the end, now and whenever there is more."""
        if follow and self.is_mounted:
            self.grown()
        self.post_message(self.Moved(self))

    def watch_cursor(self) -> None:
        """What the cursor is on may interest others."""
        self._key = None
        self.post_message(self.Moved(self))

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Scrolling back by any means pauses; scrolling to the end does not resume by itself."""
        super().watch_scroll_y(old_value, new_value)
        if new_value < old_value and self.follow and new_value < self.max_scroll_y:
            self.follow = False
            self.cursor = max(0, min(self.cursor, int(new_value) + self.size.height - 1))

    def action_move(self, by: int) -> None:
        """The cursor goes, the lines follow where they must."""
        row = max(0, min(self.cursor + by, self.rows - 1))
        if by < 0:
            self.follow = False
        self.cursor = row
        top, height = self.scroll_offset.y, self.scrollable_content_region.height
        if row < top:
            self._scroll(row)
        elif row >= top + height:
            self._scroll(row - height + 1)
        self.refresh()

    def action_page(self, by: int) -> None:
        """A pane's height."""
        self.action_move(by * max(1, self.scrollable_content_region.height - 1))

    def action_first(self) -> None:
        """The first line."""
        self.action_move(-self.rows)

    def action_last(self) -> None:
        """The last line, and whatever comes after it."""
        self.follow = True
        self.grown()

    def action_follow(self) -> None:
        """Follow, or stay."""
        self.follow = not self.follow

    def action_toggle(self, what: str) -> None:
        """Switch times or wrapping."""
        setattr(self, what, not getattr(self, what))

    def action_select(self) -> None:
        """Begin a selection of lines, or drop it."""
        self.selected_from = self.cursor if self.selected_from is None else None
        self._key = None
        self.refresh()
        self.post_message(self.Moved(self))

    def action_copy(self) -> None:
        """The selected lines, whole, to the clipboard (OSC 52: also over ssh)."""
        first, last = self.selection
        lines = [read_terminal(line.text).plain for line in self._matches.read(first, last - first + 1)]
        if lines:
            self.app.copy_to_clipboard("\n".join(lines))
            self.notify(f"copied {len(lines)} line{'s' * (len(lines) > 1)}", markup=False)
        self.selected_from = None
        self._key = None
        self.refresh()

    def on_mouse_down(self, event: MouseDown) -> None:
        """A click puts the cursor; a drag selects."""
        row = self._row_at(event.y)
        if row is not None:
            self.follow = False
            self.selected_from, self.cursor = None, row
            self.capture_mouse()
            self.refresh()

    def on_mouse_move(self, event: MouseMove) -> None:
        """Dragging selects lines."""
        if self.app.mouse_captured is self and (row := self._row_at(event.y)) is not None:
            if self.selected_from is None and row != self.cursor:
                self.selected_from = self.cursor
            self.cursor = row
            self.refresh()

    def on_mouse_up(self, _: MouseUp) -> None:
        """The drag is over."""
        self.release_mouse()

    def _row_at(self, y: int) -> int | None:
        self._viewport()
        return self._rows_shown[y] if 0 <= y < len(self._rows_shown) else None

    def _to_end(self) -> None:
        self.cursor = max(0, self.rows - 1)
        self._scroll(self.rows)

    def _scroll(self, top: int) -> None:
        self.scroll_to(y=max(0, min(top, self.rows - 1)), animate=False, immediate=True)

    def _viewport(self) -> list[Strip]:
        """The strips of the pane as it stands; made anew only when something changed."""
        region = self.scrollable_content_region
        key = (self.scroll_offset, region.size, self.rows, self.cursor, self.selected_from, self._key)
        if self._key is None or key[:-1] != self._key:
            self._strips, self._rows_shown = self._lay_out(region.width, region.height)
            self._key = key[:-1]
        return self._strips

    def _lay_out(self, width: int, height: int) -> tuple[list[Strip], list[int]]:
        top = self.scroll_offset.y
        at_end = top >= max(0, self.rows - height)
        first = max(0, self.rows - height) if at_end else top
        try:
            lines = self._matches.read(first, height)
        except VfmError as error:
            return [Strip([Segment(error.message)]).adjust_cell_length(width)], [0]
        strips: list[Strip] = []
        rows: list[int] = []
        for row, line in enumerate(lines, first):
            drawn = self._draw(row, line, width)
            strips += drawn
            rows += [row] * len(drawn)
        cut = slice(-height, None) if at_end and len(strips) > height else slice(0, height)
        return strips[cut], rows[cut]

    def _draw(self, row: int, line: Line, width: int) -> list[Strip]:
        text = self._text(line)
        self._longest = max(self._longest, min(text.cell_len, _WIDEST))
        style = self.rich_style
        low, high = self.selection
        if self.selected_from is not None and low <= row <= high:
            style += self.get_component_rich_style("log--selected", partial=True)
        elif row == self.cursor:
            style += self.get_component_rich_style("log--cursor", partial=True)
        if self.wrap:
            return self._wrapped(text, width, style)
        left = self.scroll_offset.x
        strip = Strip(text.render(self.app.console)).crop_extend(left, left + width, style)
        return [strip.apply_style(style)]

    def _wrapped(self, text: Text, width: int, style: Style) -> list[Strip]:
        """A line over several rows; no more of them than a pane may have."""
        strip = Strip(text.render(self.app.console))
        count = max(1, -(-strip.cell_length // max(width, 1)))
        most = max(1, self.scrollable_content_region.height)
        pieces = [strip.crop_extend(i * width, (i + 1) * width, style) for i in range(min(count, most))]
        return [piece.apply_style(style) for piece in pieces]

    def _text(self, line: Line) -> Text:
        text = read_terminal(line.text, self._level(line.raw))
        if line.raw.startswith(b"\x1e"):
            text.stylize(self.get_component_rich_style("log--event", partial=True))
        else:
            source, rest = split_source(text.plain)
            if len(rest) < len(text.plain):
                text.stylize(self._part("log--tag"), 0, len(source) + 2)
        if line.cut > 0:
            text.append(f" … {size(line.cut)} more", self._part("log--time"))
        self._mark_hits(text)
        if self.stamps:
            stamp = "        " if line.t is None else time.strftime("%H:%M:%S", time.localtime(line.t))
            text = Text.assemble((f"{stamp} ", self._part("log--time")), text, end="")
        return text

    def _mark_hits(self, text: Text) -> None:
        if self.hits is None:
            return
        raw = text.plain.encode()
        for count, match in enumerate(self.hits.finditer(raw)):
            if count == _SPANS:
                break
            start, end = match.span()
            begin = len(raw[:start].decode(errors="replace"))
            text.stylize(self._part("log--hit"), begin, begin + len(raw[start:end].decode(errors="replace")))

    def _level(self, raw: bytes) -> Style:
        head = raw[:400]
        if b"ERROR" in head or b"Traceback (most" in head or b"CRITICAL" in head or b"Error: " in head:
            return self._part("log--error")
        return self._part("log--warning") if b"WARNING" in head or b"Warning: " in head else Style.null()

    def _part(self, name: str) -> Style:
        return self.get_component_rich_style(name, partial=True)
