"""Files and folders with sizes and ages: only the lines that are to be seen are drawn.

Owns scrolling, the cursor, marks and the order. What lies in a folder is told by the pane.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.events import Click
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.backends.base import Entry
from tui.widgets.file_rows import SORTS, FileRows, Row, Sort, outermost, parent
from tui.widgets.run_columns import fit, middle
from tui.words import age, escape_controls, size

MARK = "◆"
_MARK_WIDTH, _SIZE, _AGE = 2, 8, 4
_HEADER = 1
_INDENT = 2


class FileList(ScrollView, can_focus=True):
    """A tree of files, one a line, under a header."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "files--header",
        "files--sorted",
        "files--cursor",
        "files--mark",
        "files--folder",
        "files--quiet",
        "files--said",
    }
    DEFAULT_CSS = """
    FileList {
        height: 1fr; background: $background; padding: 0 1 0 0;
        scrollbar-size-vertical: 1; overflow-x: hidden;
    }
    FileList .files--header { color: $text-muted; background: $surface; }
    FileList .files--sorted { color: $foreground; text-style: bold; }
    FileList .files--cursor { background: $panel; }
    FileList:focus .files--cursor { background: $primary-muted; }
    FileList:ansi .files--cursor { background: ansi_default; text-style: underline; }
    FileList:ansi:focus .files--cursor { background: ansi_default; text-style: reverse; }
    FileList .files--mark { color: $accent; text-style: bold; }
    FileList .files--folder { color: $primary; text-style: bold; }
    FileList .files--quiet { color: $text-muted; }
    FileList .files--said { color: $text-muted; text-style: italic; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Open", id="files.open"),
        Binding("down,j", "move(1)", "Down", show=False, id="files.down"),
        Binding("up,k", "move(-1)", "Up", show=False, id="files.up"),
        Binding("pagedown", "page(1)", "Page down", show=False, id="files.page_down"),
        Binding("pageup", "page(-1)", "Page up", show=False, id="files.page_up"),
        Binding("home,g", "to(0)", "First file", show=False, id="files.first"),
        Binding("end,G", "to(-1)", "Last file", show=False, id="files.last"),
        Binding("right,l", "unfold", "Open the folder", show=False, id="files.unfold"),
        Binding("left,h", "fold", "Close the folder, or to the one above", show=False, id="files.fold"),
        Binding("m", "mark", "Mark", show=False, id="files.mark"),
        Binding("space", "mark(1)", "Mark, go on", show=False, id="files.mark_on"),
        Binding("M", "unmark", "Mark none", show=False, id="files.unmark"),
        Binding("s", "sort_next", "Sort", show=False, id="files.sort"),
        Binding("S", "reverse", "Reverse the order", show=False, id="files.reverse"),
    ]

    cursor = reactive(0, init=False)

    @dataclass
    class Moved(Message):
        """The cursor is on something else, or what it is on has changed."""

        entry: Entry | None

    @dataclass
    class Unfolded(Message):
        """A folder was opened that was never listed."""

        path: str

    @dataclass
    class Chosen(Message):
        """Somebody wants to read a file."""

        entry: Entry

    class Rearranged(Message):
        """Marks or the order have changed."""

    def __init__(self, listing: FileRows, now: Callable[[], float], **options: Any) -> None:
        super().__init__(**options)
        self.listing = listing
        self._now = now
        self._rows: list[Row] = []
        self._wanted: str | None = None

    @property
    def shown(self) -> Sequence[Row]:
        """What is to be seen, in order."""
        return self._rows

    @property
    def row(self) -> Row | None:
        """The line under the cursor."""
        return self._rows[self.cursor] if self.cursor < len(self._rows) else None

    @property
    def chosen(self) -> list[str]:
        """What an action is for: the marked paths, or the one under the cursor."""
        if self.listing.marks:
            return outermost(self.listing.marks)
        return [self.row.entry.path] if self.row and not self.row.said else []

    def changed(self) -> None:
        """The tree is another one; the cursor stays where it was, by name."""
        before = self.row
        self._rows = self.listing.rows()
        self.virtual_size = Size(0, len(self._rows) + _HEADER)
        at = next(
            (n for n, row in enumerate(self._rows) if row.entry.path == self._wanted and not row.said), None
        )
        self.cursor = max(0, min(self.cursor, len(self._rows) - 1)) if at is None else at
        self._reveal()
        self.refresh()
        if self.row != before:
            self.post_message(self.Moved(self.row.entry if self.row else None))

    def go_to(self, path: str) -> None:
        """Put the cursor on a path as soon as it is to be seen."""
        self._wanted = path
        folder = parent(path)
        while folder.startswith(self.listing.root) and folder != self.listing.root:
            self.listing.open.add(folder)
            folder = parent(folder)
        self.changed()

    def watch_cursor(self) -> None:
        """What is under the cursor stands out."""
        self.refresh()

    def action_open(self) -> None:
        """A folder opens or closes; a file is to be read."""
        row = self.row
        if row is None or row.said:
            return
        if not row.entry.is_dir:
            self.post_message(self.Chosen(row.entry))
        elif row.entry.path in self.listing.open:
            self._fold(row.entry.path)
        else:
            self._unfold(row.entry.path)

    def action_unfold(self) -> None:
        """Open the folder; in an open one, to what is in it."""
        row = self.row
        if row is None or row.said or not row.entry.is_dir or self.listing.words:
            return
        if row.entry.path in self.listing.open:
            self._go(self.cursor + 1)
        else:
            self._unfold(row.entry.path)

    def action_fold(self) -> None:
        """Close the folder; from what is in it, to the folder."""
        row = self.row
        if row is None or self.listing.words:
            return
        path = row.entry.path
        if row.entry.is_dir and path in self.listing.open and path != self.listing.root:
            self._wanted = path
            self._fold(path)
        elif parent(path) != self.listing.root:
            self.go_to(parent(path))

    def action_move(self, by: int) -> None:
        """Some lines up or down."""
        self._go(self.cursor + by)

    def action_page(self, by: int) -> None:
        """As many lines as there are to be seen."""
        self._go(self.cursor + by * max(1, self._page - 1))

    def action_to(self, at: int) -> None:
        """A line by number, from the end where it is negative."""
        self._go(at if at >= 0 else len(self._rows) + at)

    def action_mark(self, then: int = 0) -> None:
        """Mark what is under the cursor, or unmark it; then go on."""
        if self.row is not None and not self.row.said:
            self.listing.marks ^= {self.row.entry.path}
            self.refresh()
            self.post_message(self.Rearranged())
            self._go(self.cursor + then)

    def action_unmark(self) -> None:
        """Nothing is marked any more."""
        self.listing.marks.clear()
        self.refresh()
        self.post_message(self.Rearranged())

    def action_sort_next(self) -> None:
        """By name, by size, by age."""
        self.sort_by(SORTS[(SORTS.index(self.listing.sort) + 1) % len(SORTS)])

    def action_reverse(self) -> None:
        """The other way round."""
        self.sort_by(self.listing.sort, not self.listing.reverse)

    def sort_by(self, sort: Sort, reverse: bool = False) -> None:
        """Another order."""
        self.listing.sort, self.listing.reverse = sort, reverse
        self.changed()
        self.post_message(self.Rearranged())

    def on_click(self, event: Click) -> None:
        """The header sorts, the first cells mark, a line takes the cursor; its sign, or twice, opens."""
        if event.y == 0:
            self._sort_at(event.x)
            return
        at = self.scroll_offset.y + event.y - _HEADER
        if at < len(self._rows):
            self._go(at)
            sign = _MARK_WIDTH + self._rows[at].depth * _INDENT
            if event.x < _MARK_WIDTH:
                self.action_mark()
            elif event.chain == 2 or (sign <= event.x < sign + 2 and self._rows[at].entry.is_dir):
                self.action_open()

    def render_line(self, y: int) -> Strip:
        """The header, or a line of the tree."""
        width = self.scrollable_content_region.width
        at = self.scroll_offset.y + y - _HEADER
        if y == 0:
            return self._line(self._header(width), width, self.rich_style + self._look("header"))
        if at >= len(self._rows):
            return self._line([Segment(" " * width)], width, self.rich_style)
        style = self.rich_style + self._look("cursor") if at == self.cursor else self.rich_style
        return self._line(self._draw(self._rows[at], width), width, style)

    @property
    def _page(self) -> int:
        return max(1, self.scrollable_content_region.height - _HEADER)

    def _unfold(self, path: str) -> None:
        self.listing.open.add(path)
        self._wanted = path
        if not self.listing.knows(path):
            self.listing.say(path, "listing …")
            self.post_message(self.Unfolded(path))
        self.changed()

    def _fold(self, path: str) -> None:
        self.listing.open.discard(path)
        self.changed()

    def _go(self, at: int) -> None:
        at = max(0, min(at, len(self._rows) - 1))
        moved = at != self.cursor
        self.cursor = at
        self._wanted = self.row.entry.path if self.row and not self.row.said else self._wanted
        self._reveal()
        if moved:
            self.post_message(self.Moved(self.row.entry if self.row else None))

    def _reveal(self) -> None:
        top = self.scroll_offset.y
        if self.cursor < top:
            self.scroll_to(y=self.cursor, animate=False, immediate=True)
        elif self.cursor >= top + self._page:
            self.scroll_to(y=self.cursor - self._page + 1, animate=False, immediate=True)

    def _sort_at(self, x: int) -> None:
        width = self.scrollable_content_region.width
        sort: Sort = "age" if x >= width - _AGE - 1 else "size" if x >= width - _AGE - _SIZE - 2 else "name"
        self.sort_by(sort, not self.listing.reverse if sort == self.listing.sort else False)

    def _header(self, width: int) -> list[Segment]:
        name = width - _MARK_WIDTH - _SIZE - _AGE - 2
        cells = {
            "name": f"{self._title('name'):<{max(name, 1)}}",
            "size": f"{self._title('size'):>{_SIZE + 1}}",
            "age": f"{self._title('age'):>{_AGE + 1}}",
        }
        parts = [Segment(" " * _MARK_WIDTH)]
        for sort, text in cells.items():
            parts.append(Segment(text, self._look("sorted") if sort == self.listing.sort else Style.null()))
        return parts

    def _title(self, sort: Sort) -> str:
        if sort != self.listing.sort:
            return sort
        down = self.listing.reverse == (sort == "name")
        return f"{sort}{'▼' if down else '▲'}"

    def _draw(self, row: Row, width: int) -> list[Segment]:
        indent = " " * row.depth * _INDENT
        room = max(width - _MARK_WIDTH - _SIZE - _AGE - 2, 8)
        if row.said:
            return [Segment(fit(f"  {indent}  {row.said}", width), self._look("said"))]
        mark = MARK if row.entry.path in self.listing.marks else " "
        before = f"{indent}{self._sign(row)} "
        name = middle(f"{escape_controls(row.name)}{'/' * row.entry.is_dir}", max(room - len(before), 4))
        return [
            Segment(f"{mark:<{_MARK_WIDTH}}", self._look("mark")),
            Segment(fit(before + name, room), self._look("folder") if row.entry.is_dir else Style.null()),
            Segment(f" {'' if row.size is None else size(row.size):>{_SIZE}}", Style.null()),
            Segment(f" {self._age(row):>{_AGE}}", self._look("quiet")),
        ]

    def _sign(self, row: Row) -> str:
        if not row.entry.is_dir:
            return " "
        return "▾" if row.entry.path in self.listing.open else "▸"

    def _age(self, row: Row) -> str:
        return age(self._now() - row.entry.modified) if row.entry.modified else ""

    def _look(self, name: str) -> Style:
        return self.get_component_rich_style(f"files--{name}", partial=True)

    def _line(self, parts: list[Segment], width: int, style: Style) -> Strip:
        return Strip(parts).adjust_cell_length(width).apply_style(style)
