"""Starts a run on Modal: puts it on record, has its image built, starts its app, and leaves it alone.

A process of its own, so that a launch outlives the program that asked for it. It speaks on stdout as the
supervisor does: one line of JSON answers, then stdout is let go.

    python -m remote.launcher                  launch the run described on stdin: {home, env, request}
    python -m remote.launcher --resume         have the run described on stdin go on, which is over
    python -m remote.launcher --build          have the image built ahead; prints the stream
    python -m remote.launcher --stop DIR       stop a launch that is under way; DIR is the staged run
    python -m remote.launcher --settle DIR     complete a run that nobody is left of, in its volume too; on
                                               stdin {status, exit_code, error, text, env}

The project is the working directory. What is staged, in `<home>/modal/<outputs>/runs/<id>/`, is a run
directory: its record, and the stream as far as it is known here.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from remote import processes, redact, staging
from remote.contract import layout
from remote.contract.errors import BackendError, VfmError
from remote.contract.json_text import from_json, to_portable_json
from remote.contract.record import LaunchRequest, RunRecord
from remote.emit import Emitter, failure_event
from remote.ending import CANCELLED, Ending, EventsTail, conclude
from remote.modal_build import Building, users_image
from remote.run_dir import RunDir, disk_error
from remote.staging import known_on_modal, staged, upload

BUILDER = "2025.06"
"""Modal's version of the image's base, in place of the workspace's: all users have the same, and one that the
pinned client does not know yet keeps nobody from building."""
TOKENS = ("MODAL_TOKEN_ID", "MODAL_TOKEN_SECRET")


class Launch:
    """One launch, from the request to a call that waits for its machine."""

    def __init__(self, request: LaunchRequest, home: Path, secrets: dict[str, str]) -> None:
        self.request = request.model_copy(update=places(request))
        self._wheel = staging.wheel_of(request)
        # Modal's own variables are not for containers, which have others of these names.
        self.secrets = {name: value for name, value in secrets.items() if not name.startswith("MODAL_")}
        self.run_dir = staged(home, request)
        self._created = False

    async def prepare(self) -> RunRecord:
        """The run on record, here and in its volume; whole, or not at all. Raises `VfmError`."""
        try:
            return await self._prepare()
        except BaseException as error:
            if self._created:
                shutil.rmtree(self.run_dir.path, ignore_errors=True)
            if isinstance(error, OSError):
                raise disk_error(error, error.filename or self.run_dir.path) from error
            raise

    async def _prepare(self) -> RunRecord:
        from remote import modal_calls as calls  # takes a second

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
        self.lock = processes.take_lock(self.run_dir.path)
        record = self.run_dir.create(self.request)
        (self.run_dir.path / layout.STREAM).touch()
        if self._wheel:
            staging.put_wheel(self._wheel, self.run_dir, self.request)
        pid = os.getpid()
        who = {"pid": str(pid), "started": processes.start_time(pid)}
        return self.run_dir.write_record(record.model_copy(update={"identifiers": who}))

    async def carry_out(self) -> int:
        """Build, start and spawn; whatever keeps the run from starting is put on record."""
        try:
            await self._start()
        except (asyncio.CancelledError, processes.Stopped):
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
        from remote import app as shell

        emit = Emitter(self.run_dir.path)
        calls = self._calls
        with Building(emit) as building:
            app, function = shell.make_app(self.request, users_image(self.request.spec.image.python))
            run = app.run.aio(client=self.client, detach=True)
            try:
                with calls.build_output(building.line):
                    await run.__aenter__()
            finally:
                self._identify(app=app.app_id, page=await calls.page(app))
        machine = shell.with_resources(function, self.request, self.secrets)
        try:
            await self._spawn(machine, emit)
        finally:
            await self._leave(run)

    async def _leave(self, run: Any) -> None:
        """Take leave of the app, which goes on: a connection that is lost by now ends no run."""
        try:
            async with self._calls.within("leave the app"):
                await run.__aexit__(None, None, None)
        except VfmError as error:
            print(error, file=sys.stderr, flush=True)

    async def _spawn(self, function: Any, emit: Emitter) -> None:
        """From the call on the stream is the container's: nothing more is said here."""
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
        known = {name: value for name, value in ids.items() if value}
        identifiers = {**record.identifiers, **known}
        self.run_dir.write_record(record.model_copy(update={"identifiers": identifiers}))

    async def _end(self, ending: Ending) -> None:
        """The run is over before a machine had it: on record here, in the volume, and no app is left."""
        said = EventsTail(self.run_dir.path).read()
        conclude(self.run_dir, ending, said, fd=1)
        # Where Modal cannot be reached any more, the staged record goes on naming this launcher, by which
        # the near side knows that nobody else has been told, and settles it later.
        with suppress(VfmError):
            if app_id := self.run_dir.record().identifiers.get("app"):
                await self._calls.stop_app(app_id, self.client)
            await upload(self.volume, self.run_dir, layout.RECORD, layout.EVENTS, layout.STREAM)
            self.run_dir.write_record(known_on_modal(self.run_dir.record()))


def places(request: LaunchRequest) -> dict[str, str]:
    """The request's paths, and its backend, as containers have them."""
    from remote import images

    return {
        "backend": "modal",
        "run_dir": f"{layout.MODAL_OUTPUTS}/{layout.run_path(request.run_id)}",
        "cache_dir": layout.MODAL_CACHE,
        "project_dir": images.PROJECT,
        "environment_source": staging.staged_source(request),
    }


def machine(request: LaunchRequest) -> str:
    """The machine that a run waits for, in words."""
    modal = request.spec.modal
    count = f"{modal.gpu.count} × " if modal.gpu.count > 1 else ""
    return f"{count}{modal.gpu.type}, {modal.cpus:g} cores, {modal.memory / 1024:g} GB of memory"


async def launch(document: dict[str, Any]) -> int:
    """Put the run on record, answer, and carry the launch out; returns the exit code."""
    _stop_on_sigterm()
    os.environ.update({name: document["env"][name] for name in TOKENS if document["env"].get(name)})
    request = LaunchRequest.model_validate(document["request"])
    secrets = {**document["env"], **redact.hide(document["env"], request)}
    run = Launch(request, Path(document["home"]), secrets)
    try:
        record = await run.prepare()
    except (VfmError, asyncio.CancelledError) as error:
        if not isinstance(error, VfmError):
            error = BackendError("the launch was stopped before the run was on record")
        _answer({"error": failure_event(error).on_record()})
        _redirect(os.open(os.devnull, os.O_WRONLY))  # Modal's client takes a while to end.
        return 1
    _answer({"record": record.model_dump(mode="json")})
    _leave_asker(run.run_dir.path)
    return await run.carry_out()


async def resume(document: dict[str, Any]) -> int:
    """Have a run that is over go on; answers once its call is made. Returns the exit code."""
    from remote.modal_resume import Resumption

    os.environ.update({name: document["env"][name] for name in TOKENS if document["env"].get(name)})
    request = LaunchRequest.model_validate(document["request"])
    secrets = {**document["env"], **redact.hide(document["env"], request)}
    run = Resumption(request, Path(document["home"]), secrets)
    try:
        record = await run.start()
    except VfmError as error:
        _answer({"error": failure_event(error).on_record()})
        return 1
    except (OSError, ValueError) as error:
        told = BackendError(
            f"{request.run_id} could not be resumed", cause=f"{type(error).__name__}: {error}"
        )
        _answer({"error": failure_event(told).on_record()})
        return 1
    _answer({"record": record.model_dump(mode="json")})
    return 0


def _stop_on_sigterm() -> None:
    """A request to stop cancels what is under way, once: what follows it is seen through."""
    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()

    def stop() -> None:
        loop.remove_signal_handler(signal.SIGTERM)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        task.cancel()

    loop.add_signal_handler(signal.SIGTERM, stop)


def _answer(message: dict[str, Any]) -> None:
    with suppress(BrokenPipeError):  # An asker that is gone is no reason not to launch.
        os.write(1, json.dumps(message).encode() + b"\n")


def _leave_asker(run_dir: Path) -> None:
    """From here on stdout is the run's stream; what libraries warn of goes to a file beside it."""
    append = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    stream = os.open(run_dir / layout.STREAM, append)
    _redirect(stream, os.open(run_dir / layout.LOGS / "launcher.log", append, 0o600))


def _redirect(output: int, warnings: int | None = None) -> None:
    null = os.open(os.devnull, os.O_RDONLY)
    for fd, target in ((null, 0), (output, 1), (output if warnings is None else warnings, 2)):
        os.dup2(fd, target)


async def build(python: str | None = None) -> int:
    """Have the image built, with the stream on stdout; returns 0, or 1 where it failed."""
    _stop_on_sigterm()
    emit = Emitter(None)
    try:
        import modal

        from remote import modal_calls as calls

        client = await calls.connect()
        app = modal.App("verifiers_image")
        with Building(emit) as building, calls.build_output(building.line):
            image = users_image(python)
            async with app.run.aio(client=client):
                await image.build.aio(app)
    except VfmError as error:
        emit.failure(error)
        return 1
    except (asyncio.CancelledError, KeyboardInterrupt):
        emit.say("image", "interrupted: Modal keeps the layers that are built")
        return 130
    return 0


def stop(folder: Path) -> None:
    """Ask a launch to stop; one that is over is left alone."""
    lock = processes.take_lock(folder)
    if lock is not None:
        os.close(lock)
        return
    known = RunDir(folder).record().identifiers
    if pid := processes.of_run(folder, known.get("pid", ""), known.get("started", "")):
        os.kill(pid, signal.SIGTERM)


def main(arguments: list[str]) -> int:
    """See the module's docstring; a failure of --stop is one line on stderr."""
    processes.keep_files_private()
    sys.path.insert(0, os.getcwd())  # where run_modal.py is, however this was started
    os.environ.setdefault("MODAL_IMAGE_BUILDER_VERSION", BUILDER)
    match arguments:
        case []:
            return asyncio.run(launch(from_json(sys.stdin.read())))
        case ["--resume"]:
            return asyncio.run(resume(from_json(sys.stdin.read())))
        case ["--build"]:
            return asyncio.run(build())
        case ["--build", "--python", python]:
            return asyncio.run(build(python))
        case ["--stop", path]:
            try:
                stop(Path(path))
            except (VfmError, OSError, ValueError) as error:
                print(f"{path}: {error}".replace("\n", " "), file=sys.stderr)
                return 1
            return 0
        case ["--settle", path]:
            from remote.settling import settle_and_answer

            return asyncio.run(settle_and_answer(Path(path), from_json(sys.stdin.read())))
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
