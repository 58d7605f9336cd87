"""The Modal backend: a run is a detached app of its own, its files lie in a volume.

Owns putting the parts together, and what may be launched. What runs on Modal's machines, and the program that
gets it there, are `remote/`'s: processes that are started, never imported.
"""

from __future__ import annotations

import asyncio
import re
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, suppress
from pathlib import Path

from remote.contract.errors import BackendError, ConfigError, Hint
from remote.contract.record import LaunchRequest, RunRecord
from tui.backends.base import Batch, Damaged, Volumes
from tui.backends.modal.in_order import each
from tui.backends.modal.runs import calls
from tui.backends.modal.runs.fetch import Bringer
from tui.backends.modal.runs.records import TOGETHER, Records
from tui.backends.modal.runs.settle import Settler
from tui.backends.modal.runs.status import Standing
from tui.backends.modal.runs.stream_copy import Journal
from tui.backends.modal.runs.watch import Watch
from tui.backends.modal.session import Session
from tui.backends.modal.volumes.volumes import ModalVolumes
from tui.backends.programs import Program
from tui.backends.stream_file import read_batch
from tui.planning import workspace_prices
from tui.settings import environment, from_shell

PRICES = 3.0
"""Seconds that Modal has to tell its prices: without them there is the table."""
LAUNCHING = 3 * 3600.0
"""Seconds after which a run without an app has no launcher any more: an image takes minutes to build."""
_ASSIGNMENT = re.compile(rb"^\s*(?:export\s+)?[A-Za-z_]\w*\s*=", re.MULTILINE)
_Key = tuple[str, str]


class ModalBackend:
    """Runs on Modal.

    `env` holds the secrets of `env_file` that runs get. Modal's own tokens among them are for this machine's
    processes alone: no container sees them.
    """

    name = "modal"

    def __init__(
        self,
        home: Path,
        project_dir: Path,
        env: Mapping[str, str] | None = None,
        env_file: Path | None = None,
        *,
        python: str = sys.executable,
    ) -> None:
        self.home, self.project_dir = home.absolute(), project_dir.absolute()
        self._env_file = env_file or self.project_dir / ".env"
        self._env = {name: value for name, value in (env or {}).items() if not name.startswith("MODAL_")}
        self._session = Session(env)
        self.volumes: Volumes = ModalVolumes(self._session)
        self._records = Records(self.home / "modal", self.volumes)
        self._launcher = Program(
            "remote.modal_app.launcher",
            self.project_dir,
            python=python,
            given=environment(self._session.tokens, modal=True),
        )
        settler = Settler(
            self._session, self._records, self.volumes, self._launcher, self._bringer, self._env
        )
        self._standing = Standing(self._session, self._records, settler.settle)
        self._bringers: dict[_Key, Bringer] = {}
        self._watches: dict[_Key, Watch] = {}

    @property
    def notices(self) -> list[str]:
        """What `runs` passed over at its last call, a sentence each; also Modal's other environments."""
        name = self._session.environment
        told = f"Modal: runs of the environment {name}; of others with MODAL_ENVIRONMENT=NAME"
        usual = name in ("", "main")
        return [*([] if usual else [told]), *self._records.notices]

    @property
    def damaged(self) -> list[Damaged]:
        """The runs among that whose record cannot be read."""
        return self._records.damaged

    async def launch(self, request: LaunchRequest) -> RunRecord:
        """Start a run that outlives this process; returns once it is on record in its volume.

        Raises `ConfigError` where there is no `.env` to give it, and `BackendError`.
        """
        await asyncio.to_thread(self._check_env_file)
        request = request.model_copy(update={"backend": self.name})
        env = {**self._env, **from_shell(request.spec.training.environment_secrets)}
        document = {"home": str(self.home), "env": env, "request": request.model_dump(mode="json")}
        answer = await asyncio.to_thread(self._launcher.start, document)
        return RunRecord.model_validate(answer["record"])

    async def resume(self, request: LaunchRequest) -> RunRecord:
        """Have a run that is over go on, by another call of its function.

        Returns once that is made: where the image has to be built anew, that takes as long. Raises
        `ConfigError` where there is no `.env` to give it, and `BackendError`.
        """
        await asyncio.to_thread(self._check_env_file)
        env = {**self._env, **from_shell(request.spec.training.environment_secrets)}
        document = {"home": str(self.home), "env": env, "request": request.model_dump(mode="json")}
        answer = await asyncio.to_thread(self._launcher.start, document, "--resume")
        record = RunRecord.model_validate(answer["record"])
        await asyncio.to_thread(self._bringer(record).journal.reopen)
        self._watches.pop((record.outputs, record.run_id), None)  # it has read the logs of the app before
        return self._records.keep(record)

    async def follow(
        self, run: RunRecord, position: int = 0, *, live: bool = True
    ) -> AsyncGenerator[Batch, None]:
        """The run's output from a byte position of its journal; ends with the run.

        Where `live` is false it ends with what there is now. A last line without its newline is given only
        once the run is over.
        """
        if not live:
            await self._watch(run).catch_up()
            over = await self._complete(run)
            while batch := await self._read(run, position, over):
                position = batch.position
                yield batch
            return
        async with aclosing(self._watch(run).sizes()) as sizes:
            async for _ in sizes:
                while batch := await self._read(run, position, False):
                    position = batch.position
                    yield batch
        while batch := await self._read(run, position, True):
            position = batch.position
            yield batch

    def log_path(self, run: RunRecord) -> Path:
        """The copy of the run's output that watching keeps on this machine."""
        return self._bringer(run).journal.path

    def watch(self, run: RunRecord) -> AsyncIterator[int]:
        """Keep the journal up to date across every break of the connection; ends when all of it is there."""
        return self._watch(run).sizes()

    def trouble(self, run: RunRecord) -> str:
        """What keeps the journal of a watched run from growing, in words; empty where nothing does."""
        watch = self._watches.get((run.outputs, run.run_id))
        return watch.trouble if watch else ""

    async def remembered(self, run_id: str) -> RunRecord | None:
        """A run as this machine last knew it, by its whole id; None where it does not."""
        return await asyncio.to_thread(self._records.remembered, run_id)

    async def cancel(self, run: RunRecord, *, now: bool = False) -> None:
        """Ask a run to stop; it has a minute to save what it has, or with `now` no time at all.

        A run that is over is left alone.
        """
        if await asyncio.to_thread(self._records.launching, run):
            await asyncio.to_thread(self._launcher.ask, "--stop", str(self._records.run_dir(run)))
            return
        record = await self._standing.of(run)
        if not record.ended_already:
            await self._cancel(record, now)

    async def status(self, run: RunRecord) -> RunRecord:
        """The record as it stands now; a run that nobody is left of is put on record as it ended."""
        return await self._standing.of(run)

    async def runs(self) -> list[RunRecord]:
        """Every run of every experiment, newest first; damaged records go to `notices`."""
        return await each(await self._records.all(), self._standing.settled, TOGETHER)

    async def billed(self, run: RunRecord) -> float | None:
        """What Modal says that the run has cost, in US dollars; None where it does not say."""
        from tui.backends.modal.runs.billing import billed

        return await billed(self._session, run)

    async def bring_prices(self) -> None:
        """Have the workspace's own prices kept for plans, where none of the last day are; raises nothing."""
        from tui.backends.modal.runs.billing import rates

        if await asyncio.to_thread(workspace_prices.read, self.home) is None:
            with suppress(BackendError, TimeoutError):
                async with asyncio.timeout(PRICES):
                    found = await rates(self._session)
                await asyncio.to_thread(workspace_prices.keep, self.home, found)

    async def _cancel(self, record: RunRecord, now: bool) -> None:
        client = await self._session.client()
        from modal.exception import NotFoundError

        call, app = record.identifiers.get("call"), record.identifiers.get("app")
        try:
            if call and now:
                await calls.terminate(client, call, app)
                await self._standing.settled(await self._records.fetch(record))
            elif call:
                await calls.cancel(client, call)
            elif app:  # no container has it yet, and only the machine that launched it knows its call
                await calls.stop(client, app)
                await self._standing.cancelled(record)
            elif time.time() - record.created > LAUNCHING:
                await self._standing.cancelled(record)
            else:
                raise BackendError(
                    f"{record.run_id} is being launched on another machine",
                    hint=Hint("cancel it there, or here once it has started"),
                )
        except NotFoundError as error:
            raise BackendError(
                f"Modal knows nothing of {record.run_id} any more", cause=str(error)
            ) from error

    async def _read(self, run: RunRecord, position: int, over: bool) -> Batch | None:
        """The next lines of the journal; None where there are no more now."""
        journal = self._bringer(run).journal
        if not await asyncio.to_thread(journal.size):
            return None
        batch = await asyncio.to_thread(read_batch, journal.path, position, over)
        return batch if batch.position != position else None

    async def _complete(self, run: RunRecord) -> bool:
        return (await asyncio.to_thread(self._bringer(run).journal.cursor)).complete

    def _bringer(self, run: RunRecord) -> Bringer:
        key = (run.outputs, run.run_id)
        if key not in self._bringers:
            journal = Journal(self._records.run_dir(run))
            self._bringers[key] = Bringer(self._session, self.volumes, journal)
        return self._bringers[key]

    def _watch(self, run: RunRecord) -> Watch:
        key = (run.outputs, run.run_id)
        if key not in self._watches:
            parts = (self._session, self._records, self._standing, self._bringer(run), run)
            self._watches[key] = Watch(*parts)
        return self._watches[key]

    def _check_env_file(self) -> None:
        """Modal makes an empty secret of a missing file in silence: keys would be missing an hour later."""
        hint = Hint(f"cp .env.example .env, then put your names and keys into {self._env_file}")
        try:
            text = self._env_file.read_bytes()
        except OSError as error:
            said = f"there is no {self._env_file}, which a run on Modal gets its keys from"
            raise ConfigError(said, cause=error.strerror or str(error), hint=hint) from error
        if not _ASSIGNMENT.search(text):
            raise ConfigError(f"{self._env_file} names no variable", hint=hint)
