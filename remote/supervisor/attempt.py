"""Run a run's attempts: get the image, start and watch the worker, and stop it where that is due.

Owns the time that an attempt has and what it may cost. Starting the supervisor is `start.py`'s, control from
other processes `control.py`'s, and the verdict `verdict.py`'s.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path

from remote.contract import layout
from remote.contract.errors import DiskError, VfmError
from remote.contract.exit_codes import CANCELLED, INTERRUPTED, SERVER_LOST
from remote.contract.record import LaunchRequest, RunRecord
from remote.output import redact
from remote.output.emitter import Emitter
from remote.output.run_dir import RunDir, as_disk_error
from remote.processes import lifecycle, scratch
from remote.processes.oom import OomWatch
from remote.supervisor import attempt_log
from remote.supervisor.verdict import (
    Ending,
    EventsTail,
    Interruption,
    StopReason,
    conclude,
    interrupt,
    judge,
    last_text,
)

GRACE = 60.0
"""Seconds that a worker has to save after it was asked to stop."""
PREEMPTED_GRACE = 12.0
"""The same on preemption: Modal takes the machine 30 seconds after the signal, last commit included."""
LEFTOVERS = 10.0
"""Seconds that other processes of a dead worker's group have to end by themselves."""


class Supervisor:
    """One attempt at a run, from the image to the final status; on this machine also those that follow."""

    def __init__(
        self,
        run_dir: RunDir,
        request: LaunchRequest,
        home: Path | None,
        lock: int,
        watch: lifecycle.SignalWatch,
    ) -> None:
        """`home` holds the local images; None in a container, which runs in its image already."""
        self.run_dir, self.request, self.home, self.lock = run_dir, request, home, lock
        self.grace = float(os.environ.get("VFM_STOP_GRACE", GRACE))
        self.watch = watch
        self.tail = EventsTail(run_dir.path)
        self._begin(run_dir.record())

    def _begin(self, record: RunRecord) -> None:
        """Set the limits of an attempt that has just begun."""
        self.timeout = float(os.environ.get("VFM_TIMEOUT", self._time_allowed(record)))
        self.meter = attempt_log.meter(self.request.spec, record)
        self.goes_on = attempt_log.goes_on(self.request.spec, record)
        self.began = time.monotonic()
        self.oom = OomWatch()
        self.tail.read()

    def run(self) -> int:
        """Run the attempt, and on this machine those that follow; returns the last one's exit code.

        Every failure ends up in the run's record. In a container, Modal starts the next attempt.
        """
        while isinstance(ending := self._ending(), Interruption):
            self.watch.interrupts = False
            try:
                interrupt(self.run_dir, ending.why, fd=1)
                if self.home is None:
                    return INTERRUPTED
                self._begin(attempt_log.begin_next(self.run_dir, self.run_dir.record()))
            except (VfmError, OSError) as error:
                ending = Ending("failed", 1, as_disk_error(error, self.run_dir.path))
                break
        self.watch.interrupts = False
        return conclude(self.run_dir, ending, self.tail.events, fd=1).exit_code

    def _time_allowed(self, record: RunRecord) -> float:
        """Seconds until the worker is stopped: a container ends for good at modal.timeout, saved or not."""
        timeout = self.request.spec.modal.timeout
        if self.home is not None:
            return timeout
        left = attempt_log.time_left(self.request.spec, record)
        return max(min(timeout, left) - min(self.grace + 30, timeout / 10), 0.0)

    def _ending(self) -> Ending | Interruption:
        try:
            code, reason = self._watch(self._start(self._python()))
            return self._judge(code, reason)
        except lifecycle.Stopped:
            return Ending("cancelled", CANCELLED)
        except VfmError as error:
            return Ending("failed", 1, error)
        except OSError as error:
            return Ending("failed", 1, as_disk_error(error, self.run_dir.path))
        except Exception as error:
            return Ending("failed", 1, self._own_failure(error))

    def _judge(self, code: int, reason: StopReason | None) -> Ending | Interruption:
        events = self.tail.read()
        if events.end is None and (reason == "preempted" or (reason == "timeout" and self.goes_on)):
            return Interruption(reason)
        if events.end is None and code == SERVER_LOST and reason is None and self.goes_on:
            return Interruption("server")
        spent = self.meter.spent(time.monotonic() - self.began)
        return judge(
            events, code, reason, self.request, last_text(self.run_dir.path), spent, self.oom.killed()
        )

    def _python(self) -> Path:
        """Path of the image's Python. A request to stop interrupts a build."""
        override = os.environ.get("VFM_IMAGE_PYTHON")
        if self.home is None:
            return Path(override or sys.executable)
        self.watch.interrupts = True
        if self.watch.stop_asked:
            raise lifecycle.Stopped
        emit = Emitter(self.run_dir.path)
        if override:
            emit.phase("image", "started")
            emit.phase("image", "done", "VFM_IMAGE_PYTHON")
            python = Path(override)
        else:
            from remote.image.local import ensure, this_recipe  # runs in a container need no local image

            python = ensure(self.home, emit, this_recipe(self.request.spec.image.python))
        self.watch.interrupts = False
        return python

    def _start(self, python: Path) -> subprocess.Popen[bytes]:
        """Start the worker, which is on record as running before its first instruction."""
        override = os.environ.get("VFM_WORKER")
        command = shlex.split(override) if override else [str(python), "-P", "-m", "remote.worker"]
        command.append(str(self.run_dir.path / layout.REQUEST))
        goes_on = {"VFM_GOES_ON": "1" if self.goes_on else ""}
        variables = {**scratch.variables(self.run_dir.path), **goes_on}
        worker = lifecycle.start_gated(command, self.lock, variables)
        record = self.run_dir.record()
        identifiers = {**record.identifiers, **self._identity(worker)}
        started = record.started or time.time()
        self.run_dir.write_record(record.moved("running", started=started, identifiers=identifiers))
        lifecycle.release(worker)
        return worker

    def _identity(self, worker: subprocess.Popen[bytes]) -> dict[str, str]:
        """The worker in the record's identifiers; empty in a container, into which nobody else reaches."""
        if self.home is None:
            return {}
        return {"worker_pid": str(worker.pid), "worker_started": lifecycle.start_time(worker.pid)}

    def _watch(self, worker: subprocess.Popen[bytes]) -> tuple[int, StopReason | None]:
        """Wait for the worker's end, stop it where that is due, and end the rest of its process group."""
        reason: StopReason | None = None
        kill_at = float("inf")
        while (code := worker.poll()) is None:
            now = time.monotonic()
            if reason is None and (reason := self._due(now)) is not None:
                kill_at = now + self._patience(reason)
                self._ask(worker, reason)
                if reason == "preempted":
                    self._announce_end(reason)
            elif kill_at == float("inf") and self.tail.read().end is not None:
                kill_at = now + self.grace  # It has written its end event: it must not hang afterwards.
            if now >= kill_at:
                self._kill(worker, reason)
            left = self._seconds_left(now) if reason is None else kill_at - now
            self._sleep(worker, min(1.0, max(min(left, kill_at - now), 0.05)))
        if reason is None and self.watch.stop_asked and code == -signal.SIGKILL:
            reason = "cancel"  # killed by `control.kill` before this process could ask it
        # Nothing is left of a machine that is taken away: the seconds are needed for the record.
        lifecycle.end_group(worker.pid, 0.0 if reason == "preempted" else LEFTOVERS)
        scratch.remove(self.run_dir.path, 0.0 if reason == "preempted" else LEFTOVERS)
        return code, reason

    def _kill(self, worker: subprocess.Popen[bytes], reason: StopReason | None) -> None:
        """End a worker that had its time; what it had not saved by then is lost, which is said."""
        worker.kill()
        if reason is not None and self.tail.read().end is None:
            reached, kept = self.tail.events.reached, "there is no checkpoint"
            if reached is not None and reached.checkpoint is not None:
                kept = f"the newest checkpoint is that of step {reached.checkpoint}"
            Emitter(None).say("worker", f"⚠ the worker did not stop in time, and was killed: {kept}")

    def _announce_end(self, why: StopReason) -> None:
        """Record why the attempt is about to end, since its end itself may not be committed any more."""
        record = self.run_dir.record()
        *earlier, last = record.attempts
        attempts = [*earlier, last.model_copy(update={"why": why})]
        with suppress(DiskError):  # the end, which is recorded next, has the same reason
            self.run_dir.write_record(record.model_copy(update={"attempts": attempts}))

    def _due(self, now: float) -> StopReason | None:
        """Why the worker has to stop now; None: it has not."""
        if self.watch.stop_asked:
            return "cancel"
        if self.watch.preempted and self.home is None:
            return "preempted"
        if now - self.began >= self.timeout:
            return "timeout"
        return "budget" if self.meter.seconds_left(now - self.began) <= 0 else None

    def _seconds_left(self, now: float) -> float:
        took = now - self.began
        return min(self.timeout - took, self.meter.seconds_left(took))

    def _patience(self, reason: StopReason) -> float:
        return min(self.grace, PREEMPTED_GRACE) if reason == "preempted" else self.grace

    def _ask(self, worker: subprocess.Popen[bytes], reason: StopReason) -> None:
        reasons = {
            "cancel": "a stop was requested",
            "preempted": "Modal is about to take the machine away",
            "timeout": f"the time is up ({self.timeout:g} s)",
            "budget": f"budget.max_usd = {self.request.spec.budget.max_usd} is reached",
        }
        patience = self._patience(reason)
        Emitter(None).say("worker", f"⏹ {reasons[reason]}: the worker has {patience:g} s to save what it has")
        resumed = reason == "preempted" or (reason == "timeout" and self.goes_on)
        worker.send_signal(signal.SIGUSR2 if resumed else signal.SIGTERM)

    def _sleep(self, worker: subprocess.Popen[bytes], seconds: float) -> None:
        try:
            self.watch.sleep(seconds)
        except lifecycle.Abandoned:
            # The container is gone: nothing that is written now is kept.
            lifecycle.signal_group(worker.pid, signal.SIGKILL)
            os._exit(128 + signal.SIGKILL)

    def _own_failure(self, error: Exception) -> VfmError:
        """The failure for an exception of the supervisor itself, whose traceback goes to a file."""
        path = self.run_dir.path / layout.LOGS / "supervisor-crash.txt"
        path.write_text(redact.line("".join(traceback.format_exception(error))), encoding="utf-8")
        where = f"{layout.LOGS}/{path.name}"
        return VfmError(
            f"the supervisor failed; its traceback is in {where}", cause=f"{type(error).__name__}: {error}"
        )
