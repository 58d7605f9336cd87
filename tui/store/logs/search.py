"""Which lines of a log match a query. Found off the event loop.

Owns the search. Where matches are few, RE2 runs over whole chunks; where they are many, Arrow's RE2 goes
over the chunk's lines at once. Both let go of the interpreter while they search. What a query means is
`query.py`'s.
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
from typing import Any, Protocol

from remote.contract.events import SOURCES
from tui.store.logs.log_file import Line, LogFile, is_hidden
from tui.store.logs.query import LogQuery, line_pattern

CHUNK = 1024 * 1024
KEPT = 1_000_000
"""Lines that are remembered of queries before the present one."""
THREADS = min(4, os.cpu_count() or 1)
MANY = 200
"""Matches within a chunk beyond which Arrow is quicker."""
_EVENTS = re.compile(rb"^\x1e[^\n]*", re.MULTILINE)


class LogRows(Protocol):
    """Rows of lines, as a view scrolls through them."""

    query: LogQuery

    def __len__(self) -> int: ...

    def offset(self, row: int) -> int:
        """Where the line of a row begins."""

    def row_of(self, offset: int) -> int:
        """The row of the line that begins at an offset, or the next one."""

    def read(self, first: int, count: int) -> Sequence[Line]:
        """Lines by row; fewer where there are no more."""


class LogTail:
    """The last lines that match, read backwards: there at once, before anything is indexed."""

    def __init__(self, log_file: LogFile, query: LogQuery, count: int) -> None:
        self.query = query
        want = count if query.is_all else 20 * count
        self._lines = [line for line in log_file.tail(want) if query.meets(line)][-count:]

    def __len__(self) -> int:
        return len(self._lines)

    def offset(self, row: int) -> int:
        """Where the line of a row begins."""
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
        """Where each matching line begins, in order."""
        self.scanned = 0
        """Bytes of the log that were looked at."""
        self._generation = log_file.generation
        self._many = False
        self._lock = threading.Lock()
        _ = query.regexes

    def __len__(self) -> int:
        return self.log_file.lines if self.query.is_all else len(self.offsets)

    @property
    def is_done(self) -> bool:
        """Whether all that is indexed was looked at."""
        return self.query.is_all or self.scanned >= self.log_file.end

    def scan(self, stop: threading.Event | None = None) -> bool:
        """Look through what the log has and was not looked at yet; False where `stop` was set.

        Several threads may scan: each byte is looked at once. Raises `DiskError`.
        """
        with self._lock:
            if self._generation != self.log_file.generation:
                self._generation, self.offsets, self.scanned = self.log_file.generation, array("Q"), 0
            if self.is_done:
                return True
            with ThreadPoolExecutor(THREADS, "log-scan") as pool:
                return self._scan_chunks(pool, stop or threading.Event())

    def _scan_chunks(self, pool: ThreadPoolExecutor, stop: threading.Event) -> bool:
        """Chunks side by side; what is found is taken in order."""
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
        """Where the line of a row begins."""
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
        """The row that matches after an offset, or before it; round the ends. With `here` it may be there."""
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
        """Where the lines begin that match, among those of some bytes up to `end`, which begin at `base`."""
        starts = self._few_of(data, end, base) if self.query.patterns and not self._many else None
        if starts is None:
            starts = self._many_of(data, end, base)
            self._many = self.query.by_line or len(starts) > MANY
        return self._with_events(data, end, base, starts) if b"\x1e" in data else starts

    def _few_of(self, data: bytes, end: int, base: int) -> array[int] | None:
        """By the last pattern first; None where that is in many lines."""
        if self.query.by_line:
            return None
        regex, is_sure = self.query.regexes[-1], len(self.query.patterns) == 1 and self.query.sources is None
        found, at, last = array("Q"), 0, end - (data[end - 1] == 0x0A)
        for _ in range(MANY):
            match = regex.search(data, at, last)
            if match is None:
                return found
            start = data.rfind(b"\n", 0, match.start()) + 1
            stop = data.find(b"\n", match.start(), last)
            stop = last if stop < 0 else stop
            if is_sure or self.query.has(data[start:stop]):
                found.append(base + start)
            at = stop + 1
            if at > last:
                return found
        return None

    def _many_of(self, data: bytes, end: int, base: int) -> array[int]:
        conditions: list[tuple[bytes | str, bool, bool]] = []
        if self.query.sources is not None:
            pattern, wanted = _source_condition(self.query.sources)
            conditions.append((pattern, False, wanted))
        for regex in self.query.regexes:
            conditions.append((line_pattern(regex), not regex.options.case_sensitive, True))
        return _lines_that(data, end, base, conditions)

    def _with_events(self, data: bytes, end: int, base: int, starts: array[int]) -> array[int]:
        """Events are matched by what they say to people, never by their JSON."""
        found = [start for start in starts if data[start - base] != 0x1E]
        for event in _EVENTS.finditer(data, 0, end):
            if not is_hidden(data, *event.span()) and self.query.tells(event.group()):
                found.append(base + event.start())
        return array("Q", sorted(found))


class KnownMatches:
    """What was found for queries before: it is kept, and only goes on."""

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


def _source_condition(sources: frozenset[str]) -> tuple[str, bool]:
    """(pattern, whether it must match). The worker's lines bear no tag, or its own."""
    if "worker" in sources:
        others = [source for source in SOURCES if source not in sources]
        return (rf"^\[({'|'.join(others)})\] " if others else r"[^\x00-\x{10FFFF}]"), False
    return rf"^\[({'|'.join(sorted(sources)) or 'none'})\] ", True


def _lines_that(
    data: bytes, end: int, base: int, conditions: Sequence[tuple[bytes | str, bool, bool]]
) -> array[int]:
    """Where the lines begin that meet every condition: a pattern, ignoring case or not, matching or not."""
    import pyarrow as pa
    import pyarrow.compute as pc

    body = pa.py_buffer(data)
    ends = pa.py_buffer(array("q", [0, end - (data[end - 1] == 0x0A)]))
    whole: Any = pa.Array.from_buffers(pa.large_binary(), 1, [None, ends, body])
    pieces = pc.split_pattern(whole, pattern=b"\n").values
    _, offsets, values = pieces.buffers()
    # As strings, so that patterns are over characters; what is no UTF-8 matches none.
    lines = pa.Array.from_buffers(pa.large_string(), len(pieces), [None, offsets, values])
    mask: Any = None
    for pattern, ignore_case, wanted in conditions:
        met = pc.match_substring_regex(lines, pattern=pattern, ignore_case=ignore_case)
        met = met if wanted else pc.invert(met)
        mask = met if mask is None else pc.and_(mask, met)
    rows = pc.indices_nonzero(mask)
    begins = pa.Array.from_buffers(pa.int64(), len(lines), [None, offsets])
    # Each line before cost a newline that the values no longer hold.
    starts = pc.add(pc.add(pc.cast(begins.take(rows), pa.uint64()), rows), pa.scalar(base, pa.uint64()))
    found = array("Q")
    found.frombytes(starts.buffers()[1].to_pybytes()[: 8 * len(starts)])
    return found
