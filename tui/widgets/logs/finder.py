"""Runs a log pane's queries off the event loop: when to index and search, and when to stop.

`tui/store/logs` finds the lines; `pane.py` shows them.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import suppress

from tui.store.logs.log_file import LogFile
from tui.store.logs.query import LogControls, LogQuery
from tui.store.logs.search import KnownMatches, LogMatches, LogTail

BETWEEN = 0.1
"""Seconds between two updates of the screen while a search goes on."""


class LogFinder:
    """Finds the lines that a pane's controls select. Several may share one log: it is indexed once."""

    def __init__(self, log_file: LogFile, source: str) -> None:
        self.log_file = log_file
        self.controls = LogControls(source)
        """Call `restart()` after each change of them."""
        self.over = False
        """Whether there will be no more lines."""
        self._known = KnownMatches(log_file)
        self._early: asyncio.Task[LogTail] | None = None
        self._grew, self._hurry = asyncio.Event(), asyncio.Event()
        self._stop = threading.Event()

    @property
    def shown(self) -> LogMatches:
        """The lines that pass source and filter, as far as they were found."""
        return self._known.of(self.controls.query)

    @property
    def hits(self) -> LogMatches | None:
        """The search's matches among them, as far as they were found."""
        return (
            self._known.of(self.controls.query.also(self.controls.search)) if self.controls.search else None
        )

    def start(self, count: int) -> None:
        """Start reading the last lines, while the widgets are still being mounted."""
        self._early = asyncio.create_task(self._read_tail(self.controls.query, count))

    def stop(self) -> None:
        """Stop the search that is under way."""
        self._stop.set()

    def restart(self) -> None:
        """Stop the search that is under way, and wake `wait` and `rest`."""
        self.stop()
        self._stop = threading.Event()
        self._grew.set()
        self._hurry.set()

    def grew(self, *, over: bool = False) -> None:
        """Wake `wait`: there may be more lines. With `over` nothing more will come."""
        self.over = self.over or over
        self._grew.set()

    async def wait(self) -> None:
        """Wait until there may be something to search."""
        await self._grew.wait()
        self._grew.clear()
        self._hurry.clear()

    async def rest(self, seconds: float) -> None:
        """Wait so long, or until the controls change."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._hurry.wait()

    async def tail(self, count: int) -> LogTail | None:
        """The last lines to show until all are found; None where that is sooner. Raises `DiskError`."""
        query = self.controls.query
        early, self._early = self._early, None
        tail = await (early or self._read_tail(query, count))
        if early is not None and tail.query != query:
            tail = await self._read_tail(query, count)
        is_early = query == self.controls.query and (not self.log_file.end or not self.shown.is_done)
        return tail if is_early and len(tail) else None

    async def look(self) -> AsyncIterator[None]:
        """Index and search what was appended; yields whenever there may be more to show.

        Raises `DiskError`.
        """
        await asyncio.to_thread(self.log_file.refresh, over=self.over)
        stop = self._stop
        for matches in (self.shown, self.hits):
            if matches is None:
                continue
            scan = asyncio.create_task(asyncio.to_thread(matches.scan, stop))
            while not scan.done():
                await asyncio.wait({scan}, timeout=BETWEEN)
                if not scan.done() and not stop.is_set():
                    yield
            if not await scan:
                return
        yield

    async def find(self, pattern: str) -> LogMatches | None:
        """All matches among the shown lines; None where the controls changed meanwhile.

        Raises `DiskError`.
        """
        matches = self._known.of(self.controls.query.also(pattern))
        return matches if await asyncio.to_thread(self._scan, self.shown, matches, self._stop) else None

    def _scan(self, shown: LogMatches, matches: LogMatches, stop: threading.Event) -> bool:
        self.log_file.refresh(over=self.over)
        return shown.scan(stop) and matches.scan(stop)

    async def _read_tail(self, query: LogQuery, count: int) -> LogTail:
        return await asyncio.to_thread(LogTail, self.log_file, query, count)
