"""The tree of files with sizes and ages: open and close folders, mark, sort.

The pane lists the folders.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message

from tui.backends.base import Entry
from tui.text.format import age, fit, plain, size
from tui.widgets.common.row_list import RowList, moving
from tui.widgets.files.tree import SORTS, FileRows, Row, Sort, outermost, parent
from tui.widgets.runs.columns import middle

MARK = "◆"
_MARK_WIDTH, _SIZE, _AGE = 2, 8, 4
_INDENT = 2


class FileList(RowList):
    """A tree of files, one per line, under a header."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"rows--folder", "rows--said", "rows--note"}
    DEFAULT_CSS = """
    FileList { padding: 0 1 0 0; }
    FileList .rows--folder { color: $primary; text-style: bold; }
    FileList .rows--note { color: $accent; }
    FileList .rows--said { color: $text-muted; text-style: italic; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Open", id="files.open"),
        *moving("files", "file"),
        Binding("right,l", "unfold", "Open the folder", show=False, id="files.unfold"),
        Binding("left,h", "fold", "Close the folder, or to the one above", show=False, id="files.fold"),
        Binding("m", "mark", "Mark", show=False, id="files.mark"),
        Binding("space", "mark(1)", "Mark, move down", show=False, id="files.mark_on"),
        Binding("M", "unmark", "Mark none", show=False, id="files.unmark"),
        Binding("s", "sort_next", "Sort", show=False, id="files.sort"),
        Binding("S", "reverse", "Reverse the order", show=False, id="files.reverse"),
    ]

    @dataclass
    class Moved(Message):
        """The cursor is on another entry, or its entry changed."""

        entry: Entry | None

    @dataclass
    class Unfolded(Message):
        """A folder was opened that must be listed."""

        path: str

    @dataclass
    class Chosen(Message):
        """Read a file."""

        entry: Entry

    class Rearranged(Message):
        """Marks or the order changed."""

    def __init__(self, listing: FileRows, now: Callable[[], float], **options: Any) -> None:
        super().__init__(**options)
        self.listing = listing
        self._now = now
        self._rows: list[Row] = []
        self._wanted: str | None = None

    @property
    def shown(self) -> Sequence[Row]:
        """The visible rows, in order."""
        return self._rows

    @property
    def count(self) -> int:
        """Number of rows."""
        return len(self._rows)

    @property
    def row(self) -> Row | None:
        """The row under the cursor."""
        return self._rows[self.cursor] if self.cursor < len(self._rows) else None

    @property
    def chosen(self) -> list[str]:
        """The marked paths, or the one under the cursor."""
        if self.listing.marks:
            return outermost(self.listing.marks)
        return [self.row.entry.path] if self.row and not self.row.message else []

    def changed(self) -> None:
        """Show a changed tree; the cursor stays on its path."""
        before = self.row
        self._rows = self.listing.rows()
        self.virtual_size = Size(0, len(self._rows) + self.HEADER)
        at = next(
            (n for n, row in enumerate(self._rows) if row.entry.path == self._wanted and not row.message),
            None,
        )
        self.cursor = max(0, min(self.cursor, len(self._rows) - 1)) if at is None else at
        self.reveal()
        self.refresh()
        if self.row != before:
            self.post_message(self.Moved(self.row.entry if self.row else None))

    def go_to(self, path: str) -> None:
        """Put the cursor on a path as soon as it is listed."""
        self._wanted = path
        folder = parent(path)
        while folder.startswith(self.listing.root) and folder != self.listing.root:
            self.listing.open.add(folder)
            folder = parent(folder)
        self.changed()

    def action_open(self) -> None:
        """Open or close a folder; read a file."""
        row = self.row
        if row is None or row.message:
            return
        if not row.entry.is_dir:
            self.post_message(self.Chosen(row.entry))
        elif row.entry.path in self.listing.open:
            self._fold(row.entry.path)
        else:
            self._unfold(row.entry.path)

    def action_unfold(self) -> None:
        """Open the folder, or move to its first entry."""
        row = self.row
        if row is None or row.message or not row.entry.is_dir or self.listing.words:
            return
        if row.entry.path in self.listing.open:
            self.go(self.cursor + 1)
        else:
            self._unfold(row.entry.path)

    def action_fold(self) -> None:
        """Close the folder, or move to the folder above."""
        row = self.row
        if row is None or self.listing.words:
            return
        path = row.entry.path
        if row.entry.is_dir and path in self.listing.open and path != self.listing.root:
            self._wanted = path
            self._fold(path)
        elif parent(path) != self.listing.root:
            self.go_to(parent(path))

    def action_mark(self, then: int = 0) -> None:
        """Mark or unmark the entry under the cursor, then move the cursor."""
        if self.row is not None and not self.row.message:
            self.listing.marks ^= {self.row.entry.path}
            self.refresh()
            self.post_message(self.Rearranged())
            self.go(self.cursor + then)

    def action_unmark(self) -> None:
        """Remove all marks."""
        self.listing.marks.clear()
        self.refresh()
        self.post_message(self.Rearranged())

    def action_sort_next(self) -> None:
        """Sort by the next of name, size and age."""
        self.sort_by(SORTS[(SORTS.index(self.listing.sort) + 1) % len(SORTS)])

    def action_reverse(self) -> None:
        """Reverse the order."""
        self.sort_by(self.listing.sort, not self.listing.reverse)

    def sort_by(self, sort: Sort, reverse: bool = False) -> None:
        """Sort by a column."""
        self.listing.sort, self.listing.reverse = sort, reverse
        self.changed()
        self.post_message(self.Rearranged())

    def header_clicked(self, x: int) -> None:
        """Sort by the clicked column; again to reverse."""
        width = self.scrollable_content_region.width
        sort: Sort = "age" if x >= width - _AGE - 1 else "size" if x >= width - _AGE - _SIZE - 2 else "name"
        self.sort_by(sort, not self.listing.reverse if sort == self.listing.sort else False)

    def clicked(self, x: int, twice: bool) -> None:
        """A click on the first cells marks; one on a folder's sign, or a double click, opens."""
        row = self._rows[self.cursor]
        sign = _MARK_WIDTH + row.depth * _INDENT
        if x < _MARK_WIDTH:
            self.action_mark()
        elif twice or (sign <= x < sign + 2 and row.entry.is_dir):
            self.action_open()

    def arrived(self, moved: bool) -> None:
        """Keep the cursor on this path from now on."""
        self._wanted = self.row.entry.path if self.row and not self.row.message else self._wanted
        if moved:
            self.post_message(self.Moved(self.row.entry if self.row else None))

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

    def draw_header(self, width: int) -> list[Segment]:
        """Titles of the columns; an arrow shows the order."""
        name = width - _MARK_WIDTH - _SIZE - _AGE - 2
        cells = {
            "name": f"{self._title('name'):<{max(name, 1)}}",
            "size": f"{self._title('size'):>{_SIZE + 1}}",
            "age": f"{self._title('age'):>{_AGE + 1}}",
        }
        parts = [Segment(" " * _MARK_WIDTH)]
        for sort, text in cells.items():
            parts.append(Segment(text, self.look("sorted") if sort == self.listing.sort else Style.null()))
        return parts

    def _title(self, sort: Sort) -> str:
        if sort != self.listing.sort:
            return sort
        down = self.listing.reverse == (sort == "name")
        return f"{sort}{'▼' if down else '▲'}"

    def draw_row(self, at: int, width: int) -> list[Segment]:
        """The line of a row."""
        row = self._rows[at]
        indent = " " * row.depth * _INDENT
        room = max(width - _MARK_WIDTH - _SIZE - _AGE - 2, 8)
        if row.message:
            return [Segment(fit(f"  {indent}  {row.message}", width), self.look("said"))]
        mark = MARK if row.entry.path in self.listing.marks else " "
        before = f"{indent}{self._sign(row)} "
        note = (
            f" {row.note}"
            if row.note and len(before) + cell_len(plain(row.name)) + len(row.note) + 2 <= room
            else ""
        )
        short = max(room - len(before) - len(note), 4)
        name = middle(f"{row.name}{'/' * row.entry.is_dir}", short)
        return [
            Segment(f"{mark:<{_MARK_WIDTH}}", self.look("mark")),
            Segment(
                fit(before + name, room - len(note)), self.look("folder" if row.entry.is_dir else "file")
            ),
            Segment(note, self.look("note")),
            Segment(f" {'' if row.size is None else size(row.size):>{_SIZE}}", Style.null()),
            Segment(f" {self._age(row):>{_AGE}}", self.look("quiet")),
        ]

    def _sign(self, row: Row) -> str:
        if not row.entry.is_dir:
            return " "
        return "▾" if row.entry.path in self.listing.open else "▸"

    def _age(self, row: Row) -> str:
        return age(self._now() - row.entry.modified) if row.entry.modified else ""
