"""Files of this machine on their way into a volume: only what the server lacks.

Owns the two ways that Modal has. Into a volume of version 2 files go block by block, and blocks that the
server has are not sent again: what broke off goes on. Into one of version 1 they go file by file, through
Modal's public upload; a file that broke off begins anew.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from remote.contract.errors import BackendError, ConfigError, DiskError, Hint
from tui.backends.base import Entry, Progress, Transfer
from tui.backends.copy_files import Copy, digest
from tui.backends.destination import Occupied
from tui.backends.modal.session import PATIENCE, within
from tui.backends.modal.volumes import blocks, http, sending
from tui.backends.modal.volumes.block_source import GO_ON, Source, goes_on
from tui.backends.modal.volumes.identical import identical
from tui.backends.modal.volumes.ordered_gather import Job, in_turn
from tui.backends.modal.volumes.part_file import BLOCK, Wanted
from tui.backends.off_loop import Stopped, off_loop

if TYPE_CHECKING:
    import modal

AT_ONCE = 4
ATTEMPTS = 3
FILES, BYTES = 200, 16 * BLOCK
"""How many files and bytes are made a volume's together: what they have reached stays if the rest fails."""
COMMIT = 60.0
"""Seconds that the server may take to make files a volume's."""


@dataclass(frozen=True)
class Given:
    """A file of this machine, and where it goes in the volume."""

    source: Path
    path: str
    size: int


class Upload:
    """One upload."""

    def __init__(self, volume: modal.Volume, transfer: Transfer, progress: Progress, silence: float) -> None:
        self._volume, self._transfer, self._progress = volume, transfer, progress
        self._silence = silence

    async def run(
        self, volume: str, copies: list[Copy], there: Mapping[str, Entry], source: Source, *, force: bool
    ) -> None:
        """Bring these files there, but for those that are there, identical; `there`: what is, by path.

        Raises `Occupied`, before anything is sent, where files are there that differ, unless `force` says to
        replace them; `ConfigError` where something is in the way; `DiskError` and `BackendError`.
        """
        files = [Given(copy.source, str(copy.target), copy.size) for copy in copies]
        self._transfer.total = sum(file.size for file in files)
        await self._send(await self._not_there(volume, files, there, source, force))

    async def _not_there(
        self, volume: str, files: list[Given], there: Mapping[str, Entry], source: Source, force: bool
    ) -> list[Given]:
        for given in files:
            if why := _in_the_way(given, there):
                raise ConfigError(why, hint=Hint("name another place, or remove it first"))
        taken = {given.path: given for given in files if given.path in there}
        asked = [
            Wanted(volume, path, there[path].size, there[path].modified, given.source)
            for path, given in taken.items()
            if not there[path].special
        ]
        same = set[str]()
        await identical(source, asked, lambda wanted: same.add(wanted.path))
        if (differing := [path for path in taken if path not in same]) and not force:
            raise Occupied(differing)
        for path in same:
            self._transfer.skipped.append(path)
            self._arrived(taken[path], taken[path].size)
        return [given for given in files if given.path not in same]

    async def _send(self, files: list[Given]) -> None:
        send = self._in_blocks if await sending.in_blocks(self._volume) else self._as_files
        try:
            for batch in _batches(files):
                await send(batch)
        except OSError as error:
            raise DiskError(
                f"cannot read {self._transfer.path}: {error.strerror or error}",
                cause=str(error),
                hint=Hint(f"mend that and {GO_ON}"),
            ) from error

    async def _in_blocks(self, batch: list[Given]) -> None:
        sums = [await self._sums(given) for given in batch]
        receipts: dict[bytes, bytes] = {}
        gaps = await self._write_down(sums, receipts)
        lacking = {(file, block): url for file, block, url in gaps}
        for number, given in enumerate(batch):
            there = [b.size for i, b in enumerate(sums[number].blocks) if (number, i) not in lacking]
            self._arrived(given, sum(there))
        async with aclosing(in_turn(self._puts(batch, sums, lacking), AT_ONCE, AT_ONCE * BLOCK)) as answers:
            async for (number, block), receipt in answers:
                receipts[block.digest] = receipt
                self._sent(batch[number], block.size)
        if lacking and await self._write_down(sums, receipts):
            raise DiskError(
                f"the server still lacks blocks of {batch[0].path} and what was sent with it",
                hint=Hint("did the files change meanwhile? Start it again"),
            )

    async def _puts(
        self, batch: list[Given], sums: list[sending.Sums], lacking: dict[tuple[int, int], str]
    ) -> AsyncGenerator[Job[tuple[int, sending.Sum], bytes], None]:
        for (number, index), url in lacking.items():
            block = sums[number].blocks[index]
            yield Job((number, block), partial(self._put, batch[number], block, url), block.size)

    async def _put(self, given: Given, block: sending.Sum, url: str) -> bytes:
        data = await asyncio.to_thread(_read, given.source, block)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return await sending.put(url, data, self._silence)
            except blocks.LOST as error:
                if attempt == ATTEMPTS:
                    where = f"the connection to Modal was lost while {given.source} was uploaded"
                    cause = str(error) or type(error).__name__
                    raise BackendError(where, cause=cause, hint=Hint(GO_ON)) from error
                await asyncio.sleep(0.1 * 3**attempt)
        raise AssertionError

    async def _as_files(self, batch: list[Given]) -> None:
        """All of them are given to Modal's own upload, which sends those whose contents the server lacks."""
        digests = [await off_loop(partial(_whole, given)) for given in batch]
        async with within(PATIENCE, f"upload {batch[0].source}"):
            lacking = await sending.lacking(self._volume, digests)
        sent = [given for given, digest in zip(batch, digests, strict=True) if digest in lacking]
        seconds = COMMIT + sum(given.size for given in sent) / http.SLOWEST
        try:
            async with (
                within(seconds, f"upload {batch[0].source}"),
                self._volume.batch_upload.aio(force=True) as upload,
            ):
                for given in batch:
                    upload.put_file(given.source, "/" + given.path)
        except BackendError as error:
            raise goes_on(error) from error
        for given in batch:
            if given in sent:
                self._sent(given, given.size)
            else:
                self._arrived(given, given.size)

    async def _write_down(
        self, sums: list[sending.Sums], receipts: dict[bytes, bytes]
    ) -> list[tuple[int, int, str]]:
        try:
            async with within(COMMIT, f"upload {sums[0].path}"):
                return await sending.write_down(self._volume, sums, receipts)
        except BackendError as error:
            raise goes_on(error) from error

    async def _sums(self, given: Given) -> sending.Sums:
        self._transfer.path = str(given.source)
        return await off_loop(partial(_sums, given))

    def _arrived(self, given: Given, size: int) -> None:
        """So much of a file was there before."""
        self._transfer.path = str(given.source)
        self._transfer.done += size
        self._progress(self._transfer)

    def _sent(self, given: Given, size: int) -> None:
        self._transfer.path = str(given.source)
        self._transfer.done += size
        self._transfer.fetched += size
        self._progress(self._transfer)


def _in_the_way(given: Given, there: Mapping[str, Entry]) -> str:
    """Why no file can be written to a path: a folder is there, or a file where a folder would be."""
    if given.path in there and there[given.path].is_dir:
        return f"{given.path} is a folder in the volume: no file is written there"
    for above in map(str, PurePosixPath(given.path).parents):
        if above in there and not there[above].is_dir:
            return f"{above} is a file in the volume: no folder can be made there"
    return ""


def _batches(files: list[Given]) -> Iterator[list[Given]]:
    batch: list[Given] = []
    for given in files:
        if batch and (len(batch) == FILES or sum(g.size for g in batch) + given.size > BYTES):
            yield batch
            batch = []
        batch.append(given)
    if batch:
        yield batch


def _sums(given: Given, stop: threading.Event) -> sending.Sums:
    """Sizes and digests of a file's blocks as they are now."""
    found = []
    with given.source.open("rb") as file:
        mode = os.fstat(file.fileno()).st_mode & 0o7777
        for start in range(0, given.size, BLOCK):
            if stop.is_set():
                raise Stopped
            data = file.read(min(BLOCK, given.size - start))
            sent = data.rstrip(b"\0")
            found.append(sending.Sum(start, len(data), len(sent), hashlib.sha256(sent).digest()))
    return sending.Sums(given.path, mode, given.size, found)


def _read(source: Path, block: sending.Sum) -> bytes:
    with source.open("rb") as file:
        file.seek(block.start)
        return file.read(block.length)


def _whole(given: Given, stop: threading.Event) -> str:
    return digest(given.source, given.size, stop).hexdigest()
