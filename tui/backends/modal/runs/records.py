"""Records of runs: in the volumes, and their copies on this machine.

Owns finding all of them, and the copies in `<home>/modal/<volume>/runs/<id>/`, which spare requests for runs
that are over; the volume's record counts. While a run is being launched here, its directory is the
launcher's.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from remote.contract import layout
from remote.contract.errors import DiskError, Hint, RunNotFound
from remote.contract.json_text import to_portable_json
from remote.contract.plain_files import LARGEST
from remote.contract.record import LaunchRequest, RunRecord
from tui.backends.base import Damaged, Volumes
from tui.backends.modal.in_order import each
from tui.backends.stream_file import is_alive
from tui.private_files import write_private

OUTPUTS = "verifiers-outputs-"
RESUMABLE = 7 * 86400.0
"""Seconds after its end in which a run may have been resumed from another machine."""
COMPARE_EVERY = 60.0
"""Seconds between two checks for that."""
TOGETHER = 24
"""Requests that are made at once."""


class Records:
    """The records of every outputs volume, and their copies under `root`."""

    def __init__(self, root: Path, volumes: Volumes) -> None:
        self.root, self._volumes = root, volumes
        self.notices: list[str] = []
        """What `all` left out at its last call, a sentence each."""
        self.damaged: list[Damaged] = []
        """The runs among them whose record cannot be read."""
        self._known: dict[tuple[str, str], RunRecord] = {}
        self._compared: dict[tuple[str, str], float] = {}
        """Unix seconds of the last comparison of a final record with the volume's."""

    def run_dir(self, run: RunRecord | LaunchRequest) -> Path:
        """The run's directory on this machine."""
        return self._dir(run.outputs, run.run_id)

    def launching(self, run: RunRecord) -> bool:
        """Whether a launcher on this machine works on the run."""
        return is_alive(self.run_dir(run))

    def local(self, outputs: str, run_id: str) -> RunRecord | None:
        """The copy of a record; None where there is none or it cannot be read."""
        try:
            text = (self._dir(outputs, run_id) / layout.RECORD).read_bytes()
            return self._cached(RunRecord.model_validate_json(text))
        except (OSError, ValidationError):
            return None

    def remembered(self, run_id: str) -> RunRecord | None:
        """The copy of a run's record, whichever experiment the run is of."""
        volumes = (path.name for path in self.root.glob(f"{OUTPUTS}*"))
        return next((found for name in volumes if (found := self.local(name, run_id))), None)

    async def fetch(self, run: RunRecord) -> RunRecord:
        """The volume's record, with the identifiers that only this machine knows.

        Raises `RunNotFound`, `DiskError` for one that is damaged, and `BackendError`.
        """
        return await self._fetch(run.outputs, run.run_id)

    async def all(self) -> list[RunRecord]:
        """Every run's record, newest first; damaged ones are in `notices`. Raises `BackendError`."""
        self.notices, self.damaged = [], []
        infos = await self._volumes.volumes()
        names = [info.name for info in infos if info.name.startswith(OUTPUTS)]
        places = [place for found in await each(names, self._runs_of, TOGETHER) for place in found]
        records = [record for record in await each(places, self._record, TOGETHER) if record is not None]
        known = {(record.outputs, record.run_id) for record in records}
        launching = await asyncio.to_thread(self._being_launched)
        records += [record for record in launching if (record.outputs, record.run_id) not in known]
        return sorted(records, key=lambda record: record.created, reverse=True)

    def save(self, record: RunRecord) -> RunRecord:
        """Write the copy of a record, unless a launcher works on the run; returns the record."""
        path = self.run_dir(record) / layout.RECORD
        # What cannot be written is fetched again the next time.
        with suppress(OSError):
            if self.local(record.outputs, record.run_id) != record and not self.launching(record):
                write_private(path, to_portable_json(record.model_dump(mode="json")) + "\n")
        return self._cached(record)

    def _dir(self, outputs: str, run_id: str) -> Path:
        return self.root / outputs / layout.run_path(run_id)

    def _cached(self, record: RunRecord) -> RunRecord:
        """The object that was returned before, if nothing has changed since."""
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

    async def _record(self, place: tuple[str, str]) -> RunRecord | None:
        try:
            local = await asyncio.to_thread(self.local, *place)
            return local if local is not None and self._is_fresh(local) else await self._fetch(*place)
        except RunNotFound:
            return None  # a folder without a record: its launch was interrupted at once
        except DiskError as error:
            self.damaged.append(Damaged(*place, error.message))
            self.notices.append(error.message)
            return None

    def _is_fresh(self, local: RunRecord) -> bool:
        """Whether the copy of a record need not be compared with the volume's just now.

        A final record changes when another machine resumes the run, which happens soon or never.
        """
        if not local.ended_already:
            return False
        key, now = (local.outputs, local.run_id), time.time()
        if now - (local.ended or 0.0) > RESUMABLE or now - self._compared.get(key, 0.0) < COMPARE_EVERY:
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
            return RunRecord.model_validate_json(await self._volumes.read(outputs, path, 0, LARGEST))
        except ValidationError:  # it may have been replaced while it was read
            return RunRecord.model_validate_json(await self._volumes.read(outputs, path, 0, LARGEST))

    def _merged(self, record: RunRecord) -> RunRecord:
        local = self.local(record.outputs, record.run_id)
        if local is None:
            return self.save(record)
        if local.ended_already and not record.ended_already and record.resumed_after <= local.resumed_after:
            return local
        identifiers = {**local.identifiers, **record.identifiers}
        return self.save(record.model_copy(update={"identifiers": identifiers}))

    def _being_launched(self) -> list[RunRecord]:
        """Records of runs that a launcher on this machine has not put into a volume yet."""
        paths = self.root.glob(f"{OUTPUTS}*/runs/*/{layout.LOCK}")
        alive = [path.parent for path in paths if is_alive(path.parent)]
        found = (self.local(path.parent.parent.name, path.name) for path in alive)
        return [record for record in found if record is not None]
