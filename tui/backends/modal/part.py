"""A file on its way to this machine: `<name>.part`, and beside it the sums of what is in it.

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
from dataclasses import dataclass
from pathlib import Path

from tui.backends.local_copy import Stopped, part_of

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

    def blocks(self, first: int = 0) -> Iterator[tuple[int, int]]:
        """Where each block begins, from one of them on, and how many bytes it has."""
        for start in range(first, self.size, BLOCK):
            yield start, min(BLOCK, self.size - start)


class Part:
    """The part file of one download. Every method does disk work: call them off the event loop."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._part = part_of(wanted.target)
        self._sums = sums_of(wanted.target)

    def open(self, stop: threading.Event) -> int:
        """Bytes that are there and are what they were when they came; all the others are thrown away."""
        self._part.parent.mkdir(parents=True, exist_ok=True)
        sums = list(self._kept(stop))
        fresh = self._sums.with_name(self._sums.name + "~")
        fresh.write_text("".join(f"{line}\n" for line in (self._whose(), *sums)))
        os.replace(fresh, self._sums)
        kept = min(len(sums) * BLOCK, self._wanted.size)
        with self._part.open("ab") as file:
            file.truncate(kept)
        return kept

    def append(self, block: bytes | bytearray, digest: bytes) -> None:
        """One block more. Its sum is written after it: without one, a block counts as not there."""
        with self._part.open("ab") as file:
            file.write(block)
        with self._sums.open("a") as file_of_sums:
            file_of_sums.write(digest.hex() + "\n")

    def finish(self) -> None:
        """Give it its name. Raises `OSError` where it is not as long as it should be."""
        if self._part.stat().st_size != self._wanted.size:
            raise OSError(f"{self._part} is not as long as it should be: somebody else wrote into it")
        mark(self._wanted, self._part)
        os.replace(self._part, self._wanted.target)
        self._sums.unlink(missing_ok=True)

    def forget(self) -> None:
        """Throw away what has come."""
        self._part.unlink(missing_ok=True)
        self._sums.unlink(missing_ok=True)

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


def write_whole(wanted: Wanted, data: bytes | bytearray) -> None:
    """Write a small file in one go; whoever looks sees all of it or nothing."""
    part = part_of(wanted.target)
    part.parent.mkdir(parents=True, exist_ok=True)
    with part.open("wb", buffering=0) as file:
        file.write(data)
        mark(wanted, file.fileno())
    os.replace(part, wanted.target)


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


def sums_of(target: Path) -> Path:
    """Where the sums of a part file are."""
    part = part_of(target)
    name = part.name + ".sums"
    if len(os.fsencode(name)) > 254:
        name = hashlib.sha256(os.fsencode(name)).hexdigest() + ".part.sums"
    return part.with_name(name)


def _stat(path: Path) -> os.stat_result | None:
    return path.stat() if path.is_file() else None


def _ns(wanted: Wanted) -> int:
    return int(wanted.modified) * 10**9
