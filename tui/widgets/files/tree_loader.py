"""Lists folders of a volume into the tree of a files pane, in workers of the pane."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from textual.widget import Widget

from remote.contract.errors import VfmError
from tui.text.format import one_line, plain
from tui.widgets.files.tree import FileRows

if TYPE_CHECKING:
    from tui.services.volume_files import VolumeFiles


class TreeLoader:
    """Lists folders and puts them into `listing`; `changed` is called after each change."""

    def __init__(
        self, pane: Widget, volume: VolumeFiles, listing: FileRows, changed: Callable[[], None]
    ) -> None:
        self._pane, self._volume, self._listing, self._changed = pane, volume, listing, changed
        self.is_listing_all = False
        """Whether all folders are being listed."""

    def list(self, folder: str) -> None:
        """List one folder."""
        self._pane.run_worker(
            self._list(folder), group="files-list", description="list a folder", exit_on_error=False
        )

    def list_all(self) -> None:
        """List everything below the root: filters look through it, and folders get their sizes."""
        self._pane.run_worker(
            self._list_all(),
            group="files-list-all",
            description="list all files",
            exclusive=True,
            exit_on_error=False,
        )

    def list_open(self) -> None:
        """List the open folders that were not listed yet."""
        for folder in sorted(self._listing.open):
            if not self._listing.knows(folder):
                self.list(folder)

    def reload(self) -> None:
        """List the open folders again, and everything if that was listed."""
        for folder in self._listing.known() or [self._listing.root]:
            if folder in self._listing.open:
                self.list(folder)
        if self._listing.everything is not None:
            self.list_all()

    async def _list(self, folder: str) -> None:
        listing = self._listing
        try:
            entries = await self._volume.list(folder)
        except (VfmError, OSError) as error:
            listing.say(folder, f"! {one_line(error)}")
        else:
            is_first = folder == listing.root and not listing.knows(folder)
            listing.put(folder, entries)
            if is_first and len(entries) == 1 and entries[0].is_dir:  # open the only folder there is
                listing.open.add(entries[0].path)
                listing.say(entries[0].path, "listing …")
                self.list(entries[0].path)
        self._changed()

    async def _list_all(self) -> None:
        self.is_listing_all = True
        self._changed()
        try:
            self._listing.put_everything(await self._volume.list(self._listing.root, recursive=True))
        except (VfmError, OSError) as error:
            text = plain(f"cannot list all files: {one_line(error)}")
            self._pane.notify(text, severity="error", markup=False)
        finally:
            self.is_listing_all = False
        self._changed()
