"""Index a run's log, so that any of a million lines is read at once while the file grows.

The index is sparse: the offset of each block of about 16 kB and the number of lines before it. It costs
one pass at the speed of `bytes.count`, and 150 kB of memory for 100 MB. `search.py` finds matching lines.

Lines are text and the events that people follow a run by (phases, checkpoints, the failure, the end).
Metrics, episodes and samples of the machine are no lines: they have panes of their own.
"""

from __future__ import annotations

import os
import re
import threading
from array import array
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from remote.contract.errors import DiskError, Hint
from remote.contract.events import decode_line
from remote.contract.plain_files import open_plain
from tui.store.logs.event_text import event_line

BLOCK = 16 * 1024
CHUNK = 1024 * 1024
LONGEST = 64 * 1024
"""Bytes of a line that are shown."""
_SEPARATOR = b"\x1e"
_HEAD = 512
"""Bytes that hold an event's kind."""
_HIDDEN = re.compile(
    rb'^\x1e\{"v":\d+,"seq":-?\d+,"t":[^,\n]+,"type":"(?!(?:phase|checkpoint|failure|end|attempt|restart)")',
    re.MULTILINE,
)
_TIME = re.compile(rb'\x1e\{"v":\d+,"seq":-?\d+,"t":(\d+(?:\.\d+)?)')
_FIRST_TIME = re.compile(b"^" + _TIME.pattern, re.MULTILINE)


@dataclass(frozen=True)
class Line:
    """One line of a log."""

    offset: int
    """Byte of the file at which it begins."""
    raw: bytes
    """Without its newline; at most `LONGEST` bytes, the first ones (of a progress bar, the last)."""
    size: int
    """Bytes in the file, without the newline."""
    t: float | None
    """Unix seconds of the last event up to it; None where there is none."""

    @property
    def text(self) -> str:
        """The line as text; an event as people see it."""
        text = self.raw.decode("utf-8", errors="replace")
        return tell_line(text) if self.is_event else text

    @property
    def is_event(self) -> bool:
        """Whether it begins as events do."""
        return self.raw.startswith(_SEPARATOR)

    @property
    def cut(self) -> int:
        """Bytes that are not shown."""
        return self.size - len(self.raw)


def tell_line(text: str) -> str:
    """An event's line as people see it; a line that only looks like an event stays as it is."""
    event = decode_line(text)
    return event if isinstance(event, str) else event_line(event)


def is_hidden(data: bytes, start: int = 0, end: int | None = None) -> bool:
    """Whether the line at `start` is an event that the log does not show."""
    end = len(data) if end is None else end
    return data.startswith(_SEPARATOR, start, end) and _HIDDEN.match(data, start, end) is not None


class LogFile:
    """The lines of a file that may be growing. Safe to use from several threads.

    A file that is replaced or truncated is read anew: `generation` then counts up, and all line numbers and
    offsets from before are invalid.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines = 0
        """Lines that are indexed; a last one without its newline only once the stream is `over`."""
        self.end = 0
        """Bytes that are indexed."""
        self.generation = 0
        self.began: float | None = None
        """Unix seconds of the first event."""
        self._starts, self._before, self._times = array("Q"), array("Q"), array("d")
        self._last_time = 0.0
        self._searched = 0
        """There is no newline between `end` and this offset."""
        self._torn: int | None = None
        """Offset of a last line without a newline, where it was counted."""
        self._lock = threading.Lock()
        self._file: int | None = None
        self._block = lru_cache(maxsize=64)(self._read_block)

    def refresh(self, *, over: bool = False) -> int:
        """Index what was appended, and return the number of lines.

        With `over` nothing more will come: a last line without a newline counts. A missing file is empty.
        Raises `DiskError`.
        """
        with self._lock:
            self._start_anew_if_replaced()
            if self._torn is not None and self.size() > self.end:
                self._take_back_torn()
            while self._index_next():
                pass
            if over:
                self._index_torn()
        return self.lines

    def check_replaced(self) -> int:
        """Look whether the file was replaced or truncated; returns the generation."""
        with self._lock:
            self._start_anew_if_replaced()
            return self.generation

    def tail(self, count: int) -> list[Line]:
        """The last lines, read backwards from the end of the file: needs no index."""
        size, length = self.size(), 4 * BLOCK
        while True:
            start = max(0, size - length)
            data = self.raw(start, size - start)
            whole = data[: data.rfind(b"\n") + 1]
            skip = 0 if start == 0 else whole.find(b"\n") + 1
            found = self._cut(whole[skip:], start + skip, 0.0)
            if len(found) >= count or start == 0 or length > 256 * BLOCK:
                return found[-count:]
            length *= 4

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
        if offset >= self.end:
            return Line(offset, b"", 0, None)
        block = bisect_right(self._starts, offset) - 1
        start = int(self._starts[block])
        before = self.raw(start, offset - start)
        t = _last_time(before, 0, len(before), float(self._times[block]))
        length = 4096
        while True:
            length = min(length, self.end - offset)
            data = self.raw(offset, length)
            end = data.find(b"\n")
            if end >= 0 or len(data) >= self.end - offset or len(data) < length:
                return self._line(data, 0, end if end >= 0 else len(data), offset, t)
            length *= 8

    def number_of(self, offset: int) -> int:
        """The number of the line that begins at an offset."""
        block = bisect_right(self._starts, offset) - 1
        return int(self._before[block]) + _index(self._block(block, self._end_of(block)), offset)

    def number_at(self, t: float) -> int:
        """The number of the first line at a time (Unix seconds) or after it."""
        block = max(0, bisect_left(self._times, t) - 1)
        number = int(self._before[block]) if self._before else 0
        while lines := self.read(number, 512):
            for line in lines:
                if line.t is not None and line.t >= t:
                    return number
                number += 1
        return max(0, self.lines - 1)

    def lines_from(self, start: int, size: int) -> tuple[bytes, int]:
        """About `size` bytes from the beginning of a line, and how many of them are whole indexed lines.

        At least one line; the bytes behind the lines are to be ignored, which saves a copy.
        """
        left = self.end - start
        while True:
            data = self.raw(start, min(size, left))
            whole = len(data) if len(data) >= left else data.rfind(b"\n") + 1
            if whole or not data:
                return data, whole
            size *= 4

    def close(self) -> None:
        """Close the file."""
        fd, self._file = self._file, None
        if fd is not None:
            os.close(fd)

    def __del__(self) -> None:
        # Threads may still search when a screen closes: the last of them closes the file.
        self.close()

    def raw(self, start: int, size: int) -> bytes:
        """Bytes of the file as they are now, indexed or not. Raises `DiskError`."""
        try:
            fd = self._open()
            return b"" if fd is None or size <= 0 else os.pread(fd, size, start)
        except OSError as error:
            raise _unreadable(self.path, error) from error

    def _open(self) -> int | None:
        if self._file is None:
            try:
                self._file = open_plain(self.path, os.O_RDONLY)
            except FileNotFoundError:
                return None
            except OSError as error:
                raise _unreadable(self.path, error) from error
        return self._file

    def _start_anew_if_replaced(self) -> None:
        """A removed file is still read from its descriptor; a new one at its path is another file."""
        fd = self._open()
        if fd is None:
            return
        opened = os.fstat(fd)
        try:
            at_path = os.stat(self.path)
        except OSError:
            at_path = opened
        if (at_path.st_dev, at_path.st_ino) != (opened.st_dev, opened.st_ino):
            self.close()
        elif opened.st_size >= self.end:
            return
        self.lines = self.end = self._searched = 0
        self._starts, self._before, self._times = array("Q"), array("Q"), array("d")
        self._last_time, self._torn, self.began = 0.0, None, None
        self._block.cache_clear()
        self.generation += 1

    def _index_next(self) -> bool:
        """Index the next whole lines, at most a chunk; False where there is none yet."""
        data = self.raw(self.end, CHUNK)
        whole = data.rfind(b"\n") + 1
        if not whole:
            return len(data) == CHUNK and self._index_giant(data)
        start = 0
        while start < whole:
            end = data.rfind(b"\n", start, start + BLOCK) + 1 or data.find(b"\n", start + BLOCK) + 1
            self._add(data, start, end)
            start = end
        return True

    def _index_giant(self, head: bytes) -> bool:
        """Index a line that is longer than a chunk: each of its bytes is searched once."""
        at = max(self._searched, self.end + len(head))
        while data := self.raw(at, CHUNK):
            newline = data.find(b"\n")
            if newline >= 0:
                self._add(head[:_HEAD] + b"\n", 0, _HEAD + 1, size=at + newline + 1 - self.end)
                return True
            at += len(data)
        self._searched = at
        return False

    def _index_torn(self) -> None:
        size = self.size()
        if size > self.end:
            self._torn = self.end
            head = self.raw(self.end, _HEAD)
            self._add(head + b"\n", 0, len(head) + 1, size=size - self.end)

    def _take_back_torn(self) -> None:
        """Remove a torn last line from the index: it has grown after all."""
        assert self._torn is not None
        self.lines -= not is_hidden(self.raw(self._torn, min(_HEAD, self.end - self._torn)))
        self.end, self._torn = self._torn, None

    def _add(self, data: bytes, start: int, end: int, *, size: int | None = None) -> None:
        """Index whole lines of some bytes, which follow what is indexed."""
        if not self._starts or self.end - self._starts[-1] >= BLOCK:
            self._times.append(self._last_time)
            self._starts.append(self.end)
            self._before.append(self.lines)
        lines = data.count(b"\n", start, end)
        if data.find(_SEPARATOR, start, end) >= 0:
            lines -= len(_HIDDEN.findall(data, start, end))
            self._last_time = _last_time(data, start, end, self._last_time)
            if self.began is None and (first := _FIRST_TIME.search(data, start, end)):
                self.began = float(first.group(1))
        self.end += end - start if size is None else size
        self.lines += lines

    def _end_of(self, block: int) -> int:
        return int(self._starts[block + 1]) if block + 1 < len(self._starts) else self.end

    def _read_block(self, block: int, end: int) -> list[Line]:
        """The lines of a block. `end` is there for the cache's key: the last block grows."""
        start, t = int(self._starts[block]), self._times[block]
        data = self.raw(start, min(end - start, 4 * CHUNK))
        lines = self._cut(data, start, t)
        if len(data) < end - start and lines and lines[-1].offset + lines[-1].size == start + len(data):
            # Only a block's last line can be that long.
            last = lines.pop()
            size = end - start - (self.raw(end - 1, 1) == b"\n")
            lines.append(self._line(data, last.offset - start, size, start, last.t or 0.0))
        return lines

    def _cut(self, data: bytes, base: int, t: float) -> list[Line]:
        """The shown lines among some bytes that begin at offset `base`."""
        found, start = [], 0
        while start < len(data):
            end = data.find(b"\n", start)
            end = len(data) if end < 0 else end
            if data.startswith(_SEPARATOR, start) and (stamp := _TIME.match(data, start, end)):
                t = float(stamp.group(1))
            if not is_hidden(data, start, end):
                found.append(self._line(data, start, end, base, t))
            start = end + 1
        return found

    def _line(self, data: bytes, start: int, end: int, base: int, t: float) -> Line:
        """The line between two places of some bytes that begin at offset `base`."""
        raw, size = data[start : min(end, start + LONGEST)], end - start
        if data.startswith(_SEPARATOR, start) and (stamp := _TIME.match(data, start, end)):
            t = float(stamp.group(1))
        if size > LONGEST and b"\r" in raw:
            last = self.raw(base + end - LONGEST, LONGEST)
            raw = last[last.find(b"\r") + 1 :]
        return Line(base + start, raw, size, t or None)


def _last_time(data: bytes, start: int, end: int, default: float) -> float:
    """The time of the last event among whole lines."""
    while (at := data.rfind(_SEPARATOR, start, end)) >= 0:
        if (at == start or data[at - 1] == 0x0A) and (stamp := _TIME.match(data, at, end)):
            return float(stamp.group(1))
        end = at
    return default


def _index(lines: list[Line], offset: int) -> int:
    index = bisect_left(lines, offset, key=lambda line: line.offset)
    return min(index, len(lines) - 1)


def _unreadable(path: Path, error: OSError) -> DiskError:
    return DiskError(
        f"cannot read {path}: {error.strerror or error}",
        cause=str(error),
        hint=Hint("was the run removed? `vfm runs` lists those that there are"),
    )
