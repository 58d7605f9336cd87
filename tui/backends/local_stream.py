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
from typing import BinaryIO

from remote.contract import layout
from remote.contract.errors import DiskError, Hint
from remote.contract.events import RECORD_SEPARATOR
from remote.contract.json_text import from_json
from remote.contract.long_lines import LONGEST, LONGEST_EVENT, shortened
from remote.contract.plain_files import open_plain, read_plain
from remote.contract.record import FINAL
from tui.backends.base import Batch
from tui.store.stream import split_lines

CHUNK = 64 * 1024
_LONG_CHUNK = 1024 * 1024
LINES = 2000
_SOONEST, _LATEST = 0.02, 0.2
_PATIENCE = 15.0  # more than a supervisor takes to clear what its worker left
_END = '"type":"end"'


def is_alive(run_dir: Path) -> bool:
    """Whether a run's supervisor or worker lives: they hold its lock, and the kernel frees it."""
    try:
        # Not where a link leads: its lock would be another run's.
        fd = os.open(run_dir / layout.LOCK, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
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


def read_batch(stream: Path, position: int, over: bool) -> Batch:
    """The next whole lines from a position; a torn last line only where the stream is over.

    Of a line that is too long its begin is given, and where the stream ends within it the position lies
    within it too: what follows of it is passed over. Raises `DiskError`.
    """
    try:
        with open(stream, "rb", opener=open_plain) as file:
            position = _behind_long_line(file, position)
            file.seek(position)
            data = file.read(CHUNK)
            if len(data) == CHUNK and b"\n" not in data:
                return _long_line(file, data, position, over)
            torn = over and not file.read(1)
    except OSError as error:
        raise DiskError(
            f"cannot read {stream}: {error.strerror}",
            cause=str(error),
            hint=Hint("was the run removed? `vfm runs` lists those that there are"),
        ) from error
    return _cut(data, position, torn)


def _behind_long_line(file: BinaryIO, position: int) -> int:
    """Where the line ends that a position lies deep within; the position itself where it lies in none."""
    if position <= LONGEST:
        return position
    file.seek(position - 1)
    if file.read(1) == b"\n":
        return position
    file.seek(position - LONGEST)
    if b"\n" in file.read(LONGEST):
        return position
    while chunk := file.read(_LONG_CHUNK):
        newline = chunk.find(b"\n")
        if newline >= 0:
            return position + newline + 1
        position += len(chunk)
    return position


def _long_line(file: BinaryIO, begin: bytes, position: int, over: bool) -> Batch:
    """The line that begins with these bytes, once it is whole or longer than is shown."""
    limit = LONGEST_EVENT if begin.startswith(RECORD_SEPARATOR.encode()) else LONGEST
    parts, size, newline = [begin], len(begin), -1
    while newline < 0 and (chunk := file.read(_LONG_CHUNK)):
        newline = chunk.find(b"\n")
        part = chunk if newline < 0 else chunk[:newline]
        if size < limit:
            parts.append(part[: limit - size])
        size += len(part)
    if newline < 0 and not over and size <= limit:
        return Batch([], position)
    line = b"".join(parts)
    kept = line if size <= limit else line[:LONGEST]
    text = kept.decode("utf-8", errors="replace")
    if size > limit:
        text = shortened(text, size - len(kept))
    return Batch([text], position + size + (newline >= 0))


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
        found = from_json(read_plain(record))
        return isinstance(found, dict) and found.get("status") in FINAL
    except (OSError, ValueError, TypeError):
        return False  # The lock tells the end of a run whose record is gone or damaged.
