"""Watching a run: its journal grows as the run speaks, whatever becomes of the connection, until it is over.

Owns going on: reconnecting, seeing that a run is over, and sharing one watch among all in this process who
look at the same run. Where each piece of output comes from is `bring.py`'s.
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
from tui.backends.modal.runs.fetch import BEFORE, Bringer, Readers
from tui.backends.modal.runs.records import Records
from tui.backends.modal.runs.status import Standing
from tui.backends.modal.session import NotSignedIn, Session

STREAM = 15.0
"""Seconds that one call for logs lasts: a connection that died in silence is noticed by then."""
OUTCOME = 50.0
"""Seconds that one question lasts for how the run ended; it is answered as soon as it has."""
LOOK = 5.0
"""Seconds between two looks at the record of a run whose call is not known."""
KEEP = 1.0
"""Seconds between two writings of where the logs were left."""
GROWN = 0.1
"""Seconds until growth by another program's hand is noticed."""
HEAL, HEAL_MOST, HEALINGS = 0.3, 5.0, 20
"""Seconds until bytes that are missing are fetched, at first and at most, and how often that is tried: for
longer than a container goes on without committing its volume, which may be the only one to have them."""
TORN = 3
"""How often logs are fetched for the end of a frame that does not come: it may be no frame at all."""
REFRESH = 30.0
"""Seconds between two looks for entries that a stream of logs has left out without a sign."""
AGAIN, AGAIN_MOST = 0.2, 5.0
"""Seconds until a connection is tried again."""


class Watch:
    """One run, watched by any number of lookers in this process; it goes on while there is one."""

    def __init__(
        self, session: Session, records: Records, standing: Standing, bringer: Bringer, run: RunRecord
    ) -> None:
        self._session, self._records, self._standing = session, records, standing
        self._bringer, self._run = bringer, run
        self._readers, self._position, self._seen, self._kept = Readers(), "", 0.0, 0.0
        self.trouble = ""
        """What keeps the journal from growing just now; empty where nothing does."""
        self._record, self._looked, self._caught_up = run, float("-inf"), float("-inf")
        self._alone, self._app_is_over = asyncio.Lock(), False
        self._lookers = 0
        self._task: asyncio.Task[None] | None = None
        self._grown = asyncio.Event()

    async def sizes(self) -> AsyncGenerator[int, None]:
        """The journal's size, at once and whenever it has grown; ends when the run is over and all is there.

        Raises `BackendError` where nobody is signed in: everything else is tried again.
        """
        self._lookers += 1
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._go_on())
        try:
            known = -1
            while True:
                over = self._task.done()  # asked before looking: what came before the end is then seen too
                size = await asyncio.to_thread(self._bringer.journal.size)
                if size != known:
                    known = size
                    yield size
                elif over:
                    self._task.result()
                    return
                else:
                    await self._sleep()
        finally:
            self._lookers -= 1
            if not self._lookers:
                await self._end()

    async def catch_up(self) -> None:
        """Bring what there is now, once; nothing is done while somebody watches. Raises `BackendError`."""
        asked = time.monotonic()
        async with self._alone:
            # Others who asked meanwhile were answered with it; whoever watches brings more than this.
            if self._caught_up < asked and (self._task is None or self._task.done()):
                self._caught_up = time.monotonic()
                await self._round(live=False)
                await asyncio.to_thread(self._keep)

    async def _sleep(self) -> None:
        """Until the journal has grown, or may have by another program's hand."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GROWN):
                await self._grown.wait()
        self._grown.clear()

    async def _end(self) -> None:
        task, self._task = self._task, None
        if task is not None and not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await asyncio.to_thread(self._keep)

    async def _go_on(self) -> None:
        try:
            await self._until_over()
        finally:
            self._grown.set()

    async def _until_over(self) -> None:
        pause = AGAIN
        while True:
            began = time.monotonic()
            try:
                async with self._alone:
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
        """Bring what comes until something ends; gives whether the run is over and all of it here."""
        journal = self._bringer.journal
        if (await asyncio.to_thread(journal.cursor)).complete:
            return True
        if await self._launching(live):
            return False
        try:
            record = await self._known(live)
        except RunNotFound:
            # Nothing of it in the volume: never launched, or deleted. What is here is all there is.
            return True
        if record.ended_already:
            await self._bringer.all_of(record)
            await asyncio.to_thread(journal.complete)
            return True
        if app := record.identifiers.get("app"):
            await self._bring(record, app, live)
        elif live:  # being launched on another machine
            await asyncio.sleep(LOOK)
        return False

    async def _known(self, live: bool) -> RunRecord:
        """The record; those who only glance at a run, again and again, are content with one a little old."""
        if live or self._app_is_over or time.monotonic() - self._looked > LOOK:
            self._record = await self._standing.of(self._run)
            self._looked = time.monotonic()
        return self._record

    async def _launching(self, live: bool) -> bool:
        """Wait for a launcher on this machine, which writes the journal itself."""
        while await asyncio.to_thread(self._records.launching, self._run):
            if not live:
                return True
            await asyncio.sleep(GROWN / 2)
        return False

    async def _bring(self, record: RunRecord, app: str, live: bool) -> None:
        self.trouble = ""  # Modal has answered
        cursor = await asyncio.to_thread(self._bringer.journal.cursor)
        if not self._position:
            self._position, self._seen = cursor.position, cursor.seen or record.created
        if not await asyncio.to_thread(self._bringer.journal.size):
            await self._bringer.from_volume(record)  # what was said before anybody looked, in one piece
        if live:
            call = record.identifiers.get("call")
            await _first_of(self._stream(app), self._over(call), self._heal(app))
        else:
            await self._take_logs(app, 0.0)

    async def _stream(self, app: str) -> None:
        while not await self._take_logs(app, STREAM):
            pass

    async def _take_logs(self, app: str, seconds: float) -> bool:
        """Place what comes of the logs; gives whether the app is over and its logs at their end."""
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
            return True  # Modal has forgotten the app.
        return False

    async def _take(self, batch: app_logs.LogBatch) -> None:
        await self._bringer.take(self._readers.feed(batch.entries))
        if batch.entries:
            self._grown.set()
        self._position = batch.position or self._position
        if not self._readers.torn and not self._bringer.waiting and batch.position:
            # All that came before this batch is in the journal: logs may be read on from here.
            self._seen = max([self._seen, *(entry.time for entry in batch.entries)])
            if time.monotonic() - self._kept > KEEP:
                await asyncio.to_thread(self._keep)

    def _keep(self) -> None:
        """Note where the logs were left, for whoever watches next."""
        if self._position and not self._readers.torn and not self._bringer.waiting:
            self._kept = time.monotonic()
            self._bringer.journal.remember(self._position, self._seen)

    async def _over(self, call: str | None) -> None:
        """Wait for the end of the run's call."""
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
        """Fetch what is missing before frames that wait: from the logs, then from the volume.

        A frame that does not come to its end may have lost it, and hides those after it.
        """
        pause, tries, looked = HEAL, 0, time.monotonic()
        while True:
            await asyncio.sleep(pause)
            waiting, torn = bool(self._bringer.waiting), self._readers.torn
            if waiting or (torn and tries < TORN):
                await self._heal_once(app, from_volume=tries > 0)
                pause, tries = min(2 * pause, HEAL_MOST), tries + 1
                if waiting and tries >= HEALINGS:
                    await self._bringer.give_up()
                continue
            pause, tries = HEAL, tries if torn else 0
            if time.monotonic() - looked > REFRESH:
                await self._heal_once(app, from_volume=False)
                looked = time.monotonic()

    async def _heal_once(self, app: str, *, from_volume: bool) -> None:
        from modal.exception import NotFoundError

        with contextlib.suppress(NotFoundError):
            await self._bringer.from_logs(app, self._seen - BEFORE)
        if from_volume:
            await self._bringer.from_volume(await self._records.fetch(self._run))
        self._grown.set()


async def _first_of(*work: Coroutine[Any, Any, None]) -> None:
    """Until one of them ends, or fails; the others are then cancelled."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
