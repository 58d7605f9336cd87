"""One file on its way into or out of a local volume: resumed, verified, or found to be there already.

Owns the copy of a single file. Which files are copied, and whether they may be, is decided before.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from remote.contract.errors import DiskError, Hint
from tui.backends.base import Progress, Transfer

CHUNK = 4 * 1024 * 1024
PART = ".part"
T = TypeVar("T")


class Stopped(Exception):
    """The thread was told that nobody waits for it any more."""


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
        """Copy a chunk at a time, each off the event loop. Raises `DiskError`.

        Cancelled, it ends with the chunk under way, and leaves a part file to go on from.
        """
        transfer.path = str(self.target)
        start = transfer.done
        try:
            if self.size <= CHUNK:
                there, got = await off_loop(self._at_once)
                transfer.fetched += got
            elif not (there := await off_loop(self._is_there)):
                await self._copy(transfer, progress)
            if there:
                transfer.skipped.append(str(self.target))
        except OSError as error:
            raise DiskError(
                f"cannot copy {self.source} to {self.target}: {error.strerror or error}",
                cause=str(error),
                hint=Hint("mend that and start it again: it goes on where it broke off"),
            ) from error
        transfer.done = start + self.size
        progress(transfer)

    async def _copy(self, transfer: Transfer, progress: Progress) -> None:
        writing = _Writing(self)
        start = transfer.done
        done = await off_loop(writing.open)
        while True:
            transfer.done = start + done
            progress(transfer)
            if done >= self.size:
                break
            got = await off_loop(writing.append)
            done += got
            transfer.fetched += got
        await off_loop(writing.close)

    def _at_once(self, stop: threading.Event) -> tuple[bool, int]:
        """A small file in one go: whether it was there already, and the bytes that were carried."""
        if self._is_there(stop):
            return True, 0
        writing = _Writing(self)
        got = writing.append(stop) if writing.open(stop) < self.size else 0
        writing.close(stop)
        return False, got

    def _is_there(self, stop: threading.Event) -> bool:
        target = self.target
        if not target.is_file() or target.stat().st_size != self.size:
            return False
        return digest(target, self.size, stop).digest() == digest(self.source, self.size, stop).digest()


class _Writing:
    """The part file of a copy. The source's digest grows as it is read: it is read once."""

    def __init__(self, copy: Copy) -> None:
        self._copy = copy
        self._part = part_of(copy.target)
        self._digest = hashlib.sha256()
        self._done = 0
        self._began = copy.source.stat()

    def open(self, stop: threading.Event) -> int:
        """Bytes of a part file that are the source's own; other ones are thrown away."""
        part = self._part
        part.parent.mkdir(parents=True, exist_ok=True)
        size = part.stat().st_size if part.exists() else 0
        if 0 < size <= self._copy.size:
            kept, own = digest(part, size, stop), digest(self._copy.source, size, stop)
            if kept.digest() == own.digest():
                self._digest, self._done = own, size
                return size
        part.write_bytes(b"")
        return 0

    def append(self, _stop: threading.Event) -> int:
        """One chunk more."""
        with self._copy.source.open("rb") as source, self._part.open("ab") as file:
            source.seek(self._done)
            chunk = source.read(min(CHUNK, self._copy.size - self._done))
            if not chunk:
                raise DiskError(
                    f"{self._copy.source} became shorter while it was copied",
                    hint=Hint("copy it again once the run has ended"),
                )
            file.write(chunk)
        self._digest.update(chunk)
        self._done += len(chunk)
        return len(chunk)

    def close(self, stop: threading.Event) -> None:
        """Read back what was written; only what is the source's own gets the file's name."""
        if self._changed() or digest(self._part, self._copy.size, stop).digest() != self._digest.digest():
            self._part.unlink()
            raise DiskError(
                f"{self._copy.target} did not arrive as it is in the volume",
                hint=Hint("copy it again; if a run is just writing it, wait for the run's end"),
            )
        os.replace(self._part, self._copy.target)

    def _changed(self) -> bool:
        """Whether the source is another file by now, or another text; being appended to is no change."""
        before, now = self._began, self._copy.source.stat()
        rewritten = now.st_size <= before.st_size and now.st_mtime_ns != before.st_mtime_ns
        return now.st_ino != before.st_ino or rewritten


def part_of(target: Path) -> Path:
    """Where a file grows until it is whole. A name may have 255 bytes at most."""
    name = target.name + PART
    if len(os.fsencode(name)) > 255:
        name = hashlib.sha256(os.fsencode(name)).hexdigest() + PART
    return target.with_name(name)


async def off_loop(work: Callable[[threading.Event], T]) -> T:
    """Do it in a thread. Cancelled, the thread is told to stop, and has stopped before this ends.

    Otherwise a copy that is resumed at once would write beside its predecessor's thread.
    """
    stop = threading.Event()
    thread = asyncio.ensure_future(asyncio.to_thread(work, stop))
    try:
        return await asyncio.shield(thread)
    except asyncio.CancelledError:
        stop.set()
        while not thread.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait({thread})
        thread.exception()  # of a cancelled copy nobody asks
        raise


def digest(path: Path, size: int, stop: threading.Event) -> hashlib._Hash:
    """SHA-256 of a file's first bytes. Raises `Stopped`."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while size > 0 and (chunk := file.read(min(CHUNK, size))):
            if stop.is_set():
                raise Stopped
            found.update(chunk)
            size -= len(chunk)
    return found
