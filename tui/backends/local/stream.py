"""Following a local run: its stream, read as it grows, and whether anybody is left to write it.

Owns the reading position and the end of following. What the lines mean is the store's matter.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

from remote.contract import layout
from remote.contract.errors import DiskError, Hint
from remote.contract.json_text import from_json
from remote.contract.plain_files import open_plain, read_plain
from remote.contract.record import FINAL
from tui.backends.base import Batch
from tui.backends.stream_file import is_alive, read_batch

_SOONEST, _LATEST = 0.02, 0.2
_PATIENCE = 15.0  # more than a supervisor takes to clear what its worker left
_END = '"type":"end"'


async def follow(run_dir: Path, position: int, live: bool) -> AsyncIterator[Batch]:
    """Batches of at most 2,000 lines; see `LocalBackend.follow`. Raises `DiskError`."""
    stream = run_dir / layout.STREAM
    delay, end_at, same = _SOONEST, float("inf"), _SameFile(stream)
    while True:
        # Asked before the reading: what was written before the last writer went is then read too.
        over = await asyncio.to_thread(_is_over, run_dir, end_at)
        await asyncio.to_thread(same.check, position)
        batch = await asyncio.to_thread(read_batch, stream, position, over)
        if batch.position != position:
            if any(_END in line for line in batch.lines):
                end_at = time.monotonic()
            position, delay = batch.position, _SOONEST
            yield batch
        elif over or not live:
            return
        else:
            await asyncio.sleep(delay)
            delay = min(delay * 1.5, _LATEST)


class _SameFile:
    """Holds a followed stream to what it was: one that only grows."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: tuple[int, int] | None = None

    def check(self, position: int) -> None:
        """Raise `DiskError` where another file is in its place, or less is in it than was read."""
        try:
            stat = self._path.stat()
        except OSError:
            return  # reading it says what is wrong
        found = (stat.st_dev, stat.st_ino)
        what = "was replaced" if self._known not in (None, found) else ""
        self._known = found
        if what or stat.st_size < position:
            raise DiskError(
                f"{self._path} {what or 'was cut short'} while it was followed: lines may be missing here",
                hint=Hint("see all that it holds now: vfm logs RUN"),
            )


async def watch(run_dir: Path) -> AsyncIterator[int]:
    """The stream's size whenever it grew; see `LocalBackend.watch`."""
    delay, known, end_at = _SOONEST, -1, float("inf")
    while True:
        # Asked before looking: what was written before the last writer went is then counted too.
        over = await asyncio.to_thread(_is_over, run_dir, end_at)
        size = await asyncio.to_thread(_size, run_dir / layout.STREAM)
        if size != known:
            if await asyncio.to_thread(_says_end, run_dir / layout.STREAM, size):
                end_at = min(end_at, time.monotonic())
            known, delay = size, _SOONEST
            yield size
        if over:
            return
        await asyncio.sleep(delay)
        delay = min(delay * 1.5, _LATEST)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0  # not there yet


def _says_end(path: Path, size: int) -> bool:
    """Whether the last thing that the stream says is its end."""
    try:
        with open(path, "rb", opener=open_plain) as file:
            file.seek(max(0, size - 4096))
            return _END.encode() in file.read()
    except OSError:
        return False


def _is_over(run_dir: Path, end_at: float) -> bool:
    """Nobody is left to write: even after the worker's end its supervisor may have the last word.

    A process that a worker left behind may hold the lock; it is not waited for.
    """
    if not is_alive(run_dir):
        return True
    return time.monotonic() - end_at > _PATIENCE and _is_final(run_dir / layout.RECORD)


def _is_final(record: Path) -> bool:
    try:
        found = from_json(read_plain(record))
        return isinstance(found, dict) and found.get("status") in FINAL
    except (OSError, ValueError, TypeError):
        return False  # The lock tells the end of a run whose record is gone or damaged.
