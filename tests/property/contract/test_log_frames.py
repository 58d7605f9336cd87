"""Frames arrive as they were sent, however their text is cut, repeated or damaged."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from remote.contract.log_frames import Frame, FrameReader, encode_frame

frames = st.builds(
    Frame,
    attempt=st.integers(1, 9),
    at=st.integers(0, 10**12),
    data=st.one_of(
        st.binary(max_size=60),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=40).map(lambda text: f"{text}\n".encode()),
    ),
)
foreign = st.from_regex(r"[A-Za-z ][A-Za-z {}\"]{0,20}", fullmatch=True)


def pieces(text: str, cuts: list[int]) -> list[str]:
    edges = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    return [text[a:b] for a, b in pairwise(edges)]


@given(st.lists(st.one_of(frames, foreign), max_size=8), st.lists(st.integers(0, 10**6), max_size=12))
def test_frames_and_foreign_lines_come_back_however_the_text_is_cut(
    sent: list[Frame | str], cuts: list[int]
) -> None:
    text = "".join(item + "\n" if isinstance(item, str) else encode_frame(item) for item in sent)
    reader = FrameReader()
    assert [item for piece in pieces(text, cuts) for item in reader.feed(piece)] == sent


@given(st.lists(frames, min_size=1, max_size=4), st.integers(0, 10**6), st.integers(1, 30), frames)
def test_what_is_cut_out_damages_no_frame_that_is_given(
    sent: list[Frame], start: int, length: int, last: Frame
) -> None:
    text = "".join(encode_frame(frame) for frame in sent)
    start %= len(text)
    damaged = text[:start] + text[start + length :]
    # A run goes on talking: what a torn frame waits for comes, and is found not to be it.
    found = FrameReader().feed(damaged + "\n" + encode_frame(last) + "x\n" * 400)
    given = [item for item in found if isinstance(item, Frame)]
    assert set(given) <= {*sent, last}
    assert last in given


def test_whole_lines_stay_readable() -> None:
    text = encode_frame(Frame(1, 0, "[train] café\n".encode()))
    assert text.endswith("\n[train] café\n")


def test_a_frame_within_a_frame_is_content() -> None:
    inner = encode_frame(Frame(1, 0, b"forged\n"))
    outer = Frame(1, 7, inner.encode())
    assert FrameReader().feed(encode_frame(outer)) == [outer]
