"""A log file against a naive model: the same lines by number, offset and search, however they arrive."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from remote.contract.events import (
    SOURCES,
    CheckpointEvent,
    EndEvent,
    Event,
    FailureEvent,
    MetricsEvent,
    PhaseEvent,
    ProgressEvent,
    RolloutEvent,
    SystemEvent,
    decode_line,
    encode_line,
    split_source,
)
from tui.store.logs import log_file as log_file_module
from tui.store.logs import search
from tui.store.logs.event_text import event_line
from tui.store.logs.log_file import Line, LogFile
from tui.store.logs.query import LogQuery
from tui.store.logs.search import LogMatches, LogTail

SHOWN = ("phase", "checkpoint", "failure", "end")
PATTERNS = (
    "a",
    "b+c",
    "^a",
    "c$",
    "^$",
    "(?i)A|é",
    ".é.",
    r"a\sb",
    "[^a]",
    r"\d+",
    "▶ train",
    "x*",
    r"\Aa",
    r"a\z",
    "世",
    "B",
    "(?i)ABC",
    r"ab+(c|1)\x1b?",
    r"bs?\.?",
)
words = st.text(alphabet='abBCcé世 \t\r\x1b\x1e\x00{"1', max_size=12)
times = st.floats(1, 2e9, allow_nan=False).map(lambda value: round(value, 3))


def events() -> st.SearchStrategy[Event]:
    """Events of every kind, shown and hidden."""
    t, text = times, st.text(alphabet="abé世", max_size=5)
    return st.one_of(
        st.builds(
            PhaseEvent, t=t, phase=st.just("train"), status=st.sampled_from(["started", "done"]), detail=text
        ),
        st.builds(MetricsEvent, t=t, step=st.integers(0, 9), values=st.just({"abc": 1.0})),
        st.builds(
            RolloutEvent,
            t=t,
            step=st.just(1),
            task=text,
            messages=st.just([]),
            rewards=st.just({}),
            reward=st.just(1.0),
        ),
        st.builds(SystemEvent, t=t, values=st.just({"cpu": 1.0})),
        st.builds(ProgressEvent, t=t, done=st.just(1.0), total=st.just(2.0), what=text),
        st.builds(CheckpointEvent, t=t, step=st.just(3), path=text),
        st.builds(FailureEvent, t=t, boundary=st.just("vllm"), cause=text, message=text),
        st.builds(EndEvent, t=t, status=st.just("done"), exit_code=st.just(0)),
    )


texts = st.builds(
    lambda source, text: f"[{source}] {text}" if source else text, st.sampled_from([*SOURCES, ""]), words
)
lines = st.lists(
    st.one_of(
        texts.map(lambda text: text.encode()),
        events().map(lambda event: encode_line(event).encode()),
        st.lists(st.sampled_from([b"a", b"\xff", "é".encode(), b"\xc3", b"c", b"\x00"]), max_size=5).map(
            b"".join
        ),
    ),
    max_size=60,
)


@contextmanager
def small_blocks() -> Iterator[None]:
    """Blocks and chunks of a few lines, so that every seam is met."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_file_module, "BLOCK", 40)
        patch.setattr(log_file_module, "CHUNK", 64)
        patch.setattr(search, "CHUNK", 100)
        patch.setattr(search, "MANY", 2)
        yield


def shown(raw: bytes) -> str | None:
    """What a line says to people; None where it is none for them."""
    text = raw.decode(errors="replace")
    event = decode_line(text)
    if isinstance(event, str):
        return text
    return event_line(event) if event.type in SHOWN else None


def model(data: bytes, over: bool) -> list[tuple[int, bytes, str]]:
    """(offset, bytes, words) of each line for people."""
    found, at = [], 0
    for raw in data.split(b"\n"):
        whole = at + len(raw) < len(data)
        said = shown(raw)
        if said is not None and (whole or (over and raw)):
            found.append((at, raw, said))
        at += len(raw) + 1
    return found


def as_told(found: list[Line]) -> list[tuple[int, bytes, str]]:
    """Lines as the model has them."""
    return [(line.offset, line.raw, line.text) for line in found]


@settings(deadline=None, max_examples=150)
@given(lines, st.booleans(), st.data())
def test_any_growth_gives_the_same_lines(parts: list[bytes], torn: bool, data: st.DataObject) -> None:
    """By number, by offset and from the end, whatever the pieces in which the file grew."""
    whole = b"\n".join(parts) + (b"" if torn or not parts else b"\n")
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=5)))
    with tempfile.TemporaryDirectory() as folder, small_blocks():
        log_file = LogFile(Path(folder) / "stream.log")
        for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
            with log_file.path.open("ab") as file:
                file.write(whole[start:end])
            log_file.refresh(over=data.draw(st.booleans()))
            if log_file.lines:
                log_file.read(0, log_file.lines)  # what is cached now must not be told later
        assert log_file.refresh(over=True) == len(model(whole, True))
        expected = model(whole, True)
        assert as_told(log_file.read(0, log_file.lines)) == expected
        assert [log_file.number_of(offset) for offset, _, _ in expected] == list(range(len(expected)))
        by_number = [log_file.line(number) for number in range(log_file.lines)]
        assert as_told(by_number) == expected
        assert [log_file.at(line.offset) for line in by_number] == by_number
        ended = model(whole[: whole.rfind(b"\n") + 1], True)
        assert as_told(log_file.tail(7)) == ended[-7:]
        log_file.close()


@settings(deadline=None, max_examples=150)
@given(
    lines,
    st.one_of(st.none(), st.sets(st.sampled_from(SOURCES)).map(frozenset)),
    st.lists(st.sampled_from(PATTERNS), max_size=2),
    st.integers(0, 2000),
)
@example([b"a", b"b"], None, [r"a\sb"], 0)
@example([b"a", b"a"], None, ["[^a]"], 0)
@example([b"a b", b"a", b"b", b"a b"], None, [r"a\sb"], 0)
@example([b"ca", b"a", b"a", b"c"], None, ["[^a]"], 0)
@example([b"-a", b"a", b"a", b"-"], None, [r"a\W|\Wa|\D\D\D"], 0)
@example([b"a", b"a", b"\xffa", b"a", b"a\xff", b"a"], None, ["a"], 0)
def test_matches_are_those_of_each_line_by_itself(
    parts: list[bytes], sources: frozenset[str] | None, patterns: list[str], cut: int
) -> None:
    """For every source and pattern, over text and what events say, found in two scans."""
    whole = b"".join(part + b"\n" for part in parts)
    query = LogQuery(sources, tuple(patterns))
    expected = [offset for offset, raw, said in model(whole, True) if is_meant(query, raw, said)]
    with tempfile.TemporaryDirectory() as folder, small_blocks():
        log_file = LogFile(Path(folder) / "stream.log")
        matches = LogMatches(log_file, query)
        for piece in (whole[:cut], whole[cut:]):
            with log_file.path.open("ab") as file:
                file.write(piece)
            log_file.refresh()
            assert matches.scan()
        found = [line.offset for line in matches.read(0, len(matches))]
        assert found == expected
        assert [matches.offset(row) for row in range(len(matches))] == expected
        assert [matches.row_of(offset) for offset in expected] == list(range(len(expected)))
        tail = LogTail(log_file, query, 3)
        assert [line.offset for line in tail.read(0, 9)] == expected[-3:]
        log_file.close()


def is_meant(query: LogQuery, raw: bytes, said: str) -> bool:
    """Whether a line matches as Python's own `re` sees it; bytes that are no UTF-8 are no character."""
    is_event = not isinstance(decode_line(raw.decode(errors="replace")), str)
    source = "worker" if is_event else split_source(said)[0]
    if query.sources is not None and source not in query.sources:
        return False
    text = said if is_event else raw.decode(errors="surrogateescape")
    return all(re.search(as_python(pattern), text, re.ASCII) is not None for pattern in query.patterns)


def as_python(pattern: str) -> str:
    """The same in Python's words; a pattern all in lower case, escapes aside, ignores case."""
    python = {
        "c$": r"c\Z",
        "^$": r"^\Z",
        r"a\z": r"a\Z",
        "[^a]": "[^a\udc80-\udcff]",
        ".é.": "[^\udc80-\udcff]é[^\udc80-\udcff]",
    }.get(pattern, pattern.removeprefix("(?i)"))
    return python if pattern == "B" else f"(?i){python}"
