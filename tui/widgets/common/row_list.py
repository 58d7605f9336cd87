"""Rows, one a line, with a cursor: what the lists that draw their own lines have in common.

Owns the cursor, moving it by keys and clicks, keeping it in sight, and how it looks. Which rows there are,
how each is drawn, and what a cursor that moved means is up to the list that inherits.
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
    """A list of which only the lines that are to be seen are drawn."""

    ALLOW_SELECT = False
    HEADER: ClassVar[int] = 1
    """Lines above the rows that stay where they are."""
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
    """The row that keys are for, by number; 0 where there is none."""

    # --- what a list tells of itself -------------------------------------------------------------------

    @property
    def count(self) -> int:
        """Rows that there are, in sight or not."""
        raise NotImplementedError

    def draw_row(self, at: int, width: int) -> Sequence[Segment]:
        """A row's line."""
        raise NotImplementedError

    def draw_header(self, width: int) -> Sequence[Segment]:
        """The line above the rows."""
        return ()

    def draw_blank(self, y: int, width: int) -> Sequence[Segment]:
        """A line below the last row."""
        return ()

    def arrived(self, moved: bool) -> None:
        """Somebody put the cursor where it is; `moved`: it was elsewhere before."""

    def clicked(self, x: int, twice: bool) -> None:
        """The row under the cursor was clicked."""

    def header_clicked(self, x: int) -> None:
        """The header was clicked."""

    # --- the cursor ------------------------------------------------------------------------------------

    @property
    def page(self) -> int:
        """Rows that are to be seen at once, at least one."""
        return max(1, self.scrollable_content_region.height - self.HEADER)

    def row_at(self, y: int) -> int | None:
        """The row on a line of the widget; None on the header and below the last row."""
        at = self.scroll_offset.y + y - self.HEADER
        return at if y >= self.HEADER and at < self.count else None

    def line_of(self, at: int) -> int:
        """The line of the widget that a row is on."""
        return at - self.scroll_offset.y + self.HEADER

    def go(self, at: int) -> None:
        """Put the cursor on a row, or as near as there is one."""
        at = max(0, min(at, self.count - 1))
        moved = at != self.cursor
        self.cursor = at
        self.reveal()
        self.arrived(moved)

    def reveal(self) -> None:
        """Bring the cursor into sight."""
        top = max(min(self.scroll_offset.y, self.cursor), self.cursor - self.page + 1)
        if top != self.scroll_offset.y:
            self.scroll_to(y=top, animate=False, immediate=True)

    def refresh_line(self, y: int) -> None:
        """Repaint one line of the widget."""
        self.refresh(Region(0, y, self.size.width, 1))

    def watch_cursor(self, before: int, now: int) -> None:
        """The line that it left, the line that it is on."""
        self.refresh_line(self.line_of(before))
        self.refresh_line(self.line_of(now))

    def on_resize(self) -> None:
        """A smaller list still shows the cursor."""
        self.reveal()

    def action_move(self, by: int) -> None:
        """Some rows up or down."""
        self.go(self.cursor + by)

    def action_page(self, by: int) -> None:
        """As many rows as there are to be seen, but one."""
        self.go(self.cursor + by * max(1, self.page - 1))

    def action_to(self, at: int) -> None:
        """A row by number, from the end where it is negative."""
        self.go(at if at >= 0 else self.count + at)

    def on_click(self, event: Click) -> None:
        """A click on a row takes the cursor there."""
        if event.y < self.HEADER:
            self.header_clicked(event.x)
        elif (at := self.row_at(event.y)) is not None:
            self.go(at)
            self.clicked(event.x, event.chain == 2)

    # --- drawing ---------------------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        """The header, a row, or nothing."""
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
        """How `rows--name` looks; what this version has no look for looks like any text."""
        return self.get_component_rich_style(f"rows--{name}", partial=True, default=Style.null())


def moving(area: str, one: str) -> list[BindingType]:
    """The keys that move the cursor among the rows of an area, each of which is `one`."""
    return [
        Binding("down,j", "move(1)", "Down", show=False, id=f"{area}.down"),
        Binding("up,k", "move(-1)", "Up", show=False, id=f"{area}.up"),
        Binding("pagedown,ctrl+f", "page(1)", "Page down", show=False, id=f"{area}.page_down"),
        Binding("pageup,ctrl+b", "page(-1)", "Page up", show=False, id=f"{area}.page_up"),
        Binding("home,g", "to(0)", f"First {one}", show=False, id=f"{area}.first"),
        Binding("end,G", "to(-1)", f"Last {one}", show=False, id=f"{area}.last"),
    ]
