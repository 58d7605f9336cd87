"""Frames that carry a run's stream through a log service that may repeat, reorder, cut or drop output.

A frame is some bytes of the stream with their attempt and their offset in it, so that a reader can tell a
repetition from a gap. It is printed as a line that begins with 0x1E, as events do, followed by the bytes as
text. Modal's logs carry frames; files never contain them.
"""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import dataclass
from typing import Any

from remote.contract.events import RECORD_SEPARATOR
from remote.contract.json_text import from_json

_OPENING = RECORD_SEPARATOR + '{"type":"frame",'


@dataclass(frozen=True)
class Frame:
    """Bytes of the stream of attempt `attempt` (from 1), at the offset `at` in that attempt's part."""

    attempt: int
    at: int
    data: bytes


def encode_frame(frame: Frame) -> str:
    """The frame as text: whole lines of UTF-8 stay readable, other bytes become base64."""
    text = _as_text(frame.data)
    head: dict[str, Any] = {"type": "frame", "attempt": frame.attempt, "at": frame.at}
    head |= {"size": len(frame.data), "crc": _checksum(frame)}
    if text is None:
        head["base64"] = base64.b64encode(frame.data).decode()
    return RECORD_SEPARATOR + json.dumps(head, separators=(",", ":")) + "\n" + (text or "")


class FrameReader:
    """Reads one writer's frames from text in pieces of any size.

    A frame whose checksum is wrong is dropped, which leaves a gap.
    """

    def __init__(self) -> None:
        self._held = b""

    @property
    def torn(self) -> bool:
        """Whether a line or a frame is incomplete."""
        return bool(self._held)

    def feed(self, text: str) -> list[Frame | str]:
        """The frames that the text completes, and the lines (without newline) outside of frames."""
        self._held += text.encode(errors="replace")
        completed: list[Frame | str] = []
        while (item := self._next()) is not None:
            completed.append(item)
        return completed

    def _next(self) -> Frame | str | None:
        while True:
            line, newline, whole = self._held.partition(b"\n")
            if not newline:
                return None
            head = _head(line)
            if head is None:
                self._held = whole
                return line.decode(errors="replace")
            body, rest = _body(head, whole)
            if len(body) < head["size"] and "base64" not in head:
                return None
            frame = Frame(head["attempt"], head["at"], body)
            if _checksum(frame) == head["crc"]:
                self._held = rest
                return frame
            self._held = whole


def _body(head: dict[str, Any], rest: bytes) -> tuple[bytes, bytes]:
    """The frame's bytes, and the bytes after them."""
    if "base64" not in head:
        return rest[: head["size"]], rest[head["size"] :]
    try:
        return base64.b64decode(head["base64"]), rest
    except ValueError:
        return b"", rest


def _checksum(frame: Frame) -> int:
    return zlib.crc32(frame.data, zlib.crc32(f"{frame.attempt}:{frame.at}:".encode()))


def _as_text(data: bytes) -> str | None:
    """The bytes as whole lines of text, or None. Log services may change carriage returns."""
    if not data.endswith(b"\n") or b"\r" in data or b"\0" in data:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def _head(line: bytes) -> dict[str, Any] | None:
    if not line.startswith(_OPENING.encode()):
        return None
    try:
        head = from_json(line[1:])
        numbers = [head[name] for name in ("attempt", "at", "size", "crc")]
    except (ValueError, KeyError, TypeError):
        return None
    return head if all(isinstance(number, int) and number >= 0 for number in numbers) else None
