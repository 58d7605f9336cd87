"""Files of a volume: a tree at the left, a preview of the file or folder under the cursor at the right.

The app downloads, deletes and uploads; the pane asks for it by messages.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.actions import SkipAction
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.events import DescendantFocus, Resize
from textual.message import Message
from textual.widgets import Static

from remote.contract import layout
from remote.contract.checkpoint_names import best_checkpoint, score_label
from tui.backends.base import Entry
from tui.text.format import counted, size
from tui.widgets.common.clipboard import copy
from tui.widgets.common.filter_input import FilterInput
from tui.widgets.files.list import FileList
from tui.widgets.files.preview import FilePreview
from tui.widgets.files.preview_view import PreviewView
from tui.widgets.files.tree import SORTS, FileRows, parent
from tui.widgets.files.tree_loader import TreeLoader

if TYPE_CHECKING:
    from tui.services.live_run import LiveRun
    from tui.services.volume_files import VolumeFiles

_NARROW = 84
"""Columns below which only the tree or the preview is visible."""


class FilesPane(Horizontal):
    """Files below `root` of a volume. `now` tells the time in Unix seconds."""

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
        """Download these paths."""

        backend: str
        volume: str
        paths: Sequence[str]

    @dataclass
    class DeleteRequested(Message):
        """Delete these paths, then reload the pane."""

        pane: FilesPane
        paths: Sequence[str]

    @dataclass
    class UploadRequested(Message):
        """Upload into the folder `path`, then reload the pane."""

        pane: FilesPane
        path: str

    def __init__(self, volume: VolumeFiles, root: str, now: Callable[[], float]) -> None:
        super().__init__()
        self.volume, self.root = volume, root.strip("/")
        self.listing = FileRows(self.root)
        self.files = FileList(self.listing, now)
        """The tree."""
        self._loader = TreeLoader(self, volume, self.listing, self._listing_changed)
        self._filter = FilterInput(placeholder="words of a path")
        self._preview = FilePreview(self.listing, volume, now, id="files-right")
        self._progress: Hashable = None

    def compose(self) -> ComposeResult:
        """Tree, filter and status at the left, the preview at the right."""
        with Vertical(id="files-left"):
            yield self.files
            yield self._filter
            yield Static(id="files-status")
        yield self._preview

    def on_mount(self) -> None:
        """List the root."""
        self.listing.say(self.root, "listing …")
        self.files.changed()
        self._loader.list(self.root)
        if self.root:
            self._loader.list_all()

    def go_to(self, path: str) -> None:
        """Open the folders above a path, and put the cursor on it."""
        self.files.go_to(path.strip("/"))
        self._loader.list_open()

    def put_everything(self, entries: Sequence[Entry]) -> None:
        """Use an existing listing of all files below the root."""
        self.listing.put_everything(entries)
        self._listing_changed()

    def run_changed(self, live: LiveRun) -> None:
        """Note the checkpoints' scores, and reload whenever the run must have written other files."""
        checkpoints, root = live.state.checkpoints, PurePosixPath(self.root)
        best = best_checkpoint(checkpoints)
        notes = {str(root / saved.path): score_label(saved.score, saved is best) for saved in checkpoints}
        notes = {path: note for path, note in notes.items() if note}
        if notes != self.listing.notes:
            self.listing.notes = notes
            self._listing_changed()
        progress = (len(checkpoints), len(live.state.phases), live.over)
        if progress != self._progress:
            self._progress = progress
            self._loader.reload()

    def state(self) -> dict[str, Any]:
        """UI state to save."""
        return {"sort": self.listing.sort, "reverse": self.listing.reverse}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore a saved state; invalid values are ignored."""
        if state.get("sort") in SORTS:
            self.listing.sort, self.listing.reverse = state["sort"], bool(state.get("reverse"))

    # --- actions -------------------------------------------------------------------------------------

    def action_filter(self) -> None:
        """Find files by words of their paths, in all folders."""
        self._filter.open()
        self._loader.list_all()

    def action_download(self) -> None:
        """Download the marked files, or the one under the cursor."""
        if paths := self.files.chosen:
            self.post_message(self.DownloadRequested(self.volume.backend, self.volume.name, paths))

    def action_delete(self) -> None:
        """Delete the marked files, or the one under the cursor."""
        if paths := self.files.chosen:
            self.post_message(self.DeleteRequested(self, paths))

    def action_upload(self) -> None:
        """Upload into the folder that the cursor is on or in."""
        row = self.files.row
        folder = self.root
        if row is not None:
            folder = row.entry.path if row.entry.is_dir else parent(row.entry.path)
        self.post_message(self.UploadRequested(self, folder))

    def action_totals(self) -> None:
        """Show the size of each folder with all below it."""
        self._loader.list_all()

    def action_copy(self) -> None:
        """Copy `VOLUME:PATH`, the form of `vfm get` (OSC 52: also over ssh)."""
        paths = self.files.chosen or [self.root]
        text = "\n".join(f"{self.volume.name}:{path}" for path in paths)
        copy(self, text, f"{len(paths)} path{'s' * (len(paths) != 1)}")

    def action_reload(self) -> None:
        """List the files again."""
        self._loader.reload()

    def action_leave(self) -> None:
        """Return from the preview to the tree, or clear the filter, else leave the key to the screen."""
        if self.query_one(PreviewView).has_focus:
            self.files.focus()
        elif self._filter.text:
            self._filter.clear()
        else:
            raise SkipAction

    # --- events --------------------------------------------------------------------------------------

    def on_resize(self, event: Resize) -> None:
        """Tree and preview side by side only where there is room for both."""
        self.set_class(event.size.width < _NARROW, "-single")

    def on_descendant_focus(self, event: DescendantFocus) -> None:
        """Where there is room for one of both, show the one with the focus."""
        self.set_class(isinstance(event.widget, PreviewView), "-reading")

    @on(FilterInput.Typed)
    def _typed(self, event: FilterInput.Typed) -> None:
        event.stop()
        self.listing.words = event.text.split()
        self._listing_changed()

    @on(FilterInput.Left)
    def _left(self, event: FilterInput.Left) -> None:
        event.stop()
        self.files.focus()

    @on(FileList.Rearranged)
    def _rearranged(self, event: FileList.Rearranged) -> None:
        event.stop()
        self._update_status()

    @on(FileList.Unfolded)
    def _unfolded(self, event: FileList.Unfolded) -> None:
        event.stop()
        self._loader.list(event.path)

    @on(FileList.Chosen)
    def _chosen(self, event: FileList.Chosen) -> None:
        event.stop()
        self.query_one(PreviewView).focus()

    @on(FileList.Moved)
    def _moved(self, event: FileList.Moved) -> None:
        event.stop()
        self._update_status()
        self._preview.show(event.entry)

    def _listing_changed(self) -> None:
        if self.children:  # else before compose
            self.files.changed()
            self._update_status()
            self._preview.refresh_folder()

    def _update_status(self) -> None:
        """Number of visible and of marked files, total size."""
        rows = [row.entry.is_dir for row in self.files.shown if not row.message]
        folders, files = sum(rows), len(rows) - sum(rows)
        total = self.listing.total(self.root)
        parts = []
        if self.listing.marks:
            parts.append(Content.styled(f"◆ {len(self.listing.marks)} marked", "bold $accent"))
        counts = [counted(folders, "folder")] if folders else []
        counts += [counted(files, "file")] if files or not folders else []
        parts.append(Content(", ".join(counts)))
        if total is not None:
            parts.append(Content(f"{size(total)} in all"))
        if self._loader.is_listing_all:
            parts.append(Content("listing all folders …"))
        self.query_one("#files-status", Static).update(Content(" · ").join(parts))


def checkpoint_at(pane: FilesPane) -> str:
    """Name of the checkpoint that the cursor of a focused pane is on or in; else an empty string."""
    row = pane.files.row if pane.has_focus_within else None
    parts = PurePosixPath(row.entry.path).parts if row is not None else ()
    at = parts.index(layout.CHECKPOINTS) + 1 if layout.CHECKPOINTS in parts else len(parts)
    return parts[at] if at < len(parts) else ""
