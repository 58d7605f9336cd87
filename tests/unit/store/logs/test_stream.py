"""Bytes to lines to events."""

from __future__ import annotations

from remote.contract.events import PhaseEvent, UnknownEvent, encode_line
from tui.store.logs.stream import LineDecoder, Text, classify, events_of


def test_lines_come_whole_however_the_bytes_are_cut() -> None:
    decoder, data = LineDecoder(), "[vllm] größer\r\n🚀 Starting\npart".encode()
    found = [line for byte in data for line in decoder.feed(bytes([byte]))]
    assert found == ["[vllm] größer\r", "🚀 Starting"]
    assert decoder.consumed == len(data) - len(b"part")
    assert decoder.close() == ["part"]
    assert decoder.consumed == len(data)
    assert decoder.close() == []


def test_only_a_newline_ends_a_line() -> None:
    data = "10%\r50%\r100%\x0b\x0c\x1c\x1d\x85\u2028\n"
    assert LineDecoder().feed(data.encode()) == [data.removesuffix("\n")]


def test_bytes_that_are_no_text_are_replaced() -> None:
    assert LineDecoder().feed(b"a\xffb\nc\n") == ["a\ufffdb", "c"]


def test_a_line_of_text_is_told_by_its_source() -> None:
    assert classify("[vllm] INFO ready\r") == Text("vllm", "INFO ready")
    assert classify("🚀 Starting") == Text("worker", "🚀 Starting")
    assert classify("[other] text") == Text("worker", "[other] text")


def test_events_are_told_from_text_that_looks_like_them() -> None:
    event = PhaseEvent(phase="train", status="started", seq=3, t=1.0)
    line = encode_line(event)
    assert list(events_of([line, line[1:], "\x1e[1]", "\x1e{torn"])) == [event]
    assert classify(line + "\r") == event


def test_events_of_a_later_version_survive() -> None:
    found = classify('\x1e{"v":2,"seq":9,"t":1.5,"type":"dream","depth":3}')
    assert isinstance(found, UnknownEvent)
    assert (found.seq, found.data["depth"]) == (9, 3)
