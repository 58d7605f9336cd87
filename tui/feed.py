"""One run as it is watched: its journal, and what its events add up to, kept up to date.

Owns folding a stream into state, numbers and samples as it grows, a slice at a time and off the event
loop, so that opening a run of a hundred thousand events is no different from opening one of ten. It
shows nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from remote.contract.events import SystemEvent, decode_line
from tui.store.journal import Journal
from tui.store.runs import RunState
from tui.store.series import Metrics

if TYPE_CHECKING:
    from remote.contract.record import RunRecord
    from tui.client import Client

SLICE = 128 * 1024
"""Bytes that are folded at a time, in a thread: what the interpreter's lock may cost the screen."""
BETWEEN = 0.1
"""Seconds between two updates: ten a second are all that anybody sees."""


@dataclass
class Feed:
    """A run, watched. `updates()` keeps everything here up to date until the run is over."""

    client: Client
    record: RunRecord
    state: RunState = field(default_factory=RunState)
    metrics: Metrics = field(default_factory=Metrics)
    system: list[tuple[float, dict[str, float]]] = field(default_factory=list)
    """(Unix seconds, values) of each sample of the machine."""
    folded: int = 0
    """Bytes of the journal that are in."""
    over: bool = False
    """Whether the run is over and everything that it said is in."""

    def __post_init__(self) -> None:
        self.journal = Journal(self.client.journal(self.record))

    async def updates(self) -> AsyncIterator[Feed]:
        """The feed itself, after each change, at most ten times a second. Raises `VfmError`."""
        grown, done = asyncio.Event(), False

        async def watch() -> None:
            nonlocal done
            try:
                async for _ in self.client.watch(self.record):
                    grown.set()
            finally:
                done = True
                grown.set()

        watching = asyncio.create_task(watch())
        try:
            while not self.over:
                await grown.wait()
                grown.clear()
                over = done
                if over:
                    await watching  # its error, if it had one
                await self._fold(over)
                if over:
                    self.record = await self.client.status(self.record)
                    self.over = True
                yield self
                await asyncio.sleep(BETWEEN)
        finally:
            watching.cancel()

    async def _fold(self, over: bool) -> None:
        began = time.monotonic()
        while await asyncio.to_thread(self._fold_slice, over):
            if time.monotonic() - began > BETWEEN:  # a long past is shown as it is read
                await asyncio.sleep(0)

    def _fold_slice(self, over: bool) -> bool:
        """Take in the next whole lines; False where there are none."""
        data = self.journal.raw(self.folded, SLICE)
        whole = data.rfind(b"\n") + 1
        while data and not whole:
            more = self.journal.raw(self.folded + len(data), SLICE)
            data += more
            whole = data.rfind(b"\n") + 1
            if not more:
                whole = len(data) if over else 0
                break
        self._take(data[:whole])
        self.folded += whole
        return whole > 0

    def _take(self, data: bytes) -> None:
        at = 0 if data.startswith(b"\x1e") else data.find(b"\n\x1e") + 1
        while at or data.startswith(b"\x1e"):
            end = data.find(b"\n", at)
            end = len(data) if end < 0 else end
            event = decode_line(data[at:end].decode("utf-8", errors="replace"))
            if not isinstance(event, str) and self.state.add(event):
                self.metrics.add(event)
                if isinstance(event, SystemEvent):
                    self.system.append((event.t, event.values))
            at = data.find(b"\n\x1e", end) + 1
            if not at:
                return
