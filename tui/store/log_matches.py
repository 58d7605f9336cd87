"""Which lines of a journal match: a source, a regular expression, both. Found off the event loop.

Owns the search. A sparse pattern is searched for by RE2 in whole chunks; where matches are dense, Arrow's
RE2 goes over the chunk's lines at once. Both let go of the interpreter while they search. Patterns are
RE2's: Python's without look-around and back-references, and linear in time whatever is typed.
"""

from __future__ import annotations

import threading
from array import array
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from remote.contract.errors import ConfigError, Hint
from remote.contract.events import SOURCES
from tui.store.journal import Journal, is_hidden, tell_line

CHUNK = 256 * 1024
DENSE = 48
"""Matches within a chunk beyond which Arrow is quicker."""
ERRORS = (
    r"\bERROR\b|\bCRITICAL\b|\bFATAL\b|Traceback \(most recent call|\b[A-Z]\w*(Error|Exception)\b|^.{0,3}✗"
)
"""What `next error` looks for."""


@dataclass(frozen=True)
class LogQuery:
    """What to look for: lines of these sources (None: all) that match a pattern (empty: all)."""

    sources: frozenset[str] | None = None
    pattern: str = ""

    @property
    def is_all(self) -> bool:
        """Whether every line matches."""
        return self.sources is None and not self.pattern

    @cached_property
    def regex(self) -> Any:
        """The compiled pattern. Raises `ConfigError` that says what is wrong with it."""
        return compile_pattern(self.pattern)


def compile_pattern(pattern: str) -> Any:
    """A pattern over bytes; all in lower case it ignores case, as people expect of a search box.

    Raises `ConfigError`.
    """
    import re2

    options = re2.Options()
    options.log_errors = False
    options.case_sensitive = pattern != pattern.lower()
    try:
        # Lines are matched within chunks, so that ^ and $ must mean a line's own ends.
        return re2.compile(f"(?m){pattern}".encode(), options)
    except re2.error as error:
        said = error.args[0] if error.args else "not a pattern"
        text = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
        hint = Hint(r"put \ before a sign that is meant as it stands, such as \[ or \(")
        raise ConfigError(f"not a pattern: {text}", hint=hint) from None


class LogMatches:
    """The lines of a journal that match a query, found as far as `scan` has come."""

    def __init__(self, journal: Journal, query: LogQuery) -> None:
        self.journal, self.query = journal, query
        self.offsets = array("Q")
        """Where each matching line begins, in order."""
        self.scanned = 0
        """Bytes of the journal that were looked at."""
        self._cancelled = threading.Event()
        if query.pattern:
            _ = query.regex

    def __len__(self) -> int:
        return self.journal.lines if self.query.is_all else len(self.offsets)

    def cancel(self) -> None:
        """Make a scan that is under way end soon."""
        self._cancelled.set()

    def scan(self, told: Callable[[], None] | None = None) -> bool:
        """Look through what the journal has and was not looked at yet; False where it was cancelled."""
        if self.query.is_all:
            self.scanned = self.journal.end
        while self.scanned < self.journal.end:
            if self._cancelled.is_set():
                return False
            data = self.journal.bytes_from(self.scanned, CHUNK)
            if not data:
                break
            self.offsets.extend(self._find(data, self.scanned))
            self.scanned += len(data)
            if told:
                told()
        return True

    def offset(self, row: int) -> int:
        """Where the line of a row begins."""
        return self.journal.line(row).offset if self.query.is_all else int(self.offsets[row])

    def row_of(self, offset: int) -> int:
        """The row of the line that begins at an offset, or the next one that matches."""
        if self.query.is_all:
            return self.journal.number_of(offset) if self.journal.lines else 0
        return bisect_left(self.offsets, offset)

    def read(self, first: int, count: int) -> list[Any]:
        """Lines by row."""
        if self.query.is_all:
            return self.journal.read(first, count)
        return [self.journal.at(int(at)) for at in self.offsets[first : first + count]]

    def _find(self, data: bytes, base: int) -> array[int]:
        starts = self._by_source(data) if self.query.sources is not None else self._by_pattern(data)
        if b"\x1e" in data:
            starts = self._with_events(data, starts)
        return array("Q", [base + start for start in starts])

    def _by_pattern(self, data: bytes) -> Any:
        found, at, search = array("Q"), 0, self.query.regex.search
        while (match := search(data, at)) is not None:
            if len(found) == DENSE:
                return self._by_lines(data)
            start = data.rfind(b"\n", 0, match.start()) + 1
            found.append(start)
            at = data.find(b"\n", max(match.start(), start)) + 1
            if not at or at >= len(data):
                break
        return found

    def _by_lines(self, data: bytes) -> Any:
        return _lines_that(data, [(self.query.regex, True)])

    def _by_source(self, data: bytes) -> Any:
        conditions = [_source_condition(self.query.sources or frozenset())]
        if self.query.pattern:
            conditions.append((self.query.regex, True))
        return _lines_that(data, conditions)

    def _with_events(self, data: bytes, starts: Any) -> list[int]:
        """Events are matched by what they say to people, never by their JSON."""
        found = {start for start in starts if data[start] != 0x1E}
        at = 0 if data.startswith(b"\x1e") else data.find(b"\n\x1e") + 1
        while at or data.startswith(b"\x1e"):
            end = data.find(b"\n", at)
            end = len(data) if end < 0 else end
            if not is_hidden(data, at, end) and self._tells(data[at:end]):
                found.add(at)
            at = data.find(b"\n\x1e", end) + 1
            if not at:
                break
        return sorted(found)

    def _tells(self, raw: bytes) -> bool:
        if self.query.sources is not None and "worker" not in self.query.sources:
            return False
        said = tell_line(raw.decode("utf-8", errors="replace")).encode()
        return not self.query.pattern or self.query.regex.search(said) is not None


def _source_condition(sources: frozenset[str]) -> tuple[str, bool]:
    """(pattern, whether it must match). The worker's lines bear no tag, or its own."""
    if "worker" in sources:
        others = [source for source in SOURCES if source not in sources and source != "worker"]
        return (rf"^\[({'|'.join(others)})\] " if others else r"[^\x00-\x{10FFFF}]"), False
    return rf"^\[({'|'.join(sorted(sources)) or 'none'})\] ", True


def _lines_that(data: bytes, conditions: list[tuple[Any, bool]]) -> Any:
    """Where the lines begin that meet every condition."""
    import pyarrow as pa
    import pyarrow.compute as pc

    body = data.removesuffix(b"\n")
    lines = pc.split_pattern(pa.array([body], type=pa.large_binary()), pattern=b"\n").values
    mask = None
    for pattern, wanted in conditions:
        text = pattern if isinstance(pattern, str) else pattern.pattern
        ignore_case = not isinstance(pattern, str) and not pattern.options.case_sensitive
        met = pc.match_substring_regex(lines, pattern=text, ignore_case=ignore_case)
        met = met if wanted else pc.invert(met)
        mask = met if mask is None else pc.and_(mask, met)
    rows = pc.indices_nonzero(mask)
    begins = pa.Array.from_buffers(pa.int64(), len(lines), [None, lines.buffers()[1]])
    # Each line before cost a newline that the values no longer hold.
    starts = pc.add(pc.cast(begins.take(rows), pa.uint64()), rows)
    found = array("Q")
    found.frombytes(starts.buffers()[1].to_pybytes()[: 8 * len(starts)])
    return found
