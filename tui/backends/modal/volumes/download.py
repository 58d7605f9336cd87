"""Files of a volume on their way to this machine: at once, in blocks, resumed, verified.

Owns what is fetched, in which order, and what is left alone because it is here. What lies on disk meanwhile
is `part.py`'s, and how a block is asked for `source.py`'s.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias, TypeVar

from remote.contract.errors import DiskError, Hint
from tui.backends.base import Entry, LeftOut, Progress, Transfer
from tui.backends.destination import Occupied
from tui.backends.modal.volumes.block_source import GO_ON, GONE, Gone, Source, changed, gone
from tui.backends.modal.volumes.blocks import Block
from tui.backends.modal.volumes.identical import identical, together
from tui.backends.modal.volumes.ordered_gather import Job, in_turn
from tui.backends.modal.volumes.part_file import BLOCK, Part, Wanted, is_marked, mark, write_whole
from tui.backends.off_loop import off_loop

AT_ONCE = 8
"""Blocks and groups of small files under way together."""
BUDGET = 4 * BLOCK
"""Bytes on their way together: what is lost at most when the process is killed, and held in memory."""
T = TypeVar("T")


@dataclass(frozen=True)
class Piece:
    """A block of a large file, that goes to its part file."""

    wanted: Wanted
    start: int
    size: int
    part: Part

    @property
    def is_last(self) -> bool:
        """Whether the file is whole with it."""
        return self.start + self.size == self.wanted.size


Tag: TypeAlias = Piece | tuple[Wanted, ...]
"""What an answer is for: a block, or small files that are asked for together."""


class Download:
    """One download. `look` asks the server for a file's entry as it is now."""

    def __init__(
        self,
        source: Source,
        transfer: Transfer,
        progress: Progress,
        look: Callable[[str], Awaitable[Entry]],
    ) -> None:
        self._source, self._transfer, self._progress, self._look = source, transfer, progress, look
        self._force = False
        self._parts: list[Part] = []
        self._gone: list[Gone] = []

    async def run(self, files: list[Wanted], *, force: bool = False) -> None:
        """Bring these files here, but for those that are here, identical.

        One that is gone from the volume meanwhile is left out. Raises `Occupied`, before anything is
        written, where files are here that differ, unless `force` says to replace them; `ConfigError` where
        something is in the way; `DiskError` and `BackendError`, which say that the download can go on.
        """
        self._transfer.total = sum(file.size for file in files)
        try:
            lacking = await self._not_here(files, force)
            self._force = force
            await self._bring(lacking)
            if files and len(self._gone) == len(files):
                raise self._gone[0]
        except OSError as error:
            raise DiskError(
                f"cannot write {error.filename or self._transfer.path}: {error.strerror or error}",
                cause=str(error),
                hint=Hint(f"mend that and {GO_ON}"),
            ) from error
        finally:
            for part in self._parts:
                part.close()

    async def _not_here(self, files: list[Wanted], force: bool) -> list[Wanted]:
        files = await off_loop(lambda _: [file.really() for file in files])
        here = await off_loop(lambda _: [file for file in files if file.is_taken()])
        marked = await off_loop(lambda _: {file.path for file in here if is_marked(file)})
        same = {file.path: file for file in here if file.path in marked}
        asked = [file for file in here if file.path not in marked]
        await identical(self._source, asked, lambda file: same.update({file.path: file}))
        differing = [str(file.target) for file in here if file.path not in same]
        if differing and not force:
            raise Occupied(differing)
        for file in same.values():
            if file.path not in marked:
                await self._on_disk(file, lambda _, file=file: mark(file, file.target))  # type: ignore[misc]
            self._skip(file)
        return [file for file in files if file.path not in same]

    async def _bring(self, files: list[Wanted]) -> None:
        async with aclosing(in_turn(self._jobs(files), AT_ONCE, BUDGET)) as answers:
            async for tag, found in answers:
                if isinstance(tag, Piece):
                    await self._take(tag, *found)
                else:
                    await self._take_small(tag, found)

    async def _jobs(self, files: list[Wanted]) -> AsyncGenerator[Job[Tag, Sequence[Block]], None]:
        """Small files first: they are most of the files and few of the bytes, so half a download has them."""
        for group in together(file for file in files if file.size <= BLOCK):
            yield Job(group, partial(self._source.fetch_small, group), sum(file.size for file in group))
        for wanted in files:
            if wanted.size > BLOCK:
                async for job in self._large(wanted):
                    yield job

    async def _large(self, wanted: Wanted) -> AsyncGenerator[Job[Tag, Sequence[Block]], None]:
        part = Part(wanted)
        self._parts.append(part)
        kept = await self._on_disk(wanted, part.open)
        if kept == wanted.size and not await self._finish(wanted, part):
            return
        self._transfer.done += kept
        self._progress(self._transfer)
        if kept == wanted.size:
            return
        try:
            urls = await self._source.addresses(wanted, kept, wanted.size - kept)
        except Gone:
            self._transfer.done -= kept
            await self._on_disk(wanted, lambda _: part.forget())
            self._leave_out(wanted)
            return
        for (start, size), url in zip(wanted.blocks(kept), urls, strict=True):
            piece = Piece(wanted, start, size, part)
            yield Job(piece, partial(self._block, piece, url), size)

    async def _block(self, piece: Piece, url: str) -> Sequence[Block]:
        return [await self._source.fetch(piece.wanted, piece.start, piece.size, url)]

    async def _take(self, piece: Piece, block: Block) -> None:
        """Put a block where it belongs."""
        wanted, part, data = piece.wanted, piece.part, block.data or b""
        await self._on_disk(wanted, lambda _: part.append(data, block.digest))
        if piece.is_last and not await self._finish(wanted, part):
            self._transfer.done -= piece.start
            return
        self._came(wanted, piece.size)

    async def _take_small(self, files: Sequence[Wanted], found: Sequence[Block]) -> None:
        pairs = list(zip(files, found, strict=True))
        await self._on_disk(files[0], lambda _: _write(pairs, self._force))
        for wanted, block in pairs:
            if block is GONE:
                self._leave_out(wanted)
            elif block.data is None:
                self._skip(wanted)
            else:
                self._came(wanted, wanted.size)

    async def _finish(self, wanted: Wanted, part: Part) -> bool:
        """A file that became another one meanwhile is not taken; one that was appended to is, as it was.

        False where it is gone from the volume by now, and left out.
        """
        try:
            now = await self._look(wanted.path)
        except FileNotFoundError:
            await self._on_disk(wanted, lambda _: part.forget())
            self._leave_out(wanted)
            return False
        if now.size < wanted.size or (now.size == wanted.size and now.modified != wanted.modified):
            await self._on_disk(wanted, lambda _: part.forget())
            raise changed(wanted, "became another file while it was downloaded")
        await self._on_disk(wanted, lambda _: part.finish(force=self._force))
        return True

    async def _on_disk(self, wanted: Wanted, work: Callable[[threading.Event], T]) -> T:
        self._transfer.path = str(wanted.target)
        return await off_loop(work)

    def _came(self, wanted: Wanted, size: int) -> None:
        self._transfer.path = str(wanted.target)
        self._transfer.done += size
        self._transfer.fetched += size
        self._progress(self._transfer)

    def _leave_out(self, wanted: Wanted) -> None:
        """It was listed, and has gone from the volume since."""
        self._gone.append(gone(wanted))
        self._transfer.left_out.append(LeftOut(wanted.path, "no longer in the volume"))
        self._transfer.total -= wanted.size

    def _skip(self, wanted: Wanted) -> None:
        self._transfer.path = str(wanted.target)
        self._transfer.done += wanted.size
        self._transfer.skipped.append(str(wanted.target))
        self._progress(self._transfer)


def _write(pairs: Sequence[tuple[Wanted, Block]], force: bool) -> None:
    for wanted, block in pairs:
        if block is GONE:
            continue
        if block.data is None:
            mark(wanted, wanted.target)
        else:
            write_whole(wanted, block.data, force=force)
