"""Launch a run on Modal: record it, build its image, start its app, call its function."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from remote.contract import layout
from remote.contract.errors import BackendError, VfmError
from remote.contract.exit_codes import CANCELLED
from remote.contract.json_text import to_portable_json
from remote.contract.record import LaunchRequest, RunRecord
from remote.modal_app import staging
from remote.modal_app.image_build import Building, users_image
from remote.modal_app.staging import known_on_modal, staged, upload
from remote.output.emitter import Emitter
from remote.output.run_dir import disk_error
from remote.processes import lifecycle
from remote.supervisor.verdict import Ending, EventsTail, conclude

TOKENS = ("MODAL_TOKEN_ID", "MODAL_TOKEN_SECRET")


class Launch:
    """One launch, from the request to the function call that waits for its machine."""

    def __init__(self, request: LaunchRequest, home: Path, secrets: dict[str, str]) -> None:
        self.request = request.model_copy(update=places(request))
        self._wheel = staging.wheel_of(request)
        # Containers have other values of Modal's own variables.
        self.secrets = {name: value for name, value in secrets.items() if not name.startswith("MODAL_")}
        self.run_dir = staged(home, request)
        self._created = False

    async def prepare(self) -> RunRecord:
        """Record the run, on this machine and in its volume, or not at all. Raises `VfmError`."""
        try:
            return await self._prepare()
        except BaseException as error:
            if self._created:
                shutil.rmtree(self.run_dir.path, ignore_errors=True)
            if isinstance(error, OSError):
                raise disk_error(error, error.filename or self.run_dir.path) from error
            raise

    async def _prepare(self) -> RunRecord:
        from remote.modal_app import client as calls  # takes a second

        self._calls = calls
        request = self.request
        self.client = await calls.connect()
        await calls.volume(request.cache, self.client, create=True)
        self.volume = await calls.volume(request.outputs, self.client, create=True)
        path = str(layout.run_path(request.run_id))
        if self.run_dir.path.exists() or await calls.holds(self.volume, path):
            raise BackendError(f"there is a run {request.run_id} already: launch again for a new name")
        record = self._stage()
        staged_wheel = [self.request.environment_source] if self._wheel else []
        await upload(self.volume, self.run_dir, layout.RECORD, layout.SPEC, layout.REQUEST, *staged_wheel)
        return record

    def _stage(self) -> RunRecord:
        self.run_dir.path.mkdir(parents=True)
        self._created = True
        self.lock = lifecycle.take_lock(self.run_dir.path)
        record = self.run_dir.create(self.request)
        (self.run_dir.path / layout.STREAM).touch()
        if self._wheel:
            staging.put_wheel(self._wheel, self.run_dir, self.request)
        pid = os.getpid()
        identifiers = {"pid": str(pid), "started": lifecycle.start_time(pid)}
        return self.run_dir.write_record(record.model_copy(update={"identifiers": identifiers}))

    async def carry_out(self) -> int:
        """Build the image, start the app, call its function; a failure is recorded. Returns the exit code."""
        try:
            await self._start()
        except (asyncio.CancelledError, lifecycle.Stopped):
            await self._end(Ending("cancelled", CANCELLED))
            return CANCELLED
        except VfmError as error:
            await self._end(Ending("failed", 1, error))
            return 1
        except OSError as error:
            await self._end(Ending("failed", 1, disk_error(error, error.filename or self.run_dir.path)))
            return 1
        except Exception as error:
            cause = f"{type(error).__name__}: {error}"
            await self._end(Ending("failed", 1, BackendError("the launch failed", cause=cause)))
            return 1
        return 0

    async def _start(self) -> None:
        from remote.modal_app import app as modal_app

        emit = Emitter(self.run_dir.path)
        calls = self._calls
        with Building(emit) as building:
            app, function = modal_app.make_app(self.request, users_image(self.request.spec.image.python))
            run = app.run.aio(client=self.client, detach=True)
            try:
                with calls.build_output(building.line):
                    await run.__aenter__()
            finally:
                self._identify(app=app.app_id, page=await calls.page(app))
        machine = modal_app.with_resources(function, self.request, self.secrets)
        try:
            await self._spawn(machine, emit)
        finally:
            await self._leave(run)

    async def _leave(self, run: Any) -> None:
        """Disconnect from the app, which goes on; a lost connection is no failure any more."""
        try:
            async with self._calls.within("leave the app"):
                await run.__aexit__(None, None, None)
        except VfmError as error:
            print(error, file=sys.stderr, flush=True)

    async def _spawn(self, function: Any, emit: Emitter) -> None:
        """Call the function; from then on only the container writes to the stream."""
        await upload(self.volume, self.run_dir, layout.RECORD)
        emit.say("worker", f"🔗 Modal's page of this run: {self.run_dir.record().identifiers['page']}")
        emit.say("worker", f"⏳ waiting for a machine on Modal: {machine(self.request)}")
        head = (self.run_dir.path / layout.STREAM).read_text(encoding="utf-8", errors="replace")
        async with self._calls.within("start the run", 60.0):
            call = await function.spawn.aio(to_portable_json(self.request.model_dump(mode="json")), head)
        self._identify(call=call.object_id)
        self.run_dir.write_record(known_on_modal(self.run_dir.record()))

    def _identify(self, **ids: str | None) -> None:
        record = self.run_dir.record()
        new = {name: value for name, value in ids.items() if value}
        identifiers = {**record.identifiers, **new}
        self.run_dir.write_record(record.model_copy(update={"identifiers": identifiers}))

    async def _end(self, ending: Ending) -> None:
        """End a run that never had a machine: record it here and in the volume, and stop its app."""
        events = EventsTail(self.run_dir.path).read()
        conclude(self.run_dir, ending, events, fd=1)
        # Where Modal cannot be reached any more, the staged record keeps this launcher's identifiers. From
        # them the client knows that the volume's record is not complete, and settles the run later.
        with suppress(VfmError):
            if app_id := self.run_dir.record().identifiers.get("app"):
                await self._calls.stop_app(app_id, self.client)
            await upload(self.volume, self.run_dir, layout.RECORD, layout.EVENTS, layout.STREAM)
            self.run_dir.write_record(known_on_modal(self.run_dir.record()))


def places(request: LaunchRequest) -> dict[str, str]:
    """The request's backend and paths in a container."""
    from remote.image import pins

    return {
        "backend": "modal",
        "run_dir": f"{layout.MODAL_OUTPUTS}/{layout.run_path(request.run_id)}",
        "cache_dir": layout.MODAL_CACHE,
        "project_dir": pins.PROJECT,
        "environment_source": staging.staged_source(request),
    }


def machine(request: LaunchRequest) -> str:
    """The machine that a run waits for, for people."""
    modal = request.spec.modal
    count = f"{modal.gpu.count} × " if modal.gpu.count > 1 else ""
    return f"{count}{modal.gpu.type}, {modal.cpus:g} cores, {modal.memory / 1024:g} GB of memory"
