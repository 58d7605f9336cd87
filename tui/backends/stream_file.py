"""Whole lines of a stream's file from a position, and whether a run is alive."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import BinaryIO

from remote.contract import layout
from remote.contract.errors import DiskError, Hint
from remote.contract.events import RECORD_SEPARATOR
from remote.contract.long_lines import LONGEST, LONGEST_EVENT, shortened
from remote.contract.plain_files import open_plain
from tui.backends.base import Batch
from tui.store.logs.stream import split_lines

CHUNK = 64 * 1024
_LONG_CHUNK = 1024 * 1024
LINES = 2000


def is_alive(run_dir: Path) -> bool:
    """Whether a process of the run lives: supervisor and worker hold its lock, which the kernel frees."""
    try:
        # No link: its lock would be another run's.
        fd = os.open(run_dir / layout.LOCK, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared, so that two readers do not see each other
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def read_batch(stream: Path, position: int, over: bool) -> Batch:
    """The next whole lines from a position; a torn last line only if the stream is over.

    A line that is too long is cut. Where the stream ends within it, so does the position, and the rest of the
    line is skipped by the next call. Raises `DiskError`.
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
        gone = Hint("was the run deleted? See `vfm runs`")
        there = Hint("for the run's other files: vfm show RUN, vfm ls VOLUME:runs/RUN")
        raise DiskError(
            f"cannot read {stream}: {error.strerror or 'it is no plain file'}",
            cause=str(error),
            hint=gone if isinstance(error, FileNotFoundError) else there,
        ) from error
    return _cut(data, position, torn)


def _behind_long_line(file: BinaryIO, position: int) -> int:
    """The end of the long line that a position is in; otherwise the position."""
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
    """The line that begins with these bytes, if complete or too long."""
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
    shown = line if size <= limit else line[:LONGEST]
    text = shown.decode("utf-8", errors="replace")
    if size > limit:
        text = shortened(text, size - len(shown))
    return Batch([text], position + size + (newline >= 0))


def _cut(data: bytes, position: int, torn: bool) -> Batch:
    """The lines of bytes that start at a line; `torn`: they are the last ones of the stream."""
    whole, newline, _rest = data.rpartition(b"\n")
    if torn:
        whole = data.removesuffix(b"\n")
    if not data or not (newline or torn):
        return Batch([], position)
    lines = whole.split(b"\n", LINES)[:LINES]
    size = min(sum(map(len, lines)) + len(lines), len(data))  # a torn line has no newline to count
    return Batch([split_lines(line)[0] for line in lines], position + size)
