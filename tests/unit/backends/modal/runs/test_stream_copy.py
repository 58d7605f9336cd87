"""A journal is put together from frames that come doubled, in any order, and after any crash."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from remote.contract.log_frames import Frame
from tui.backends.modal.runs.stream_copy import Journal, Place

Cuts = list[int]


def frames_of(parts: list[bytes], sizes: Cuts) -> list[Frame]:
    """Each attempt's bytes, cut into frames of these sizes in turn."""
    found, turn = [], 0
    for attempt, part in enumerate(parts, 1):
        at = 0
        while at < len(part):
            size = sizes[turn % len(sizes)]
            found.append(Frame(attempt, at, part[at : at + size]))
            at, turn = at + size, turn + 1
    return found


lines = st.lists(st.binary(max_size=12).map(lambda line: line.replace(b"\n", b" ") + b"\n"), max_size=12)
part = lines.map(b"".join)
sizes = st.lists(st.integers(1, 20), min_size=1, max_size=5)


@given(part, sizes, st.randoms(use_true_random=False), st.integers(1, 4))
def test_any_order_and_any_repetition_give_the_bytes_once(
    whole: bytes, cuts: Cuts, dice: random.Random, writers: int
) -> None:
    frames = frames_of([whole], cuts) * 2
    dice.shuffle(frames)
    with tempfile.TemporaryDirectory() as folder:
        journals = [(Journal(Path(folder)), list[Frame]()) for _ in range(writers)]
        for number, frame in enumerate(frames):
            journal, waiting = journals[number % writers]
            waiting[:] = journal.take([*waiting, frame])
        # What one has placed may be what another waits for; each round places one frame at least.
        for _ in range(len(frames) + 1):
            for journal, waiting in journals:
                waiting[:] = journal.take(waiting)
        assert all(not waiting for _, waiting in journals)
        assert journals[0][0].path.read_bytes() == whole


@given(st.lists(part, min_size=1, max_size=4), sizes, st.data())
def test_attempts_follow_one_another_whenever_the_writer_is_killed(
    parts: list[bytes], cuts: Cuts, data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for frame in frames_of(parts, cuts):
            journal = Journal(Path(folder))
            journal.begin(frame.attempt)
            assert not journal.take([frame])
            if data.draw(st.booleans()):  # killed in the middle of the writing: some bytes did not get there
                _cut(journal, data.draw(st.integers(0, len(frame.data))))
                assert not Journal(Path(folder)).take([frame])
        assert _read(Path(folder)) == b"".join(parts)


@given(part, st.integers(1, 30), sizes)
def test_bytes_that_are_nowhere_are_counted(whole: bytes, lost: int, cuts: Cuts) -> None:
    whole = b"first\n" + whole + b"x" * lost
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder))
        journal.take([Frame(1, 0, whole[:6])])
        rest = frames_of([b"last\n"], cuts)
        late = [Frame(1, len(whole) + frame.at, frame.data) for frame in rest]
        assert journal.take(late) == late
        journal.skip(1, len(whole))
        assert not journal.take(late)
        said = journal.path.read_bytes().decode()
        assert said == f"first\n[modal] {len(whole) - 6} bytes {said.partition(' bytes ')[2]}"
        assert said.endswith("lost them\nlast\n")
        assert journal.place() == Place(1, len(whole) + 5)


def test_a_line_that_was_torn_by_a_death_is_ended(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.take([Frame(1, 0, b"whole\nhal")])
    journal.begin(2)
    journal.begin(2)
    journal.take([Frame(1, 9, b"f\n"), Frame(2, 0, b"again\n")])
    assert journal.path.read_bytes() == b"whole\nhal\nagain\n"


def test_an_attempt_that_ends_the_torn_line_itself_is_taken_as_it_is(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.take([Frame(1, 0, b"hal")])
    journal.begin(2, ends_line=True)
    journal.take([Frame(2, 0, b"\nagain\n")])
    assert journal.path.read_bytes() == b"hal\nagain\n"


def test_a_crash_between_the_cursor_and_the_text_is_made_up_for(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.take([Frame(1, 0, b"hal")])
    journal.begin(2)
    _cut(journal, 1)  # the newline did not get there
    journal.take([Frame(2, 0, b"again\n")])
    assert journal.path.read_bytes() == b"hal\nagain\n"


def test_a_journal_that_lost_its_end_is_filled_again(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    for attempt, said in ((1, b"one\n"), (2, b"two\n")):
        journal.begin(attempt)
        journal.take([Frame(attempt, 0, said)])
    _cut(journal, 6)
    assert journal.place() == Place(1, 2)
    journal.take([Frame(1, 0, b"one\n")])
    journal.begin(2)
    journal.take([Frame(2, 0, b"two\n")])
    assert journal.path.read_bytes() == b"one\ntwo\n"


def test_a_journal_that_was_deleted_is_not_complete(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.take([Frame(1, 0, b"one\n")])
    journal.remember("7-3", 5.0)
    journal.complete()
    assert journal.cursor().complete
    journal.path.unlink()
    assert (journal.cursor().complete, journal.cursor().position) == (False, "")


def _cut(journal: Journal, size: int) -> None:
    with journal.path.open("rb+") as file:
        file.truncate(max(0, journal.size() - size))


def _read(folder: Path) -> bytes:
    path = Journal(folder).path
    return path.read_bytes() if path.exists() else b""
