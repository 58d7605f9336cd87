"""A run's output, from bytes to lines to events.

Owns cutting a byte stream into lines, however it arrives, and telling text from events. What events
add up to is `runs.py`'s and `series.py`'s; where the bytes come from is the backends'.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from remote.contract.events import AnyEvent, Event, Source, decode_line, split_source


@dataclass(frozen=True)
class Text:
    """A line for people, with the source that its tag names."""

    source: Source
    text: str


Item = Text | AnyEvent


class LineDecoder:
    """Cuts bytes into lines at each newline, wherever the chunks are cut.

    Only `\\n` ends a line: a `\\r` (progress bars, Windows line ends) stays where it is. Bytes that are
    no UTF-8 become U+FFFD.
    """

    def __init__(self) -> None:
        self._rest: list[bytes] = []
        self.consumed = 0
        """Bytes in the lines that were given out: a position to follow from."""

    def feed(self, chunk: bytes) -> list[str]:
        """The lines that this chunk completes."""
        head, newline, rest = chunk.rpartition(b"\n")
        if not newline:
            self._rest.append(chunk)
            return []
        whole = b"".join(self._rest) + head
        self._rest = [rest]
        self.consumed += len(whole) + 1
        return split_lines(whole)

    def close(self) -> list[str]:
        """The last line where no newline ends it; only a stream that is over has one."""
        torn = b"".join(self._rest)
        self._rest = []
        self.consumed += len(torn)
        return split_lines(torn) if torn else []


class LastSeq:
    """Tells events that were said before: an attempt repeats those of a lost one, whose lines may be here."""

    def __init__(self) -> None:
        self._last = -1

    def repeats(self, event: Event) -> bool:
        """Whether the event, or a later one, came before; numbers within a run only rise."""
        if 0 <= event.seq <= self._last:
            return True
        self._last = max(self._last, event.seq)
        return False


def split_lines(data: bytes) -> list[str]:
    """Whole lines without their last newline, as text."""
    return data.decode("utf-8", errors="replace").split("\n")


def classify(line: str) -> Item:
    """The event on a line, or its text: without the tag, and without a Windows line end."""
    item = decode_line(line)
    if not isinstance(item, str):
        return item
    source, text = split_source(item)
    return Text(source, text.removesuffix("\r"))


def events_of(lines: Iterable[str]) -> Iterator[AnyEvent]:
    """The events among lines."""
    for line in lines:
        item = decode_line(line)
        if not isinstance(item, str):
            yield item
