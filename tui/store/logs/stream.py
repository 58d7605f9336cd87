"""Decode a run's output: bytes to lines, lines to text and events.

`tui/store/runs` and `tui/store/charts` fold the events; the backends bring the bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from remote.contract.events import AnyEvent, Event, Source, decode_line, split_source


@dataclass(frozen=True)
class Text:
    """A line of text, without its tag, and the source that the tag names."""

    source: Source
    text: str


Item = Text | AnyEvent


class LineDecoder:
    """Splits bytes into lines at each newline, however the bytes are divided into chunks.

    Only `\\n` ends a line: a `\\r` (progress bars, Windows line ends) stays where it is. Bytes that are
    no UTF-8 become U+FFFD.
    """

    def __init__(self) -> None:
        self._rest: list[bytes] = []
        self.consumed = 0
        """Bytes of the lines that were returned: a position to follow from."""

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
        """The last line, where no newline ends it. Call it when the stream is over."""
        torn = b"".join(self._rest)
        self._rest = []
        self.consumed += len(torn)
        return split_lines(torn) if torn else []


class LastSeq:
    """Recognises repeated events: an attempt repeats those of a lost one whose lines may be there."""

    def __init__(self) -> None:
        self._last = -1

    def repeats(self, event: Event) -> bool:
        """Whether the event, or a later one, came before: `seq` only rises within a run."""
        if 0 <= event.seq <= self._last:
            return True
        self._last = max(self._last, event.seq)
        return False


def split_lines(data: bytes) -> list[str]:
    """The lines of some bytes that end without a newline."""
    return data.decode("utf-8", errors="replace").split("\n")


def classify(line: str) -> Item:
    """The event on a line, or its text without the tag and a trailing `\\r`."""
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
