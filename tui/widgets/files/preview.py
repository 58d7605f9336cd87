"""Preview of the file or folder under the cursor: title, notes, and contents.

`tui/store/files/preview.py` makes a preview of a file's bytes; `preview_view.py` draws it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from rich.cells import cell_len
from textual import work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from remote.contract.errors import VfmError
from tui.backends.base import Entry
from tui.store.files.model import Line, Lines, Preview
from tui.store.files.preview import load
from tui.text.format import age, counted, one_line, plain, size
from tui.widgets.files.preview_view import PreviewView
from tui.widgets.files.tree import FileRows

if TYPE_CHECKING:
    from tui.services.volume_files import VolumeFiles

_BAR = 12
"""Cells of the bar that shows an entry's share of its folder."""
_SOON = 0.06
"""Seconds that the cursor stays on a file before it is read."""
_SLOW = 0.2
"""Seconds of reading after which `reading …` is shown."""


class FilePreview(Vertical):
    """A file or a folder of a listing."""

    DEFAULT_CSS = """
    FilePreview #preview-title { height: 1; padding: 0 1; background: $surface; }
    FilePreview #preview-notes { height: auto; padding: 0 1; }
    FilePreview #preview-notes.-hidden { display: none; }
    FilePreview PreviewView { padding: 0 1; }
    """

    def __init__(self, listing: FileRows, volume: VolumeFiles, now: Callable[[], float], id: str) -> None:
        super().__init__(id=id)
        self._listing, self._volume, self._now = listing, volume, now
        self._entry: Entry | None = None

    def compose(self) -> ComposeResult:
        """Title, notes and text."""
        yield Static(id="preview-title")
        yield Static(id="preview-notes", classes="-hidden")
        yield PreviewView()

    def show(self, entry: Entry | None) -> None:
        """Show a file or folder; None is the root of the tree."""
        before, self._entry = self._entry, entry
        if entry is None or entry.is_dir:
            self.refresh_folder()
        elif entry != before:
            self._read(entry)

    def refresh_folder(self) -> None:
        """Show what the listing gained about a folder; a file is not read again."""
        entry, listing = self._entry, self._listing
        if entry is not None and not entry.is_dir:
            return
        path = entry.path if entry else listing.root
        inside, total = listing.inside(path), listing.total(path)
        folders = sum(found.is_dir for found in inside)
        known = listing.knows(path) or total is not None
        files = len(inside) - folders
        counts = f"{counted(folders, 'folder')}, {counted(files, 'file')}" if known else "folder"
        sizes = [] if total is None else [f"{size(total)} with all below it"]
        self._head(f"{PurePosixPath(path).name or self._volume.name}/", counts, *sizes)
        if total is None:
            body = Lines([Line(""), Line("t shows the size of each folder", "note")])
        else:
            body = _shares((e.path, listing.total(e.path) if e.is_dir else e.size) for e in inside)
        self._put(Preview("folder", body))

    @work(group="files-read", description="read a file", exclusive=True, exit_on_error=False)
    async def _read(self, entry: Entry) -> None:
        await asyncio.sleep(_SOON)  # a moving cursor reads nothing

        async def read(offset: int, count: int) -> bytes:
            return await self._volume.read(entry.path, offset, count)

        loading = asyncio.ensure_future(load(read, entry.path, entry.size))
        try:
            await asyncio.wait({loading}, timeout=_SLOW)
            if not loading.done():
                self._title(entry, "reading …")
                self._put(None)
            preview = await loading
            if entry == self._entry:  # the cursor may be on a folder by now
                self._title(entry, preview.kind)
                self._put(preview, preview.warnings, preview.notes)
        except (VfmError, OSError) as error:
            self._title(entry, "cannot be read")
            self._put(None, [one_line(error)])
        finally:
            loading.cancel()

    def _put(self, preview: Preview | None, warnings: Sequence[str] = (), notes: Sequence[str] = ()) -> None:
        shown = self.query_one("#preview-notes", Static)
        lines = [Content.styled(f"! {plain(warning)}", "$warning") for warning in warnings]
        if notes:
            lines.append(Content.styled(" · ".join(map(plain, notes)), "$text-muted"))
        shown.update(Content("\n").join(lines))
        shown.set_class(not lines, "-hidden")
        self.query_one(PreviewView).show(preview)

    def _title(self, entry: Entry, kind: str) -> None:
        old = [f"{age(self._now() - entry.modified)} old"] if entry.modified else []
        self._head(PurePosixPath(entry.path).name, kind, size(entry.size), *old)

    def _head(self, name: str, *rest: str) -> None:
        """Where room is short, drop facts from the end, then cut the name."""
        title = self.query_one("#preview-title", Static)
        shown, room = plain(name), title.content_size.width
        while len(rest) > 1 and cell_len(shown) + cell_len(" · ".join(rest)) + 2 > room:
            rest = rest[:-1]
        facts = plain(" · ".join(rest))
        head = Content.styled(shown, "bold").truncate(max(room - cell_len(facts) - 2, 16), ellipsis=True)
        title.update(head + Content.styled(f"  {facts}", "$text-muted"))


def _shares(inside: Iterable[tuple[str, int | None]]) -> Lines:
    """The entries of a folder by size, each with a bar."""
    found = sorted(((count or 0, path) for path, count in inside), reverse=True)
    most = max((count for count, _ in found), default=0) or 1
    lines = [
        Line(
            f"{size(count):>9} {'■' * round(_BAR * count / most):<{_BAR}} {plain(PurePosixPath(path).name)}",
            "share",
        )
        for count, path in found
    ]
    return Lines([Line(""), *lines])
