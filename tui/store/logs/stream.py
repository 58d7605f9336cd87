"""Decode a run's output: bytes to lines, lines to events.

`tui/store/runs` and `tui/store/charts` fold the events; the backends bring the bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from remote.contract.events import AnyEvent, Event, decode_line


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


def events_of(lines: Iterable[str]) -> Iterator[AnyEvent]:
    """The events among lines."""
    for line in lines:
        item = decode_line(line)
        if not isinstance(item, str):
            yield item
