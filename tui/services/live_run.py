"""One run as it is watched: its log, and what its events add up to, kept up to date.

Owns taking a stream into state, numbers and samples as it grows. It is read and decoded a slice at a time
in a thread; what it adds up to changes on the event loop alone, so that whoever draws it never sees half
of a change. It shows nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from remote.contract.events import AnyEvent, SystemEvent, decode_line
from remote.contract.long_lines import LONGEST_EVENT
from tui.store.charts.series import Metrics
from tui.store.logs.log_file import CHUNK, LogFile
from tui.store.runs.state import RunState

if TYPE_CHECKING:
    from remote.contract.record import RunRecord
    from tui.client import Client

SLICE = 128 * 1024
"""Bytes that are decoded at a time, in a thread: what the interpreter's lock may cost the screen."""
BETWEEN = 0.1
"""Seconds between two updates: ten a second are all that anybody sees."""


@dataclass
class LiveRun:
    """A run, watched. `updates()` keeps everything here up to date until the run is over."""

    client: Client
    record: RunRecord
    state: RunState = field(default_factory=RunState)
    metrics: Metrics = field(default_factory=Metrics)
    system: list[tuple[float, dict[str, float]]] = field(default_factory=list)
    """(Unix seconds, values) of each sample of the machine."""
    folded: int = 0
    """Bytes of the log that are folded."""
    over: bool = False
    """Whether the run is over and everything that it said is in."""

    _searched: int = 0
    """No line ends between what is in and here."""
    _generation: int = 0
    """The generation of the log that was folded."""

    def __post_init__(self) -> None:
        self.log_file = LogFile(self.client.of(self.record).log_path(self.record))

    @property
    def status(self) -> str:
        """The record's status; a run that has begun to speak is running, whatever its record still says."""
        said = self.record.status
        return "running" if said == "pending" and self.state.last_seq >= 0 else said

    def goes_on(self, record: RunRecord) -> None:
        """Another attempt has begun at a run that was over: `updates()` has more to say."""
        self.record, self.over = record, False

    @property
    def trouble(self) -> str:
        """What keeps more of the run from coming just now, in words; empty where nothing does."""
        return "" if self.over else self.client.of(self.record).trouble(self.record)

    async def updates(self) -> AsyncIterator[LiveRun]:
        """This object, after each change, at most ten times a second.

        Raises `VfmError`; what came in until then stays, and another call goes on from there.
        """
        grown = asyncio.Event()
        watching = asyncio.create_task(self._watch(grown))
        try:
            while not self.over:
                await grown.wait()
                grown.clear()
                last = watching.done()
                async for _ in self._fold(last):
                    yield self
                if last:
                    await watching  # its error, if it had one
                    self.record = await self.client.status(self.record)
                    self.over = True
                yield self
                if not last:
                    await asyncio.sleep(BETWEEN)
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError, Exception):  # told of above, or not waited for
                await watching

    async def _watch(self, grown: asyncio.Event) -> None:
        asyncio.current_task().add_done_callback(lambda _: grown.set())  # type: ignore[union-attr]
        async for _ in self.client.of(self.record).watch(self.record):
            grown.set()

    async def _fold(self, over: bool) -> AsyncIterator[None]:
        """Take in all there is. A long past is told of as it is read."""
        loop = asyncio.get_running_loop()
        if await asyncio.to_thread(self._is_another):
            self._begin_anew()
        told, stage = loop.time(), self._stage
        while size := await self._take(over):
            self.folded += size
            if loop.time() - told > BETWEEN:
                yield
                told = loop.time()
        if self._stage != stage and not over:
            self.record = await self.client.status(self.record)  # a worker puts more on record as it goes

    def _is_another(self) -> bool:
        """Whether the output was replaced or cut short since it was taken in."""
        return self.log_file.check_replaced() != self._generation or self.log_file.size() < self.folded

    def _begin_anew(self) -> None:
        """What the output says now is all that counts; panes hold on to its parts."""
        self.state = RunState()
        self.metrics.clear()
        self.system.clear()
        self.folded, self._searched, self._generation = 0, 0, self.log_file.generation

    @property
    def _stage(self) -> tuple[int, int]:
        """What changes when more is on record."""
        return self.state.attempt, len(self.state.phases)

    async def _take(self, over: bool) -> int:
        events, size = await asyncio.to_thread(self._read, over)
        for event in events:
            if self.state.add(event):
                self.metrics.add(event)
                if isinstance(event, SystemEvent):
                    self.system.append((event.t, event.values))
        return size

    def _read(self, over: bool) -> tuple[list[AnyEvent], int]:
        """The events on the next whole lines, and those lines' bytes; a torn last line is one when `over`."""
        data = self.log_file.raw(self.folded, SLICE)
        whole = data.rfind(b"\n") + 1
        if data and not whole:
            return self._long_line(data, over)
        return _events(data[:whole]), whole

    def _long_line(self, begin: bytes, over: bool) -> tuple[list[AnyEvent], int]:
        """The same for a line that goes on behind these bytes: each byte is looked at once."""
        at = max(self._searched, self.folded + len(begin))
        while chunk := self.log_file.raw(at, CHUNK):
            newline = chunk.find(b"\n")
            at += len(chunk) if newline < 0 else newline + 1
            if newline >= 0:
                break
        else:
            self._searched = at
            if not over:
                return [], 0
        size = at - self.folded
        is_event = begin.startswith(b"\x1e") and size <= LONGEST_EVENT
        return _events(self.log_file.raw(self.folded, size)) if is_event else [], size


def _events(data: bytes) -> list[AnyEvent]:
    """The events among whole lines; text is passed over without being looked at."""
    found: list[AnyEvent] = []
    at = 0 if data.startswith(b"\x1e") else data.find(b"\n\x1e") + 1
    while at or data.startswith(b"\x1e"):
        end = data.find(b"\n", at)
        end = len(data) if end < 0 else end
        event = decode_line(data[at:end].decode("utf-8", errors="replace"))
        if not isinstance(event, str):
            found.append(event)
        at = data.find(b"\n\x1e", end) + 1
        if not at:
            break
    return found
