"""Bytes to lines to events."""

from __future__ import annotations

from remote.contract.events import PhaseEvent, UnknownEvent, encode_line
from tui.store.logs.stream import events_of, split_lines


def test_only_a_newline_ends_a_line() -> None:
    data = "10%\r50%\r100%\x0b\x0c\x1c\x1d\x85\u2028"
    assert split_lines(data.encode()) == [data]


def test_bytes_that_are_no_text_are_replaced() -> None:
    assert split_lines(b"a\xffb\nc") == ["a\ufffdb", "c"]


def test_events_are_told_from_text_that_looks_like_them() -> None:
    event = PhaseEvent(phase="train", status="started", seq=3, t=1.0)
    line = encode_line(event)
    assert list(events_of([line, line[1:], "\x1e[1]", "\x1e{torn"])) == [event]
    assert list(events_of([line + "\r"])) == [event]


def test_events_of_a_later_version_survive() -> None:
    [found] = events_of(['\x1e{"v":2,"seq":9,"t":1.5,"type":"dream","depth":3}'])
    assert isinstance(found, UnknownEvent)
    assert (found.seq, found.data["depth"]) == (9, 3)
