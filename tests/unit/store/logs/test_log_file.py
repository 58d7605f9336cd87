"""A log file's lines: long ones, hidden ones, times, and a file that changes under it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from remote.contract.errors import DiskError
from remote.contract.events import (
    Event,
    MetricsEvent,
    PhaseEvent,
    ProgressEvent,
    RolloutEvent,
    SystemEvent,
    encode_line,
)
from tui.store.logs.log_file import CHUNK, LONGEST, LogFile
from tui.widgets.logs.goto import find_place

T = 1_800_000_000.0


def said(event: Event) -> bytes:
    """An event's line."""
    return encode_line(event).encode() + b"\n"


@pytest.fixture
def log_file(tmp_path: Path) -> LogFile:
    """A log whose file is not there yet."""
    return LogFile(tmp_path / "stream.log")


@pytest.fixture
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Local clocks show UTC."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


def test_a_file_that_is_not_there_is_empty(log_file: LogFile) -> None:
    assert log_file.refresh() == 0
    assert log_file.tail(5) == log_file.read(0, 5) == []
    assert log_file.began is None


def test_a_folder_in_its_place_is_said(tmp_path: Path) -> None:
    with pytest.raises(DiskError, match="cannot read"):
        LogFile(tmp_path).refresh()


def test_only_what_people_read_is_a_line(log_file: LogFile) -> None:
    """Numbers, progress, episodes and samples never show."""
    hidden: list[Event] = [
        MetricsEvent(step=1, values={"a": 1.0}, t=T),
        ProgressEvent(done=1, total=2, what="steps", t=T),
        SystemEvent(values={"cpu": 1.0}, t=T),
        RolloutEvent(step=1, task="x" * 200_000, messages=[], rewards={}, reward=1.0, t=T),
        RolloutEvent(step=1, task="x" * 3 * CHUNK, messages=[], rewards={}, reward=1.0, t=T),
        RolloutEvent(step=1, task="x" * 5 * CHUNK, messages=[], rewards={}, reward=1.0, t=T),
    ]
    phase = PhaseEvent(phase="vllm", status="started", detail="loading weights", t=T)
    log_file.path.write_bytes(
        b"first\n" + b"".join(said(event) + b"text\n" for event in hidden) + said(phase)
    )
    assert log_file.refresh() == 2 + len(hidden)
    lines = [line.text for line in log_file.read(0, 99)]
    assert lines == ["first", *["text"] * len(hidden), "▶ vllm · loading weights"]
    assert [line.text for line in log_file.tail(2)] == lines[-2:]


@pytest.mark.parametrize("size", [LONGEST - 1, LONGEST, LONGEST + 1, CHUNK, 3 * CHUNK + 5, 20 * CHUNK])
@pytest.mark.parametrize("ended", [True, False])
def test_a_line_of_any_length(log_file: LogFile, size: int, ended: bool) -> None:
    """It is one line, shown up to a length, and what follows it is found."""
    log_file.path.write_bytes(b"before\n" + b"x" * size + (b"\nafter\n" if ended else b""))
    assert log_file.refresh() == (3 if ended else 1)
    assert log_file.refresh(over=True) == (3 if ended else 2)
    line = log_file.line(1)
    assert (line.size, len(line.raw), line.cut) == (size, min(size, LONGEST), max(0, size - LONGEST))
    assert log_file.at(line.offset) == line
    if ended:
        assert log_file.line(2).text == "after"


def test_of_a_long_progress_bar_the_end_is_shown(log_file: LogFile) -> None:
    bar = b"".join(b"\r%6d/99999" % number for number in range(20_000))
    log_file.path.write_bytes(bar + b"\n")
    log_file.refresh()
    assert log_file.line(0).raw.endswith(b" 19999/99999")
    assert log_file.at(0) == log_file.line(0)


def test_a_giant_line_that_grows_is_looked_through_once(
    log_file: LogFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line without an end is not read again from its begin each time something comes."""
    piece, read = b"x" * CHUNK, 0
    raw = LogFile.raw

    def counted(self: LogFile, start: int, size: int) -> bytes:
        nonlocal read
        data = raw(self, start, size)
        read += len(data)
        return data

    monkeypatch.setattr(LogFile, "raw", counted)
    for _ in range(20):
        with log_file.path.open("ab") as file:
            file.write(piece)
        assert log_file.refresh() == 0
    assert read < 45 * CHUNK


def test_a_torn_line_that_went_on_after_all(log_file: LogFile) -> None:
    log_file.path.write_bytes(b"one\ntwo")
    assert log_file.refresh(over=True) == 2
    with log_file.path.open("ab") as file:
        file.write(b" and a half\nthree\n")
    assert log_file.refresh() == 3
    assert [line.text for line in log_file.read(0, 9)] == ["one", "two and a half", "three"]


@pytest.mark.parametrize("keep", ["same file", "another file"])
def test_a_file_put_in_its_place(log_file: LogFile, keep: str, tmp_path: Path) -> None:
    """What was known is void, and said to be."""
    log_file.path.write_bytes(b"old\n" * 1000)
    log_file.refresh()
    generation = log_file.generation
    if keep == "same file":
        log_file.path.write_bytes(b"new\n" * 10)
    else:
        (tmp_path / "other").write_bytes(b"new\n" * 2000)
        (tmp_path / "other").replace(log_file.path)
    assert log_file.refresh() == (10 if keep == "same file" else 2000)
    assert log_file.generation == generation + 1
    assert {line.text for line in log_file.read(0, 3000)} == {"new"}


def test_a_file_that_is_removed_is_still_read(log_file: LogFile) -> None:
    log_file.path.write_bytes(b"line\n" * 10)
    log_file.refresh()
    log_file.path.unlink()
    assert log_file.refresh() == 10
    assert log_file.line(9).text == "line"


def test_times_and_places(log_file: LogFile, utc: None) -> None:
    """Each line has the time of the last event up to it; a time of day is that of the first line since."""
    lines = []
    for hour in range(30):
        lines.append(said(MetricsEvent(step=hour, values={}, t=T + 3600 * hour)))
        lines += [b"line %d %d %s\n" % (hour, part, b"x" * 200) for part in range(50)]
    log_file.path.write_bytes(b"before\n" + b"".join(lines))
    assert log_file.refresh() == 1 + 30 * 50
    assert log_file.line(0).t is None
    assert [log_file.line(1 + 50 * hour).t for hour in range(30)] == [T + 3600 * hour for hour in range(30)]
    assert log_file.began == T  # a Friday, 08:00 UTC
    for text, number in {
        "1": 0,
        "1,000": 999,
        "99999": 1500,
        "0": 0,
        "50%": 750,
        "100%": 1500,
        "8:00": 1,
        "10:00": 101,
        "09:30:00": 101,
        "07:00": 1 + 23 * 50,
        "nonsense": None,
        "25:00": None,
        "": None,
    }.items():
        place = find_place(log_file, text)
        assert (place and place.number) == number, text
