"""All runs of all backends as rows, kept up to date.

Owns putting the backends' rows together, and the cache that is shown before a backend has answered.
`poller.py` asks each backend, so that each fails alone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from remote.contract.errors import VfmError
from tui.store.runs.row import Key, RunRow
from tui.store.runs.row_cache import RunCache

if TYPE_CHECKING:
    from tui.client import Client
    from tui.services.poller import BackendRuns

KEEP = 5.0
"""Seconds between two writes of the cache."""
BETWEEN = 0.2
"""Seconds between two updates."""
MANY = 10_000
"""With so many rows, updates come once a second at most."""
AGAIN = 4.0
"""Seconds until the client is created again after an error."""


class RunList:
    """All rows, newest first, and the state of each backend. `updates()` keeps them up to date."""

    def __init__(
        self,
        connect: Callable[[], Awaitable[Client]],
        folder: Path | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.rows: list[RunRow] = []
        self.backends: list[BackendRuns] = []
        """The pollers; none until there is a client."""
        self.error: VfmError | None = None
        """Why there is no client."""
        self._connect, self._clock, self._seen = connect, clock, True
        self._cache = RunCache(folder / "runs.json") if folder else None
        self._cached: dict[str, dict[Key, RunRow]] = {}
        self._parts: Iterator[list[RunRow]] | None = None
        self._changed, self._saving, self._unsaved = asyncio.Event(), asyncio.Lock(), False

    @property
    def settled(self) -> bool:
        """Whether every backend has answered, or its error is known."""
        return bool(self.backends) and all(backend.settled for backend in self.backends)

    @property
    def listed(self) -> bool:
        """Whether any backend has answered; until then, rows are those of the last session."""
        return any(backend.listed for backend in self.backends)

    def see(self, seen: bool) -> None:
        """The rows have come into sight, or gone."""
        self._seen = seen
        for backend in self.backends:
            backend.seen = seen
            if seen:
                backend.ask_now()

    def read_first(self) -> None:
        """Read the newest rows of the last session, for the first frame; takes milliseconds."""
        self._parts = self._cache.read() if self._cache else iter(())
        self._take(next(self._parts, []))

    async def updates(self) -> AsyncGenerator[RunList, None]:
        """This list, with the cached rows first, then after each change, at most five a second."""
        if self._parts is None:
            self.read_first()
            yield self
        async for _ in self._from_cache():
            yield self
        asking, saving = asyncio.create_task(self._ask()), asyncio.create_task(self._save_often())
        asking.add_done_callback(lambda _: self._changed.set())
        try:
            while True:
                await self._changed.wait()
                self._changed.clear()
                if asking.done():
                    asking.result()
                self._collect()
                yield self
                await asyncio.sleep(max(BETWEEN, len(self.rows) / MANY))
        finally:
            asking.cancel()
            saving.cancel()
            await asyncio.gather(asking, saving, return_exceptions=True)

    async def _from_cache(self) -> AsyncIterator[None]:
        """Read the rest of the cache."""
        parts = self._parts or iter(())
        while (rows := await asyncio.to_thread(next, parts, None)) is not None:
            self._take(rows)
            yield

    def _take(self, rows: Sequence[RunRow]) -> None:
        self.rows = [*self.rows, *rows]
        for row in rows:
            self._cached.setdefault(row.backend, {})[row.key] = row

    async def _ask(self) -> None:
        """Poll each backend in a task of its own."""
        client = await self._client()
        from tui.services.poller import BackendRuns

        for name in client.backends:
            rows = self._cached.get(name, {})
            self.backends.append(BackendRuns(client, name, rows, changed=self._tell, clock=self._clock))
            self.backends[-1].seen = self._seen
        self._tell()
        async with asyncio.TaskGroup() as group:
            for backend in self.backends:
                group.create_task(backend.poll())

    async def _client(self) -> Client:
        while True:
            try:
                client = await self._connect()
            except VfmError as error:
                self.error = error
                self._changed.set()
                await asyncio.sleep(AGAIN)
            else:
                self.error = None
                return client

    def _tell(self) -> None:
        self._unsaved = True
        self._changed.set()

    def _collect(self) -> None:
        if self.backends:
            rows = [row for backend in self.backends for row in backend.rows.values()]
            self.rows = sorted(rows, key=lambda row: -row.created) if len(self.backends) > 1 else rows

    async def _save_often(self) -> None:
        while True:
            await self.save()
            await asyncio.sleep(KEEP)

    async def save(self) -> None:
        """Write the cache for the next session's first frame, if rows have changed; ignores `OSError`."""
        async with self._saving:
            if self._unsaved and self.listed and self._cache is not None:
                self._unsaved = False
                with suppress(OSError):
                    await asyncio.to_thread(self._cache.write, self.rows)
