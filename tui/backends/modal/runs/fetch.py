"""Brings a run's output into its journal, from the app's logs and from the volume's `logs/stream.log`.

Owns which piece comes from where: logs are quick and may lose some, the volume has everything, up to its last
commit. Going on and on until the run is over is `watch.py`'s.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence

from remote.contract import layout
from remote.contract.log_frames import Frame, FrameReader
from remote.contract.record import RunRecord
from tui.backends.base import Volumes
from tui.backends.modal.runs import app_logs
from tui.backends.modal.runs.app_logs import Entry
from tui.backends.modal.runs.stream_copy import Journal
from tui.backends.modal.session import Session

PIECE = 4 << 20
"""Bytes that are read from a volume at once."""
BEFORE = 5.0
"""Seconds before the last entry that is known, from which on logs are fetched again."""


class Readers:
    """Puts the frames of several containers together from the entries of a log."""

    def __init__(self) -> None:
        self._of = defaultdict[str, FrameReader](FrameReader)

    def feed(self, entries: Iterable[Entry]) -> list[Frame]:
        """The frames that these entries complete."""
        found = [self._of[entry.container].feed(entry.text) for entry in entries if entry.source == "stdout"]
        return [item for items in found for item in items if isinstance(item, Frame)]

    @property
    def torn(self) -> bool:
        """Whether a frame has begun whose end is still to come."""
        return any(reader.torn for reader in self._of.values())


class Bringer:
    """One run's output: its journal, what waits for its place, and where more of it is to be had."""

    def __init__(self, session: Session, volumes: Volumes, journal: Journal) -> None:
        self._session, self._volumes, self.journal = session, volumes, journal
        self.waiting: list[Frame] = []
        """Frames before which some bytes are missing."""
        self._one_at_a_time = asyncio.Lock()

    async def take(self, frames: Sequence[Frame]) -> None:
        """Place these frames and those that wait."""
        async with self._one_at_a_time:
            if frames or self.waiting:
                self.waiting = await asyncio.to_thread(self.journal.take, [*self.waiting, *frames])

    async def from_logs(self, app: str, since: float) -> None:
        """Fetch what was logged since then. Raises `BackendError`; `NotFoundError` without the app."""
        client = await self._session.client()
        await self.take_entries(await app_logs.past(client, app, since))

    async def take_entries(self, entries: Iterable[Entry]) -> None:
        """Place the frames of entries that were fetched."""
        await self.take(Readers().feed(entries))

    async def from_volume(self, record: RunRecord) -> None:
        """Fetch what the volume has and the journal has not. Raises `BackendError`.

        The parts of attempts that are over are closed, except where frames wait for more of them.
        """
        offsets = [attempt.offset for attempt in record.attempts] or [0]
        while True:
            place = await asyncio.to_thread(self.journal.place)
            if place.attempt > len(offsets):
                return
            begin = offsets[place.attempt - 1] if place.attempt > 1 else 0
            last = place.attempt == len(offsets)
            await self._copy(record, begin, None if last else offsets[place.attempt])
            await self.take([])
            if last or any(frame.attempt == place.attempt for frame in self.waiting):
                return
            await self.begin(place.attempt + 1)

    async def begin(self, attempt: int) -> None:
        """Close the part of the attempts before, and place what waits for that."""
        async with self._one_at_a_time:
            first = next((f for f in self.waiting if (f.attempt, f.at) == (attempt, 0)), None)
            ends_line = first is not None and first.data.startswith(b"\n")
            await asyncio.to_thread(self.journal.begin, attempt, ends_line=ends_line)
        await self.take([])

    async def give_up(self) -> None:
        """Go on with what there is: say how many bytes are missing before the first frame that waits."""
        if not self.waiting:
            return
        first = self.waiting[0]
        await self.begin(first.attempt)
        await asyncio.to_thread(self.journal.skip, first.attempt, first.at)
        await self.take([])

    async def all_of(self, record: RunRecord) -> None:
        """Everything of a run that is over, from the volume, and from what was held back."""
        await self.from_volume(record)
        while self.waiting:
            await self.give_up()
            await self.from_volume(record)

    async def _copy(self, record: RunRecord, begin: int, end: int | None) -> None:
        """The rest of the current attempt's part, which lies from `begin` to `end` in the volume."""
        path = f"{layout.run_path(record.run_id)}/{layout.STREAM}"
        while True:
            place = await asyncio.to_thread(self.journal.place)
            offset = begin + place.at
            size = PIECE if end is None else min(PIECE, end - offset)
            if size <= 0:
                return
            try:
                data = await self._volumes.read(record.outputs, path, offset, size)
            except FileNotFoundError:
                return  # nothing was committed yet, or somebody has deleted it
            if not data:
                return
            await asyncio.to_thread(self.journal.add, place.attempt, place.at, data)
