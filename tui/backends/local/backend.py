"""The local backend: runs are detached processes on this machine, volumes are folders.

Owns starting a run's supervisor, which owns the run's directory, and finding runs.
"""

from __future__ import annotations

import asyncio
import shlex
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from remote.contract import layout
from remote.contract.errors import BackendError, DiskError, Hint, RunNotFound
from remote.contract.plain_files import read_plain
from remote.contract.record import LaunchRequest, RunRecord
from tui.backends.base import Batch, Damaged, Volumes
from tui.backends.local.stream import follow, watch
from tui.backends.local.volumes import LocalVolumes, has_volumes
from tui.backends.programs import Program
from tui.backends.stream_file import is_alive
from tui.settings import from_shell

_Stamp = tuple[int, int, int]


class LocalBackend:
    """Runs on this machine; methods as in `Backend`.

    env: variables of `.env` for the worker. They are passed by pipe, as secrets are, and so reach no command
    line and no file. worker: a command in place of the real worker, for tests.
    """

    name = "local"

    def __init__(
        self,
        home: Path,
        project_dir: Path,
        env: Mapping[str, str] | None = None,
        *,
        python: str = sys.executable,
        worker: Sequence[str] | None = None,
    ) -> None:
        self.home, self.project_dir = home.absolute(), project_dir.absolute()
        local = LocalVolumes(self.home)
        self.volumes: Volumes = local
        self._root = local.root
        self.notices: list[str] = []
        self.damaged: list[Damaged] = []
        self._env = {**(env or {}), **({"VFM_WORKER": shlex.join(worker)} if worker else {})}
        self._known: dict[Path, tuple[_Stamp, RunRecord]] = {}
        self._supervisor = Program("remote.supervisor", self.home, self.project_dir, python=python)

    async def launch(self, request: LaunchRequest) -> RunRecord:
        return await asyncio.to_thread(self._launch, request)

    async def resume(self, request: LaunchRequest) -> RunRecord:
        return await asyncio.to_thread(self._launch, request, "--resume")

    def follow(self, run: RunRecord, position: int = 0, *, live: bool = True) -> AsyncIterator[Batch]:
        return follow(self.run_dir(run), position, live)

    def log_path(self, run: RunRecord) -> Path:
        """The run's own stream: nothing is copied."""
        return self.run_dir(run) / layout.STREAM

    def watch(self, run: RunRecord) -> AsyncIterator[int]:
        return watch(self.run_dir(run))

    async def cancel(self, run: RunRecord, *, now: bool = False) -> None:
        if not (await self.status(run)).ended_already:
            option = "--kill" if now else "--stop"
            await asyncio.to_thread(self._supervisor.ask, option, str(self.run_dir(run)))

    async def status(self, run: RunRecord) -> RunRecord:
        return await asyncio.to_thread(self._status, self.run_dir(run))

    def trouble(self, run: RunRecord) -> str:
        """Nothing: its output is written on this machine."""
        return ""

    async def remembered(self, run_id: str) -> RunRecord | None:
        """None: `runs` asks nobody either."""
        return None

    async def bring_prices(self) -> None:
        """See `Backend`: runs on this machine cost nothing."""

    async def billed(self, run: RunRecord) -> float | None:
        """None: this machine sends no bill."""
        return None

    async def fetch_prices(self) -> None:
        """Nothing: a run on this machine costs nothing."""

    async def runs(self) -> list[RunRecord]:
        return await asyncio.to_thread(self._runs)

    def run_dir(self, run: RunRecord | LaunchRequest) -> Path:
        """The run's directory."""
        return self._root / run.outputs / layout.run_path(run.run_id)

    def _launch(self, request: LaunchRequest, *arguments: str) -> RunRecord:
        directories = {
            "backend": self.name,
            "run_dir": str(self.run_dir(request)),
            "cache_dir": str(self._root / request.cache),
            "project_dir": str(self.project_dir),
        }
        request = request.model_copy(update=directories)
        env = {**self._env, **from_shell(request.spec.training.environment_secrets)}
        document = {"home": str(self.home), "env": env, "request": request.model_dump(mode="json")}
        return RunRecord.model_validate(self._supervisor.start(document, *arguments)["record"])

    def _runs(self) -> list[RunRecord]:
        self.notices, self.damaged = [], []
        if not has_volumes(self._root):
            return []
        records: dict[Path, RunRecord] = {}
        for run_dir in self._root.glob("*/runs/*/"):
            path = run_dir / layout.RECORD
            if run_dir.name.startswith(layout.NEW_RUN) or not _was_run(run_dir):
                continue
            try:
                records[path.parent] = self._record(path.parent)
            except (RunNotFound, DiskError) as error:
                outputs, run_id = path.parents[2].name, path.parent.name
                self.damaged.append(Damaged(outputs, run_id, error.message))
                self.notices.append(error.message)
        return sorted(self._completed(records).values(), key=lambda record: record.created, reverse=True)

    def _status(self, run_dir: Path) -> RunRecord:
        return self._completed({run_dir: self._record(run_dir)})[run_dir]

    def _completed(self, records: Mapping[Path, RunRecord]) -> Mapping[Path, RunRecord]:
        """Mark runs whose processes are gone as failed; returns all records."""
        dead = [path for path, record in records.items() if _is_dead(path, record)]
        if not dead:
            return records
        cause = ""
        try:
            self._supervisor.ask("--settle", *map(str, dead))
        except BackendError as error:
            cause = error.message
        return {**records, **{path: self._reread(path, records[path], cause) for path in dead}}

    def _reread(self, run_dir: Path, record: RunRecord, cause: str) -> RunRecord:
        with suppress(DiskError, RunNotFound):  # deleted or damaged meanwhile: keep the known record
            record = self._record(run_dir)
        return _gone(record, cause) if _is_dead(run_dir, record) else record

    def _record(self, run_dir: Path) -> RunRecord:
        """Read a record, if its file has changed. Raises `RunNotFound` and `DiskError`."""
        path = run_dir / layout.RECORD
        try:
            stat = path.stat()
            stamp = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            known = self._known.get(path)
            if known is None or known[0] != stamp:
                known = (stamp, _in_its_place(RunRecord.model_validate_json(read_plain(path)), run_dir))
                self._known[path] = known
        except FileNotFoundError as error:
            raise RunNotFound(f"there is no record at {path}") from error
        except (OSError, ValueError) as error:
            hint = Hint("its logs and checkpoints can still be read: vfm ls, vfm get")
            raise DiskError(f"the record {path} is damaged", cause=str(error), hint=hint) from error
        return known[1]


def _was_run(run_dir: Path) -> bool:
    """Whether a folder is a run's, even if its record is gone."""
    return any((run_dir / name).exists() for name in (layout.RECORD, layout.EVENTS, layout.STREAM))


def _in_its_place(record: RunRecord, run_dir: Path) -> RunRecord:
    """The record. Raises `ValueError` where it is of another run than its folder."""
    named = f"{record.outputs}:{layout.run_path(record.run_id)}"
    place = f"{run_dir.parents[1].name}:{layout.run_path(run_dir.name)}"
    if named != place:
        raise ValueError(f"it is of {named}, but in {place}: was the folder renamed or copied?")
    return record


def _is_dead(run_dir: Path, record: RunRecord) -> bool:
    return not record.ended_already and not is_alive(run_dir)


def _gone(record: RunRecord, cause: str) -> RunRecord:
    """The record of a run whose processes are gone, where its supervisor could not write it."""
    message = "the run's processes are gone, and its record could not be updated"
    failure = {"boundary": "worker", "cause": cause, "message": message, "hint": None}
    return record.moved("failed", exit_code=1, failure=failure)
