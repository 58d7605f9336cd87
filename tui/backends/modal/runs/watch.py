"""Watches a run: its copy grows with its output, across every break of the connection, until the run is over.

Owns reconnecting, noticing the end of the run, and sharing one watch among all watchers of a run in this
process. `fetch.py` knows where output is fetched from.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Coroutine
from typing import Any

from remote.contract.errors import BackendError, RunNotFound
from remote.contract.record import RunRecord
from tui.backends.modal.runs import app_logs, calls
from tui.backends.modal.runs.fetch import BEFORE, FrameReaders, StreamFetcher
from tui.backends.modal.runs.records import Records
from tui.backends.modal.runs.status import StatusReader
from tui.backends.modal.session import NotSignedIn, Session

STREAM = 15.0
"""Seconds that one request for logs lasts: a dead connection is noticed by then."""
OUTCOME = 50.0
"""Seconds that one request for the call's outcome lasts; it is answered as soon as the call ends."""
LOOK = 5.0
"""Seconds between two reads of the record of a run whose call is not known."""
KEEP = 1.0
"""Seconds between two notes of the position in the logs."""
GROWN = 0.1
"""Seconds until growth by another program is noticed."""
HEAL, HEAL_MOST, HEALINGS = 0.3, 5.0, 20
"""Seconds until missing bytes are fetched, at first and at most, and how often that is tried: for longer than
the time between two commits of the volume, which may be the only place that has them."""
TORN = 3
"""How often logs are fetched for the end of a frame that does not come: it may not be a frame at all."""
REFRESH = 30.0
"""Seconds between two fetches for entries that the stream of logs left out without a sign."""
AGAIN, AGAIN_MOST = 0.2, 5.0
"""Seconds until the next attempt to connect, at first and at most."""


class Watch:
    """The watch of one run, shared by all of its watchers in this process: it lasts while there is one."""

    def __init__(
        self, session: Session, records: Records, status: StatusReader, fetcher: StreamFetcher, run: RunRecord
    ) -> None:
        self._session, self._records, self._status = session, records, status
        self._fetcher, self._run = fetcher, run
        self._readers, self._position, self._seen, self._noted = FrameReaders(), "", 0.0, 0.0
        self.trouble = ""
        """Why the copy does not grow just now, or an empty string."""
        self._record, self._looked, self._caught_up = run, float("-inf"), float("-inf")
        self._lock, self._app_is_over = asyncio.Lock(), False
        self._watchers = 0
        self._task: asyncio.Task[None] | None = None
        self._grown = asyncio.Event()

    async def sizes(self) -> AsyncGenerator[int, None]:
        """The copy's size (bytes), at once and after each growth; ends with the run, when all is present.

        Raises `NotSignedIn`; every other failure is tried again.
        """
        self._watchers += 1
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._loop())
        try:
            known = -1
            while True:
                over = self._task.done()  # before the size: so nothing that came before the end is missed
                size = await asyncio.to_thread(self._fetcher.copy.size)
                if size != known:
                    known = size
                    yield size
                elif over:
                    self._task.result()
                    return
                else:
                    await self._sleep()
        finally:
            self._watchers -= 1
            if not self._watchers:
                await self._end()

    async def catch_up(self) -> None:
        """Fetch the output of the past once, unless a watcher has it fetched. Raises `BackendError`."""
        asked = time.monotonic()
        async with self._lock:
            # A call that waited for the lock meanwhile is answered by this one.
            if self._caught_up < asked and (self._task is None or self._task.done()):
                self._caught_up = time.monotonic()
                await self._round(live=False)
                await asyncio.to_thread(self._note_position)

    async def _sleep(self) -> None:
        """Wait until the copy has grown, or another program may have written it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GROWN):
                await self._grown.wait()
        self._grown.clear()

    async def _end(self) -> None:
        task, self._task = self._task, None
        if task is not None and not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await asyncio.to_thread(self._note_position)

    async def _loop(self) -> None:
        try:
            await self._fetch_until_over()
        finally:
            self._grown.set()

    async def _fetch_until_over(self) -> None:
        pause = AGAIN
        while True:
            began = time.monotonic()
            try:
                async with self._lock:
                    over = await self._round()
                if over:
                    self.trouble = ""
                    return
                await asyncio.sleep(AGAIN)
            except NotSignedIn:
                raise
            except BackendError as error:
                self.trouble = error.message
                pause = AGAIN if time.monotonic() - began > STREAM else min(2 * pause, AGAIN_MOST)
                await asyncio.sleep(pause)

    async def _round(self, *, live: bool = True) -> bool:
        """Fetch what comes until something ends; returns whether the run is over and all of it is present."""
        copy = self._fetcher.copy
        if (await asyncio.to_thread(copy.cursor)).complete:
            return True
        if await self._launching(live):
            return False
        try:
            record = await self._current(live)
        except RunNotFound:
            # The volume has nothing of it: it was never launched, or was deleted.
            return True
        if record.ended_already:
            await self._fetcher.all_of(record)
            await asyncio.to_thread(copy.complete)
            return True
        if app := record.identifiers.get("app"):
            await self._fetch(record, app, live)
        elif live:  # being launched on another machine
            await asyncio.sleep(LOOK)
        return False

    async def _current(self, live: bool) -> RunRecord:
        """The record, at most a few seconds old where the run is not watched."""
        if live or self._app_is_over or time.monotonic() - self._looked > LOOK:
            self._record = await self._status.current(self._run)
            self._looked = time.monotonic()
        return self._record

    async def _launching(self, live: bool) -> bool:
        """Wait for a launcher on this machine, which writes the copy itself."""
        while await asyncio.to_thread(self._records.launching, self._run):
            if not live:
                return True
            await asyncio.sleep(GROWN / 2)
        return False

    async def _fetch(self, record: RunRecord, app: str, live: bool) -> None:
        self.trouble = ""  # Modal has answered
        cursor = await asyncio.to_thread(self._fetcher.copy.cursor)
        if not self._position:
            self._position, self._seen = cursor.position, cursor.seen or record.created
        if not await asyncio.to_thread(self._fetcher.copy.size):
            await self._fetcher.from_volume(record)  # the output before the watch began, in large pieces
        if live:
            call = record.identifiers.get("call")
            await _first_of(self._stream(app), self._over(call), self._heal(app))
        else:
            await self._take_logs(app, 0.0)

    async def _stream(self, app: str) -> None:
        while not await self._take_logs(app, STREAM):
            pass

    async def _take_logs(self, app: str, seconds: float) -> bool:
        """Append what the logs have for so many seconds; returns whether app and logs are at their end."""
        from modal.exception import NotFoundError

        client = await self._session.client()
        try:
            async with contextlib.aclosing(app_logs.live(client, app, self._position, seconds)) as batches:
                async for batch in batches:
                    await self._take(batch)
                    self._app_is_over = batch.done
                    if batch.done:
                        return True
        except NotFoundError:
            return True  # Modal no longer knows the app
        return False

    async def _take(self, batch: app_logs.LogBatch) -> None:
        await self._fetcher.take(self._readers.feed(batch.entries))
        if batch.entries:
            self._grown.set()
        self._position = batch.position or self._position
        if not self._readers.torn and not self._fetcher.waiting and batch.position:
            # All that came before this batch is in the copy: logs may be read on from here.
            self._seen = max([self._seen, *(entry.time for entry in batch.entries)])
            if time.monotonic() - self._noted > KEEP:
                await asyncio.to_thread(self._note_position)

    def _note_position(self) -> None:
        """Note the position in the logs, for the next watch."""
        if self._position and not self._readers.torn and not self._fetcher.waiting:
            self._noted = time.monotonic()
            self._fetcher.copy.remember(self._position, self._seen)

    async def _over(self, call: str | None) -> None:
        """Wait until the run's call has ended."""
        client = await self._session.client()
        from modal.exception import NotFoundError

        while True:
            if call is None:
                await asyncio.sleep(LOOK)
                record = await self._records.fetch(self._run)
                call = record.identifiers.get("call")
                if record.ended_already:
                    return
                continue
            try:
                if await calls.outcome(client, call, OUTCOME) is not None:
                    return
            except NotFoundError:
                return

    async def _heal(self, app: str) -> None:
        """Fetch what is missing before waiting frames, first from the logs, then from the volume.

        The end of a frame may be missing too, and hides the frames after it.
        """
        pause, tries, looked = HEAL, 0, time.monotonic()
        while True:
            await asyncio.sleep(pause)
            waiting, torn = bool(self._fetcher.waiting), self._readers.torn
            if waiting or (torn and tries < TORN):
                await self._heal_once(app, from_volume=tries > 0)
                pause, tries = min(2 * pause, HEAL_MOST), tries + 1
                if waiting and tries >= HEALINGS:
                    await self._fetcher.give_up()
                continue
            pause, tries = HEAL, tries if torn else 0
            if time.monotonic() - looked > REFRESH:
                await self._heal_once(app, from_volume=False)
                looked = time.monotonic()

    async def _heal_once(self, app: str, *, from_volume: bool) -> None:
        from modal.exception import NotFoundError

        with contextlib.suppress(NotFoundError):
            await self._fetcher.from_logs(app, self._seen - BEFORE)
        if from_volume:
            await self._fetcher.from_volume(await self._records.fetch(self._run))
        self._grown.set()


async def _first_of(*work: Coroutine[Any, Any, None]) -> None:
    """Wait until one of them ends or fails; then cancel the others."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
