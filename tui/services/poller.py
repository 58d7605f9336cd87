"""Keep one backend's runs as rows: list them again and again, and read their streams as they grow.

Owns the rounds, the message while a backend does not answer, and the position in each stream. `run_list.py`
puts the backends' rows together; `store/runs/row_fold.py` is what a stream adds to a row.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from remote.contract.errors import BackendError, VfmError
from tui.services import deadline
from tui.services.price import estimate
from tui.store.runs.row import Key, RunRow, advice
from tui.store.runs.row_fold import RunFold

if TYPE_CHECKING:
    from remote.contract.record import RunRecord
    from tui.client import Client

SOON, LATER = 1.0, 4.0
"""Seconds between two rounds: while live runs are in sight, and otherwise."""
TOGETHER = 4
"""Streams that are read at the same time."""
ASKING = "asking …"
_CHUNK = 1000  # rows that are merged before the screen has its turn


class BackendRuns:
    """The rows of one backend by key, newest first; `poll()` keeps them up to date."""

    def __init__(
        self,
        client: Client,
        name: str,
        rows: Mapping[Key, RunRow],
        *,
        changed: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        self.name = name
        self.rows = dict(rows)
        self.advice = ""
        """What to do about the message."""
        self.notices: Sequence[str] = ()
        """What the last listing left out, such as damaged records."""
        self.listed = False
        """Whether it has answered yet."""
        self.seen = True
        """Whether the rows are in sight; otherwise it is asked less often."""
        self._client, self._changed, self._clock = client, changed, clock
        self._message, self._delay = ASKING, ""
        self._due = 0.0
        self._records: dict[Key, RunRecord] = {}
        self._merging: dict[Key, RunRow] = {}
        self._folds: dict[Key, RunFold] = {}
        self._again = asyncio.Event()
        self._completing: asyncio.Task[None] | None = None

    @property
    def message(self) -> str:
        """Why there is no (full) answer; empty when all is well."""
        return self._message or self._delay

    @property
    def settled(self) -> bool:
        """Whether it has answered, or its error is known."""
        return self.listed or self._message != ASKING

    def ask_now(self) -> None:
        """Begin the next round now."""
        self._again.set()

    async def poll(self) -> None:
        """Do round after round, until cancelled."""
        try:
            while True:
                await self._round()
                await self._wait()
        finally:
            if self._completing is not None:
                self._completing.cancel()

    async def _round(self) -> None:
        try:
            if time.monotonic() >= self._due:
                await self._list()
            live = [row for row in self.rows.values() if row.live]
            self._note(await self._read_all(live))
            if any(self._folds[row.key].over for row in live if row.key in self._folds):
                self._due = 0.0
        except VfmError as error:
            self._show(error.message, error.hint.text if error.hint else "")
        except Exception as error:  # of a backend's libraries: shown, while other backends go on
            self._show(f"{type(error).__name__}: {error}")

    async def _list(self) -> None:
        """List the runs; a slow backend is asked less often."""
        began = time.monotonic()
        self._due = began + LATER  # in case of an error
        await self._merge(await deadline.answer_of(self._ask(), self._show, "asking anew"))
        self.listed = True
        self._show("")
        ended = time.monotonic()
        self._due = ended + min(max(SOON if self._busy else LATER, (ended - began) * 8), 30.0)
        self._complete_more()

    @property
    def _busy(self) -> bool:
        return self.seen and any(row.live for row in self.rows.values())

    async def _wait(self) -> None:
        """Wait for the next round: live runs are read every second, also between two listings."""
        delay = SOON if self._busy else self._due - time.monotonic()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._again.wait(), max(delay, 0.0))
            self._due = 0.0
        self._again.clear()

    async def _ask(self) -> list[RunRecord]:
        # Creating a backend may import its libraries, which takes as long as many frames.
        backend = await asyncio.to_thread(self._client.backend, self.name)
        records = await self._client.runs_of(self.name)
        self.notices = tuple(backend.notices)
        return records

    def _show(self, message: str, advice: str = "") -> None:
        self._message, self.advice = message, advice
        self._changed()

    async def _merge(self, records: Sequence[RunRecord]) -> None:
        """Take the listed records; what was read of their streams stays."""
        known, self._records = self._records, {}
        self._merging = {}
        for number, record in enumerate(records, 1):
            key = (record.backend, record.outputs, record.run_id)
            row = self.rows.get(key)
            if row is None or known.get(key) is not record:
                row = _row(record, row)
            self._records[key], self._merging[key] = record, row
            if number % _CHUNK == 0:
                await asyncio.sleep(0)
        self.rows, self._merging = self._merging, {}
        self._folds = {key: fold for key, fold in self._folds.items() if key in self.rows}

    def _complete_more(self) -> None:
        """Read the streams of runs that are over, beside the rounds: there may be thousands."""
        if self._completing is None or self._completing.done():
            left = [row for row in self.rows.values() if not row.live and not row.complete]
            self._completing = asyncio.create_task(self._complete(left)) if left else None

    async def _complete(self, rows: Sequence[RunRow]) -> None:
        self._note(await self._read_all(rows))

    def _note(self, delay: str) -> None:
        if delay != self._delay:
            self._delay = delay
            self._changed()

    async def _read_all(self, rows: Sequence[RunRow]) -> str:
        """Read the streams of these runs; returns what prevented it, or an empty string."""
        waiting = iter(rows)

        async def read() -> None:
            for row in waiting:
                await self._read(row)

        reading = [asyncio.create_task(read()) for _ in range(min(TOGETHER, len(rows)))]
        try:
            await asyncio.gather(*reading)
        except BackendError as error:
            return error.message
        finally:
            for task in reading:
                task.cancel()
        return ""

    async def _read(self, row: RunRow) -> None:
        key, record = row.key, self._records.get(row.key)
        if record is None:  # deleted meanwhile
            return
        fold = self._folds.setdefault(key, RunFold())
        try:
            async with asyncio.timeout(deadline.REPORT_AFTER):
                async for batch in self._client.of(record).follow(record, fold.position, live=False):
                    await asyncio.to_thread(fold.take, batch.lines, batch.position)
        except TimeoutError:
            delay = f"no answer for {deadline.REPORT_AFTER:.0f} s about {row.run_id}"
            raise BackendError(f"{delay}, still trying") from None
        except BackendError:
            raise
        except VfmError:
            # No output yet, or it was deleted or replaced: read it from its beginning the next time.
            self._folds.pop(key, None)
        self._put(fold.row(row), record)
        if not row.live:
            self._folds.pop(key, None)

    def _put(self, row: RunRow, record: RunRecord) -> None:
        """Store a changed row, also during a merge; not if its status has changed meanwhile."""
        row = replace(row, complete=not row.live, cost=_cost(record, self._clock()))
        for rows in (self.rows, self._merging):
            known = rows.get(row.key)
            if known is not None and known.status == row.status and known != row:
                rows[row.key] = row
                self._changed()


def _row(record: RunRecord, known: RunRow | None) -> RunRow:
    """A record as a row; what its stream has added to the known row stays."""
    same = known is not None and (known.status, known.ended) == (record.status, record.ended)
    if known is not None and known.complete and same:
        return known
    failure = record.failure or {}
    if known is None:
        fixed = ("run_id", "kind", "backend", "experimenter", "experiment", "environment", "model", "outputs")
        known = RunRow(**{name: getattr(record, name) for name in (*fixed, "created", "config_path")})
    return replace(
        known,
        status=record.status,
        started=record.started,
        ended=record.ended,
        failure=str(failure.get("message") or ""),
        complete=False,
        price=record.usd_per_hour,
        **advice(failure.get("hint")),
    )


def _cost(record: RunRecord, now: float) -> float | None:
    cost = estimate(record, now)
    return None if cost is None else round(cost, 4)
