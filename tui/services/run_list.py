"""Every run of every backend as rows, kept up to date.

Owns putting the backends' rows together, and the cache that they are shown from before anybody has answered.
Asking one backend is `backend_runs.py`'s, so that each fails alone. It shows nothing.
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
"""Seconds between two writings of the cache."""
BETWEEN = 0.2
"""Seconds between two updates."""
MANY = 10_000
"""Rows that are brought up to date once a second at most."""
AGAIN = 4.0
"""Seconds until a client that could not be made is tried again."""


class RunList:
    """The rows, newest first, and how each backend stands. `updates()` keeps them so."""

    def __init__(
        self,
        connect: Callable[[], Awaitable[Client]],
        folder: Path | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.rows: list[RunRow] = []
        self.backends: list[BackendRuns] = []
        """How each stands; none until the client is there."""
        self.error: VfmError | None = None
        """What keeps the client from being made."""
        self._connect, self._clock, self._seen = connect, clock, True
        self._cache = RunCache(folder / "runs.json") if folder else None
        self._cached: dict[str, dict[Key, RunRow]] = {}
        self._parts: Iterator[list[RunRow]] | None = None
        self._changed, self._saving, self._unsaved = asyncio.Event(), asyncio.Lock(), False

    @property
    def settled(self) -> bool:
        """Whether every backend has answered, or said why it does not."""
        return bool(self.backends) and all(backend.settled for backend in self.backends)

    @property
    def listed(self) -> bool:
        """Whether any backend has answered: before that, rows are those of the session before."""
        return any(backend.listed for backend in self.backends)

    def see(self, seen: bool) -> None:
        """Somebody looks at the rows, or looks away."""
        self._seen = seen
        for backend in self.backends:
            backend.seen = seen
            if seen:
                backend.ask_now()

    def read_first(self) -> None:
        """Take the newest rows of the session before, in milliseconds: the first frame has them."""
        self._parts = self._cache.read() if self._cache else iter(())
        self._take(next(self._parts, []))

    async def updates(self) -> AsyncGenerator[RunList, None]:
        """The list itself: with the cache's rows first, then after each change, at most five a second."""
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
        """All rows but the first."""
        parts = self._parts or iter(())
        while (rows := await asyncio.to_thread(next, parts, None)) is not None:
            self._take(rows)
            yield

    def _take(self, rows: Sequence[RunRow]) -> None:
        self.rows = [*self.rows, *rows]
        for row in rows:
            self._cached.setdefault(row.backend, {})[row.key] = row

    async def _ask(self) -> None:
        """One task a backend, so that none waits for another."""
        client = await self._client()
        from tui.services.poller import BackendRuns

        for name in client.backends:
            rows = self._cached.get(name, {})
            self.backends.append(BackendRuns(client, name, rows, changed=self._tell, clock=self._clock))
            self.backends[-1].seen = self._seen
        self._tell()
        async with asyncio.TaskGroup() as group:
            for backend in self.backends:
                group.create_task(backend.keep())

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
        """Keep the rows for the next session's first frame, where they have changed.

        A disk that refuses them costs that first frame its rows, no more.
        """
        async with self._saving:
            if self._unsaved and self.listed and self._cache is not None:
                self._unsaved = False
                with suppress(OSError):
                    await asyncio.to_thread(self._cache.write, self.rows)
