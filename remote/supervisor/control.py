"""Stop, kill or settle a run from another process.

To settle a run is to complete the record of one whose processes are gone.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

from remote.contract import layout
from remote.contract.errors import BackendError, VfmError
from remote.contract.exit_codes import CANCELLED, FAILED
from remote.output.run_dir import RunDir, remove_temporaries
from remote.processes import lifecycle, scratch
from remote.supervisor import attempt_log
from remote.supervisor.verdict import Ending, EventsTail, LastEvents, conclude, judge, last_text, vanished


def settle(path: Path) -> None:
    """Complete the record of a run whose processes are gone; leave a run that is alive alone."""
    lock = lifecycle.take_lock(path, patience=0.5)
    if lock is None:
        return
    try:
        settle_locked(RunDir(path))
    finally:
        os.close(lock)


def settle_locked(run_dir: RunDir) -> None:
    """`settle` for a caller that holds the lock."""
    record = run_dir.record()
    if record.ended_already:
        return
    remove_temporaries(run_dir.path)
    scratch.remove(run_dir.path)
    events = EventsTail(run_dir.path).read()
    if events.end is None and events.failure is None:
        # The attempt had no verdict: its processes are gone.
        run_dir.write_record(record.with_attempt_ended("lost", attempt_log.last_event_time(run_dir.path)))
        last, written = last_text(run_dir.path), _modified(run_dir.path / layout.STREAM)
        error = vanished(record.run_id, events.reached, last, written)
        ending = Ending("failed", FAILED, error)
    else:
        ending = judge(events, 0, None, run_dir.request(), "")
    _conclude(run_dir, ending, events)


def _modified(path: Path) -> float | None:
    with suppress(OSError):
        return path.stat().st_mtime
    return None


def settle_or_report(path: Path) -> int:
    """Settle one of several runs; a failure is a line on stderr, and does not keep the others from it."""
    try:
        settle(path)
    except (VfmError, OSError, ValueError) as error:
        print(f"{path}: {error}".replace("\n", " "), file=sys.stderr)
        return 1
    return 0


def stop(path: Path, patience: float = 3.0) -> None:
    """Send SIGTERM to the run's supervisor, or to the worker's process group where the supervisor is gone.

    Raises `BackendError` where the run is alive and neither is on record within `patience` seconds.
    """
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        record = RunDir(path).record()
        if record.ended_already or _signalled(path):
            return
        if (lock := lifecycle.take_lock(path)) is not None:
            os.close(lock)
            return
        time.sleep(0.05)  # It is alive but not on record yet: a run's first moments.
    raise BackendError(f"{record.run_id} is alive but none of its processes could be found", cause=str(path))


def kill(path: Path, patience: float = 10.0) -> None:
    """Kill the worker's process group, and the supervisor where it has not ended `patience` seconds later.

    The run is on record as cancelled then. Raises `BackendError` where processes of it are left.
    """
    stop(path)  # so that its supervisor knows why the worker dies
    deadline = time.monotonic() + patience
    while not RunDir(path).record().ended_already and time.monotonic() < deadline:
        if worker := _process_on_record(path, "worker_"):
            lifecycle.signal_group(worker, signal.SIGKILL)
        if (lock := lifecycle.take_lock(path, patience=0.1)) is not None:
            os.close(lock)
            break
    if supervisor := _process_on_record(path):
        with suppress(ProcessLookupError):
            os.kill(supervisor, signal.SIGKILL)
    lock = lifecycle.take_lock(path, patience=2.0)
    if lock is None:
        raise BackendError("processes of the run are left that could not be ended", cause=str(path))
    if not RunDir(path).record().ended_already:
        _conclude(RunDir(path), Ending("cancelled", CANCELLED), EventsTail(path).read())
    os.close(lock)


def _conclude(run_dir: RunDir, ending: Ending, events: LastEvents) -> None:
    fd = os.open(run_dir.path / layout.STREAM, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        conclude(run_dir, ending, events, fd)
    finally:
        os.close(fd)


def _process_on_record(path: Path, prefix: str = "") -> int | None:
    """The supervisor's pid, or with `worker_` the worker's, where it still is a process of this run."""
    identifiers = RunDir(path).record().identifiers
    return lifecycle.of_run(
        path, identifiers.get(f"{prefix}pid", ""), identifiers.get(f"{prefix}started", "")
    )


def _signalled(path: Path) -> bool:
    if supervisor := _process_on_record(path):
        os.kill(supervisor, signal.SIGTERM)
        return True
    if worker := _process_on_record(path, "worker_"):
        return lifecycle.signal_group(worker, signal.SIGTERM)
    return False
