"""Fetches a run's output into its copy, from the app's logs and from the volume's `logs/stream.log`.

Owns the choice between them: logs are quick and may lose entries, the volume has everything up to its last
commit. `watch.py` repeats it until the run is over.
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
from tui.backends.modal.runs.stream_copy import StreamCopy
from tui.backends.modal.session import Session

PIECE = 4 << 20
"""Bytes that are read from the volume in one request."""
BEFORE = 5.0
"""Seconds before the last known entry from which logs are fetched again: entries may come out of order."""


class FrameReaders:
    """Reads the frames of several containers out of the entries of an app's log."""

    def __init__(self) -> None:
        self._of = defaultdict[str, FrameReader](FrameReader)

    def feed(self, entries: Iterable[Entry]) -> list[Frame]:
        """The frames that are whole with these entries."""
        found = [self._of[entry.container].feed(entry.text) for entry in entries if entry.source == "stdout"]
        return [item for items in found for item in items if isinstance(item, Frame)]

    @property
    def torn(self) -> bool:
        """Whether the end of a frame is missing."""
        return any(reader.torn for reader in self._of.values())


class StreamFetcher:
    """Fetches one run's output into its copy."""

    def __init__(self, session: Session, volumes: Volumes, copy: StreamCopy) -> None:
        self._session, self._volumes, self.copy = session, volumes, copy
        self.waiting: list[Frame] = []
        """Frames before which bytes are missing."""
        self._lock = asyncio.Lock()

    async def take(self, frames: Sequence[Frame]) -> None:
        """Append what these frames and the waiting ones have that is new."""
        async with self._lock:
            if frames or self.waiting:
                self.waiting = await asyncio.to_thread(self.copy.take, [*self.waiting, *frames])

    async def from_logs(self, app: str, since: float) -> None:
        """Fetch what was logged since then (Unix seconds).

        Raises `BackendError`, and `NotFoundError` where there is no such app.
        """
        client = await self._session.client()
        await self.take_entries(await app_logs.past(client, app, since))

    async def take_entries(self, entries: Iterable[Entry]) -> None:
        """Append what the frames in these entries have that is new."""
        await self.take(FrameReaders().feed(entries))

    async def from_volume(self, record: RunRecord) -> None:
        """Fetch what the volume has and the copy has not. Raises `BackendError`.

        Continues with the next attempt's part, unless frames wait for more of the one before.
        """
        offsets = [attempt.offset for attempt in record.attempts] or [0]
        while True:
            place = await asyncio.to_thread(self.copy.place)
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
        """Begin an attempt's part, and append the frames that waited for it."""
        async with self._lock:
            first = next((f for f in self.waiting if (f.attempt, f.at) == (attempt, 0)), None)
            ends_line = first is not None and first.data.startswith(b"\n")
            await asyncio.to_thread(self.copy.begin, attempt, ends_line=ends_line)
        await self.take([])

    async def give_up(self) -> None:
        """Give up the bytes that are missing before the first waiting frame: the copy says how many."""
        if not self.waiting:
            return
        first = self.waiting[0]
        await self.begin(first.attempt)
        await asyncio.to_thread(self.copy.skip, first.attempt, first.at)
        await self.take([])

    async def all_of(self, record: RunRecord) -> None:
        """Fetch all output of a run that is over, and append the waiting frames."""
        await self.from_volume(record)
        while self.waiting:
            await self.give_up()
            await self.from_volume(record)

    async def _copy(self, record: RunRecord, begin: int, end: int | None) -> None:
        """Copy the rest of the current attempt's part, which is at `begin` to `end` in the volume's file."""
        path = f"{layout.run_path(record.run_id)}/{layout.STREAM}"
        while True:
            place = await asyncio.to_thread(self.copy.place)
            offset = begin + place.at
            size = PIECE if end is None else min(PIECE, end - offset)
            if size <= 0:
                return
            try:
                data = await self._volumes.read(record.outputs, path, offset, size)
            except FileNotFoundError:
                return  # nothing was committed yet, or it was deleted
            if not data:
                return
            await asyncio.to_thread(self.copy.add, place.attempt, place.at, data)
