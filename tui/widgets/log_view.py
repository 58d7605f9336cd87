"""The lines of a log on the screen: only those that are to be seen are read.

Owns scrolling, the cursor, wrapping, following and selecting. Which lines there are is a `LogRows`'; how
one of them looks is `log_line.py`'s; finding them, and what stands above and below, is `log_pane.py`'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.events import MouseDown, MouseMove, MouseUp, Resize
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget

from remote.contract.errors import VfmError
from tui.store.journal import Line
from tui.store.log_matches import LogRows
from tui.widgets.log_line import Look, cut_rows, draw, plain_of, strip_of

_WIDEST = 100_000
_KEPT = 1000
"""Drawn lines that are kept."""
_MOST_COPIED = 10_000


class LogView(ScrollView, can_focus=True):
    """A pane of log lines with a cursor."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "log--cursor",
        "log--selected",
        "log--hit",
        "log--error",
        "log--warning",
        "log--tag",
        "log--time",
        "log--more",
        "log--event",
        "log--failure",
        "log--mark",
    }
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

    follow = reactive(True)
    stamps = reactive(False)
    wrap = reactive(False)
    cursor = reactive(0)

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
        self.selected_from: int | None = None
        """Where a selection of lines began."""
        self.empty = ""
        """What is said where there is no line."""
        self._rows = rows
        self._problem = ""
        self._hits: Any = None
        self._longest = 0
        self._frame: tuple[Any, list[Strip], list[int]] = (None, [], [])
        self._changes = 0
        self._drawn: dict[tuple[int, int], list[Strip]] = {}
        self._drawn_for: Any = None
        self._placing = False

    @property
    def rows(self) -> LogRows:
        """The lines that are shown."""
        return self._rows

    @property
    def line(self) -> Line | None:
        """The line under the cursor."""
        found = self._read(self.cursor, 1) if len(self._rows) else []
        return found[0] if found else None

    @property
    def selection(self) -> tuple[int, int]:
        """First and last selected row."""
        other = self.cursor if self.selected_from is None else self.selected_from
        return min(self.cursor, other), max(self.cursor, other)

    @property
    def hits(self) -> Any:
        """A compiled pattern whose hits are marked, or None."""
        return self._hits

    @hits.setter
    def hits(self, regex: Any) -> None:
        self._hits = regex
        self._look_again()

    def show(self, rows: LogRows, offset: int | None = None) -> None:
        """Show other lines; the cursor goes to the line at `offset`, or to the next one that matches."""
        self._rows = rows
        self.selected_from = None
        self._drawn.clear()
        self.grown()
        if offset is not None and not self.follow:
            self.go_to(rows.row_of(offset))

    def grown(self) -> None:
        """There may be more lines: take them in, and stay where the reader is."""
        self._fit()
        if self.follow:
            self._to_end()
        elif self.cursor >= len(self._rows):
            self.cursor = max(0, len(self._rows) - 1)
        self._look_again()

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
        strips, _ = self._laid_out()
        return strips[y] if y < len(strips) else self._blank

    def notify_style_update(self) -> None:
        """Other colours: draw anew."""
        super().notify_style_update()
        self._drawn.clear()
        self._changes += 1

    def on_resize(self, _: Resize) -> None:
        """The end stays the end."""
        self.grown()
        if not self.follow:
            self._show_cursor()

    def watch_wrap(self) -> None:
        """Wrapped lines need no scrolling to the right; the cursor stays in sight."""
        if not self.is_mounted:
            return
        self.scroll_x = 0
        self.grown()
        self._show_cursor()
        self.post_message(self.Moved(self))

    def watch_stamps(self) -> None:
        """Times come or go."""
        if self.is_mounted:
            self.grown()
            self.post_message(self.Moved(self))

    def watch_follow(self, follow: bool) -> None:
        """Follow: to the end, now and whenever there is more."""
        if not self.is_mounted:
            return
        if follow:
            self.selected_from = None
            self.grown()
        self._look_again()
        self.post_message(self.Moved(self))

    def watch_cursor(self) -> None:
        """What the cursor is on may interest others; at the end, while following, it is no news."""
        self._look_again()
        if not self.follow:
            self.post_message(self.Moved(self))

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Scrolling back by any means pauses; the cursor comes along, as in a pager."""
        super().watch_scroll_y(old_value, new_value)
        if self._placing:
            return
        if new_value < old_value and new_value < self.max_scroll_y:
            self.follow = False
        shown = self._shown()
        if not self.follow and shown:
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
        self.action_move(-len(self._rows))

    def action_last(self) -> None:
        """The last line, and whatever comes after it; a selection only goes to the last line."""
        if self.selected_from is None:
            self.follow = True
        self.action_move(len(self._rows))

    def action_shift(self, by: int) -> None:
        """Half the pane's width to a side."""
        self._fit()
        self.scroll_to(
            x=self.scroll_offset.x + by * max(1, self._room[0] // 2), animate=False, immediate=True
        )

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
        self._look_again()
        self.post_message(self.Moved(self))

    def action_copy(self) -> None:
        """The selected lines, whole, to the clipboard (OSC 52: also over ssh)."""
        first, last = self.selection
        lines = self._read(first, min(last - first + 1, _MOST_COPIED)) if len(self._rows) else []
        if lines:
            self.app.copy_to_clipboard("\n".join(plain_of(line) for line in lines))
            more = f" of {last - first + 1:,}: the rest with save" if last - first + 1 > len(lines) else ""
            self.notify(f"copied {len(lines):,} line{'s' * (len(lines) != 1)}{more}", markup=False)
        self.selected_from = None
        self._look_again()
        self.post_message(self.Moved(self))

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
            self._look_again()

    def on_mouse_move(self, event: MouseMove) -> None:
        """Dragging selects lines, also beyond the edges."""
        if self.app.mouse_captured is not self:
            return
        row = self._row_at(event.y)
        if row is None:
            row = self.cursor + (1 if event.y > 0 else -1)
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
            return self._rows.read(first, count)
        except VfmError as error:
            self._problem = error.message
            return []

    def _row_at(self, y: int) -> int | None:
        shown = self._shown()
        return shown[y] if 0 <= y < len(shown) else None

    def _place(self, row: int) -> None:
        self.cursor = max(0, min(row, len(self._rows) - 1))
        self._look_again()

    def _look_again(self) -> None:
        self._changes += 1
        self.refresh()

    @property
    def _room(self) -> tuple[int, int]:
        """Columns and rows for lines: the first column is for marks."""
        region = self.scrollable_content_region
        return max(1, region.width - 1), max(1, region.height)

    def _fit(self) -> None:
        """Say how far one can scroll: in the end the last lines fill the pane."""
        rows, (_, height) = len(self._rows), self._room
        if not self.wrap:
            whole = Size(min(self._longest, _WIDEST) + 1, rows)
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
            used += len(self._strips_of(line))
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
        self.cursor = max(0, len(self._rows) - 1)
        self._scroll(self.max_scroll_y)

    def _scroll(self, top: int) -> None:
        with self._placed():
            self.scroll_to(y=max(0, min(top, self.max_scroll_y)), animate=False, immediate=True)

    @contextmanager
    def _placed(self) -> Iterator[None]:
        self._placing = True
        try:
            yield
        finally:
            self._placing = False

    def _shown(self) -> list[int]:
        """The row that each row of the screen belongs to."""
        return self._laid_out()[1]

    def _laid_out(self) -> tuple[list[Strip], list[int]]:
        """The pane as it stands; made anew only when something changed."""
        key = (self._changes, self.scroll_offset, self._room, self.has_focus, self.app.theme)
        if self._frame[0] != key:
            self._ground = self.rich_style
            self._blank = Strip.blank(self._room[0] + 1, self._ground)
            self._marks = {name: self._part(f"log--{name}") for name in ("selected", "cursor", "mark")}
            self._frame = (key, *self._lay_out())
        return self._frame[1], self._frame[2]

    def _lay_out(self) -> tuple[list[Strip], list[int]]:
        (width, height), rows = self._room, len(self._rows)
        top = self.scroll_offset.y
        at_end = self._is_at_end
        first = max(0, rows - height) if at_end else top
        lines = self._read(first, height)
        if not lines:
            return [self._message(self._problem or self.empty, width)], []
        strips: list[Strip] = []
        numbers: list[int] = []
        for row, line in enumerate(lines, first):
            drawn = self._strips_of(line)
            strips += self._on_ground(row, drawn)
            numbers += [row] * len(drawn)
        cut = slice(-height, None) if at_end else slice(0, height)
        return strips[cut], numbers[cut]

    def _message(self, text: str, width: int) -> Strip:
        muted = self._ground + self._part("log--time")
        return Strip([Segment(f" {text}", muted)]).adjust_cell_length(width + 1, muted)

    def _on_ground(self, row: int, drawn: list[Strip]) -> list[Strip]:
        """What makes drawn lines rows of the screen: a mark before them, and a ground to stand on."""
        style, mark, width = self._ground, " ", self._room[0]
        low, high = self.selection
        if self.selected_from is not None and low <= row <= high:
            style, mark = style + self._marks["selected"], "┃"
        elif row == self.cursor and not self.follow:
            style, mark = style + self._marks["cursor"], "▌"
        gutter = Segment(mark, style + self._marks["mark"])
        rows = []
        for strip in drawn:  # one new strip each: they are what a frame spends its time on
            rest = Segment(" " * max(0, width - strip.cell_length), style)
            rows.append(Strip([gutter, *Segment.apply_style(strip, style), rest], width + 1))
        return rows

    def _strips_of(self, line: Line) -> list[Strip]:
        """A line as it looks now, kept while nothing of its look changes."""
        width, height = self._room
        left = 0 if self.wrap else self.scroll_offset.x
        drawn_for = (width, height, left, self.wrap, self.stamps, id(self._hits), self.app.theme)
        if self._drawn_for != drawn_for or len(self._drawn) > _KEPT:
            self._drawn_for, self._look = drawn_for, self._new_look()
            self._drawn.clear()
        key = (line.offset, line.size)
        if key not in self._drawn:
            self._drawn[key] = self._draw(line, width, height, left)
        return self._drawn[key]

    def _draw(self, line: Line, width: int, height: int, left: int) -> list[Strip]:
        columns = width * height if self.wrap else left + width
        strip = strip_of(draw(line, self._look, columns), self.app.console)
        if self.wrap:
            rows = cut_rows(strip, width, height)
            if sum(row.cell_length for row in rows) < strip.cell_length:
                rows[-1] = self._with_more(rows[-1], width)
            return rows
        self._longest = max(
            self._longest, min(line.size, _WIDEST) if line.size > columns else strip.cell_length
        )
        if not left and strip.cell_length <= width:
            return [strip]
        shown = strip.crop(left, left + width)
        return [self._with_more(shown, width) if strip.cell_length > left + width else shown]

    def _with_more(self, strip: Strip, width: int) -> Strip:
        """A row whose last column says that there is more."""
        return Strip.join([strip.crop(0, width - 1), Strip([Segment("›", self._look.more)], 1)])

    def _new_look(self) -> Look:
        names = ("tag", "time", "event", "failure", "error", "warning", "hit", "more")
        styles = {name: self._part(f"log--{name}") for name in names}
        return Look(**styles, hits=self._hits, stamps=self.stamps)

    def _part(self, name: str) -> Style:
        """A component's style; what is see-through is mixed with the ground it stands on."""
        styles = self.get_component_styles(name)
        style, ground = self.get_component_rich_style(name, partial=True), self.background_colors[1]
        if styles.has_rule("color") and styles.color.a < 1:
            style += Style(color=(ground + styles.color).rich_color)
        return style
