"""What can be done to files of volumes from wherever they are shown: download, upload, delete.

Owns asking first and saying afterwards. Copying is `tui/transfers.py`'s; which files are meant is up to the
pane that asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from remote.contract.errors import ConfigError, Hint, VfmError
from tui.screens.ask import AskPath, Confirm
from tui.screens.desk import Desk
from tui.transfers import Removal, to_remove
from tui.words import plain, size

if TYPE_CHECKING:
    from tui.widgets.files_pane import FilesPane


class FileActions:
    """The actions of one app. Each tells its end in a toast. Raises `VfmError` and `OSError`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def download(self, backend: str, volume: str, paths: Sequence[str]) -> None:
        """Ask where to, then start a transfer for each path."""
        what = f"{volume}:{paths[0]}" if len(paths) == 1 else f"{len(paths)} things of {volume}"
        asked = AskPath(f"Download {what} into", self._desk.download_dir, yes="Download")
        chosen = await self._desk.push_screen_wait(asked)
        if chosen:
            self._desk.memory.put("download_dir", chosen)
            transfers = await self._desk.transfers()
            for path in paths:
                transfers.start_download(backend, volume, path, chosen)
            self._desk.tell(plain(f"{what} into {chosen}"), title="↓ downloading")

    async def upload(self, pane: FilesPane, folder: str) -> None:
        """Ask what, name what goes, then start a transfer; the pane shows it once it is there."""
        into = f"{pane.volume}:{folder}"
        asked = AskPath(f"Upload into {into}", f"{Path.cwd()}/", yes="Go on", files=True)
        chosen = await self._desk.push_screen_wait(asked)
        if not chosen:
            return
        goes = await asyncio.to_thread(_on_disk, Path(chosen))
        client = await self._desk.connect()
        there = await client.ls(pane.volume, folder, backend=pane.backend)
        what = [f"{chosen}  {_counted(goes)}"]
        if any(PurePosixPath(entry.path).name == Path(chosen).name for entry in there):
            what.append("! something of that name is there: files that differ are replaced")
        if await self._desk.push_screen_wait(Confirm(f"Upload into {into}?", what, yes="Upload")):
            transfers = await self._desk.transfers()
            job = transfers.start_upload(pane.backend, pane.volume, chosen, folder)
            async for _ in transfers.updates():
                if job.over:
                    break
            _reload(pane)

    async def delete(self, pane: FilesPane, paths: Sequence[str]) -> None:
        """Ask, naming what goes, then delete."""
        client = await self._desk.connect()
        goes = [(path, await to_remove(client, pane.volume, path, pane.backend)) for path in paths]
        total = Removal(sum(gone.count for _, gone in goes), sum(gone.bytes for _, gone in goes))
        what = [f"{path}  {_counted(gone)}" for path, gone in goes]
        title = f"Delete {_counted(total)} of {pane.volume}? There is no way back."
        if await self._desk.push_screen_wait(Confirm(title, what, yes="Delete")):
            deleted = []
            for path in paths:
                try:
                    await client.remove(pane.volume, path, backend=pane.backend)
                    deleted.append(path)
                except (VfmError, OSError) as error:
                    self._desk.tell(plain(f"{path}: {error}"), "error", "✗ not deleted")
            if deleted:
                self._desk.tell(plain(", ".join(deleted)), title="✓ deleted")
            _reload(pane)


def _counted(goes: Removal) -> str:
    return f"{goes.count:,} file{'s' * (goes.count != 1)}, {size(goes.bytes)}"


def _on_disk(path: Path) -> Removal:
    if not path.exists():
        raise ConfigError(f"there is no {path}", hint=Hint("Tab completes what there is"))
    files = [path] if path.is_file() else [below for below in path.rglob("*") if below.is_file()]
    return Removal(len(files), sum(file.stat().st_size for file in files))


def _reload(pane: FilesPane) -> None:
    if pane.is_mounted:
        pane.reload()
