"""Find the lines of a log that match a query. Runs off the event loop.

RE2 searches chunks of many lines, and releases the GIL meanwhile. Where many lines match, a call for each
costs more than its match, so consecutive matching lines are found by one call. `query.py` compiles patterns.
"""

from __future__ import annotations

import os
import re
import threading
from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from io import BytesIO
from itertools import accumulate
from typing import Protocol

from remote.contract.events import SOURCES
from tui.store.logs.log_file import Line, LogFile, is_hidden
from tui.store.logs.query import LogQuery

CHUNK = 1024 * 1024
KEPT = 1_000_000
"""Matches of earlier queries that are kept."""
THREADS = min(4, os.cpu_count() or 1)
MANY = 200
"""Lines of a chunk beyond which each further condition is looked for in the chunk, not line by line."""
_EVENTS = re.compile(rb"^\x1e[^\n]*", re.MULTILINE)


class LogRows(Protocol):
    """Lines by row, as a view scrolls through them."""

    query: LogQuery

    def __len__(self) -> int: ...

    def offset(self, row: int) -> int:
        """The offset of a row's line."""

    def row_of(self, offset: int) -> int:
        """The row of the line that begins at an offset, or the next one."""

    def read(self, first: int, count: int) -> Sequence[Line]:
        """Lines by row; fewer where there are no more."""


class LogTail:
    """The last lines that match, read backwards: needs no index."""

    def __init__(self, log_file: LogFile, query: LogQuery, count: int) -> None:
        self.query = query
        most = count if query.is_all else 20 * count
        self._lines = [line for line in log_file.tail(most) if query.meets(line)][-count:]

    def __len__(self) -> int:
        return len(self._lines)

    def offset(self, row: int) -> int:
        """The offset of a row's line."""
        return self._lines[row].offset

    def row_of(self, offset: int) -> int:
        """The row of the line that begins at an offset, or the next one."""
        return bisect_left(self._lines, offset, key=lambda line: line.offset)

    def read(self, first: int, count: int) -> Sequence[Line]:
        """Lines by row; fewer where there are no more."""
        return self._lines[first : first + count]


class LogMatches:
    """The lines of a log that match a query, found as far as `scan` has come."""

    def __init__(self, log_file: LogFile, query: LogQuery) -> None:
        self.log_file, self.query = log_file, query
        self.offsets = array("Q")
        """The offset of each matching line, in order."""
        self.scanned = 0
        """Bytes of the log that were searched."""
        self._generation = log_file.generation
        self._lock = threading.Lock()
        _ = query.regexes  # raises here

    def __len__(self) -> int:
        return self.log_file.lines if self.query.is_all else len(self.offsets)

    @property
    def is_done(self) -> bool:
        """Whether all that is indexed was searched."""
        return self.query.is_all or self.scanned >= self.log_file.end

    def scan(self, stop: threading.Event | None = None) -> bool:
        """Search what is indexed and was not searched yet; False where `stop` was set.

        Several threads may call it: each byte is searched once. Raises `DiskError`.
        """
        with self._lock:
            if self._generation != self.log_file.generation:
                self._generation, self.offsets, self.scanned = self.log_file.generation, array("Q"), 0
            if self.is_done:
                return True
            with ThreadPoolExecutor(THREADS, "log-scan") as pool:
                return self._scan_chunks(pool, stop or threading.Event())

    def _scan_chunks(self, pool: ThreadPoolExecutor, stop: threading.Event) -> bool:
        """Search chunks in parallel, and take their matches in order."""
        under_way: deque[tuple[Future[array[int]], int]] = deque()
        ahead, is_more = self.scanned, True
        while not stop.is_set():
            if is_more and len(under_way) <= THREADS:
                data, end = self.log_file.lines_from(ahead, CHUNK)
                is_more = end > 0
                if is_more:
                    under_way.append((pool.submit(self._find, data, end, ahead), ahead + end))
                    ahead += end
            elif under_way:
                found, until = under_way.popleft()
                self.offsets.extend(found.result())
                self.scanned = until
            else:
                return True
        return False

    def offset(self, row: int) -> int:
        """The offset of a row's line."""
        return self.log_file.line(row).offset if self.query.is_all else int(self.offsets[row])

    def row_of(self, offset: int) -> int:
        """The row of the line that begins at an offset, or the next one that matches."""
        if self.query.is_all:
            return self.log_file.number_of(offset) if self.log_file.lines else 0
        return bisect_left(self.offsets, offset)

    def index(self, offset: int) -> int | None:
        """The row of the line that begins at an offset, if it matches."""
        row = self.row_of(offset)
        return row if row < len(self) and self.offset(row) == offset else None

    def next_row(self, offset: int, by: int, here: bool = False) -> int:
        """The next row after an offset, or before it (`by` < 0), round the ends; with `here`, or at it."""
        row = self.row_of(offset)
        if by < 0:
            row -= 1
        elif not here and self.index(offset) is not None:
            row += 1
        return row % len(self)

    def read(self, first: int, count: int) -> Sequence[Line]:
        """Lines by row; fewer where there are no more."""
        if self.query.is_all:
            return self.log_file.read(first, count)
        return [self.log_file.at(int(at)) for at in self.offsets[first : first + count]]

    def _find(self, data: bytes, end: int, base: int) -> array[int]:
        """Offsets of the matching lines among the bytes up to `end`, which lie at `base` of the file."""
        query = self.query
        if query.patterns:
            starts, others = _lines_with(data, end, query, -1), range(len(query.patterns) - 1)
        else:
            starts, others = _lines_of(data, end, query.sources or frozenset()), range(0)
        if len(starts) <= MANY:
            if others or query.sources is not None:
                starts = [start for start in starts if query.matches_text(_line_at(data, start, end))]
        else:
            met = [set(_lines_with(data, end, query, number)) for number in others]
            if query.patterns and query.sources is not None:
                met.append(set(_lines_of(data, end, query.sources)))
            for lines in met:
                starts = [start for start in starts if start in lines]
        if b"\x1e" in data:
            starts = self._with_events(data, end, starts)
        return array("Q", [base + start for start in starts])

    def _with_events(self, data: bytes, end: int, starts: list[int]) -> list[int]:
        """Match events by the text that people see, never by their JSON."""
        found = [start for start in starts if data[start] != 0x1E]
        for event in _EVENTS.finditer(data, 0, end):
            if not is_hidden(data, *event.span()) and self.query.matches_event(event.group()):
                found.append(event.start())
        return sorted(found)


class KnownMatches:
    """Matches of recent queries: asked for again, a query goes on where its search stopped."""

    def __init__(self, log_file: LogFile) -> None:
        self._log_file = log_file
        self._known: dict[LogQuery, LogMatches] = {}

    def of(self, query: LogQuery) -> LogMatches:
        """The matches of a query. Raises `ConfigError`."""
        found = self._known.pop(query, None)
        if found is None:  # one that has found nothing yet is false
            found = LogMatches(self._log_file, query)
        while sum(len(known.offsets) for known in self._known.values()) > KEPT:
            self._known.pop(next(iter(self._known)))
        self._known[query] = found
        return found


def _lines_with(data: bytes, end: int, query: LogQuery, number: int) -> list[int]:
    """The starts of the lines that match one of the query's patterns."""
    if query.by_line:
        regex = query.regexes[number]
        return [start for start in _line_starts(data, 0, end) if regex.search(_line_at(data, start, end))]
    find, run = query.finders[number]
    found: list[int] = []
    at, last = 0, end - (data[end - 1] == 0x0A)
    while at <= last:
        ((hit, _),) = find(data, at, last)
        if hit < 0:
            break
        start = data.rfind(b"\n", at, hit) + 1 or at
        if start == at and run is not None and (stop := run(data, at, end)[0][1]) > at:
            # The line before matched, too: take all lines in a row that match.
            found += _line_starts(data, at, stop)
            at = stop
            continue
        found.append(start)
        at = data.find(b"\n", hit, last) + 1 or end + 1
    return found


def _lines_of(data: bytes, end: int, sources: frozenset[str]) -> list[int]:
    """The starts of the lines of these sources."""
    # Each line with the newline before it: literal text at a pattern's front is ten times as fast as ^.
    lines = b"\n" + data[: end - (data[end - 1] == 0x0A)]
    return [match.start() for match in _begin(sources).finditer(lines)]


@lru_cache
def _begin(sources: frozenset[str]) -> re.Pattern[bytes]:
    """How a line of these sources begins. The worker's lines have its tag or none."""
    is_negative = "worker" in sources
    tags = "|".join(sorted(frozenset(SOURCES) - sources if is_negative else sources))
    return re.compile(rf"\n(?{'!' if is_negative else '='}\[(?:{tags or '(?!)'})\] )".encode())


def _line_starts(data: bytes, start: int, end: int) -> list[int]:
    """The starts of the lines between two places, the first of which is a line's start."""
    lines = BytesIO(data[start:end]).readlines()
    return list(accumulate(map(len, lines), initial=start))[:-1]


def _line_at(data: bytes, start: int, end: int) -> bytes:
    stop = data.find(b"\n", start, end)
    return data[start : end if stop < 0 else stop]
