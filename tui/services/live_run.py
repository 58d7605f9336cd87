"""A run that is watched: its log, state, metrics and samples, kept up to date.

The stream is read and decoded in a thread, a slice at a time; what it adds up to changes on the event loop
only, so that a widget never draws half of a change.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from remote.contract.events import AnyEvent, SystemEvent, decode_line
from remote.contract.long_lines import LONGEST_EVENT
from tui.services.checkpoints import saved
from tui.store.charts.series import Metrics
from tui.store.logs.log_file import CHUNK, LogFile
from tui.store.runs.state import RunState

if TYPE_CHECKING:
    from remote.contract.record import RunRecord
    from tui.client import Client

SLICE = 128 * 1024
"""Bytes decoded at a time in the thread, which holds the interpreter's lock meanwhile."""
BETWEEN = 0.1
"""Seconds between two updates."""


@dataclass
class LiveRun:
    """A watched run. `updates()` keeps all fields up to date until the run is over."""

    client: Client
    record: RunRecord
    state: RunState = field(default_factory=RunState)
    metrics: Metrics = field(default_factory=Metrics)
    system: list[tuple[float, dict[str, float]]] = field(default_factory=list)
    """(Unix seconds, values) of each sample of the system metrics."""
    folded: int = 0
    """Bytes of the log that the fields include."""
    over: bool = False
    """Whether the run is over and its whole stream is included."""
    saved: frozenset[str] | None = None
    """Names of the checkpoints in the volume; None: unknown."""

    _searched: int = 0
    """Offset up to which no line ends after `folded`."""
    _generation: int = 0
    """The generation of the log that was folded."""
    _looked_for: tuple[int, bool] = 0, False
    """The checkpoints that had been announced when the volume was looked into, and whether it was over."""

    def __post_init__(self) -> None:
        self.log_file = LogFile(self.client.of(self.record).log_path(self.record))

    @property
    def status(self) -> str:
        """The record's status; a pending run that has sent events is running."""
        status = self.record.status
        return "running" if status == "pending" and self.state.last_seq >= 0 else status

    def goes_on(self, record: RunRecord) -> None:
        """Another attempt has begun: `updates()` continues."""
        self.record, self.over = record, False

    async def newer_attempt(self) -> RunRecord | None:
        """The record as it is now, if another attempt has begun since the run was over. Raises `VfmError`."""
        record = await self.client.status(self.record)
        seen = self.record.resumed_after, len(self.record.attempts)
        return record if (record.resumed_after, len(record.attempts)) > seen else None

    @property
    def trouble(self) -> str:
        """Why the run's output is stalled, or an empty string."""
        return "" if self.over else self.client.of(self.record).trouble(self.record)

    async def updates(self) -> AsyncIterator[LiveRun]:
        """This object, after each change, at most ten times a second.

        Raises `VfmError`; the fields stay as they are, and another call continues from there.
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
                await self._look_for_checkpoints()
                yield self
                if not last:
                    await asyncio.sleep(BETWEEN)
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError, Exception):  # raised above, or not of interest
                await watching

    async def _look_for_checkpoints(self) -> None:
        """Old ones are removed when a new one is saved, and people remove others once the run is over."""
        looked_for = len(self.state.checkpoints), self.over
        if self.state.checkpoints and looked_for != self._looked_for:
            self._looked_for, self.saved = looked_for, await saved(self.client, self.record)

    async def _watch(self, grown: asyncio.Event) -> None:
        asyncio.current_task().add_done_callback(lambda _: grown.set())  # type: ignore[union-attr]
        async for _ in self.client.of(self.record).watch(self.record):
            grown.set()

    async def _fold(self, over: bool) -> AsyncIterator[None]:
        """Read to the end of the log; yields while a long one is read."""
        loop = asyncio.get_running_loop()
        if await asyncio.to_thread(self._is_replaced):
            self._reset()
        yielded, stage = loop.time(), self._stage
        while size := await self._take(over):
            self.folded += size
            if loop.time() - yielded > BETWEEN:
                yield
                yielded = loop.time()
        if self._stage != stage and not over:
            self.record = await self.client.status(self.record)  # the worker adds to its record as it goes

    def _is_replaced(self) -> bool:
        """Whether the log was replaced or truncated since it was read."""
        return self.log_file.check_replaced() != self._generation or self.log_file.size() < self.folded

    def _reset(self) -> None:
        """Begin again; containers are cleared in place, since panes hold references to them."""
        self.state = RunState()
        self.metrics.clear()
        self.system.clear()
        self.folded, self._searched, self._generation = 0, 0, self.log_file.generation

    @property
    def _stage(self) -> tuple[int, int]:
        """Changes when the record may have changed."""
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
        """Events of the next whole lines, and the lines' size; when over, a torn last line counts as one."""
        data = self.log_file.raw(self.folded, SLICE)
        whole = data.rfind(b"\n") + 1
        if data and not whole:
            return self._long_line(data, over)
        return _events(data[:whole]), whole

    def _long_line(self, begin: bytes, over: bool) -> tuple[list[AnyEvent], int]:
        """The same for a line longer than a slice; each byte is searched once."""
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
