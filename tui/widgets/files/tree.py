"""The rows of a tree of files: open folders, filter, order and marks. Pure.

`tree_loader.py` lists the folders, `list.py` draws the rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Literal

from tui.backends.base import Entry

Sort = Literal["name", "size", "age"]
SORTS: tuple[Sort, ...] = ("name", "size", "age")


@dataclass(frozen=True)
class Row:
    """A row of the tree: a file, a folder, or a message in place of a folder's entries."""

    entry: Entry
    depth: int = 0
    name: str = ""
    """Last name of the path; with a filter, the path from the root."""
    size: int | None = None
    """Bytes; None for a folder below which not everything was listed."""
    message: str = ""
    """A message in place of the entries of `entry`, a folder."""
    note: str = ""
    """A note on a path, such as a checkpoint's score: `★ best, 0.47`."""


class FileRows:
    """The tree below `root`."""

    def __init__(self, root: str = "") -> None:
        self.root = root
        self.open = {root}
        """Folders whose entries are shown."""
        self.marks: set[str] = set()
        self.sort: Sort = "name"
        self.reverse = False
        self.words: Sequence[str] = ()
        """Words of the filter: paths with all of them are shown; case is ignored."""
        self.notes: Mapping[str, str] = {}
        """Path → a note on it."""
        self.everything: list[Entry] | None = None
        """All entries below the root, once they were listed: for filters and the sizes of folders."""
        self._folders: dict[str, list[Entry]] = {}
        self._messages: dict[str, str] = {}
        self._totals: dict[str, int] = {}
        self._inside: dict[str, list[Entry]] = {}

    def put(self, folder: str, entries: Iterable[Entry]) -> None:
        """Set the entries of a folder."""
        self._folders[folder] = list(entries)
        self._messages.pop(folder, None)
        self.marks = {mark for mark in self.marks if self._is_there(mark)}

    def say(self, folder: str, text: str) -> None:
        """Show a message in place of a folder's entries."""
        self._messages[folder] = text
        if text:
            self._folders.pop(folder, None)

    def put_everything(self, entries: Iterable[Entry]) -> None:
        """Set all entries below the root, which gives the sizes of folders."""
        self.everything = list(entries)
        self._totals = totals(self.everything)
        self._inside.clear()
        for entry in self.everything:
            self._inside.setdefault(parent(entry.path), []).append(entry)

    def knows(self, folder: str) -> bool:
        """Whether a folder was listed."""
        return folder in self._folders

    def known(self) -> list[str]:
        """Folders that were listed, outer ones first."""
        return sorted(self._folders)

    def total(self, folder: str) -> int | None:
        """Total bytes of a folder; None if not everything was listed."""
        return None if self.everything is None else self._totals.get(folder, 0)

    def inside(self, folder: str) -> list[Entry]:
        """The known entries of a folder."""
        return self._folders.get(folder) or self._inside.get(folder, [])

    def entry(self, path: str) -> Entry | None:
        """The entry of a path, if it is known."""
        above = self._folders.get(parent(path), [])
        return next((entry for entry in above if entry.path == path), None)

    def rows(self) -> list[Row]:
        """The visible rows, in order."""
        if not self.words:
            return list(self._below(self.root, 0))
        return list(self._found()) or [
            Row(Entry(self.root, True), message="no file has all these words in its path")
        ]

    def _below(self, folder: str, depth: int) -> Iterator[Row]:
        if message := self._messages.get(folder):
            yield Row(Entry(folder, True), depth, message=message)
        entries = self._folders.get(folder)
        if entries is not None and not entries and not message:
            yield Row(Entry(folder, True), depth, message="nothing in here")
        for row in self._sorted(self._row(entry, depth) for entry in entries or ()):
            yield row
            if row.entry.is_dir and row.entry.path in self.open:
                yield from self._below(row.entry.path, depth + 1)

    def _found(self) -> Iterator[Row]:
        """Files that match the filter, as a flat list."""
        known = self.everything
        if known is None:
            known = [entry for entries in self._folders.values() for entry in entries]
        words = [word.lower() for word in self.words]
        for row in self._sorted(self._row(entry, 0) for entry in known if not entry.is_dir):
            name = self.inner(row.entry.path)
            if all(word in name.lower() for word in words):
                yield replace(row, name=name)

    def inner(self, path: str) -> str:
        """A path from the root on."""
        return path[len(self.root) :].lstrip("/") if path.startswith(self.root) else path

    def _row(self, entry: Entry, depth: int) -> Row:
        size = self.total(entry.path) if entry.is_dir else entry.size
        note = self.notes.get(entry.path, "") or entry.special
        return Row(entry, depth, PurePosixPath(entry.path).name, size, note=note)

    def _sorted(self, rows: Iterable[Row]) -> list[Row]:
        """Folders first; names in natural order: 2 before 10."""
        found = sorted(rows, key=lambda row: natural(row.name))
        if self.sort == "size":
            found.sort(key=lambda row: row.size or 0, reverse=True)
        elif self.sort == "age":
            found.sort(key=lambda row: row.entry.modified, reverse=True)
        if self.reverse:
            found.reverse()
        return sorted(found, key=lambda row: not row.entry.is_dir)

    def _is_there(self, path: str) -> bool:
        above = self._folders.get(parent(path))
        return above is None or any(entry.path == path for entry in above)


def parent(path: str) -> str:
    """The folder above; "" for the volume itself."""
    return path.rpartition("/")[0]


def outermost(paths: Iterable[str]) -> list[str]:
    """The paths without those below another one of them."""
    outer: list[str] = []
    for path in sorted(paths):
        if not any(path.startswith(f"{above}/") for above in outer):
            outer.append(path)
    return outer


def totals(entries: Iterable[Entry]) -> dict[str, int]:
    """Total bytes of every folder."""
    found: dict[str, int] = {}
    for entry in entries:
        if not entry.is_dir:
            folder = parent(entry.path)
            while True:
                found[folder] = found.get(folder, 0) + entry.size
                if not folder:
                    break
                folder = parent(folder)
    return found


def natural(name: str) -> list[tuple[int, int, str]]:
    """A sort key that puts `checkpoint-2` before `checkpoint-10`."""
    key: list[tuple[int, int, str]] = []
    digits, letters = "", ""
    for char in name.lower():
        if char in "0123456789":
            if letters:
                key.append((1, 0, letters))
                letters = ""
            digits += char
        else:
            if digits:
                key.append((0, _number(digits), digits))
                digits = ""
            letters += char
    if digits:
        key.append((0, _number(digits), digits))
    if letters:
        key.append((1, 0, letters))
    return key


def _number(digits: str) -> int:
    return int(digits[:18])
