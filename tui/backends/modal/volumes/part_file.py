"""A file on its way to this machine: its part file, and beside it the sums of what is in it.

Owns what is on disk at any moment, so that whatever kills the process, what has arrived is found again:
whole blocks, in order, each as its sum says. Where the blocks come from is the download's.
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
"""Seconds within which a file may change again and bear the same time."""


@dataclass(frozen=True)
class Wanted:
    """A file of a volume as it was listed, and where it goes."""

    volume: str
    path: str
    size: int
    modified: float
    target: Path

    @property
    def part(self) -> Path:
        """Where it grows until it is whole."""
        return part_of(self.target, f"{self.volume}:{self.path}")

    def is_taken(self) -> bool:
        """Whether something is where it goes."""
        return os.path.lexists(self.target)

    def really(self) -> Wanted:
        """The same with the target that is written to: where a link leads. Raises `ConfigError`."""
        return replace(self, target=written_to(self.target))

    def blocks(self, first: int = 0) -> Iterator[tuple[int, int]]:
        """Where each block begins, from one of them on, and how many bytes it has."""
        for start in range(first, self.size, BLOCK):
            yield start, min(BLOCK, self.size - start)


class Part:
    """The part file of one download. Every method does disk work: call them off the event loop."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._part = wanted.part
        self._sums = sums_of(wanted.part)
        self._files: list[BinaryIO] = []

    def open(self, stop: threading.Event) -> int:
        """Bytes that are there and are what they were when they came; all the others are thrown away.

        Nobody else can write it until it is closed, finished or forgotten.
        """
        self._file = open_part(self._part)
        self._files.append(self._file)
        sums = list(self._kept(stop))
        fresh = self._sums.with_name(self._sums.name + "~")
        with open_part(fresh) as file:
            file.truncate(0)
            file.write("".join(f"{line}\n" for line in (self._whose(), *sums)).encode())
        os.replace(fresh, self._sums)
        kept = min(len(sums) * BLOCK, self._wanted.size)
        self._file.truncate(kept)
        return kept

    def append(self, block: bytes | bytearray, digest: bytes) -> None:
        """One block more. Its sum is written after it: without one, a block counts as not there."""
        self._file.write(block)
        self._file.flush()
        with open_part(self._sums) as file:
            file.write(f"{digest.hex()}\n".encode())

    def finish(self, *, force: bool) -> None:
        """Give it its name. Raises `OSError` where it is not as long as it should be, and `Occupied`."""
        if self._part.stat().st_size != self._wanted.size:
            raise OSError(f"{self._part} is not as long as it should be: somebody else wrote into it")
        os.fsync(self._file.fileno())  # the mark is trusted later: what it vouches for is on the disk before
        mark(self._wanted, self._part)
        give_name(self._part, self._wanted.target, force=force)
        self._sums.unlink(missing_ok=True)
        self.close()

    def forget(self) -> None:
        """Throw away what has come."""
        self._part.unlink(missing_ok=True)
        self._sums.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Let another download write it."""
        for file in self._files:
            file.close()

    def _whose(self) -> str:
        wanted = self._wanted
        return json.dumps([wanted.volume, wanted.path, wanted.size, wanted.modified])

    def _kept(self, stop: threading.Event) -> Iterator[str]:
        """The sums of the leading blocks that are what their sums say."""
        if not self._sums.is_file() or not self._part.is_file():
            return
        whose, *sums = self._sums.read_text(errors="replace").split("\n")[:-1] or [""]
        if whose != self._whose():
            return
        with self._part.open("rb") as file:
            for (_, size), line in zip(self._wanted.blocks(), sums, strict=False):
                if stop.is_set():
                    raise Stopped
                block = file.read(size)
                if len(block) != size or hashlib.sha256(block).hexdigest() != line:
                    return
                yield line


def write_whole(wanted: Wanted, data: bytes | bytearray, *, force: bool) -> None:
    """Write a small file in one go; whoever looks sees all of it or nothing, and an error leaves nothing."""
    part = wanted.part
    with open_part(part) as file:
        try:
            file.truncate(0)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            mark(wanted, file.fileno())
            give_name(part, wanted.target, force=force)
        except BaseException:
            part.unlink(missing_ok=True)
            raise


def mark(wanted: Wanted, place: Path | int) -> None:
    """Give a downloaded file the volume's time of change, by which it is known the next time.

    A file that has just changed may change again within the same second: it bears no mark.
    """
    if time.time() - wanted.modified > JUST_NOW:
        os.utime(place, ns=(_ns(wanted),) * 2)


def is_marked(wanted: Wanted) -> bool:
    """Whether the file is there, as it came: of this size and with the volume's time to the nanosecond."""
    stat = _stat(wanted.target)
    return stat is not None and stat.st_size == wanted.size and stat.st_mtime_ns == _ns(wanted)


def has_the_size(wanted: Wanted) -> bool:
    """Whether a file of this size is there; what is in it is another question."""
    stat = _stat(wanted.target)
    return stat is not None and stat.st_size == wanted.size


def sums_of(part: Path) -> Path:
    """Where the sums of a part file are."""
    return part.with_name(part.name + ".sums")


def _stat(path: Path) -> os.stat_result | None:
    return path.stat() if path.is_file() else None


def _ns(wanted: Wanted) -> int:
    return int(wanted.modified) * 10**9
