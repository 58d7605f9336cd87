"""A run's whole output as a file of lines: any line of a million at once, while the file grows.

Owns the index, which is sparse: where each block of about 16 kB begins and how many lines come before
it. It costs one pass at the speed of `bytes.count` and 150 kB for 100 MB. Which lines match what is
`search.py`'s; drawing them is a widget's.

Lines are what people read: text, and the events that say where the run is (phases, checkpoints, the
failure, the end). Numbers, episodes and samples of the machine have panes of their own.
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
from tui.store.logs.event_text import tell

BLOCK = 16 * 1024
CHUNK = 1024 * 1024
LONGEST = 64 * 1024
"""Bytes of a line that are shown; more stays in the file."""
_SEPARATOR = b"\x1e"
_HEAD = 512
"""Bytes that tell what kind of event a line is."""
_HIDDEN = re.compile(
    rb'^\x1e\{"v":\d+,"seq":-?\d+,"t":[^,\n]+,"type":"(?!(?:phase|checkpoint|failure|end|attempt|restart)")',
    re.MULTILINE,
)
_TIME = re.compile(rb'\x1e\{"v":\d+,"seq":-?\d+,"t":(\d+(?:\.\d+)?)')
_FIRST_TIME = re.compile(b"^" + _TIME.pattern, re.MULTILINE)


@dataclass(frozen=True)
class Line:
    """One line: where it begins in the file, what it says, and about when it was said."""

    offset: int
    raw: bytes
    """Without its newline; of a line beyond `LONGEST` bytes, its begin (of a progress bar, its end)."""
    size: int
    """Bytes that it has in the file."""
    t: float | None
    """Unix seconds of the last event up to it; None where there is none."""

    @property
    def text(self) -> str:
        """The line as text; an event in a few words."""
        text = self.raw.decode("utf-8", errors="replace")
        return tell_line(text) if self.is_event else text

    @property
    def is_event(self) -> bool:
        """Whether it is marked as an event."""
        return self.raw.startswith(_SEPARATOR)

    @property
    def cut(self) -> int:
        """Bytes that are not shown."""
        return self.size - len(self.raw)


def tell_line(text: str) -> str:
    """What an event's line says to people; a line that only looks like an event is shown as it is."""
    event = decode_line(text)
    return event if isinstance(event, str) else tell(event)


def is_hidden(data: bytes, start: int = 0, end: int | None = None) -> bool:
    """Whether the line at `start` is an event that is no line for people."""
    end = len(data) if end is None else end
    return data.startswith(_SEPARATOR, start, end) and _HIDDEN.match(data, start, end) is not None


class LogFile:
    """The lines of a file that may be growing. Safe to use from several threads.

    A file that is put in another's place, or cut short, is read anew: `generation` then counts up, and
    every number and offset from before is void.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines = 0
        """Lines that are indexed; a last one without its newline counts once the stream is `over`."""
        self.end = 0
        """Bytes that are indexed."""
        self.generation = 0
        self.began: float | None = None
        """Unix seconds of the first event."""
        self._starts, self._before, self._times = array("Q"), array("Q"), array("d")
        self._last_time = 0.0
        self._searched = 0
        """No newline lies between `end` and here."""
        self._torn: int | None = None
        """Where a last line without a newline begins that was counted."""
        self._lock = threading.Lock()
        self._file: int | None = None
        self._block = lru_cache(maxsize=64)(self._read_block)

    def refresh(self, *, over: bool = False) -> int:
        """Index what was appended; `over` says that a torn last line is all there will be of it.

        Returns the number of lines. Raises `DiskError`; a file that is not there yet is empty.
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

    def look_anew(self) -> int:
        """Notice a file that was put in another's place or cut short; returns the generation."""
        with self._lock:
            self._start_anew_if_replaced()
            return self.generation

    def tail(self, count: int) -> list[Line]:
        """The last lines, read backwards from the end of the file: no index is needed."""
        size, want = self.size(), 4 * BLOCK
        while True:
            start = max(0, size - want)
            data = self.raw(start, size - start)
            whole = data[: data.rfind(b"\n") + 1]
            skip = 0 if start == 0 else whole.find(b"\n") + 1
            found = self._cut(whole[skip:], start + skip, 0.0)
            if len(found) >= count or start == 0 or want > 256 * BLOCK:
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
        """The line that begins at an offset: only it is read, and what tells its time."""
        if offset >= self.end:
            return Line(offset, b"", 0, None)
        block = bisect_right(self._starts, offset) - 1
        start = int(self._starts[block])
        before = self.raw(start, offset - start)
        t = _last_time(before, 0, len(before), float(self._times[block]))
        want = 4096
        while True:
            want = min(want, self.end - offset)
            data = self.raw(offset, want)
            end = data.find(b"\n")
            if end >= 0 or len(data) >= self.end - offset or len(data) < want:
                return self._line(data, 0, end if end >= 0 else len(data), offset, t)
            want *= 8

    def number_of(self, offset: int) -> int:
        """The number of the line that begins at an offset."""
        block = bisect_right(self._starts, offset) - 1
        return int(self._before[block]) + _index(self._block(block, self._end_of(block)), offset)

    def number_at(self, t: float) -> int:
        """The number of the first line that was said at a time (Unix seconds) or after it."""
        block = max(0, bisect_left(self._times, t) - 1)
        number = int(self._before[block]) if self._before else 0
        while lines := self.read(number, 512):
            for line in lines:
                if line.t is not None and line.t >= t:
                    return number
                number += 1
        return max(0, self.lines - 1)

    def lines_from(self, start: int, size: int) -> tuple[bytes, int]:
        """Bytes from the begin of a line, and how many of them are whole lines that are indexed.

        About `size`; at least one line. Nothing is copied twice: what lies behind the lines is to be ignored.
        """
        left = self.end - start
        while True:
            data = self.raw(start, min(size, left))
            whole = len(data) if len(data) >= left else data.rfind(b"\n") + 1
            if whole or not data:
                return data, whole
            size *= 4

    def close(self) -> None:
        """Give the file back."""
        fd, self._file = self._file, None
        if fd is not None:
            os.close(fd)

    def __del__(self) -> None:
        # Threads may be searching when a screen goes: the file is given back with the last of them.
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
        """A file that is gone is still read from its descriptor; a new one in its place is another file."""
        fd = self._open()
        if fd is None:
            return
        mine = os.fstat(fd)
        try:
            there = os.stat(self.path)
        except OSError:
            there = mine
        if (there.st_dev, there.st_ino) != (mine.st_dev, mine.st_ino):
            self.close()
        elif mine.st_size >= self.end:
            return
        self.lines = self.end = self._searched = 0
        self._starts, self._before, self._times = array("Q"), array("Q"), array("d")
        self._last_time, self._torn, self.began = 0.0, None, None
        self._block.cache_clear()
        self.generation += 1

    def _index_next(self) -> bool:
        """Index the whole lines that follow, up to a chunk of them; False where there is none yet."""
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
        """A line beyond a chunk: its end is looked for, once, and nothing of it is kept."""
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
        """The stream was not over after all: that line goes on."""
        assert self._torn is not None
        self.lines -= not is_hidden(self.raw(self._torn, min(_HEAD, self.end - self._torn)))
        self.end, self._torn = self._torn, None

    def _add(self, data: bytes, start: int, end: int, *, size: int | None = None) -> None:
        """Take in whole lines that begin at `end` of what is indexed."""
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
        """The lines of a block; `end` is part of the cache's key, since the last block grows."""
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
        """The lines for people among some bytes that begin at offset `base`."""
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
        """A line between two places of some bytes that begin at offset `base`."""
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
