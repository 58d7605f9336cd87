"""Actions on files of volumes: download, upload, delete. Each asks first and notifies at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from remote.contract.errors import VfmError
from tui.backends.base import Transfer
from tui.backends.copy_plan import given
from tui.backends.destination import Occupied
from tui.screens.app_base import AppBase
from tui.screens.dialogs import AskPath, Confirm
from tui.services.transfers import Job, Removal, Transfers, to_remove
from tui.text.format import files_and_bytes, plain

if TYPE_CHECKING:
    from tui.widgets.files.pane import FilesPane


class FileActions:
    """The actions of one app. They raise `VfmError` and `OSError`."""

    def __init__(self, app: AppBase) -> None:
        self._app = app

    async def download(self, backend: str, volume: str, paths: Sequence[str]) -> None:
        """Ask where to, then start a transfer for each path."""
        what = f"{volume}:{paths[0]}" if len(paths) == 1 else f"{len(paths)} paths of {volume}"
        question = AskPath(f"Download {what} into", self._app.download_dir, yes="Download")
        chosen = await self._app.push_screen_wait(question)
        if chosen:
            self._app.ui_state.put("download_dir", chosen)
            transfers = await self._app.transfers()
            jobs = [transfers.start_download(backend, volume, path, chosen) for path in paths]
            self._app.notify(plain(f"{what} into {chosen}"), title="↓ downloading")
            await ask_to_replace(self._app, transfers, jobs)

    async def upload(self, pane: FilesPane, folder: str) -> None:
        """Ask what to upload, confirm, then start a transfer; the pane is reloaded at its end."""
        into = f"{pane.volume.name}:{folder}"
        question = AskPath(f"Upload into {into}", f"{Path.cwd()}/", yes="Go on", role="from")
        chosen = await self._app.push_screen_wait(question)
        if not chosen:
            return
        lines = await asyncio.to_thread(_upload_lines, Path(chosen))
        if await self._app.push_screen_wait(Confirm(f"Upload into {into}?", lines, yes="Upload")):
            transfers = await self._app.transfers()
            job = transfers.start_upload(pane.volume.backend, pane.volume.name, chosen, folder)
            await ask_to_replace(self._app, transfers, [job])
            await transfers.end_of(job)
            _reload(pane)

    async def delete(self, pane: FilesPane, paths: Sequence[str]) -> None:
        """Confirm, naming what is deleted and how much it is, then delete."""
        client, volume = await self._app.connect(), pane.volume
        removals = [(path, await to_remove(client, volume.name, path, volume.backend)) for path in paths]
        total = Removal(sum(found.count for _, found in removals), sum(found.bytes for _, found in removals))
        lines = [f"{path}  {found}" for path, found in removals]
        title = f"Delete {total} of {pane.volume.name}? There is no way back."
        if not await self._app.push_screen_wait(Confirm(title, lines, yes="Delete")):
            return
        deleted = []
        for path in paths:
            try:
                await client.remove(volume.name, path, backend=volume.backend)
                deleted.append(path)
            except (VfmError, OSError) as error:
                self._app.notify(plain(f"{path}: {error}"), severity="error", title="✗ not deleted")
        if deleted:
            self._app.notify(plain(", ".join(deleted)), title="✓ deleted")
        _reload(pane)


async def ask_to_replace(app: AppBase, transfers: Transfers, jobs: Sequence[Job]) -> None:
    """Wait for the jobs; ask whether those that met files that differ may replace them."""
    for job in jobs:
        await transfers.end_of(job)
    occupied = [(job, job.error) for job in jobs if isinstance(job.error, Occupied)]
    paths = [path for _, error in occupied for path in error.paths]
    if not paths:
        return
    title = f"Replace {len(paths):,} file{'s' * (len(paths) != 1)} that differ{'s' * (len(paths) == 1)}?"
    if await app.push_screen_wait(Confirm(title, paths, yes="Replace")):
        for job, _ in occupied:
            transfers.replace(job)


def _upload_lines(path: Path) -> list[str]:
    """What an upload of a path copies and what it leaves out, one line each. Raises `ConfigError`."""
    transfer = Transfer()
    copies, _ = given(path, path, transfer)
    lines = [f"{path}  {files_and_bytes(len(copies), sum(copy.size for copy in copies))}"]
    lines += [f"! a link out of it is followed: {link}" for link in transfer.followed]
    return lines + [f"! left out: {entry.path}, {entry.why}" for entry in transfer.left_out]


def _reload(pane: FilesPane) -> None:
    if pane.is_mounted:
        pane.action_reload()
