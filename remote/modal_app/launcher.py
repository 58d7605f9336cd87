"""Launch a run on Modal: record it, build its image, start its app, and end.

A process of its own, so that a launch outlives the program that started it. Like the supervisor, it answers
with one line of JSON on stdout.

    python -m remote.modal_app.launcher              launch the run on stdin: {home, env, request}
    python -m remote.modal_app.launcher --resume     resume the run on stdin, which has ended
    python -m remote.modal_app.launcher --build      build the image ahead; prints the stream
    python -m remote.modal_app.launcher --stop DIR   stop a launch under way; DIR is the staged run
    python -m remote.modal_app.launcher --settle DIR complete a run whose processes are gone, in its volume
                                                     too; stdin: {status, exit_code, error, text, env}

The project is the working directory. Runs are staged in `<home>/modal/<outputs>/runs/<id>/`: a run directory
with the record, and the stream as far as it is known on this machine.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

from remote.contract import layout
from remote.contract.errors import BackendError, VfmError
from remote.contract.json_text import from_json
from remote.contract.record import LaunchRequest
from remote.modal_app.image_build import Building, users_image
from remote.modal_app.launch import TOKENS, Launch
from remote.output import redact
from remote.output.answers import answer, answer_failure, leave_caller
from remote.output.emitter import Emitter
from remote.output.run_dir import RunDir
from remote.processes import lifecycle

BUILDER = "2025.06"
"""Version of Modal's image builder, instead of the workspace's: the same for all users, and known to the
pinned client."""


async def launch(document: dict[str, Any]) -> int:
    """Record the run, answer, and carry out the launch; returns the exit code."""
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
        answer_failure(error)
        leave_caller(os.open(os.devnull, os.O_WRONLY))  # Modal's client takes a while to end.
        return 1
    answer({"record": record.model_dump(mode="json")})
    _write_to_stream(run.run_dir.path)
    return await run.carry_out()


async def resume(document: dict[str, Any]) -> int:
    """Resume a run that is over; answers once its call is made. Returns the exit code."""
    from remote.modal_app.resume import Resumption

    os.environ.update({name: document["env"][name] for name in TOKENS if document["env"].get(name)})
    request = LaunchRequest.model_validate(document["request"])
    secrets = {**document["env"], **redact.hide(document["env"], request)}
    run = Resumption(request, Path(document["home"]), secrets)
    try:
        record = await run.start()
    except VfmError as error:
        return answer_failure(error)
    except (OSError, ValueError) as error:
        cause = f"{type(error).__name__}: {error}"
        return answer_failure(BackendError(f"{request.run_id} could not be resumed", cause=cause))
    answer({"record": record.model_dump(mode="json")})
    return 0


def _stop_on_sigterm() -> None:
    """Let SIGTERM cancel the current task, once: its cleanup is not interrupted."""
    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()

    def stop() -> None:
        loop.remove_signal_handler(signal.SIGTERM)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        task.cancel()

    loop.add_signal_handler(signal.SIGTERM, stop)


def _write_to_stream(run_dir: Path) -> None:
    """From here on stdout is the run's stream, and warnings of libraries go to a file beside it."""
    append = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    stream = os.open(run_dir / layout.STREAM, append)
    leave_caller(stream, os.open(run_dir / layout.LOGS / "launcher.log", append, 0o600))


async def build(python: str | None = None) -> int:
    """Build the image, with the stream on stdout; returns the exit code."""
    _stop_on_sigterm()
    emit = Emitter(None)
    try:
        import modal

        from remote.modal_app import client as calls

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
    """Ask a launch to stop; does nothing where it is over."""
    lock = lifecycle.take_lock(folder)
    if lock is not None:
        os.close(lock)
        return
    identifiers = RunDir(folder).record().identifiers
    if pid := lifecycle.of_run(folder, identifiers.get("pid", ""), identifiers.get("started", "")):
        os.kill(pid, signal.SIGTERM)


def main(arguments: list[str]) -> int:
    """See the module's docstring; a failure of --stop is one line on stderr."""
    lifecycle.keep_files_private()
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
            from remote.modal_app.settle import settle_and_answer

            return asyncio.run(settle_and_answer(Path(path), from_json(sys.stdin.read())))
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
