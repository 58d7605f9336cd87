"""Upload into a volume: only what the server lacks, identical files skipped.

Owns Modal's two ways. A volume of version 2 takes files block by block, and blocks that the server has are
not sent again: an upload that broke off is resumed. One of version 1 takes whole files, by
`Volume.batch_upload`.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
from collections.abc import Mapping
from contextlib import aclosing
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from aiohttp import ClientError, ClientTimeout

from remote.contract.errors import BackendError, ConfigError, DiskError, Hint
from tui.backends.base import Entry, Progress, Transfer
from tui.backends.copy_files import Copy, grouped
from tui.backends.destination import Occupied
from tui.backends.modal import protocol
from tui.backends.modal.in_order import in_order
from tui.backends.modal.protocol import HashedFile
from tui.backends.modal.session import within
from tui.backends.modal.volumes.blocks import ATTEMPTS, CONNECT, Blocks, connection_lost
from tui.backends.modal.volumes.download import RESUMES, resumable
from tui.backends.modal.volumes.part_file import BLOCK, RemoteFile, block_digest
from tui.backends.off_loop import Stopped, off_loop

if TYPE_CHECKING:
    import modal

AT_ONCE = 4
"""Blocks that are sent at once."""
FILES, BYTES = 200, 16 * BLOCK
"""Files and bytes that are committed together: what was committed stays if the rest fails."""
COMMIT = 60.0
"""Seconds that the server may take for that."""
SLOWEST = 50_000
"""Bytes a second below which the connection counts as lost."""


class Upload:
    """One upload."""

    def __init__(
        self, volume: modal.Volume, blocks: Blocks, transfer: Transfer, progress: Progress, silence: float
    ) -> None:
        self._volume, self._blocks, self._silence = volume, blocks, silence
        self._transfer, self._progress = transfer, progress

    async def run(
        self, volume: str, copies: list[Copy], present: Mapping[str, Entry], *, force: bool
    ) -> None:
        """Send these files, except those that are there, identical; `present`: entries of the volume by path.

        Raises `Occupied`, before anything is sent, where files are there that differ, unless `force` replaces
        them; `ConfigError` where something is in the way; `DiskError` and `BackendError`, after which the
        upload can be resumed.
        """
        self._transfer.total = sum(copy.size for copy in copies)
        try:
            missing = await self._missing(volume, copies, present, force)
            send = self._send_files if await protocol.is_version_1.aio(self._volume) else self._send_blocks
            for batch in grouped(missing, FILES, BYTES):
                await send(batch)
        except BackendError as error:
            raise resumable(error) from error
        except OSError as error:
            raise DiskError(
                f"cannot read {error.filename or self._transfer.path}: {error.strerror or error}",
                cause=str(error),
                hint=Hint(f"mend that and {RESUMES}"),
            ) from error

    async def _missing(
        self, volume: str, copies: list[Copy], present: Mapping[str, Entry], force: bool
    ) -> list[Copy]:
        for copy in copies:
            if obstacle := _obstacle(copy, present):
                raise ConfigError(obstacle, hint=Hint("name another place, or remove it first"))
        taken = {str(copy.target): copy for copy in copies if str(copy.target) in present}
        files = [
            RemoteFile(volume, path, present[path].size, present[path].modified, copy.source)
            for path, copy in taken.items()
            if not present[path].special
        ]
        same = {file.path for file in await self._blocks.identical(files)}
        if (differing := [path for path in taken if path not in same]) and not force:
            raise Occupied(differing)
        for path in same:
            self._transfer.skipped.append(path)
            self._advance(taken[path], taken[path].size)
        return [copy for copy in copies if str(copy.target) not in same]

    async def _send_blocks(self, batch: list[Copy]) -> None:
        files = [await off_loop(partial(_hashed, copy)) for copy in batch]
        receipts: dict[bytes, bytes] = {}
        missing = {(file, block): url for file, block, url in await self._put(files, receipts)}
        for number, copy in enumerate(batch):
            blocks = range(len(files[number].digests))
            self._advance(copy, sum(_size(copy, block) for block in blocks if (number, block) not in missing))
        requests = (
            (BLOCK, partial(self._put_block, batch[file], block, url))
            for (file, block), url in missing.items()
        )
        async with aclosing(in_order(requests, AT_ONCE)) as answers:
            async for copy, block, digest, receipt in answers:
                receipts[digest] = receipt
                self._advance(copy, _size(copy, block), sent=_size(copy, block))
        if missing and await self._put(files, receipts):
            raise DiskError(
                f"the server still lacks blocks of {batch[0].target} or files sent with it",
                hint=Hint(f"did the files change meanwhile? {RESUMES}"),
            )

    async def _put(
        self, files: list[HashedFile], receipts: Mapping[bytes, bytes]
    ) -> list[tuple[int, int, str]]:
        async with within(COMMIT, f"upload {files[0].path}"):
            missing: list[tuple[int, int, str]] = await protocol.put_files.aio(self._volume, files, receipts)
        return missing

    async def _put_block(self, copy: Copy, block: int, url: str) -> tuple[Copy, int, bytes, bytes]:
        data = await asyncio.to_thread(_read, copy, block)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return (
                    copy,
                    block,
                    hashlib.sha256(data).digest(),
                    await put_block.aio(url, data, self._silence),
                )
            except (ClientError, OSError) as error:
                if attempt == ATTEMPTS:
                    raise connection_lost(f"{copy.source} was uploaded", error) from error
                await asyncio.sleep(0.1 * 3**attempt)
        raise AssertionError

    async def _send_files(self, batch: list[Copy]) -> None:
        seconds = COMMIT + sum(copy.size for copy in batch) / SLOWEST
        async with (
            within(seconds, f"upload {batch[0].source}"),
            self._volume.batch_upload.aio(force=True) as upload,
        ):
            for copy in batch:
                upload.put_file(copy.source, f"/{copy.target}")
        for copy in batch:
            self._advance(copy, copy.size, sent=copy.size)

    def _advance(self, copy: Copy, size: int, *, sent: int = 0) -> None:
        self._transfer.path = str(copy.source)
        self._transfer.done += size
        self._transfer.fetched += sent
        self._progress(self._transfer)


async def _put_block(url: str, data: bytes, silence: float) -> bytes:
    """Send a block; returns the store's receipt."""
    timeout = ClientTimeout(total=silence + len(data) / SLOWEST, sock_connect=CONNECT)
    async with protocol.http_session().put(url, data=data, timeout=timeout) as response:
        if response.status >= 400:
            raise ConnectionError(f"the store of blocks answered {response.status} {response.reason}")
        return await response.read()


put_block = protocol.on_modals_loop(_put_block)


def _obstacle(copy: Copy, present: Mapping[str, Entry]) -> str:
    """Why a file cannot be written to its path: a folder is there, or a file where a folder has to be."""
    path = str(copy.target)
    if path in present and present[path].is_dir:
        return f"{path} is a folder in the volume: no file is written there"
    for above in map(str, PurePosixPath(path).parents):
        if above in present and not present[above].is_dir:
            return f"{above} is a file in the volume: no folder can be made there"
    return ""


def _hashed(copy: Copy, stop: threading.Event) -> HashedFile:
    digests = []
    with copy.source.open("rb") as file:
        mode = os.fstat(file.fileno()).st_mode & 0o7777
        for start in range(0, copy.size, BLOCK):
            if stop.is_set():
                raise Stopped
            digests.append(block_digest(file.read(min(BLOCK, copy.size - start))))
    return HashedFile(str(copy.target), copy.size, mode, digests)


def _size(copy: Copy, block: int) -> int:
    return min(BLOCK, copy.size - block * BLOCK)


def _read(copy: Copy, block: int) -> bytes:
    """A block as it is sent: without the zeros at its end."""
    with copy.source.open("rb") as file:
        file.seek(block * BLOCK)
        return file.read(_size(copy, block)).rstrip(b"\0")
