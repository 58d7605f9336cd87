"""A copy is put together from frames that come doubled, in any order, and after any crash."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from remote.contract.log_frames import Frame
from tui.backends.modal.runs.stream_copy import Place, StreamCopy

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
        copies = [(StreamCopy(Path(folder)), list[Frame]()) for _ in range(writers)]
        for number, frame in enumerate(frames):
            copy, waiting = copies[number % writers]
            waiting[:] = copy.take([*waiting, frame])
        # What one has placed may be what another waits for; each round places one frame at least.
        for _ in range(len(frames) + 1):
            for copy, waiting in copies:
                waiting[:] = copy.take(waiting)
        assert all(not waiting for _, waiting in copies)
        assert copies[0][0].path.read_bytes() == whole


@given(st.lists(part, min_size=1, max_size=4), sizes, st.data())
def test_attempts_follow_one_another_whenever_the_writer_is_killed(
    parts: list[bytes], cuts: Cuts, data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for frame in frames_of(parts, cuts):
            copy = StreamCopy(Path(folder))
            copy.begin(frame.attempt)
            assert not copy.take([frame])
            if data.draw(st.booleans()):  # killed in the middle of the writing: some bytes did not get there
                _cut(copy, data.draw(st.integers(0, len(frame.data))))
                assert not StreamCopy(Path(folder)).take([frame])
        assert _read(Path(folder)) == b"".join(parts)


@given(part, st.integers(1, 30), sizes)
def test_bytes_that_are_nowhere_are_counted(whole: bytes, lost: int, cuts: Cuts) -> None:
    whole = b"first\n" + whole + b"x" * lost
    with tempfile.TemporaryDirectory() as folder:
        copy = StreamCopy(Path(folder))
        copy.take([Frame(1, 0, whole[:6])])
        rest = frames_of([b"last\n"], cuts)
        late = [Frame(1, len(whole) + frame.at, frame.data) for frame in rest]
        assert copy.take(late) == late
        copy.skip(1, len(whole))
        assert not copy.take(late)
        said = copy.path.read_bytes().decode()
        assert said == f"first\n[modal] {len(whole) - 6} bytes {said.partition(' bytes ')[2]}"
        assert said.endswith("lost them\nlast\n")
        assert copy.place() == Place(1, len(whole) + 5)


def test_a_line_that_was_torn_by_a_death_is_ended(tmp_path: Path) -> None:
    copy = StreamCopy(tmp_path)
    copy.take([Frame(1, 0, b"whole\nhal")])
    copy.begin(2)
    copy.begin(2)
    copy.take([Frame(1, 9, b"f\n"), Frame(2, 0, b"again\n")])
    assert copy.path.read_bytes() == b"whole\nhal\nagain\n"


def test_an_attempt_that_ends_the_torn_line_itself_is_taken_as_it_is(tmp_path: Path) -> None:
    copy = StreamCopy(tmp_path)
    copy.take([Frame(1, 0, b"hal")])
    copy.begin(2, ends_line=True)
    copy.take([Frame(2, 0, b"\nagain\n")])
    assert copy.path.read_bytes() == b"hal\nagain\n"


def test_a_crash_between_the_cursor_and_the_text_is_made_up_for(tmp_path: Path) -> None:
    copy = StreamCopy(tmp_path)
    copy.take([Frame(1, 0, b"hal")])
    copy.begin(2)
    _cut(copy, 1)  # the newline did not get there
    copy.take([Frame(2, 0, b"again\n")])
    assert copy.path.read_bytes() == b"hal\nagain\n"


def test_a_journal_that_lost_its_end_is_filled_again(tmp_path: Path) -> None:
    copy = StreamCopy(tmp_path)
    for attempt, said in ((1, b"one\n"), (2, b"two\n")):
        copy.begin(attempt)
        copy.take([Frame(attempt, 0, said)])
    _cut(copy, 6)
    assert copy.place() == Place(1, 2)
    copy.take([Frame(1, 0, b"one\n")])
    copy.begin(2)
    copy.take([Frame(2, 0, b"two\n")])
    assert copy.path.read_bytes() == b"one\ntwo\n"


def test_a_journal_that_was_deleted_is_not_complete(tmp_path: Path) -> None:
    copy = StreamCopy(tmp_path)
    copy.take([Frame(1, 0, b"one\n")])
    copy.remember("7-3", 5.0)
    copy.complete()
    assert copy.cursor().complete
    copy.path.unlink()
    assert (copy.cursor().complete, copy.cursor().position) == (False, "")


def _cut(copy: StreamCopy, size: int) -> None:
    with copy.path.open("rb+") as file:
        file.truncate(max(0, copy.size() - size))


def _read(folder: Path) -> bytes:
    path = StreamCopy(folder).path
    return path.read_bytes() if path.exists() else b""
