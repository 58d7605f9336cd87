"""A run's attempts, seen through: the image, the worker, and why it has to stop.

Owns the time that an attempt has and what it may cost, asking the worker to end, and the verdict. How a run
comes into being, and what is done to it from outside, is `supervisor`'s; the verdict's words are `ending`'s.
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
from remote.contract.record import LaunchRequest, RunRecord
from remote.output import redact
from remote.output.emitter import Emitter
from remote.output.run_dir import RunDir, as_disk_error
from remote.processes import lifecycle, scratch
from remote.processes.oom import OomWatch
from remote.supervisor import attempt_log
from remote.supervisor.verdict import (
    INTERRUPTED,
    SERVER_LOST,
    Asked,
    Ending,
    EventsTail,
    Interruption,
    conclude,
    interrupt,
    judge,
    last_text,
)

GRACE = 60.0
PREEMPTED_GRACE = 12.0
"""The same where Modal takes the machine away, 30 seconds after saying so; the rest is for a last commit."""
LEFTOVERS = 10.0
"""Seconds that processes of a dead worker's group have to end by themselves."""


class Supervisor:
    """One attempt at a run, from the image to its last status, and on this machine those that follow."""

    def __init__(
        self,
        run_dir: RunDir,
        request: LaunchRequest,
        home: Path | None,
        lock: int,
        watch: lifecycle.Watch,
    ) -> None:
        """`home` holds the local images; None is a container, which is in its image already."""
        self.run_dir, self.request, self.home, self.lock = run_dir, request, home, lock
        self.grace = float(os.environ.get("VFM_STOP_GRACE", GRACE))
        self.watch = watch
        self.tail = EventsTail(run_dir.path)
        self._begin(run_dir.record())

    def _begin(self, record: RunRecord) -> None:
        """What an attempt that has just begun may take."""
        self.timeout = float(os.environ.get("VFM_TIMEOUT", self._time_allowed(record)))
        self.meter = attempt_log.meter(self.request.spec, record)
        self.goes_on = attempt_log.goes_on(self.request.spec, record)
        self.began = time.monotonic()
        self.oom = OomWatch()
        self.tail.read()

    def run(self) -> int:
        """See the attempt through, and here those that follow it; returns the last one's exit code.

        Nothing that goes wrong is left unsaid. In a container the next attempt is Modal's to start.
        """
        while isinstance(ending := self._ending(), Interruption):
            self.watch.interrupts = False
            try:
                interrupt(self.run_dir, ending.why, fd=1)
                if self.home is None:
                    return INTERRUPTED
                self._begin(attempt_log.another(self.run_dir, self.run_dir.record()))
            except (VfmError, OSError) as error:
                ending = Ending("failed", 1, as_disk_error(error, self.run_dir.path))
                break
        self.watch.interrupts = False
        return conclude(self.run_dir, ending, self.tail.said, fd=1).exit_code

    def _time_allowed(self, record: RunRecord) -> float:
        """Seconds until the worker is stopped: a container ends for good at modal.timeout, saved or not."""
        timeout = self.request.spec.modal.timeout
        if self.home is not None:
            return timeout
        left = attempt_log.time_left(self.request.spec, record)
        return max(min(timeout, left) - min(self.grace + 30, timeout / 10), 0.0)

    def _ending(self) -> Ending | Interruption:
        try:
            code, asked = self._watch(self._start(self._python()))
            return self._judge(code, asked)
        except lifecycle.Stopped:
            return Ending("cancelled", 128 + signal.SIGTERM)
        except VfmError as error:
            return Ending("failed", 1, error)
        except OSError as error:
            return Ending("failed", 1, as_disk_error(error, self.run_dir.path))
        except Exception as error:
            return Ending("failed", 1, self._crashed(error))

    def _judge(self, code: int, asked: Asked | None) -> Ending | Interruption:
        said = self.tail.read()
        if said.end is None and (asked == "preempted" or (asked == "timeout" and self.goes_on)):
            return Interruption(asked)
        if said.end is None and code == SERVER_LOST and asked is None and self.goes_on:
            return Interruption("server")
        spent = self.meter.spent(time.monotonic() - self.began)
        return judge(said, code, asked, self.request, last_text(self.run_dir.path), spent, self.oom.seen())

    def _python(self) -> Path:
        """The image's Python. A request to stop interrupts the build at once: there is nothing to save."""
        given = os.environ.get("VFM_IMAGE_PYTHON")
        if self.home is None:
            return Path(given or sys.executable)
        self.watch.interrupts = True
        if self.watch.stop_asked:
            raise lifecycle.Stopped
        emit = Emitter(self.run_dir.path)
        if given:
            emit.phase("image", "started")
            emit.phase("image", "done", "VFM_IMAGE_PYTHON")
            python = Path(given)
        else:
            from remote.image.local import ensure, this_recipe  # only here: not every run's business

            python = ensure(self.home, emit, this_recipe(self.request.spec.image.python))
        self.watch.interrupts = False
        return python

    def _start(self, python: Path) -> subprocess.Popen[bytes]:
        """The worker, on record as running before its first instruction."""
        given = os.environ.get("VFM_WORKER")
        command = shlex.split(given) if given else [str(python), "-m", "remote.worker"]
        command.append(str(self.run_dir.path / layout.REQUEST))
        goes_on = {"VFM_GOES_ON": "1" if self.goes_on else ""}
        variables = {**scratch.variables(self.run_dir.path), **goes_on}
        worker = lifecycle.start_gated(command, self.lock, variables)
        record = self.run_dir.record()
        identifiers = {**record.identifiers, **self._known_as(worker)}
        started = record.started or time.time()
        self.run_dir.write_record(record.moved("running", started=started, identifiers=identifiers))
        lifecycle.release(worker)
        return worker

    def _known_as(self, worker: subprocess.Popen[bytes]) -> dict[str, str]:
        """How others find the worker; nobody reaches into a container."""
        if self.home is None:
            return {}
        return {"worker_pid": str(worker.pid), "worker_started": lifecycle.start_time(worker.pid)}

    def _watch(self, worker: subprocess.Popen[bytes]) -> tuple[int, Asked | None]:
        """Wait for the worker's end, bring it about where it is due, and clear its group."""
        asked: Asked | None = None
        kill_at = float("inf")
        while (code := worker.poll()) is None:
            now = time.monotonic()
            if asked is None and (asked := self._due(now)) is not None:
                kill_at = now + self._patience(asked)
                self._ask(worker, asked)
                if asked == "preempted":
                    self._foretell(asked)
            elif kill_at == float("inf") and self.tail.read().end is not None:
                kill_at = now + self.grace  # It has said its end: it may not hang on its way out.
            if now >= kill_at:
                worker.kill()
            left = self._seconds_left(now) if asked is None else kill_at - now
            self._sleep(worker, min(1.0, max(min(left, kill_at - now), 0.05)))
        if asked is None and self.watch.stop_asked and code == -signal.SIGKILL:
            asked = "cancel"  # whoever has asked had no time
        # Of a machine that is taken away nothing is left anyway: its seconds are for the record.
        lifecycle.end_group(worker.pid, 0.0 if asked == "preempted" else LEFTOVERS)
        scratch.remove(self.run_dir.path, 0.0 if asked == "preempted" else LEFTOVERS)
        return code, asked

    def _foretell(self, why: Asked) -> None:
        """Put on record why the attempt is about to end: that is committed, and the end itself may not be."""
        record = self.run_dir.record()
        *earlier, last = record.attempts
        told = [*earlier, last.model_copy(update={"why": why})]
        with suppress(DiskError):  # the end, which is written next, says it as well
            self.run_dir.write_record(record.model_copy(update={"attempts": told}))

    def _due(self, now: float) -> Asked | None:
        """Why the worker has to stop now, if it has."""
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

    def _patience(self, asked: Asked) -> float:
        return min(self.grace, PREEMPTED_GRACE) if asked == "preempted" else self.grace

    def _ask(self, worker: subprocess.Popen[bytes], asked: Asked) -> None:
        whys = {
            "cancel": "a stop was asked for",
            "preempted": "the machine is about to be taken away",
            "timeout": f"the time is up ({self.timeout:g} s)",
            "budget": f"budget.max_usd = {self.request.spec.budget.max_usd} is reached",
        }
        patience = self._patience(asked)
        Emitter(None).say("worker", f"⏹ {whys[asked]}: the worker has {patience:g} s to save what it has")
        resumed = asked == "preempted" or (asked == "timeout" and self.goes_on)
        worker.send_signal(signal.SIGUSR2 if resumed else signal.SIGTERM)

    def _sleep(self, worker: subprocess.Popen[bytes], seconds: float) -> None:
        try:
            self.watch.sleep(seconds)
        except lifecycle.Abandoned:
            # The container is gone, and with it everything in it: nothing that is said now counts.
            lifecycle.signal_group(worker.pid, signal.SIGKILL)
            os._exit(128 + signal.SIGKILL)

    def _crashed(self, error: Exception) -> VfmError:
        """A fault of ours: the traceback goes to a file, the sentence to the user."""
        path = self.run_dir.path / layout.LOGS / "supervisor-crash.txt"
        path.write_text(redact.line("".join(traceback.format_exception(error))), encoding="utf-8")
        where = f"{layout.LOGS}/{path.name}"
        return VfmError(
            f"the supervisor failed; {where} says where", cause=f"{type(error).__name__}: {error}"
        )
