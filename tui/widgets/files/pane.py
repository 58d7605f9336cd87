"""Files of a volume: the tree at the left, what is in them at the right.

Owns turning keys into listings, off the event loop; reading a file is `file_preview.py`'s. What is done to
files (download, delete, upload) is asked for by messages, and done by the app.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.events import DescendantFocus, Resize
from textual.message import Message
from textual.widgets import Static

from remote.contract.errors import VfmError
from tui.backends.base import Entry
from tui.client import Client
from tui.text.format import counted, one_line, plain, size
from tui.widgets.common.clipboard import copy
from tui.widgets.common.filter_input import FilterInput
from tui.widgets.files.list import FileList
from tui.widgets.files.preview import FilePreview
from tui.widgets.files.preview_view import PreviewView
from tui.widgets.files.tree import FileRows, parent

_NARROW = 84
"""Columns below which either the tree or the preview is seen."""


class FilesPane(Horizontal):
    """Files below `root` of a volume."""

    DEFAULT_CSS = """
    FilesPane { height: 1fr; width: 1fr; }
    FilesPane #files-left { width: 2fr; min-width: 42; max-width: 72; }
    FilesPane #files-right { width: 3fr; border-left: solid $panel; }
    FilesPane #files-right:focus-within { border-left: solid $primary; }
    FilesPane.-single #files-left { width: 1fr; max-width: 100%; }
    FilesPane.-single #files-right { display: none; border-left: none; }
    FilesPane.-single.-reading #files-left { display: none; }
    FilesPane.-single.-reading #files-right { display: block; width: 1fr; }
    FilesPane #files-status { height: 1; padding: 0 1; background: $surface; color: $text-muted; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "Filter", id="files.filter"),
        Binding("d", "download", "Download", id="files.download"),
        Binding("u", "upload", "Upload", id="files.upload"),
        Binding("x", "delete", "Delete", id="files.delete"),
        Binding("t", "totals", "Folder sizes", show=False, id="files.totals"),
        Binding("y", "copy", "Copy the path", show=False, id="files.copy"),
        Binding("r", "reload", "Refresh", show=False, id="files.reload"),
        Binding("escape", "leave", "Back to the tree, then out", show=False, id="files.leave"),
    ]

    @dataclass
    class DownloadRequested(Message):
        """These should come to this machine."""

        backend: str
        volume: str
        paths: Sequence[str]

    @dataclass
    class DeleteRequested(Message):
        """These should go; `pane.reload()` when they are gone."""

        pane: FilesPane
        paths: Sequence[str]

    @dataclass
    class UploadRequested(Message):
        """Something should come into the folder `path`; `pane.reload()` when it is there."""

        pane: FilesPane
        path: str

    @dataclass
    class Listed(Message):
        """What lies in a folder, or why one cannot tell."""

        folder: str
        entries: Sequence[Entry] = ()
        said: str = ""

    @dataclass
    class ListedAll(Message):
        """Everything below the root."""

        entries: Sequence[Entry]

    def __init__(self, client: Client, backend: str, volume: str, root: str = "", **options: Any) -> None:
        super().__init__(**options)
        self.client, self.backend, self.volume, self.root = client, backend, volume, root.strip("/")
        self.listing = FileRows(self.root)
        self._listing_all = False

    def compose(self) -> ComposeResult:
        """Tree, filter and where one is; title, notes and text."""
        with Vertical(id="files-left"):
            yield FileList(self.listing, self._now)
            yield FilterInput(placeholder="words of a path")
            yield Static(id="files-status")
        yield FilePreview(self.listing, self.volume, self._read, self._now, id="files-right")

    def on_mount(self) -> None:
        """List the root."""
        self.listing.say(self.root, "listing …")
        self.files.changed()
        self._list(self.root)
        if self.root:
            self._list_all()

    @property
    def files(self) -> FileList:
        """The tree."""
        return self.query_one(FileList)

    @property
    def preview(self) -> FilePreview:
        """What is in the file or folder under the cursor."""
        return self.query_one(FilePreview)

    def go_to(self, path: str) -> None:
        """Open the folders above a path, and put the cursor on it."""
        self.files.go_to(path.strip("/"))
        for folder in sorted(self.listing.open):
            if not self.listing.knows(folder):
                self._list(folder)

    def reload(self) -> None:
        """List again what is open, and everything if that was listed."""
        for folder in self.listing.known() or [self.root]:
            if folder in self.listing.open:
                self._list(folder)
        if self.listing.everything is not None:
            self._list_all()

    def put_everything(self, entries: Sequence[Entry]) -> None:
        """All below the root, where somebody listed it already: folders get their sizes."""
        self.listing.put_everything(entries)
        self._changed()

    def note(self, notes: Mapping[str, str]) -> None:
        """What is known of files and folders beside what a listing says, by path."""
        if notes != self.listing.notes:
            self.listing.notes = notes
            if self.is_mounted:
                self._changed()

    def state(self) -> dict[str, Any]:
        """What is worth remembering."""
        return {"sort": self.listing.sort, "reverse": self.listing.reverse}

    def restore(self, state: dict[str, Any]) -> None:
        """As it was remembered; what does not fit is left out."""
        if state.get("sort") in ("name", "size", "age"):
            self.listing.sort, self.listing.reverse = state["sort"], bool(state.get("reverse"))

    # --- keys ------------------------------------------------------------------------------------------

    def action_filter(self) -> None:
        """Look for files by words of their paths, wherever they lie."""
        self.query_one(FilterInput).open()
        self._list_all()

    def action_download(self) -> None:
        """The marked ones, or the one under the cursor."""
        if paths := self.files.chosen:
            self.post_message(self.DownloadRequested(self.backend, self.volume, paths))

    def action_delete(self) -> None:
        """The marked ones, or the one under the cursor."""
        if paths := self.files.chosen:
            self.post_message(self.DeleteRequested(self, paths))

    def action_upload(self) -> None:
        """Into the folder that the cursor is on or in."""
        row = self.files.row
        folder = self.root
        if row is not None:
            folder = row.entry.path if row.entry.is_dir else parent(row.entry.path)
        self.post_message(self.UploadRequested(self, folder))

    def action_totals(self) -> None:
        """How much is in each folder, with all below it."""
        self._list_all()

    def action_copy(self) -> None:
        """`VOLUME:PATH`, as `vfm get` takes it, to the clipboard (OSC 52: also over ssh)."""
        paths = self.files.chosen or [self.root]
        text = "\n".join(f"{self.volume}:{path}" for path in paths)
        copy(self, text, f"{len(paths)} path{'s' * (len(paths) != 1)}")

    def action_reload(self) -> None:
        """Look again."""
        self.reload()

    def action_leave(self) -> None:
        """From the preview to the tree, then out of the filter, then the screen's own."""
        words = self.query_one(FilterInput)
        if self.query_one(PreviewView).has_focus:
            self.files.focus()
        elif words.text:
            words.clear()
        else:
            self.screen.action_back()  # type: ignore[attr-defined]

    # --- what happens ----------------------------------------------------------------------------------

    def on_resize(self, event: Resize) -> None:
        """Tree and preview beside one another only where there is room for both."""
        self.set_class(event.size.width < _NARROW, "-single")

    def on_descendant_focus(self, event: DescendantFocus) -> None:
        """Where there is room for one of both, it is the one that keys go to."""
        self.set_class(isinstance(event.widget, PreviewView), "-reading")

    @on(FilterInput.Typed)
    def _typed(self, event: FilterInput.Typed) -> None:
        event.stop()
        self.listing.words = event.text.split()
        self._changed()

    @on(FilterInput.Left)
    def _typed_enough(self, event: FilterInput.Left) -> None:
        event.stop()
        self.files.focus()

    @on(FileList.Rearranged)
    def _rearranged(self, event: FileList.Rearranged) -> None:
        event.stop()
        self._tell()

    @on(FileList.Unfolded)
    def _unfolded(self, event: FileList.Unfolded) -> None:
        event.stop()
        self._list(event.path)

    @on(FileList.Chosen)
    def _chosen(self, event: FileList.Chosen) -> None:
        event.stop()
        self.query_one(PreviewView).focus()

    @on(FileList.Moved)
    def _moved(self, event: FileList.Moved) -> None:
        event.stop()
        self._tell()
        self.preview.show(event.entry)

    @on(Listed)
    def _listed(self, event: Listed) -> None:
        event.stop()
        if event.said:
            self.listing.say(event.folder, event.said)
        else:
            first = not self.listing.knows(event.folder)
            self.listing.put(event.folder, event.entries)
            if first and event.folder == self.root:
                self._unfold_the_only(event.entries)
        self._changed()

    def _unfold_the_only(self, entries: Sequence[Entry]) -> None:
        """Nobody needs to open a folder that is all there is."""
        if len(entries) == 1 and entries[0].is_dir and entries[0].path not in self.listing.open:
            self.listing.open.add(entries[0].path)
            self.listing.say(entries[0].path, "listing …")
            self._list(entries[0].path)

    @on(ListedAll)
    def _listed_all(self, event: ListedAll) -> None:
        event.stop()
        self.put_everything(event.entries)

    # --- work ------------------------------------------------------------------------------------------

    @work(group="files-list", description="list a folder", exit_on_error=False)
    async def _list(self, folder: str) -> None:
        try:
            entries = await self.client.ls(self.volume, folder, backend=self.backend)
            self.post_message(self.Listed(folder, entries))
        except (VfmError, OSError) as error:
            self.post_message(self.Listed(folder, said=f"! {one_line(error)}"))

    @work(group="files-list-all", description="list all files", exclusive=True, exit_on_error=False)
    async def _list_all(self) -> None:
        self._listing_all = True
        self._tell()
        try:
            listing = self.client.ls(self.volume, self.root, recursive=True, backend=self.backend)
            self.post_message(self.ListedAll(await listing))
        except (VfmError, OSError) as error:
            self.notify(plain(f"cannot list all files: {one_line(error)}"), severity="error", markup=False)
        finally:
            self._listing_all = False

    async def _read(self, path: str, offset: int, count: int) -> bytes:
        return await self.client.read(self.volume, path, offset, count, backend=self.backend)

    # --- showing ---------------------------------------------------------------------------------------

    def _changed(self) -> None:
        self.files.changed()
        self._tell()
        self.preview.refresh_folder()

    def _tell(self) -> None:
        """How many there are, what is marked, and in which order."""
        if not self.is_mounted:
            return
        rows = [row.entry.is_dir for row in self.files.shown if not row.said]
        total = self.listing.total(self.root)
        parts = []
        if self.listing.marks:
            parts.append(Content.styled(f"◆ {len(self.listing.marks)} marked", "bold $accent"))
        folders, files = sum(rows), len(rows) - sum(rows)
        counts = [counted(folders, "folder")] if folders else []
        counts += [counted(files, "file")] if files or not folders else []
        parts.append(Content(", ".join(counts)))
        if total is not None:
            parts.append(Content(f"{size(total)} in all"))
        if self._listing_all:
            parts.append(Content("looking through all folders …"))
        self.query_one("#files-status", Static).update(Content(" · ").join(parts))

    def _now(self) -> float:
        now: float = self.app.now()  # type: ignore[attr-defined]
        return now
