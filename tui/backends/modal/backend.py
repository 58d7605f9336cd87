"""The Modal backend: a run is a detached app of its own, its files are in a volume.

Owns putting the parts together, and what may be launched. What runs on Modal, and the program that launches
it, belong to `remote/`: processes that are started, never imported.
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
from tui.backends.modal.runs.fetch import StreamFetcher
from tui.backends.modal.runs.records import TOGETHER, Records
from tui.backends.modal.runs.settle import Settler
from tui.backends.modal.runs.status import StatusReader
from tui.backends.modal.runs.stream_copy import StreamCopy
from tui.backends.modal.runs.watch import Watch
from tui.backends.modal.session import Session
from tui.backends.modal.volumes.volumes import ModalVolumes
from tui.backends.programs import Program
from tui.backends.stream_file import read_batch
from tui.planning import workspace_prices
from tui.settings import from_shell

PRICES = 3.0
"""Seconds to wait for the workspace's prices: without them the table of prices counts."""
LAUNCHING = 3 * 3600.0
"""Seconds after which a run without an app has no launcher any more: building an image takes minutes."""
_ASSIGNMENT = re.compile(rb"^\s*(?:export\s+)?[A-Za-z_]\w*\s*=", re.MULTILINE)
_Key = tuple[str, str]


class ModalBackend:
    """Runs on Modal.

    env: the secrets of `env_file`, which runs get; Modal's tokens among them never leave this machine.
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
            self.home,
            self.project_dir,
            python=python,
            variables=self._session.tokens,
            modal=True,
        )
        settler = Settler(
            self._session, self._records, self.volumes, self._launcher, self._fetcher, self._env
        )
        self._status = StatusReader(self._session, self._records, settler.settle)
        self._fetchers: dict[_Key, StreamFetcher] = {}
        self._watches: dict[_Key, Watch] = {}

    @property
    def notices(self) -> list[str]:
        """What `runs` left out at its last call, a sentence each; also Modal's other environments."""
        name = self._session.environment
        notice = f"Modal: runs of the environment {name}; of others with MODAL_ENVIRONMENT=NAME"
        usual = name in ("", "main")
        return [*([] if usual else [notice]), *self._records.notices]

    @property
    def damaged(self) -> list[Damaged]:
        """The runs among them whose record cannot be read."""
        return self._records.damaged

    async def launch(self, request: LaunchRequest) -> RunRecord:
        """Start a run that outlives this process; returns once its record is in its volume.

        Raises `ConfigError` where there is no `.env`, and `BackendError`.
        """
        await asyncio.to_thread(self._check_env_file)
        request = request.model_copy(update={"backend": self.name})
        env = {**self._env, **from_shell(request.spec.training.environment_secrets)}
        document = {"home": str(self.home), "env": env, "request": request.model_dump(mode="json")}
        answer = await asyncio.to_thread(self._launcher.start, document)
        return RunRecord.model_validate(answer["record"])

    async def resume(self, request: LaunchRequest) -> RunRecord:
        """Continue a run that is over, by another call of its function; returns once that is made.

        An image that has to be built anew is built before. Raises `ConfigError` where there is no `.env`, and
        `BackendError`.
        """
        await asyncio.to_thread(self._check_env_file)
        env = {**self._env, **from_shell(request.spec.training.environment_secrets)}
        document = {"home": str(self.home), "env": env, "request": request.model_dump(mode="json")}
        answer = await asyncio.to_thread(self._launcher.start, document, "--resume")
        record = RunRecord.model_validate(answer["record"])
        await asyncio.to_thread(self._fetcher(record).copy.reopen)
        self._watches.pop((record.outputs, record.run_id), None)  # it reads the logs of the app before
        return self._records.save(record)

    async def follow(
        self, run: RunRecord, position: int = 0, *, live: bool = True
    ) -> AsyncGenerator[Batch, None]:
        """The run's output from a byte position of its copy; ends with the run, or at once unless `live`.

        A last line without its newline comes only once the run is over.
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
        """The copy of the run's output on this machine, which `watch` keeps up to date."""
        return self._fetcher(run).copy.path

    def watch(self, run: RunRecord) -> AsyncIterator[int]:
        """Keep the copy up to date across every break of the connection; ends when all of it is present."""
        return self._watch(run).sizes()

    def trouble(self, run: RunRecord) -> str:
        """Why the output of a watched run is stalled, or an empty string."""
        watch = self._watches.get((run.outputs, run.run_id))
        return watch.trouble if watch else ""

    async def remembered(self, run_id: str) -> RunRecord | None:
        """A run as this machine last knew it, by its whole id; None if it does not."""
        return await asyncio.to_thread(self._records.remembered, run_id)

    async def cancel(self, run: RunRecord, *, now: bool = False) -> None:
        """Ask a run to stop; it has a minute to save, or with `now` no time.

        A run that is over is left alone.
        """
        if await asyncio.to_thread(self._records.launching, run):
            await asyncio.to_thread(self._launcher.ask, "--stop", str(self._records.run_dir(run)))
            return
        record = await self._status.current(run)
        if not record.ended_already:
            await self._cancel(record, now)

    async def status(self, run: RunRecord) -> RunRecord:
        """The record as it is now; that of a run whose call is over is completed."""
        return await self._status.current(run)

    async def runs(self) -> list[RunRecord]:
        """Every run of every experiment, newest first; damaged records are in `notices`."""
        return await each(await self._records.all(), self._status.settled, TOGETHER)

    async def billed(self, run: RunRecord) -> float | None:
        """US dollars that Modal billed for the run; None where its report does not say."""
        from tui.backends.modal.runs.billing import billed

        return await billed(self._session, run)

    async def fetch_prices(self) -> None:
        """Store the workspace's prices for plans, if those stored are older than a day; raises nothing."""
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
                await self._status.settled(await self._records.fetch(record))
            elif call:
                await calls.cancel(client, call)
            elif app:  # no container runs yet, and only the machine that launched it knows its call
                await calls.stop(client, app)
                await self._status.cancelled(record)
            elif time.time() - record.created > LAUNCHING:
                await self._status.cancelled(record)
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
        """The next lines of the copy; None if there are no more now."""
        copy = self._fetcher(run).copy
        if not await asyncio.to_thread(copy.size):
            return None
        batch = await asyncio.to_thread(read_batch, copy.path, position, over)
        return batch if batch.position != position else None

    async def _complete(self, run: RunRecord) -> bool:
        return (await asyncio.to_thread(self._fetcher(run).copy.cursor)).complete

    def _fetcher(self, run: RunRecord) -> StreamFetcher:
        key = (run.outputs, run.run_id)
        if key not in self._fetchers:
            copy = StreamCopy(self._records.run_dir(run))
            self._fetchers[key] = StreamFetcher(self._session, self.volumes, copy)
        return self._fetchers[key]

    def _watch(self, run: RunRecord) -> Watch:
        key = (run.outputs, run.run_id)
        if key not in self._watches:
            parts = (self._session, self._records, self._status, self._fetcher(run), run)
            self._watches[key] = Watch(*parts)
        return self._watches[key]

    def _check_env_file(self) -> None:
        """Modal makes an empty secret of a missing file: its keys would be missing an hour later."""
        hint = Hint(f"cp .env.example .env, then put your names and keys into {self._env_file}")
        try:
            text = self._env_file.read_bytes()
        except OSError as error:
            message = f"there is no {self._env_file}, which a run on Modal gets its keys from"
            raise ConfigError(message, cause=error.strerror or str(error), hint=hint) from error
        if not _ASSIGNMENT.search(text):
            raise ConfigError(f"{self._env_file} names no variable", hint=hint)
