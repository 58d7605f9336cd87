"""A run's parent process: creates the run, builds or reuses the image, starts and watches the worker.

Owns the run from its first file to its last status, whatever happens to the worker or to the launcher.

    python -m remote.supervisor             start the run on stdin: {home, env, request}
    python -m remote.supervisor --resume    one more attempt at the run on stdin, which has ended
    python -m remote.supervisor --attempt   take up the run on stdin, in a container on Modal:
                                            one line {request, head, container, identifiers}; the end of
                                            stdin means that the container is gone
    python -m remote.supervisor --stop DIR     ask a run to stop
    python -m remote.supervisor --kill DIR     end a run at once, with nothing more saved
    python -m remote.supervisor --settle DIR…  complete the records of runs that nobody is left of

Read from the environment: VFM_IMAGE_PYTHON (a Python to use in place of the image's), VFM_WORKER (a
command in place of `python -m remote.worker`), VFM_STOP_GRACE (seconds that a worker has to save what
it has, 60) and VFM_TIMEOUT (seconds, in place of modal.timeout). SIGTERM stops the run; SIGUSR1 says that the
machine is about to be taken away.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from remote.contract import layout
from remote.contract.errors import BackendError, DiskError, Hint, VfmError
from remote.contract.json_text import from_json
from remote.contract.record import LaunchRequest, RunRecord
from remote.output import redact
from remote.output.emitter import failure_event
from remote.output.run_dir import RunDir, as_disk_error, disk_error, remove_temporaries, sync
from remote.processes import lifecycle, scratch
from remote.supervisor import attempt_log
from remote.supervisor.attempt import Supervisor
from remote.supervisor.verdict import CANCELLED, Ending, EventsTail, conclude, interrupted, judge, last_text

UNFINISHED = 3600.0
"""Seconds after which a run that is still being made is nobody's."""
Prepare = Callable[[LaunchRequest], tuple[RunDir, RunRecord, int]]


def create(request: LaunchRequest) -> tuple[RunDir, RunRecord, int]:
    """The run on disk, its record and its lock: whole, or not there at all. Raises `VfmError`.

    It is filled under another name, so that a kill at any moment leaves no half of a run.
    """
    path = Path(request.run_dir)
    new = path.with_name(f"{layout.NEW_RUN}{path.name}")
    try:
        Path(request.cache_dir).mkdir(parents=True, exist_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise BackendError(f"there is a run {request.run_id} already: launch again for a new name")
        _remove_unfinished(path.parent)
        new.mkdir()
        record, lock = _fill(RunDir(new), request)
        new.rename(path)
        sync(path.parent)
    except (OSError, VfmError) as error:
        shutil.rmtree(new, ignore_errors=True)
        raise as_disk_error(error, path) from error
    return RunDir(path), record, lock


def _fill(run_dir: RunDir, request: LaunchRequest) -> tuple[RunRecord, int]:
    """The lock before the record: whoever sees a record can trust the lock."""
    lock = lifecycle.take_lock(run_dir.path)
    assert lock is not None, "a directory that was made a moment ago is nobody's"
    (run_dir.path / layout.LOGS).mkdir()
    (run_dir.path / layout.STREAM).touch()
    record = run_dir.create(request)
    return attempt_log.begin(run_dir, record.model_copy(update={"identifiers": _identity()})), lock


def _identity() -> dict[str, str]:
    """How others find this supervisor."""
    pid = os.getpid()
    return {"pid": str(pid), "started": lifecycle.start_time(pid)}


def _remove_unfinished(runs: Path) -> None:
    """Remove what supervisors that were killed while they made a run have left."""
    for folder in runs.glob(f"{layout.NEW_RUN}*/"):
        if time.time() - folder.stat().st_mtime > UNFINISHED:
            shutil.rmtree(folder, ignore_errors=True)


def reopen(request: LaunchRequest) -> tuple[RunDir, RunRecord, int]:
    """A run that is over, with one more attempt begun, and its lock. Raises `VfmError`."""
    run_dir = RunDir(Path(request.run_dir))
    try:
        lock = lifecycle.take_lock(run_dir.path, patience=0.5)
        if lock is None:
            raise BackendError(
                f"{request.run_id} is still running: there is nothing to resume",
                hint=Hint(f"watch it: vfm logs {request.run_id} --follow"),
            )
        _settle(run_dir)
        run_dir.write_spec(request)
        run_dir.write_request(request)
        changes = {"identifiers": _identity(), "usd_per_hour": request.usd_per_hour}
        record = run_dir.record().reopened().model_copy(update=changes)
        return run_dir, attempt_log.another(run_dir, record), lock
    except (OSError, ValueError) as error:
        if isinstance(error, OSError):
            raise disk_error(error, error.filename or run_dir.path) from error
        raise DiskError(f"the record of {request.run_id} is damaged", cause=str(error)) from error


def start(document: dict[str, Any], prepare: Prepare) -> int:
    """Create a run, or reopen it; tell the launcher so on stdout, leave it, and see the run through."""
    request = LaunchRequest.model_validate(document["request"])
    os.environ.update({**document["env"], **redact.hide(document["env"], request)})
    # The image's own packages may not be mixed with those of the launcher's environment.
    os.environ["PYTHONPATH"] = request.project_dir
    watch = lifecycle.Watch()  # before the pid is on record, so that no request to stop is missed
    try:
        run_dir, record, lock = prepare(request)
    except VfmError as error:
        _answer({"error": failure_event(error).on_record()})
        return 1
    supervisor = Supervisor(run_dir, request, Path(document["home"]), lock, watch)
    _answer({"record": record.model_dump(mode="json")})
    _leave_launcher(run_dir.path / layout.STREAM)
    return supervisor.run()


def take_up(document: dict[str, Any]) -> int:
    """One more attempt, or the first, at a run whose directory is there; answers as `start` does."""
    request = LaunchRequest.model_validate(document["request"])
    os.environ["PYTHONPATH"] = request.project_dir
    watch = lifecycle.Watch()
    watch.leash = os.dup(0)
    run_dir = RunDir(Path(request.run_dir))
    try:
        run_dir.write_request(request)
        told = (document["head"], document["container"], document["identifiers"])
        record = attempt_log.take_up(run_dir, *told)
    except (VfmError, OSError, ValueError) as error:
        if not isinstance(error, VfmError):
            error = BackendError(f"the run cannot be taken up: {error}")
        _answer({"error": failure_event(error).on_record()})
        return 1
    if record.ended_already:
        _answer({"record": record.model_dump(mode="json")})
        return record.exit_code or 0
    # Nobody else is in this container, so the lock guards nothing; a volume is no place for one.
    lock = os.open(os.devnull, os.O_RDONLY)
    supervisor = Supervisor(run_dir, request, None, lock, watch)
    _answer({"record": record.model_dump(mode="json")})
    _leave_launcher(run_dir.path / layout.STREAM)
    return supervisor.run()


def _answer(message: dict[str, Any]) -> None:
    with suppress(BrokenPipeError):  # A launcher that is gone is no reason not to run.
        os.write(1, json.dumps(message).encode() + b"\n")


def _leave_launcher(stream: Path) -> None:
    """From here on everything that is printed belongs to the run's stream."""
    stream_fd = os.open(stream, os.O_WRONLY | os.O_APPEND)
    null = os.open(os.devnull, os.O_RDONLY)
    for fd, target in ((null, 0), (stream_fd, 1), (stream_fd, 2)):
        os.dup2(fd, target)


def settle(path: Path) -> None:
    """Complete the record of a run that nobody is left of; leave every other run alone."""
    lock = lifecycle.take_lock(path, patience=0.5)
    if lock is None:
        return
    try:
        _settle(RunDir(path))
    finally:
        os.close(lock)


def _settle(run_dir: RunDir) -> None:
    """The same, with the lock held."""
    record = run_dir.record()
    if record.ended_already:
        return
    remove_temporaries(run_dir.path)
    scratch.remove(run_dir.path)
    said = EventsTail(run_dir.path).read()
    if said.end is None and said.failure is None:
        # The attempt had no verdict: its processes are gone.
        run_dir.write_record(record.with_attempt_ended("lost", attempt_log.last_sign(run_dir.path)))
        last, written = last_text(run_dir.path), _written(run_dir.path / layout.STREAM)
        ending = Ending("failed", 1, interrupted(record.run_id, said.reached, last, written))
    else:
        ending = judge(said, 0, None, run_dir.request(), "")
    fd = os.open(run_dir.path / layout.STREAM, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        conclude(run_dir, ending, said, fd)
    finally:
        os.close(fd)


def _written(path: Path) -> float | None:
    with suppress(OSError):
        return path.stat().st_mtime
    return None


def settle_or_say(path: str) -> int:
    """Settle one of several: what is wrong with one run keeps no other open."""
    try:
        settle(Path(path))
    except (VfmError, OSError, ValueError) as error:
        print(f"{path}: {error}".replace("\n", " "), file=sys.stderr)
        return 1
    return 0


def stop(path: Path, patience: float = 3.0) -> None:
    """SIGTERM to the run's supervisor, or to the worker's group where the supervisor is gone."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        record = RunDir(path).record()
        if record.ended_already or _stop_known(path):
            return
        if (lock := lifecycle.take_lock(path)) is not None:
            os.close(lock)
            return
        time.sleep(0.05)  # It is alive but not on record yet: a run's first moments.
    raise BackendError(f"{record.run_id} is alive but none of its processes could be found", cause=str(path))


def kill(path: Path, patience: float = 10.0) -> None:
    """End a run at once: SIGKILL to its worker's group, and to a supervisor that has not ended it then.

    It is on record as cancelled. Raises `BackendError` where processes of it are left all the same.
    """
    stop(path)  # so that its supervisor knows what the worker dies of
    deadline = time.monotonic() + patience
    while not RunDir(path).record().ended_already and time.monotonic() < deadline:
        if worker := _on_record(path, "worker_"):
            lifecycle.signal_group(worker, signal.SIGKILL)
        if (lock := lifecycle.take_lock(path, patience=0.1)) is not None:
            os.close(lock)
            break
    if supervisor := _on_record(path):
        with suppress(ProcessLookupError):
            os.kill(supervisor, signal.SIGKILL)
    lock = lifecycle.take_lock(path, patience=2.0)
    if lock is None:
        raise BackendError("processes of the run are left that could not be ended", cause=str(path))
    if not RunDir(path).record().ended_already:
        fd = os.open(path / layout.STREAM, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        conclude(RunDir(path), Ending("cancelled", CANCELLED), EventsTail(path).read(), fd)
        os.close(fd)
    os.close(lock)


def _on_record(path: Path, name: str = "") -> int | None:
    """The supervisor that the record names, or the `worker_`, where it is one of the run's processes."""
    known = RunDir(path).record().identifiers
    return lifecycle.of_run(path, known.get(f"{name}pid", ""), known.get(f"{name}started", ""))


def _stop_known(path: Path) -> bool:
    if supervisor := _on_record(path):
        os.kill(supervisor, signal.SIGTERM)
        return True
    if worker := _on_record(path, "worker_"):
        return lifecycle.signal_group(worker, signal.SIGTERM)
    return False


def main(arguments: list[str]) -> int:
    """See the module's docstring; a failure of --stop and --settle is one line on stderr."""
    lifecycle.keep_files_private()
    try:
        match arguments:
            case []:
                return start(from_json(sys.stdin.read()), create)
            case ["--resume"]:
                return start(from_json(sys.stdin.read()), reopen)
            case ["--attempt"]:
                return take_up(from_json(sys.stdin.buffer.readline()))
            case ["--stop", path]:
                stop(Path(path))
            case ["--kill", path]:
                kill(Path(path))
            case ["--settle", *paths]:
                return max(map(settle_or_say, paths))
            case _:
                print(__doc__, file=sys.stderr)
                return 2
    except (VfmError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
