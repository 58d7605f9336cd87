"""The local backend: runs are detached processes on this machine, volumes are folders.

Owns starting a run's supervisor, following its stream and finding its runs. The run itself, from its
first file to its last status, belongs to `remote/supervisor/`: a process that is started, never imported.
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
    """Runs on this machine.

    `env` is what the worker's environment has on top of what every program inherits: the variables of
    `.env`. It travels over a pipe, as the secrets do that the request names, so that it reaches no command
    line and no file. `worker` is a command in place of the real one.
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
        """Start a run that outlives this process; returns once its supervisor has it on record.

        Killed at any moment, the launcher leaves no run, or one that goes on by itself.
        """
        return await asyncio.to_thread(self._launch, request)

    async def resume(self, request: LaunchRequest) -> RunRecord:
        """Have a run that is over go on in its directory, by a supervisor as `launch` starts one."""
        return await asyncio.to_thread(self._launch, request, "--resume")

    def follow(self, run: RunRecord, position: int = 0, *, live: bool = True) -> AsyncIterator[Batch]:
        """The run's output from a byte position; ends with the run, or at once where `live` is false.

        A last line without its newline is given only once the run is over.
        """
        return follow(self.run_dir(run), position, live)

    def log_path(self, run: RunRecord) -> Path:
        """The run's own stream: nothing is copied."""
        return self.run_dir(run) / layout.STREAM

    def watch(self, run: RunRecord) -> AsyncIterator[int]:
        """The size of the run's stream, at once and whenever it has grown; ends with the run."""
        return watch(self.run_dir(run))

    async def cancel(self, run: RunRecord, *, now: bool = False) -> None:
        """Ask a run to stop; it has a minute to save what it has, or with `now` no time at all.

        A run that is over is left alone.
        """
        if not (await self.status(run)).ended_already:
            how = "--kill" if now else "--stop"
            await asyncio.to_thread(self._supervisor.ask, how, str(self.run_dir(run)))

    async def status(self, run: RunRecord) -> RunRecord:
        """The record as it stands now; a run whose processes are gone is put on record as failed."""
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
        """Every run of every experiment, newest first; damaged records go to `notices`."""
        return await asyncio.to_thread(self._runs)

    def run_dir(self, run: RunRecord | LaunchRequest) -> Path:
        """Where a run's files lie on this machine."""
        return self._root / run.outputs / layout.run_path(run.run_id)

    def _launch(self, request: LaunchRequest, *arguments: str) -> RunRecord:
        here = {
            "backend": self.name,
            "run_dir": str(self.run_dir(request)),
            "cache_dir": str(self._root / request.cache),
            "project_dir": str(self.project_dir),
        }
        request = request.model_copy(update=here)
        env = {**self._env, **from_shell(request.spec.training.environment_secrets)}
        document = {"home": str(self.home), "env": env, "request": request.model_dump(mode="json")}
        return RunRecord.model_validate(self._supervisor.start(document, *arguments)["record"])

    def _runs(self) -> list[RunRecord]:
        self.notices, self.damaged = [], []
        if not has_volumes(self._root):
            return []
        records: dict[Path, RunRecord] = {}
        for path in self._root.glob(f"*/runs/*/{layout.RECORD}"):
            if path.parent.name.startswith(layout.NEW_RUN):
                continue
            try:
                records[path.parent] = self._record(path.parent)
            except RunNotFound as error:
                self.notices.append(error.message)
            except DiskError as error:
                outputs, run_id = path.parents[2].name, path.parent.name
                self.damaged.append(Damaged(outputs, run_id, error.message))
                self.notices.append(error.message)
        return sorted(self._settled(records).values(), key=lambda record: record.created, reverse=True)

    def _status(self, run_dir: Path) -> RunRecord:
        return self._settled({run_dir: self._record(run_dir)})[run_dir]

    def _settled(self, records: Mapping[Path, RunRecord]) -> Mapping[Path, RunRecord]:
        """The records, once those of runs that nobody is left of are completed."""
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
        with suppress(DiskError, RunNotFound):  # removed or damaged meanwhile: what was known counts
            record = self._record(run_dir)
        return _gone(record, cause) if _is_dead(run_dir, record) else record

    def _record(self, run_dir: Path) -> RunRecord:
        """A record, read again only where its file has changed."""
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
            hint = Hint("its logs and checkpoints can still be had: vfm ls, vfm get")
            raise DiskError(f"the record {path} is damaged", cause=str(error), hint=hint) from error
        return known[1]


def _in_its_place(record: RunRecord, run_dir: Path) -> RunRecord:
    """A record, if it is of the run whose folder it lies in. Raises `ValueError`."""
    named = f"{record.outputs}:{layout.run_path(record.run_id)}"
    place = f"{run_dir.parents[1].name}:{layout.run_path(run_dir.name)}"
    if named != place:
        raise ValueError(f"it is that of {named}, and lies in {place}: was the folder renamed or copied?")
    return record


def _is_dead(run_dir: Path, record: RunRecord) -> bool:
    return not record.ended_already and not is_alive(run_dir)


def _gone(record: RunRecord, cause: str) -> RunRecord:
    """What is known of a run whose processes are gone and whose record cannot be written."""
    message = "the run's processes are gone, and its record could not be updated"
    failure = {"boundary": "worker", "cause": cause, "message": message, "hint": None}
    return record.moved("failed", exit_code=1, failure=failure)
