"""Resume a run on Modal that is over, by another app and another call for its directory in the volume.

Until the call is made, the run stays as it ended, so that a failure to resume it changes nothing. In the
container it is another attempt (`attempt_log.begin_in_container`).
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

from remote.contract import layout
from remote.contract.errors import BackendError, ConfigError, Hint, VfmError
from remote.contract.json_text import to_portable_json
from remote.contract.record import LaunchRequest, RunRecord
from remote.modal_app.image_build import Building, users_image
from remote.modal_app.launch import Launch
from remote.modal_app.staging import known_on_modal, upload
from remote.output.emitter import Emitter
from remote.processes import lifecycle

CALL = 60.0
"""Seconds that the call may take."""
LOG = "launcher.log"
FILES = (layout.SPEC, layout.REQUEST, layout.RECORD)
"""Files that resuming changes."""


class Resumption(Launch):
    """Another call for a run that is over in its volume."""

    async def start(self) -> RunRecord:
        """Build the image, start an app, make the call; returns the record, which is open again.

        Raises `VfmError`, with the run unchanged.
        """
        from remote.modal_app import client as calls  # takes a second

        self._calls = calls
        self.client = await calls.connect()
        self.volume = await calls.volume(self.request.outputs, self.client)
        ended = await self._ended()
        earlier_request = await self._earlier_request()
        with self._locked():
            self.run_dir.create(self.request)
            self.run_dir.write_record(ended)
            async with self._app() as (app, function):
                return await self._call(ended, earlier_request, app, function)

    async def _ended(self) -> RunRecord:
        """The volume's record. Raises `ConfigError` if the run is live, `BackendError` if it never began."""
        run_id = self.request.run_id
        document = await self._calls.read_json(self.volume, f"{layout.run_path(run_id)}/{layout.RECORD}")
        if document is None:
            raise BackendError(f"there is no record of {run_id} in {self.request.outputs}")
        record = RunRecord.model_validate(document)
        if not record.ended_already:
            raise ConfigError(
                f"{run_id} is still running: there is nothing to resume",
                hint=Hint(f"watch it: vfm logs {run_id} --follow"),
            )
        if not record.attempts:
            raise BackendError(
                f"{run_id} never had a machine: there is nothing to resume",
                hint=Hint(f"launch it again: vfm rerun {run_id}"),
            )
        return record

    async def _earlier_request(self) -> LaunchRequest:
        """The volume's request of the run, which is restored where the call fails."""
        path = f"{layout.run_path(self.request.run_id)}/{layout.REQUEST}"
        document = await self._calls.read_json(self.volume, path)
        if document is None:
            raise BackendError(f"there is no {path} in {self.request.outputs}")
        return LaunchRequest.model_validate(document)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Lock the staged directory during the block."""
        self.run_dir.path.mkdir(parents=True, exist_ok=True)
        lock = lifecycle.take_lock(self.run_dir.path, patience=0.5)
        if lock is None:
            raise BackendError(f"{self.request.run_id} is being started from this machine already")
        try:
            yield
        finally:
            os.close(lock)

    @asynccontextmanager
    async def _app(self) -> AsyncIterator[tuple[Any, Any]]:
        """A running app and its function, with the image built; the build's output goes to a file."""
        from remote.modal_app import app as modal_app

        log = os.open(self.run_dir.path / layout.LOGS / LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with Building(Emitter(None, log)) as building:
            app, function = modal_app.make_app(self.request, users_image(self.request.spec.image.python))
            run = app.run.aio(client=self.client, detach=True)
            with self._calls.build_output(building.line):
                await run.__aenter__()
        try:
            yield app, modal_app.with_resources(function, self.request, self.secrets)
        finally:
            await self._leave(run)
            os.close(log)

    async def _call(
        self, ended: RunRecord, earlier_request: LaunchRequest, app: Any, function: Any
    ) -> RunRecord:
        """Reopen the record and make the call; where that fails, stop the app and restore the run."""
        page = await self._calls.page(app)
        ids = {"app": app.app_id, **({"page": page} if page else {})}
        changes = {"identifiers": ids, "usd_per_hour": self.request.usd_per_hour}
        self.run_dir.write_record(ended.reopened().model_copy(update=changes))
        try:
            await upload(self.volume, self.run_dir, *FILES)
            async with self._calls.within("start the run", CALL):
                call = await function.spawn.aio(to_portable_json(self.request.model_dump(mode="json")), "")
        except BaseException:
            with suppress(VfmError):  # first, since a call whose answer was lost would run on and cost money
                await self._calls.stop_app(app.app_id, self.client)
            self.run_dir.create(earlier_request)
            self.run_dir.write_record(ended)
            with suppress(VfmError):
                await upload(self.volume, self.run_dir, *FILES)
            raise
        self._identify(call=call.object_id)
        return self.run_dir.write_record(known_on_modal(self.run_dir.record()))
