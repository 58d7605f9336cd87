"""Follow a local run's stream as it grows, until its processes are gone."""

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
_AFTER_END = 15.0  # seconds; more than a supervisor takes to clean up after its worker
_END = '"type":"end"'


async def follow(run_dir: Path, position: int, live: bool) -> AsyncIterator[Batch]:
    """As `Backend.follow`, in batches of at most 2,000 lines. A torn last line comes once the run is over.

    Raises `DiskError`.
    """
    stream = run_dir / layout.STREAM
    delay, end_at, same = _SOONEST, float("inf"), _SameFile(stream)
    while True:
        # Before reading, so that what the last writer wrote before it ended is read too.
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
    """Checks that a followed stream only grows."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: tuple[int, int] | None = None

    def check(self, position: int) -> None:
        """Raise `DiskError` where the file was replaced or is shorter than what was read."""
        try:
            stat = self._path.stat()
        except OSError:
            return  # reading it raises the error
        found = (stat.st_dev, stat.st_ino)
        change = "was replaced" if self._known not in (None, found) else ""
        self._known = found
        if change or stat.st_size < position:
            raise DiskError(
                f"{self._path} {change or 'was truncated'} while it was followed: lines may be missing",
                hint=Hint("print all that it has now: vfm logs RUN"),
            )


async def watch(run_dir: Path) -> AsyncIterator[int]:
    """As `Backend.watch`."""
    delay, known, end_at = _SOONEST, -1, float("inf")
    while True:
        # Before looking, so that what the last writer wrote before it ended is counted too.
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
    """Whether the end event is among the last bytes."""
    try:
        with open(path, "rb", opener=open_plain) as file:
            file.seek(max(0, size - 4096))
            return _END.encode() in file.read()
    except OSError:
        return False


def _is_over(run_dir: Path, end_at: float) -> bool:
    """Whether no process is left that writes: after the worker's end, its supervisor may still.

    A process that a worker left behind may hold the lock; it is not waited for.
    """
    if not is_alive(run_dir):
        return True
    return time.monotonic() - end_at > _AFTER_END and _is_final(run_dir / layout.RECORD)


def _is_final(record: Path) -> bool:
    try:
        found = from_json(read_plain(record))
        return isinstance(found, dict) and found.get("status") in FINAL
    except (OSError, ValueError, TypeError):
        return False  # without a record, the lock decides
