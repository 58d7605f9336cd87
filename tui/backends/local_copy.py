"""One file on its way out of a local volume: resumed, verified, or found to be there already.

Owns the copy of a single file. Which files are copied, and whether they may be, is decided before.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from remote.contract.errors import DiskError, Hint
from tui.backends.base import Progress, Transfer

CHUNK = 4 * 1024 * 1024
PART = ".part"


@dataclass(frozen=True)
class Copy:
    """A file of `size` bytes and where it goes; what is appended to it meanwhile is left out."""

    source: Path
    target: Path
    size: int

    @classmethod
    def of(cls, source: Path, target: Path) -> Copy:
        """The copy of a file as it is now."""
        return cls(source, target, source.stat().st_size)

    async def run(self, transfer: Transfer, progress: Progress) -> None:
        """Copy a chunk at a time, each off the event loop. Raises `DiskError`."""
        transfer.path = str(self.target)
        start = transfer.done
        try:
            wanted = await asyncio.to_thread(_sha256, self.source, self.size)
            if await asyncio.to_thread(self._is_there, wanted):
                transfer.skipped.append(str(self.target))
            else:
                await self._copy(wanted, transfer, progress)
        except OSError as error:
            raise DiskError(
                f"cannot copy {self.source} to {self.target}: {error.strerror or error}",
                cause=str(error),
                hint=Hint("mend that and run the same command again: it goes on where it broke off"),
            ) from error
        transfer.done = start + self.size
        progress(transfer)

    async def _copy(self, wanted: str, transfer: Transfer, progress: Progress) -> None:
        part = self.target.with_name(self.target.name + PART)
        done = await asyncio.to_thread(self._resumable, part)
        start = transfer.done
        while True:
            transfer.done = start + done
            progress(transfer)
            if done >= self.size:
                break
            done += await asyncio.to_thread(self._append, part, done)
        if await asyncio.to_thread(_sha256, part, self.size) != wanted:
            part.unlink()
            raise DiskError(
                f"{self.target} did not arrive as it is in the volume",
                hint=Hint("copy it again; if a run is just writing it, wait for the run's end"),
            )
        os.replace(part, self.target)

    def _is_there(self, wanted: str) -> bool:
        target = self.target
        there = target.is_file() and target.stat().st_size == self.size
        return there and _sha256(target, self.size) == wanted

    def _resumable(self, part: Path) -> int:
        """Bytes of a part file that are the source's own; other ones are thrown away."""
        part.parent.mkdir(parents=True, exist_ok=True)
        size = part.stat().st_size if part.exists() else 0
        if size and size <= self.size and _sha256(part, size) == _sha256(self.source, size):
            return size
        part.write_bytes(b"")
        return 0

    def _append(self, part: Path, done: int) -> int:
        with self.source.open("rb") as source, part.open("ab") as file:
            source.seek(done)
            chunk = source.read(min(CHUNK, self.size - done))
            if not chunk:
                raise DiskError(
                    f"{self.source} became shorter while it was copied",
                    hint=Hint("copy it again once the run has ended"),
                )
            return file.write(chunk)


def _sha256(path: Path, size: int) -> str:
    digest = hashlib.sha256()
    for chunk in _chunks(path, size):
        digest.update(chunk)
    return digest.hexdigest()


def _chunks(path: Path, size: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        while size > 0 and (chunk := file.read(min(CHUNK, size))):
            size -= len(chunk)
            yield chunk
