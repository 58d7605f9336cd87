"""A journal's lines: long ones, hidden ones, times, and a file that changes under it."""

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
from tui.store.logs.log_file import CHUNK, LONGEST, Journal
from tui.widgets.logs.goto import find_place

T = 1_800_000_000.0


def said(event: Event) -> bytes:
    """An event's line."""
    return encode_line(event).encode() + b"\n"


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """A journal whose file is not there yet."""
    return Journal(tmp_path / "stream.log")


@pytest.fixture
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Local clocks show UTC."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


def test_a_file_that_is_not_there_is_empty(journal: Journal) -> None:
    assert journal.refresh() == 0
    assert journal.tail(5) == journal.read(0, 5) == []
    assert journal.began is None


def test_a_folder_in_its_place_is_said(tmp_path: Path) -> None:
    with pytest.raises(DiskError, match="cannot read"):
        Journal(tmp_path).refresh()


def test_only_what_people_read_is_a_line(journal: Journal) -> None:
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
    journal.path.write_bytes(b"first\n" + b"".join(said(event) + b"text\n" for event in hidden) + said(phase))
    assert journal.refresh() == 2 + len(hidden)
    lines = [line.text for line in journal.read(0, 99)]
    assert lines == ["first", *["text"] * len(hidden), "▶ vllm · loading weights"]
    assert [line.text for line in journal.tail(2)] == lines[-2:]


@pytest.mark.parametrize("size", [LONGEST - 1, LONGEST, LONGEST + 1, CHUNK, 3 * CHUNK + 5, 20 * CHUNK])
@pytest.mark.parametrize("ended", [True, False])
def test_a_line_of_any_length(journal: Journal, size: int, ended: bool) -> None:
    """It is one line, shown up to a length, and what follows it is found."""
    journal.path.write_bytes(b"before\n" + b"x" * size + (b"\nafter\n" if ended else b""))
    assert journal.refresh() == (3 if ended else 1)
    assert journal.refresh(over=True) == (3 if ended else 2)
    line = journal.line(1)
    assert (line.size, len(line.raw), line.cut) == (size, min(size, LONGEST), max(0, size - LONGEST))
    assert journal.at(line.offset) == line
    if ended:
        assert journal.line(2).text == "after"


def test_of_a_long_progress_bar_the_end_is_shown(journal: Journal) -> None:
    bar = b"".join(b"\r%6d/99999" % number for number in range(20_000))
    journal.path.write_bytes(bar + b"\n")
    journal.refresh()
    assert journal.line(0).raw.endswith(b" 19999/99999")
    assert journal.at(0) == journal.line(0)


def test_a_giant_line_that_grows_is_looked_through_once(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line without an end is not read again from its begin each time something comes."""
    piece, read = b"x" * CHUNK, 0
    raw = Journal.raw

    def counted(self: Journal, start: int, size: int) -> bytes:
        nonlocal read
        data = raw(self, start, size)
        read += len(data)
        return data

    monkeypatch.setattr(Journal, "raw", counted)
    for _ in range(20):
        with journal.path.open("ab") as file:
            file.write(piece)
        assert journal.refresh() == 0
    assert read < 45 * CHUNK


def test_a_torn_line_that_went_on_after_all(journal: Journal) -> None:
    journal.path.write_bytes(b"one\ntwo")
    assert journal.refresh(over=True) == 2
    with journal.path.open("ab") as file:
        file.write(b" and a half\nthree\n")
    assert journal.refresh() == 3
    assert [line.text for line in journal.read(0, 9)] == ["one", "two and a half", "three"]


@pytest.mark.parametrize("keep", ["same file", "another file"])
def test_a_file_put_in_its_place(journal: Journal, keep: str, tmp_path: Path) -> None:
    """What was known is void, and said to be."""
    journal.path.write_bytes(b"old\n" * 1000)
    journal.refresh()
    generation = journal.generation
    if keep == "same file":
        journal.path.write_bytes(b"new\n" * 10)
    else:
        (tmp_path / "other").write_bytes(b"new\n" * 2000)
        (tmp_path / "other").replace(journal.path)
    assert journal.refresh() == (10 if keep == "same file" else 2000)
    assert journal.generation == generation + 1
    assert {line.text for line in journal.read(0, 3000)} == {"new"}


def test_a_file_that_is_removed_is_still_read(journal: Journal) -> None:
    journal.path.write_bytes(b"line\n" * 10)
    journal.refresh()
    journal.path.unlink()
    assert journal.refresh() == 10
    assert journal.line(9).text == "line"


def test_times_and_places(journal: Journal, utc: None) -> None:
    """Each line has the time of the last event up to it; a time of day is that of the first line since."""
    lines = []
    for hour in range(30):
        lines.append(said(MetricsEvent(step=hour, values={}, t=T + 3600 * hour)))
        lines += [b"line %d %d %s\n" % (hour, part, b"x" * 200) for part in range(50)]
    journal.path.write_bytes(b"before\n" + b"".join(lines))
    assert journal.refresh() == 1 + 30 * 50
    assert journal.line(0).t is None
    assert [journal.line(1 + 50 * hour).t for hour in range(30)] == [T + 3600 * hour for hour in range(30)]
    assert journal.began == T  # a Friday, 08:00 UTC
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
        assert find_place(journal, text) == number, text
