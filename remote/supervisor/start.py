"""Begin a run, or another attempt at one, and see it through.

Owns the answer to the program that started the supervisor, and the run directory's first files. What happens
from then on is `attempt.py`'s.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from remote.contract import layout
from remote.contract.errors import BackendError, ConfigError, DiskError, Hint, VfmError
from remote.contract.record import LaunchRequest, RunRecord
from remote.output import redact
from remote.output.answers import answer, answer_failure, leave_caller
from remote.output.run_dir import RunDir, as_disk_error, disk_error, sync
from remote.processes import lifecycle
from remote.processes.python_path import python_path
from remote.supervisor import attempt_log
from remote.supervisor.attempt import Supervisor
from remote.supervisor.control import settle_locked

ABANDONED = 3600.0
"""Seconds after which a run directory that is still being created has no creator any more."""
Prepare = Callable[[LaunchRequest], tuple[RunDir, RunRecord, int]]


def create(request: LaunchRequest) -> tuple[RunDir, RunRecord, int]:
    """Create the run directory: returns it, the record and the locked lock. Raises `VfmError`.

    The directory is filled under another name, so that a kill at any moment leaves no half of a run.
    """
    path = Path(request.run_dir)
    new = path.with_name(f"{layout.NEW_RUN}{path.name}")
    try:
        Path(request.cache_dir).mkdir(parents=True, exist_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise BackendError(f"there is a run {request.run_id} already: launch again for a new name")
        _remove_abandoned(path.parent)
        new.mkdir()
        record, lock = _fill(RunDir(new), request)
        new.rename(path)
        sync(path.parent)
    except (OSError, VfmError) as error:
        shutil.rmtree(new, ignore_errors=True)
        raise as_disk_error(error, path) from error
    return RunDir(path), record, lock


def _fill(run_dir: RunDir, request: LaunchRequest) -> tuple[RunRecord, int]:
    """Take the lock before writing the record, so that a record never lies beside a free lock."""
    lock = lifecycle.take_lock(run_dir.path)
    assert lock is not None, "nobody else knows a directory that was just created"
    (run_dir.path / layout.LOGS).mkdir()
    (run_dir.path / layout.STREAM).touch()
    record = run_dir.create(request)
    return attempt_log.begin(run_dir, record.model_copy(update={"identifiers": _identity()})), lock


def _identity() -> dict[str, str]:
    """This supervisor in the record's identifiers."""
    pid = os.getpid()
    return {"pid": str(pid), "started": lifecycle.start_time(pid)}


def _remove_abandoned(runs: Path) -> None:
    """Remove run directories whose supervisor was killed while creating them."""
    for folder in runs.glob(f"{layout.NEW_RUN}*/"):
        if time.time() - folder.stat().st_mtime > ABANDONED:
            shutil.rmtree(folder, ignore_errors=True)


def reopen(request: LaunchRequest) -> tuple[RunDir, RunRecord, int]:
    """Begin another attempt at a run that is over: returns what `create` does. Raises `VfmError`."""
    run_dir = RunDir(Path(request.run_dir))
    try:
        lock = lifecycle.take_lock(run_dir.path, patience=0.5)
        if lock is None:
            raise ConfigError(
                f"{request.run_id} is still running: there is nothing to resume",
                hint=Hint(f"watch it: vfm logs {request.run_id} --follow"),
            )
        _check_shape(run_dir.path)
        settle_locked(run_dir)
        run_dir.write_spec(request)
        run_dir.write_request(request)
        changes = {"identifiers": _identity(), "usd_per_hour": request.usd_per_hour}
        record = run_dir.record().reopened().model_copy(update=changes)
        return run_dir, attempt_log.begin_next(run_dir, record), lock
    except (OSError, ValueError) as error:
        if isinstance(error, OSError):
            raise disk_error(error, error.filename or run_dir.path) from error
        raise DiskError(f"the record of {request.run_id} is damaged", cause=str(error)) from error


def _check_shape(run_dir: Path) -> None:
    """Raise `DiskError` where a run would write and something else lies."""
    folders = dict.fromkeys((layout.LOGS, layout.ROLLOUTS, layout.CHECKPOINTS, layout.WANDB), "a folder")
    files = dict.fromkeys((layout.STREAM, layout.EVENTS, layout.SPEC, layout.REQUEST), "a file")
    for name, kind in {**folders, **files}.items():
        path = run_dir / name
        if os.path.lexists(path) and not (path.is_dir() if kind == "a folder" else path.is_file()):
            raise DiskError(
                f"{path} is not {kind}, which the run needs it to be",
                hint=Hint("move it away, or put back what was there, and resume the run again"),
            )


def start(document: dict[str, Any], prepare: Prepare) -> int:
    """Run a request: `prepare` is `create` or `reopen`. Returns the exit code.

    Answers on stdout once the run is on record, and from then on writes to the run's stream only.
    """
    request = LaunchRequest.model_validate(document["request"])
    os.environ.update({**document["env"], **redact.hide(document["env"], request)})
    # The image's own packages may not be mixed with those of the launcher's environment.
    os.environ["PYTHONPATH"] = python_path(request.project_dir)
    watch = lifecycle.SignalWatch()  # before the pid is on record, so that no request to stop is missed
    try:
        run_dir, record, lock = prepare(request)
    except VfmError as error:
        return answer_failure(error)
    supervisor = Supervisor(run_dir, request, Path(document["home"]), lock, watch)
    _leave_launcher(record, run_dir)
    return supervisor.run()


def start_in_container(document: dict[str, Any]) -> int:
    """Run the first or next attempt at a run whose directory exists; answers and returns as `start` does."""
    request = LaunchRequest.model_validate(document["request"])
    os.environ["PYTHONPATH"] = python_path(request.project_dir)
    watch = lifecycle.SignalWatch()
    watch.leash = os.dup(0)
    run_dir = RunDir(Path(request.run_dir))
    try:
        run_dir.write_request(request)
        record = attempt_log.begin_in_container(
            run_dir,
            head=document["head"],
            container=document["container"],
            identifiers=document["identifiers"],
        )
    except VfmError as error:
        return answer_failure(error)
    except (OSError, ValueError) as error:
        return answer_failure(BackendError(f"the run's next attempt cannot begin: {error}"))
    if record.ended_already:
        answer({"record": record.model_dump(mode="json")})
        return record.exit_code or 0
    # Nobody else is in this container, so the lock guards nothing; a volume is no place for one.
    lock = os.open(os.devnull, os.O_RDONLY)
    supervisor = Supervisor(run_dir, request, None, lock, watch)
    _leave_launcher(record, run_dir)
    return supervisor.run()


def _leave_launcher(record: RunRecord, run_dir: RunDir) -> None:
    """Answer with the record; from here on everything that is printed belongs to the run's stream."""
    answer({"record": record.model_dump(mode="json")})
    leave_caller(os.open(run_dir.path / layout.STREAM, os.O_WRONLY | os.O_APPEND))
