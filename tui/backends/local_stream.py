"""Following a local run: its stream, read as it grows, and whether anybody is left to write it.

Owns the reading position and the end of following. What the lines mean is the store's matter.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

from remote.contract import layout
from remote.contract.errors import DiskError, Hint
from remote.contract.json_text import from_json
from remote.contract.record import FINAL
from tui.backends.base import Batch
from tui.store.stream import split_lines

CHUNK = 64 * 1024
LINES = 2000
_SOONEST, _LATEST = 0.02, 0.2
_PATIENCE = 15.0  # more than a supervisor takes to clear what its worker left
_END = '"type":"end"'


def is_alive(run_dir: Path) -> bool:
    """Whether a run's supervisor or worker lives: they hold its lock, and the kernel frees it."""
    try:
        fd = os.open(run_dir / layout.LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: two that look do not see each other
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


async def follow(run_dir: Path, position: int, live: bool) -> AsyncIterator[Batch]:
    """Batches of at most 2,000 lines; see `LocalBackend.follow`. Raises `DiskError`."""
    delay, end_at = _SOONEST, float("inf")
    while True:
        # Asked before the reading: what was written before the last writer went is then read too.
        over = await asyncio.to_thread(_is_over, run_dir, end_at)
        batch = await asyncio.to_thread(read_batch, run_dir / layout.STREAM, position, over)
        if batch.lines:
            if any(_END in line for line in batch.lines):
                end_at = time.monotonic()
            position, delay = batch.position, _SOONEST
            yield batch
        elif over or not live:
            return
        else:
            await asyncio.sleep(delay)
            delay = min(delay * 1.5, _LATEST)


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
        with path.open("rb") as file:
            file.seek(max(0, size - 4096))
            return _END.encode() in file.read()
    except OSError:
        return False


def read_batch(stream: Path, position: int, over: bool) -> Batch:
    """The next whole lines from a position; a torn last line only where the stream is over."""
    try:
        with stream.open("rb") as file:
            file.seek(position)
            data = file.read(CHUNK)
            while b"\n" not in data and (more := file.read(CHUNK)):
                data += more  # a line longer than a chunk
            torn = over and not file.read(1)
    except OSError as error:
        raise DiskError(
            f"cannot read {stream}: {error.strerror}",
            cause=str(error),
            hint=Hint("was the run removed? `vfm runs` lists those that there are"),
        ) from error
    return _cut(data, position, torn)


def _cut(data: bytes, position: int, torn: bool) -> Batch:
    """The lines of some bytes that begin at a line's begin; `torn` says that they are the stream's last."""
    whole, newline, _rest = data.rpartition(b"\n")
    if torn:
        whole = data.removesuffix(b"\n")
    if not data or not (newline or torn):
        return Batch([], position)
    lines = whole.split(b"\n", LINES)[:LINES]
    size = min(sum(map(len, lines)) + len(lines), len(data))  # a torn line has no newline to count
    return Batch([split_lines(line)[0] for line in lines], position + size)


def _is_over(run_dir: Path, end_at: float) -> bool:
    """Nobody is left to write: even after the worker's end its supervisor may have the last word.

    A process that a worker left behind may hold the lock; it is not waited for.
    """
    if not is_alive(run_dir):
        return True
    return time.monotonic() - end_at > _PATIENCE and _is_final(run_dir / layout.RECORD)


def _is_final(record: Path) -> bool:
    try:
        found = from_json(record.read_bytes())
        return isinstance(found, dict) and found.get("status") in FINAL
    except (OSError, ValueError, TypeError):
        return False  # The lock tells the end of a run whose record is gone or damaged.
