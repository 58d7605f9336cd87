"""A download on this machine's disk: its part file, and beside it the digests of the blocks in it.

Owns what is on disk at any moment, so that whatever kills the process, what has arrived is found again:
whole blocks, in order, each as its digest says. Where blocks come from is `blocks.py`'s.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from tui.backends.destination import give_name, open_part, part_of, written_to
from tui.backends.off_loop import Stopped

BLOCK = 8 * 1024 * 1024
"""Bytes of a block, which Modal keeps its files in."""
JUST_NOW = 2.0
"""Seconds within which a file may change again and keep its time of change."""


@dataclass(frozen=True)
class RemoteFile:
    """A file of a volume as it was listed, and the file of this machine that it is compared with or becomes.

    Its methods do disk work: call them off the event loop.
    """

    volume: str
    path: str
    size: int
    modified: float
    target: Path

    @property
    def part(self) -> Path:
        """Where a download grows until it is whole."""
        return part_of(self.target, f"{self.volume}:{self.path}")

    def resolved(self) -> RemoteFile:
        """The same with the target that is written to: where a link leads. Raises `ConfigError`."""
        return replace(self, target=written_to(self.target))

    def has_size(self) -> bool:
        """Whether the target is a file of this size."""
        return self.target.is_file() and self.target.stat().st_size == self.size

    def is_marked(self) -> bool:
        """Whether the target has this size and, to the nanosecond, the time that `mark` gave it."""
        return self.has_size() and self.target.stat().st_mtime_ns == self._ns

    def mark(self, place: Path | int) -> None:
        """Give a downloaded file the volume's time of change, by which it is known the next time.

        A file that has just changed may change again within the same second: it gets no mark.
        """
        if time.time() - self.modified > JUST_NOW:
            os.utime(place, ns=(self._ns, self._ns))

    def digest_of(self, start: int, size: int) -> bytes:
        """The digest of a block of the target."""
        with self.target.open("rb") as file:
            file.seek(start)
            return block_digest(file.read(size))

    @property
    def _ns(self) -> int:
        return int(self.modified) * 10**9


class Part:
    """The part file of one download. Every method does disk work: call them off the event loop."""

    def __init__(self, file: RemoteFile) -> None:
        self._remote, self._path, self._digests = file, file.part, digests_of(file.part)
        self._file: BinaryIO | None = None

    def open(self, stop: threading.Event) -> int:
        """Lock the part file; returns the bytes that are as they arrived. All others are thrown away."""
        self._file = open_part(self._path)
        digests = list(self._intact(self._file, stop))
        fresh = self._digests.with_name(self._digests.name + "~")
        with open_part(fresh) as file:
            file.truncate(0)
            file.write("".join(f"{line}\n" for line in (self._origin(), *digests)).encode())
        os.replace(fresh, self._digests)
        size = min(len(digests) * BLOCK, self._remote.size)
        self._file.truncate(size)
        return size

    def append(self, block: bytes, digest: bytes) -> None:
        """Add a block. Its digest is written after it: a block without one counts as missing."""
        assert self._file is not None
        self._file.write(block)
        self._file.flush()
        with open_part(self._digests) as file:
            file.write(f"{digest.hex()}\n".encode())

    def finish(self, *, force: bool) -> None:
        """Rename it to the target. Raises `OSError` where its size is wrong, and `Occupied`."""
        assert self._file is not None
        if self._path.stat().st_size != self._remote.size:
            raise OSError(f"{self._path} has the wrong size: another program wrote to it")
        os.fsync(self._file.fileno())  # the mark vouches for what is on the disk
        self._remote.mark(self._path)
        give_name(self._path, self._remote.target, force=force)
        self._digests.unlink(missing_ok=True)

    def forget(self) -> None:
        """Throw away what has arrived."""
        self._path.unlink(missing_ok=True)
        self._digests.unlink(missing_ok=True)

    def close(self) -> None:
        """Unlock the part file."""
        if self._file is not None:
            self._file.close()

    def _origin(self) -> str:
        """The first line of the digests: the version of the file that the blocks are of."""
        file = self._remote
        return json.dumps([file.volume, file.path, file.size, file.modified])

    def _intact(self, part: BinaryIO, stop: threading.Event) -> Iterator[str]:
        """The digests of the leading blocks that are as their digests say."""
        if not self._digests.is_file():
            return
        origin, *digests = self._digests.read_text(errors="replace").split("\n")[:-1] or [""]
        if origin != self._origin():
            return
        part.seek(0)
        for start, line in zip(range(0, self._remote.size, BLOCK), digests, strict=False):
            if stop.is_set():
                raise Stopped
            block = part.read(min(BLOCK, self._remote.size - start))
            if start + len(block) != min(start + BLOCK, self._remote.size):
                return
            if block_digest(block).hex() != line:
                return
            yield line


def write_whole(file: RemoteFile, data: bytes, *, force: bool) -> None:
    """Write a small file at once: a reader sees all of it or nothing, and an error leaves nothing."""
    path = file.part
    with open_part(path) as part:
        try:
            part.truncate(0)
            part.write(data)
            part.flush()
            os.fsync(part.fileno())
            file.mark(part.fileno())
            give_name(path, file.target, force=force)
        except BaseException:
            path.unlink(missing_ok=True)
            raise


def block_digest(block: bytes) -> bytes:
    """The SHA-256 by which Modal knows a block: without the zeros at its end."""
    return hashlib.sha256(block.rstrip(b"\0") if block.endswith(b"\0") else block).digest()


def digests_of(part: Path) -> Path:
    """Where the digests of a part file's blocks are."""
    return part.with_name(part.name + ".sums")
