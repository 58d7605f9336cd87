"""Patterns as they are typed, scans that end, and what is kept of them."""

from __future__ import annotations

import threading
from array import array
from pathlib import Path

import pytest

from remote.contract.errors import ConfigError
from remote.contract.events import PhaseEvent, encode_line
from tui.store.logs import search
from tui.store.logs.log_file import LogFile
from tui.store.logs.query import ERRORS, LogQuery, compile_finder, compile_pattern, why_not
from tui.store.logs.search import KnownMatches, LogMatches


@pytest.fixture
def log_file(tmp_path: Path) -> LogFile:
    """Ten thousand lines of two sources."""
    log_file = LogFile(tmp_path / "stream.log")
    lines = (f"[{'vllm' if i % 2 else 'train'}] line {i}" for i in range(10_000))
    log_file.path.write_text("\n".join(lines) + "\n")
    log_file.refresh()
    return log_file


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("error", "ERROR", True),
        ("Error", "ERROR", False),
        (r"error\S+", "ERROR: x", True),
        ("(?i)Error", "eRRor", True),
        ("é", "É", True),
        ("[a-z]+k", "ABK", True),
        ("stack", "STACK", True),
        ("kiss|sack", "KISS", True),
        (r"\x41b", "ab", True),
        (r"\pL+", "é", True),
        ("a.c", "a世c", True),
        ("", "anything", True),
    ],
)
def test_case_and_characters(pattern: str, text: str, matches: bool) -> None:
    """All in lower case ignores case, escapes aside; a character is a character."""
    assert (compile_pattern(pattern).search(text.encode()) is not None) is matches


@pytest.mark.parametrize("pattern", ["(", "[", "a**", r"\q", "(?=a)", r"(a)\1", "a{1001}", "(?P<n"])
def test_what_is_no_pattern_is_said(pattern: str) -> None:
    """In words, with the pattern as it was typed."""
    with pytest.raises(ConfigError, match="not a pattern: "):
        LogMatches(LogFile(Path("x")), LogQuery(None, (pattern,)))
    why = why_not(pattern)
    assert why is not None
    assert "(?m)" not in why


@pytest.mark.parametrize(
    ("line", "is_error"),
    [
        ("[vllm] (EngineCore pid=1) ERROR 11-22 20:22:33 [core.py:1] no", True),
        ("[train] Traceback (most recent call last):", True),
        ("[train] torch.OutOfMemoryError: CUDA", True),
        ("[worker] ❌ failed", True),
        ("✗ failed (vllm): no", True),
        ("[train] error rate 0.1", False),
        ("[train] 0 terrors", False),
        ("[train] ✓ no ✗", False),
    ],
)
def test_what_is_an_error(line: str, is_error: bool) -> None:
    assert (compile_pattern(ERRORS).search(line.encode()) is not None) is is_error


def test_the_calls_of_re2_that_a_search_makes() -> None:
    """`re2._Regexp._regexp.Match` is not public: an upgrade that takes it away fails here."""
    find, run = compile_finder("a")
    assert find(b"xa\nb", 0, 4) == [(1, 2)]
    assert find(b"xa\nb", 2, 4) == [(-1, -1)]
    assert run is not None
    assert run(b"a\nxa\nb\n", 0, 7) == [(0, 5)]
    assert compile_finder(r"\pL")[1] is None


def test_a_scan_that_is_stopped_goes_on_later(log_file: LogFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is lost or found twice."""
    monkeypatch.setattr(search, "CHUNK", 1000)
    matches, stop = LogMatches(log_file, LogQuery(None, ("line",))), threading.Event()
    find = matches._find

    def stopping(data: bytes, end: int, base: int) -> array[int]:
        stop.set()
        return find(data, end, base)

    monkeypatch.setattr(matches, "_find", stopping)
    assert not matches.scan(stop)
    assert matches.scanned < log_file.end
    assert matches.scan()
    assert len(matches) == 10_000
    assert len(set(matches.offsets)) == 10_000


def test_two_threads_scan_each_byte_once(log_file: LogFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "CHUNK", 1000)
    matches = LogMatches(log_file, LogQuery(frozenset({"vllm"})))
    threads = [threading.Thread(target=matches.scan) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(matches) == 5000


def test_another_file_is_searched_anew(log_file: LogFile) -> None:
    matches = LogMatches(log_file, LogQuery(None, ("line",)))
    matches.scan()
    log_file.path.write_bytes(b"line\nother\n")
    log_file.refresh()
    assert matches.scan()
    assert [line.text for line in matches.read(0, 9)] == ["line"]


def test_events_match_by_their_words(tmp_path: Path) -> None:
    """Never by their JSON."""
    log_file = LogFile(tmp_path / "stream.log")
    event = PhaseEvent(phase="train", status="started", t=1.0, seq=0)
    log_file.path.write_text(encode_line(event) + "\n")
    log_file.refresh()
    for pattern, count in {"train": 1, "^▶ train$": 1, "seq": 0, "phase": 0, r"\{": 0}.items():
        matches = LogMatches(log_file, LogQuery(None, (pattern,)))
        matches.scan()
        assert len(matches) == count, pattern


def test_what_was_found_is_kept_up_to_a_size(log_file: LogFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even where nothing was found yet; the oldest goes first."""
    monkeypatch.setattr(search, "KEPT", 15_000)
    known = KnownMatches(log_file)
    first = known.of(LogQuery(None, ("line",)))
    assert known.of(LogQuery(None, ("line",))) is first
    first.scan()
    second = known.of(LogQuery(None, ("[0-9]",)))
    second.scan()
    known.of(LogQuery(None, ("other",)))
    assert known.of(LogQuery(None, ("[0-9]",))) is second
    assert known.of(LogQuery(None, ("line",))) is not first
