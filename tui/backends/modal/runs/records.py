"""Runs' records: in the volumes, where they are the truth, and the copies on this machine.

Owns finding them all and the copies in `<home>/modal/<volume>/runs/<id>/`, which spare asking again for runs
that are over. While a run is being launched here, that directory is the launcher's.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from remote.contract import layout
from remote.contract.errors import DiskError, Hint, RunNotFound
from remote.contract.json_text import to_portable_json
from remote.contract.record import LaunchRequest, RunRecord
from tui.backends.base import Damaged, Volumes
from tui.backends.modal.in_order import each
from tui.backends.stream_file import is_alive
from tui.settings import make_private

OUTPUTS = "verifiers-outputs-"
RESUMABLE = 7 * 86400.0
"""Seconds after its end for which a run may turn out to have been resumed from another machine."""
COMPARE_EVERY = 60.0
"""Seconds between two looks for that."""
TOGETHER = 24
"""Questions that are asked at once."""


class Records:
    """The records of every outputs volume, and their copies under `root`."""

    def __init__(self, root: Path, volumes: Volumes) -> None:
        self.root, self._volumes = root, volumes
        self.notices: list[str] = []
        """What `all` passed over at its last call, a sentence each."""
        self.damaged: list[Damaged] = []
        """The runs among that whose record cannot be read."""
        self._known: dict[tuple[str, str], RunRecord] = {}
        self._compared: dict[tuple[str, str], float] = {}
        """When a final record was last compared with the volume's (Unix seconds)."""

    def run_dir(self, run: RunRecord | LaunchRequest) -> Path:
        """Where what is here of a run lies."""
        return self._dir(run.outputs, run.run_id)

    def launching(self, run: RunRecord) -> bool:
        """Whether a launcher on this machine is at work on it."""
        return is_alive(self.run_dir(run))

    def here(self, outputs: str, run_id: str) -> RunRecord | None:
        """The record as this machine knows it; None where it knows nothing that can be read."""
        try:
            text = (self._dir(outputs, run_id) / layout.RECORD).read_bytes()
            return self._same(RunRecord.model_validate_json(text))
        except (OSError, ValidationError):
            return None

    def remembered(self, run_id: str) -> RunRecord | None:
        """The same, of whatever experiment the run is."""
        volumes = (path.name for path in self.root.glob(f"{OUTPUTS}*"))
        return next((found for name in volumes if (found := self.here(name, run_id))), None)

    async def fetch(self, run: RunRecord) -> RunRecord:
        """The volume's record, with what only this machine knows of it. Never changes once it is final.

        Raises `RunNotFound`, `DiskError` for one that is damaged, and `BackendError`.
        """
        return await self._fetch(run.outputs, run.run_id)

    async def all(self) -> list[RunRecord]:
        """Every run's record, newest first; damaged ones go to `notices`. Raises `BackendError`."""
        self.notices, self.damaged = [], []
        infos = await self._volumes.volumes()
        names = [info.name for info in infos if info.name.startswith(OUTPUTS)]
        places = [place for found in await each(names, self._runs_of, TOGETHER) for place in found]
        records = [record for record in await each(places, self._one, TOGETHER) if record is not None]
        known = {(record.outputs, record.run_id) for record in records}
        staged = await asyncio.to_thread(self._being_launched)
        records += [record for record in staged if (record.outputs, record.run_id) not in known]
        return sorted(records, key=lambda record: record.created, reverse=True)

    def keep(self, record: RunRecord) -> RunRecord:
        """Write the copy of a record, unless a launcher is at work on it; gives the record."""
        path = self.run_dir(record) / layout.RECORD
        # A copy that cannot be written is asked for again.
        with suppress(OSError):
            if self.here(record.outputs, record.run_id) != record and not self.launching(record):
                write(path, to_portable_json(record.model_dump(mode="json")).encode() + b"\n")
        return self._same(record)

    def _dir(self, outputs: str, run_id: str) -> Path:
        return self.root / outputs / layout.run_path(run_id)

    def _same(self, record: RunRecord) -> RunRecord:
        """The very object that was given out before, where nothing has changed since."""
        known = self._known.get((record.outputs, record.run_id))
        if known == record:
            return known
        self._known[record.outputs, record.run_id] = record
        return record

    async def _runs_of(self, volume: str) -> list[tuple[str, str]]:
        try:
            entries = await self._volumes.list(volume, "runs")
        except FileNotFoundError:  # no run yet, or deleted meanwhile
            return []
        names = [Path(entry.path).name for entry in entries if entry.is_dir]
        return [(volume, name) for name in names if name not in ("", ".", "..")]

    async def _one(self, place: tuple[str, str]) -> RunRecord | None:
        try:
            here = await asyncio.to_thread(self.here, *place)
            return here if here is not None and self._stays(here) else await self._fetch(*place)
        except RunNotFound:
            return None  # a folder without a record: a launch that was broken off at once
        except DiskError as error:
            self.damaged.append(Damaged(*place, error.message))
            self.notices.append(error.message)
            return None

    def _stays(self, here: RunRecord) -> bool:
        """Whether the copy of a record does not have to be compared with the volume's just now.

        One that is final changes where another machine has the run resumed, which a run of long ago is not.
        """
        if not here.ended_already:
            return False
        key, now = (here.outputs, here.run_id), time.time()
        if now - (here.ended or 0.0) > RESUMABLE or now - self._compared.get(key, 0.0) < COMPARE_EVERY:
            return True
        self._compared[key] = now
        return False

    async def _fetch(self, outputs: str, run_id: str) -> RunRecord:
        path = f"{layout.run_path(run_id)}/{layout.RECORD}"
        try:
            record = await self._read(outputs, path)
        except FileNotFoundError as error:
            raise RunNotFound(f"there is no record at {outputs}:{path}") from error
        except ValidationError as error:
            hint = Hint("its logs and checkpoints can still be had: vfm ls, vfm get")
            raise DiskError(f"the record {outputs}:{path} is damaged", cause=str(error), hint=hint) from error
        if (record.outputs, record.run_id) != (outputs, run_id):
            raise DiskError(f"the record {outputs}:{path} is another run's, {record.run_id}")
        return await asyncio.to_thread(self._merged, record)

    async def _read(self, outputs: str, path: str) -> RunRecord:
        try:
            return RunRecord.model_validate_json(await self._volumes.read(outputs, path))
        except ValidationError:  # It may have been replaced while it was read.
            return RunRecord.model_validate_json(await self._volumes.read(outputs, path))

    def _merged(self, record: RunRecord) -> RunRecord:
        here = self.here(record.outputs, record.run_id)
        if here is None:
            return self.keep(record)
        if here.ended_already and not record.ended_already and record.resumed_after <= here.resumed_after:
            return here
        identifiers = {**here.identifiers, **record.identifiers}
        return self.keep(record.model_copy(update={"identifiers": identifiers}))

    def _being_launched(self) -> list[RunRecord]:
        """Runs that a launcher on this machine has not put into a volume yet, or cannot."""
        paths = self.root.glob(f"{OUTPUTS}*/runs/*/{layout.LOCK}")
        alive = [path.parent for path in paths if is_alive(path.parent)]
        found = (self.here(path.parent.parent.name, path.name) for path in alive)
        return [record for record in found if record is not None]


def write(path: Path, data: bytes) -> None:
    """Write a file that a reader sees whole: old or new, never half."""
    make_private(path.parent)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
