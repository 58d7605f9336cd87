"""What can be done to files of volumes from wherever they are shown: download, upload, delete.

Owns asking first and reporting afterwards. `tui/services/transfers.py` copies; the pane that asks names the
files.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from remote.contract.errors import VfmError
from tui.backends.base import Transfer
from tui.backends.copy_plan import given
from tui.backends.destination import Occupied
from tui.screens.app_base import Desk
from tui.screens.dialogs import AskPath, Confirm
from tui.services.transfers import Job, Removal, Transfers, to_remove
from tui.text.format import files_and_bytes, plain

if TYPE_CHECKING:
    from tui.widgets.files.pane import FilesPane


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
            self._desk.ui_state.put("download_dir", chosen)
            transfers = await self._desk.transfers()
            jobs = [transfers.start_download(backend, volume, path, chosen) for path in paths]
            self._desk.tell(plain(f"{what} into {chosen}"), title="↓ downloading")
            await ask_to_replace(self._desk, transfers, jobs)

    async def upload(self, pane: FilesPane, folder: str) -> None:
        """Ask what, name what goes, then start a transfer; the pane shows it once it is there."""
        into = f"{pane.volume}:{folder}"
        asked = AskPath(f"Upload into {into}", f"{Path.cwd()}/", yes="Go on", role="from")
        chosen = await self._desk.push_screen_wait(asked)
        if not chosen:
            return
        what = await asyncio.to_thread(_on_disk, Path(chosen))
        if await self._desk.push_screen_wait(Confirm(f"Upload into {into}?", what, yes="Upload")):
            transfers = await self._desk.transfers()
            job = transfers.start_upload(pane.backend, pane.volume, chosen, folder)
            await ask_to_replace(self._desk, transfers, [job])
            await transfers.end_of(job)
            _reload(pane)

    async def delete(self, pane: FilesPane, paths: Sequence[str]) -> None:
        """Ask, naming what goes, then delete."""
        client = await self._desk.connect()
        goes = [(path, await to_remove(client, pane.volume, path, pane.backend)) for path in paths]
        total = Removal(sum(gone.count for _, gone in goes), sum(gone.bytes for _, gone in goes))
        what = [f"{path}  {gone}" for path, gone in goes]
        title = f"Delete {total} of {pane.volume}? There is no way back."
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


async def ask_to_replace(desk: Desk, transfers: Transfers, jobs: Sequence[Job]) -> None:
    """Wait for jobs; where files are there that differ they fail: ask, then let them replace those."""
    for job in jobs:
        await transfers.end_of(job)
    occupied = [(job, job.error) for job in jobs if isinstance(job.error, Occupied)]
    paths = [path for _, error in occupied for path in error.paths]
    if not paths:
        return
    title = f"Replace {len(paths):,} file{'s' * (len(paths) != 1)} that differ{'s' * (len(paths) == 1)}?"
    if await desk.push_screen_wait(Confirm(title, paths, yes="Replace")):
        for job, _ in occupied:
            transfers.replace(job)


def _on_disk(path: Path) -> list[str]:
    """What an upload of a path copies, a line each. Raises `ConfigError` where there is nothing to copy."""
    transfer = Transfer()
    copies, _ = given(path, path, transfer)
    lines = [f"{path}  {files_and_bytes(len(copies), sum(copy.size for copy in copies))}"]
    lines += [f"! a link out of it is followed: {link}" for link in transfer.followed]
    return lines + [f"! left out: {one.path}, {one.why}" for one in transfer.left_out]


def _reload(pane: FilesPane) -> None:
    if pane.is_mounted:
        pane.reload()
