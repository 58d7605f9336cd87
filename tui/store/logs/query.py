"""Queries of a log: sources, and patterns that a line must match. Pure.

Patterns are RE2's: Python's without look-around and back-references, and linear in time whatever the user
types. `search.py` finds the lines.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from typing import Any

from remote.contract.errors import ConfigError, Hint
from remote.contract.events import SOURCES, split_source
from tui.store.logs.log_file import Line, tell_line

ERRORS = (
    r"\b(ERROR|CRITICAL|FATAL)\b|Traceback \(most recent call|\b[A-Z]\w*(Error|Exception)\b|^(\[\w+\] )?[✗❌]"
)
"""The pattern of `next error`."""
CHOICES = ("all", *SOURCES)
"""The choices of the source filter."""
_LINES = "(?m)"
_BY_LINE = re.compile(r"\\[AzZ]|\(\?[a-zA-Z]*-[a-zA-Z]*m|\(\?[a-zA-Z]*U")
_SIMPLE = re.compile(r"(?:[^\[\\(]|\((?!\?)|\\[dDwWsSbB]|\\[^a-zA-Z0-9])*", re.ASCII)
_PLAIN = r"[^\x00-\x1f\[\\(]|\((?!\?)|\(\?(?:i\)|:)|\\[dwbBS]|\\[^a-zA-Z0-9\s]"
_CLASS = r"\[\^?(?!\])(?:[^\x00-\x1f\[\\\]]|\\[dw]|\\[^a-zA-Z0-9\s])+\]"
_KNOWN = re.compile(rf"(?:{_PLAIN}|{_CLASS}|\\[sWD])*", re.ASCII)
"""Patterns of which it is known what in them may match a newline."""
_BREAKS = re.compile(rf"{_CLASS}|\\.", re.ASCII)
_UNBROKEN = {r"\s": r"[\t\f\r ]", r"\W": r"[^\w\n]", r"\D": r"[^\d\n]"}
_LETTER = re.compile(r"\\.|[a-zA-Z]")
_ESCAPED = re.compile(r"\\(?:[pP]\{\w*\}|.)")

Find = Callable[[bytes, int, int], list[tuple[int, int]]]
"""`(data, start, end)` → the match's span, as the only one of a list; (-1, -1) where there is none."""


@dataclass(frozen=True)
class LogQuery:
    """Lines of these sources (None: all) that match every pattern (none: all lines)."""

    sources: frozenset[str] | None = None
    patterns: tuple[str, ...] = ()

    @property
    def is_all(self) -> bool:
        """Whether every line matches."""
        return self.sources is None and not self.patterns

    @cached_property
    def regexes(self) -> list[Any]:
        """The compiled patterns. Raises `ConfigError` that says what is wrong with one."""
        return [compile_pattern(pattern) for pattern in self.patterns]

    @cached_property
    def finders(self) -> list[tuple[Find, Find | None]]:
        """The patterns compiled for chunks of many lines."""
        return [compile_finder(pattern) for pattern in self.patterns]

    @cached_property
    def by_line(self) -> bool:
        """Whether a pattern needs each line by itself: it refers to the text's beginning or end."""
        return any(_BY_LINE.search(pattern) for pattern in self.patterns)

    def also(self, pattern: str) -> LogQuery:
        """This query with one more pattern."""
        return LogQuery(self.sources, (*self.patterns, pattern)) if pattern else self

    def meets(self, line: Line) -> bool:
        """Whether a line matches."""
        return self.matches_event(line.raw) if line.is_event else self.matches_text(line.raw)

    def matches_text(self, raw: bytes) -> bool:
        """Whether a line of text matches."""
        if self.sources is not None:
            source, _ = split_source(raw[:12].decode("ascii", errors="replace"))
            if source not in self.sources:
                return False
        return all(regex.search(raw) is not None for regex in self.regexes)

    def matches_event(self, raw: bytes) -> bool:
        """Whether an event's line matches by the text that people see, never by its JSON."""
        if self.sources is not None and "worker" not in self.sources:
            return False
        text = tell_line(raw.decode("utf-8", errors="replace")).encode()
        return all(regex.search(text) is not None for regex in self.regexes)


@dataclass
class LogControls:
    """The state of a log pane's controls: source, filter and search."""

    source: str = CHOICES[0]
    filter: str = ""
    filter_on: bool = True
    search: str = ""

    def recall(self, state: Mapping[str, Any]) -> None:
        """Restore remembered state; values that do not fit are ignored."""
        self.source = state["source"] if state.get("source") in CHOICES else self.source
        patterns = (str(state.get(what) or "") for what in ("filter", "search"))
        self.filter, self.search = (text if why_not(text) is None else "" for text in patterns)
        self.filter_on = bool(state.get("filter_on", True))

    @property
    def query(self) -> LogQuery:
        """The lines to show."""
        sources = None if self.source == CHOICES[0] else frozenset({self.source})
        return LogQuery(sources).also(self.filter if self.filter_on else "")


@lru_cache(maxsize=64)
def compile_pattern(pattern: str) -> Any:
    """Compile a pattern for bytes of UTF-8; one that is all in lower case ignores case.

    Raises `ConfigError`.
    """
    import re2

    options = _options(pattern)
    either = _either_case(pattern) if pattern.startswith("(?i)") or _ignores_case(pattern) else None
    try:
        # Lines are matched within chunks, so that ^ and $ must mean a line's own ends.
        regex = _compile(f"{_LINES}{pattern}", options)
    except re2.error as error:
        cause = error.args[0] if error.args else "not a pattern"
        text = cause.decode(errors="replace") if isinstance(cause, bytes) else str(cause)
        hint = Hint(r"put \ before a sign that is meant as it stands, such as \[ or \(")
        raise ConfigError(f"not a pattern: {text.replace(_LINES, '', 1)}", hint=hint) from None
    if either is None:
        return regex
    options.case_sensitive = True
    return _compile(f"{_LINES}{either}", options)


@lru_cache(maxsize=64)
def compile_finder(pattern: str) -> tuple[Find, Find | None]:
    """Find a pattern's next match; and, from the begin of a line, all lines in a row that match.

    The second is None where a match cannot surely be kept within its line. Both are RE2's own calls:
    `regex.search` wraps them in Python that takes three times their time.
    """
    import re2

    regex = compile_pattern(pattern)._regexp
    find = partial(regex.Match, type(regex).Anchor.UNANCHORED)
    if not _KNOWN.fullmatch(pattern):
        return find, None
    options = _options(pattern)
    options.never_nl = False
    within = _BREAKS.sub(_unbroken, pattern)
    try:
        run = _compile(f"{_LINES}(?:.*(?:{within}).*\n)+", options)._regexp
    except re2.error:  # too large with what was put around it
        return find, None
    return find, partial(run.Match, type(run).Anchor.ANCHOR_START)


def why_not(pattern: str) -> str | None:
    """Why a pattern cannot be compiled; None where it can."""
    try:
        compile_pattern(pattern)
    except ConfigError as error:
        return f"{error.message} · {error.hint.text}" if error.hint else error.message
    return None


def _unbroken(match: re.Match[str]) -> str:
    """A class of characters without the newline."""
    text = match[0]
    return rf"[^\n{text[2:]}" if text.startswith("[^") else _UNBROKEN.get(text, text)


def _options(pattern: str) -> Any:
    import re2

    options = re2.Options()
    options.log_errors = False
    options.never_nl = True
    options.never_capture = True
    options.case_sensitive = not _ignores_case(pattern)
    return options


def _compile(pattern: str, options: Any) -> Any:
    import re2

    return re2.compile(pattern.encode(errors="replace"), options)


def _ignores_case(pattern: str) -> bool:
    letters = _ESCAPED.sub("", pattern)
    return letters == letters.lower()


def _either_case(pattern: str) -> str | None:
    """A pattern with each letter in both cases, where that is simple.

    RE2 looks quickly for a text that every match begins with, but not where one of its letters has more than
    two cases, and to Unicode s and k have three.
    """
    plain = pattern.removeprefix("(?i)")
    if not plain.isascii() or not _SIMPLE.fullmatch(plain):
        return None
    return _LETTER.sub(lambda m: f"[{m[0]}{m[0].swapcase()}]" if len(m[0]) == 1 else m[0], plain)
