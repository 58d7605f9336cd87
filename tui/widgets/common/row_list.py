"""Base class of lists that draw their own lines: a cursor that is moved by keys and clicks.

A subclass says which rows there are, draws them, and reacts to the cursor.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.events import Click
from textual.geometry import Region
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip


class RowList(ScrollView, can_focus=True):
    """A list of which only the visible lines are drawn."""

    ALLOW_SELECT = False
    HEADER: ClassVar[int] = 1
    """Lines above the rows that do not scroll."""
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "rows--header",
        "rows--sorted",
        "rows--cursor",
        "rows--mark",
        "rows--quiet",
    }
    DEFAULT_CSS = """
    RowList { height: 1fr; background: $background; scrollbar-size-vertical: 1; overflow-x: hidden; }
    RowList .rows--header { color: $text-muted; background: $surface; }
    RowList .rows--sorted { color: $foreground; text-style: bold; }
    RowList .rows--cursor { background: $panel; }
    RowList:focus .rows--cursor { background: $primary-muted; }
    RowList:ansi .rows--cursor { background: ansi_default; text-style: underline; }
    RowList:ansi:focus .rows--cursor { background: ansi_default; text-style: reverse; }
    RowList .rows--mark { color: $accent; text-style: bold; }
    RowList .rows--quiet { color: $text-muted; }
    """

    cursor = reactive(0, init=False, repaint=False)
    """Number of the row under the cursor; 0 without rows."""

    # --- what a list tells of itself -------------------------------------------------------------------

    @property
    def count(self) -> int:
        """Number of rows."""
        raise NotImplementedError

    def draw_row(self, at: int, width: int) -> Sequence[Segment]:
        """The line of a row."""
        raise NotImplementedError

    def draw_header(self, width: int) -> Sequence[Segment]:
        """The line above the rows."""
        return ()

    def draw_blank(self, y: int, width: int) -> Sequence[Segment]:
        """A line below the last row."""
        return ()

    def arrived(self, moved: bool) -> None:
        """The user put the cursor on a row; `moved`: on another one than before."""

    def clicked(self, x: int, twice: bool) -> None:
        """The row under the cursor was clicked."""

    def header_clicked(self, x: int) -> None:
        """The header was clicked."""

    # --- the cursor ------------------------------------------------------------------------------------

    @property
    def page(self) -> int:
        """Number of visible rows, at least one."""
        return max(1, self.scrollable_content_region.height - self.HEADER)

    def row_at(self, y: int) -> int | None:
        """The row on a line of the widget; None on the header and below the last row."""
        at = self.scroll_offset.y + y - self.HEADER
        return at if y >= self.HEADER and at < self.count else None

    def line_of(self, at: int) -> int:
        """The line of the widget that a row is on."""
        return at - self.scroll_offset.y + self.HEADER

    def go(self, at: int) -> None:
        """Put the cursor on a row, or the nearest one."""
        at = max(0, min(at, self.count - 1))
        moved = at != self.cursor
        self.cursor = at
        self.reveal()
        self.arrived(moved)

    def reveal(self) -> None:
        """Scroll to the cursor."""
        top = max(min(self.scroll_offset.y, self.cursor), self.cursor - self.page + 1)
        if top != self.scroll_offset.y:
            self.scroll_to(y=top, animate=False, immediate=True)

    def refresh_line(self, y: int) -> None:
        """Repaint one line of the widget."""
        self.refresh(Region(0, y, self.size.width, 1))

    def watch_cursor(self, before: int, now: int) -> None:
        """Repaint the lines that the cursor left and reached."""
        self.refresh_line(self.line_of(before))
        self.refresh_line(self.line_of(now))

    def on_resize(self) -> None:
        """Keep the cursor visible."""
        self.reveal()

    def action_move(self, by: int) -> None:
        """Move the cursor by rows."""
        self.go(self.cursor + by)

    def action_page(self, by: int) -> None:
        """Move the cursor by the visible rows, less one."""
        self.go(self.cursor + by * max(1, self.page - 1))

    def action_to(self, at: int) -> None:
        """Move the cursor to a row by number; negative numbers count from the end."""
        self.go(at if at >= 0 else self.count + at)

    def on_click(self, event: Click) -> None:
        """Put the cursor on the clicked row."""
        if event.y < self.HEADER:
            self.header_clicked(event.x)
        elif (at := self.row_at(event.y)) is not None:
            self.go(at)
            self.clicked(event.x, event.chain == 2)

    # --- drawing ---------------------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        """The header, a row, or a blank line."""
        width, style = self.scrollable_content_region.width, self.rich_style
        at = self.row_at(y)
        if y < self.HEADER:
            parts, style = self.draw_header(width), style + self.look("header")
        elif at is None:
            parts = self.draw_blank(y, width)
        else:
            parts = self.draw_row(at, width)
            if at == self.cursor:
                style += self.look("cursor")
                if style.reverse:  # such a line has one colour: several would be as many backgrounds
                    parts = [Segment(part.text) for part in parts]
        return Strip(parts).adjust_cell_length(width).apply_style(style)

    def look(self, name: str) -> Style:
        """The style of `rows--name`; the default style if there is none."""
        return self.get_component_rich_style(f"rows--{name}", partial=True, default=Style.null())


def moving(area: str, one: str) -> list[BindingType]:
    """Bindings that move the cursor, with ids such as `files.down`; `one` names a row."""
    return [
        Binding("down,j", "move(1)", "Down", show=False, id=f"{area}.down"),
        Binding("up,k", "move(-1)", "Up", show=False, id=f"{area}.up"),
        Binding("pagedown,ctrl+f", "page(1)", "Page down", show=False, id=f"{area}.page_down"),
        Binding("pageup,ctrl+b", "page(-1)", "Page up", show=False, id=f"{area}.page_up"),
        Binding("home,g", "to(0)", f"First {one}", show=False, id=f"{area}.first"),
        Binding("end,G", "to(-1)", f"Last {one}", show=False, id=f"{area}.last"),
    ]
