"""A run's whole output as a file of lines: any line of a million at once, while the file grows.

Owns the index, which is sparse: where each block of about 64 kB begins and how many lines come before
it. It costs one pass at the speed of `bytes.count` and a few dozen kilobytes. Which lines match what is
`log_matches.py`'s; drawing them is a widget's.

Lines are what people read: text, and the events that say where the run is (phases, checkpoints, the
failure, the end). Numbers, episodes and samples of the machine have panes of their own.
"""

from __future__ import annotations

import os
import re
import threading
from array import array
from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from remote.contract.errors import DiskError, Hint
from remote.contract.events import decode_line
from tui.store.told import tell

BLOCK = 64 * 1024
CHUNK = 1024 * 1024
LONGEST = 64 * 1024
"""Bytes of a line that are shown; more stays in the file."""
_SEPARATOR = b"\x1e"
_HIDDEN = re.compile(
    rb'^\x1e\{"v":\d+,"seq":-?\d+,"t":[^,]+,"type":"(?!(?:phase|checkpoint|failure|end)")', re.MULTILINE
)
_TIME = re.compile(rb'"t":(\d+(?:\.\d+)?)')


@dataclass(frozen=True)
class Line:
    """One line: where it begins in the file, what it says, and about when it was said."""

    offset: int
    raw: bytes
    """Without its newline, cut at `LONGEST` bytes."""
    size: int
    """Bytes that it has in the file."""
    t: float | None
    """Unix seconds of the last event before it; None where there is none."""

    @property
    def text(self) -> str:
        """The line as text; an event in a few words."""
        text = self.raw.decode("utf-8", errors="replace")
        return tell_line(text) if self.raw.startswith(_SEPARATOR) else text

    @property
    def cut(self) -> int:
        """Bytes that are not shown."""
        return self.size - len(self.raw)


def tell_line(text: str) -> str:
    """What an event's line says to people; a line that only looks like an event is shown as it is."""
    event = decode_line(text)
    return event if isinstance(event, str) else tell(event)


def is_hidden(data: bytes, start: int, end: int) -> bool:
    """Whether the line at `start` is an event that is no line for people."""
    return data.startswith(_SEPARATOR, start) and _HIDDEN.match(data, start, end) is not None


class Journal:
    """The lines of a file that may be growing. Safe to use from several threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines = 0
        """Lines that are indexed; a last one without its newline counts once the stream is `over`."""
        self.end = 0
        """Bytes that are indexed."""
        self._starts, self._before, self._times = array("Q"), array("Q"), array("d")
        self._last_time = 0.0
        self._lock = threading.Lock()
        self._file: int | None = None
        self._block = lru_cache(maxsize=32)(self._read_block)

    def refresh(self, *, over: bool = False) -> int:
        """Index what was appended; `over` says that a torn last line is all there will be of it.

        Returns the number of lines. Raises `DiskError`; a file that is not there yet is empty.
        """
        with self._lock:
            try:
                while data := self.raw(self.end, CHUNK):
                    if not self._take(data):
                        self._take_torn(over)
                        break
            except OSError as error:
                raise _unreadable(self.path, error) from error
        return self.lines

    def tail(self, count: int) -> list[Line]:
        """The last lines, read backwards from the end of the file: no index is needed."""
        size, data, want = self.size(), b"", BLOCK
        while True:
            start = max(0, size - want)
            data = self.raw(start, size - start)
            whole = data if start == 0 else data[data.find(b"\n") + 1 :]
            found = _cut(whole, size - len(whole), 0.0)
            if len(found) >= count or start == 0:
                return found[-count:]
            want *= 4

    def size(self) -> int:
        """Bytes in the file now."""
        fd = self._open()
        return 0 if fd is None else os.fstat(fd).st_size

    def line(self, number: int) -> Line:
        """A line by its number, from 0. Raises `IndexError`."""
        return self.read(number, 1)[0]

    def read(self, first: int, count: int) -> list[Line]:
        """Lines by number; fewer where there are no more."""
        found: list[Line] = []
        block = bisect_right(self._before, first) - 1
        while 0 <= block < len(self._starts) and len(found) < count:
            lines = self._block(block, self._end_of(block))
            skip = max(0, first - self._before[block])
            found += lines[skip : skip + count - len(found)]
            block += 1
        return found

    def at(self, offset: int) -> Line:
        """The line that begins at an offset."""
        block = bisect_right(self._starts, offset) - 1
        lines = self._block(block, self._end_of(block))
        return lines[_index(lines, offset)]

    def number_of(self, offset: int) -> int:
        """The number of the line that begins at an offset."""
        block = bisect_right(self._starts, offset) - 1
        return int(self._before[block]) + _index(self._block(block, self._end_of(block)), offset)

    def bytes_from(self, start: int, size: int) -> bytes:
        """Whole lines from the begin of one: about `size` bytes of what is indexed, at least one line."""
        size = min(size, self.end - start)
        data = self.raw(start, size)
        while len(data) < self.end - start and b"\n" not in data:
            data += self.raw(start + len(data), size)
        return data if start + len(data) >= self.end else data[: data.rfind(b"\n") + 1]

    def close(self) -> None:
        """Give the file back."""
        fd, self._file = self._file, None
        if fd is not None:
            os.close(fd)

    def _open(self) -> int | None:
        if self._file is None:
            try:
                self._file = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                return None
        return self._file

    def raw(self, start: int, size: int) -> bytes:
        """Bytes of the file as they are now, indexed or not."""
        fd = self._open()
        return b"" if fd is None or size <= 0 else os.pread(fd, size, start)

    def _take(self, data: bytes) -> bool:
        """Index the whole lines of what lies at `end`; False where there is none yet."""
        whole = data.rfind(b"\n") + 1
        while not whole:
            more = self.raw(self.end + len(data), CHUNK)
            if not more:
                return False
            data += more
            whole = data.rfind(b"\n") + 1
        start = 0
        while start < whole:
            end = data.rfind(b"\n", start, start + BLOCK) + 1 or data.find(b"\n", start + BLOCK) + 1
            self._index_piece(data, start, min(end, whole) if end else whole)
            start = end or whole
        self.end += whole
        return True

    def _index_piece(self, data: bytes, start: int, end: int) -> None:
        at = self.end + start
        if not self._starts or at - self._starts[-1] >= BLOCK:
            self._starts.append(at)
            self._before.append(self.lines)
            self._times.append(self._last_time)
        self.lines += data.count(b"\n", start, end)
        last = data.rfind(_SEPARATOR, start, end)
        if last >= 0:
            self.lines -= len(_HIDDEN.findall(data, start, end))
            if stamp := _TIME.search(data, last, end):
                self._last_time = float(stamp.group(1))

    def _take_torn(self, over: bool) -> None:
        size = self.size()
        if over and size > self.end:
            data = self.raw(self.end, LONGEST)
            self._index_piece(data + b"\n", 0, len(data) + 1)
            self.end = size

    def _end_of(self, block: int) -> int:
        return int(self._starts[block + 1]) if block + 1 < len(self._starts) else self.end

    def _read_block(self, block: int, end: int) -> list[Line]:
        """The lines of a block; `end` is part of the cache's key, since the last block grows."""
        start = int(self._starts[block])
        return _cut(self.raw(start, end - start), start, self._times[block])


def _cut(data: bytes, base: int, t: float) -> list[Line]:
    """The lines for people among some bytes that begin at offset `base`."""
    found, start = [], 0
    while start < len(data):
        end = data.find(b"\n", start)
        end = len(data) if end < 0 else end
        if data.startswith(_SEPARATOR, start) and (stamp := _TIME.search(data, start, end)):
            t = float(stamp.group(1))
        if not is_hidden(data, start, end):
            raw = data[start : min(end, start + LONGEST)]
            found.append(Line(base + start, raw, end - start, t or None))
        start = end + 1
    return found


def _index(lines: list[Line], offset: int) -> int:
    low, high = 0, len(lines)
    while low < high:
        middle = (low + high) // 2
        if lines[middle].offset < offset:
            low = middle + 1
        else:
            high = middle
    return min(low, len(lines) - 1)


def _unreadable(path: Path, error: OSError) -> DiskError:
    return DiskError(
        f"cannot read {path}: {error.strerror or error}",
        cause=str(error),
        hint=Hint("was the run removed? `vfm runs` lists those that there are"),
    )
