"""The volume's side of a download: where the blocks of a file are, and each block as it should be.

Owns asking again, by new addresses, for what did not come well, and what to say when it never does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from remote.contract.errors import BackendError, DiskError, Hint, VfmError
from tui.backends.modal.session import PATIENCE, within
from tui.backends.modal.volumes import blocks
from tui.backends.modal.volumes.part_file import Wanted, has_the_size
from tui.backends.off_loop import off_loop

if TYPE_CHECKING:
    import modal

ATTEMPTS = 3
GONE = blocks.Block(None, b"")
"""In the place of a file that is no longer in the volume."""
GO_ON = "start it again: it goes on where it broke off"


class Gone(DiskError):
    """A file is no longer in the volume."""


class Source:
    """A volume that files are downloaded from. Every error says that the download can go on."""

    def __init__(self, volume: modal.Volume, silence: float) -> None:
        self._volume, self._silence = volume, silence

    async def addresses(self, wanted: Wanted, start: int, size: int, *, exact: bool = False) -> list[str]:
        """Where each block of a part of the file is. Raises `DiskError` where the file has changed."""
        try:
            async with within(PATIENCE, f"download {wanted.path}"):
                found = await blocks.locate(self._volume, wanted.path, start, size, exact=exact)
            if (found.start, found.length) != (start, size):
                raise changed(wanted, "became shorter while it was downloaded")
            return [url for url, _ in found.blocks()]
        except blocks.Missing as error:
            raise gone(wanted) from error
        except blocks.Damaged as error:
            raise _lost(wanted, error) from error
        except BackendError as error:
            raise goes_on(error) from error

    async def fetch(
        self, wanted: Wanted, start: int, size: int, url: str = "", known: frozenset[bytes] = frozenset()
    ) -> blocks.Block:
        """A block. Asked for again, it is by another address: the first one may have become too old."""
        for attempt in range(1, ATTEMPTS + 1):
            url = url or (await self.addresses(wanted, start, size, exact=attempt > 1))[0]
            try:
                return await blocks.fetch(url, size, self._silence, known)
            except (blocks.Damaged, blocks.LOST) as error:
                if attempt == ATTEMPTS:
                    raise _lost(wanted, error) from error
                await asyncio.sleep(0.1 * 3**attempt)
                url = ""
        raise AssertionError

    async def fetch_small(self, files: Sequence[Wanted]) -> list[blocks.Block]:
        """Files of one block, all at once; `data` is None for one that is here, identical, and `GONE`."""
        here = await off_loop(lambda _: [_digests(file, 0, file.size) for file in files])
        asked = [blocks.Small(f.path, f.size, known) for f, known in zip(files, here, strict=True) if f.size]
        answers = iter(await blocks.fetch_all(self._volume, asked, self._silence))
        found = []
        for file, known in zip(files, here, strict=True):
            block = next(answers) if file.size else blocks.NOTHING
            try:
                block = block or await self.fetch(file, 0, file.size, known=known)
            except Gone:
                block = GONE
            found.append(blocks.Block(None, block.digest) if block.digest in known else block)
        return found

    async def is_same(self, wanted: Wanted, start: int, size: int, url: str) -> bool:
        """Whether the volume's block is the one that is here; carried over where the server names no sum."""
        known = await off_loop(lambda _: _digests(wanted, start, size))
        try:
            there = await blocks.digest_of(url, self._silence)
        except blocks.LOST as error:
            raise _lost(wanted, error) from error
        if there is None:
            there = (await self.fetch(wanted, start, size, url)).digest
        return there in known


def goes_on(error: BackendError) -> BackendError:
    """The same error of a transfer that broke off, with what becomes of it when it is started again."""
    hint = f"{error.hint.text}; {GO_ON}" if error.hint else GO_ON
    return BackendError(error.message, cause=error.cause, hint=Hint(hint))


def gone(wanted: Wanted) -> Gone:
    """What to say of a file that was listed, and has gone from the volume since."""
    return Gone(
        f"{wanted.path} is no longer in the volume",
        hint=Hint("`vfm ls` shows what there is; if a run is just writing it, wait for the run's end"),
    )


def changed(wanted: Wanted, what: str) -> DiskError:
    """What to say of a file that is not in the volume any more as it was listed."""
    return DiskError(
        f"{wanted.path} {what}",
        hint=Hint("download it again; if a run is just writing it, wait for the run's end"),
    )


def _digests(wanted: Wanted, start: int, size: int) -> frozenset[bytes]:
    """What the server may call a block of the file that is here; nothing where there is none of its size."""
    if not has_the_size(wanted):
        return frozenset()
    with wanted.target.open("rb") as file:
        file.seek(start)
        return blocks.digests(file.read(size))


def _lost(wanted: Wanted, error: Exception) -> VfmError:
    """What to say of a block that did not come."""
    cause = str(error) or type(error).__name__
    if isinstance(error, blocks.Damaged):
        return DiskError(
            f"{wanted.path} does not arrive as it is in the volume", cause=cause, hint=Hint(GO_ON)
        )
    where = f"the connection to Modal was lost while {wanted.path} was downloaded"
    return BackendError(where, cause=cause, hint=Hint(GO_ON))
