"""How a run's stream travels through a log service that may repeat, reorder, cut or drop what it carries.

Owns the frames: some bytes of the stream, with the attempt that they belong to and their place in it, so
that whoever reads them can tell a repetition from a gap. Printed, a frame is one line that begins with
0x1E, as events do, and then the bytes as the text that they are. Modal's logs carry frames; files never
hold them.
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
    """Bytes of the stream of attempt `attempt` (from 1), `at` bytes after that attempt's first."""

    attempt: int
    at: int
    data: bytes


def encode_frame(frame: Frame) -> str:
    """The frame as lines of text; whole lines of UTF-8 stay readable, other bytes become base64."""
    text = _as_text(frame.data)
    head: dict[str, Any] = {"type": "frame", "attempt": frame.attempt, "at": frame.at}
    head |= {"size": len(frame.data), "crc": _checksum(frame)}
    if text is None:
        head["base64"] = base64.b64encode(frame.data).decode()
    return RECORD_SEPARATOR + json.dumps(head, separators=(",", ":")) + "\n" + (text or "")


class FrameReader:
    """Takes a frame's text in pieces of any size, from one writer, and gives the frames back.

    A frame whose bytes are not those that were sent is dropped: its place stays a gap.
    """

    def __init__(self) -> None:
        self._held = b""

    @property
    def torn(self) -> bool:
        """Whether something has begun whose end is still to come."""
        return bool(self._held)

    def feed(self, text: str) -> list[Frame | str]:
        """What the text completes: frames, and lines (without newline) that no frame holds."""
        self._held += text.encode(errors="replace")
        found: list[Frame | str] = []
        while (item := self._next()) is not None:
            found.append(item)
        return found

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
    """The frame's bytes, and what follows them."""
    if "base64" not in head:
        return rest[: head["size"]], rest[head["size"] :]
    try:
        return base64.b64decode(head["base64"]), rest
    except ValueError:
        return b"", rest


def _checksum(frame: Frame) -> int:
    return zlib.crc32(frame.data, zlib.crc32(f"{frame.attempt}:{frame.at}:".encode()))


def _as_text(data: bytes) -> str | None:
    """The bytes as whole lines of text, or None. A carriage return may not survive a log service."""
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
