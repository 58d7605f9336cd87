"""Several trainers: start a process for each, forward what they report, and end them.

One that fails ends all; the run's failure is that of the first to fail. What a trainer does is in
`workers/rank.py`. They are not started by `accelerate launch`, whose agent signals all of them at once: here
the first is asked to save while the others go on, since it may be waiting for them.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from signal import SIGKILL, SIGUSR2, Signals
from typing import Any

from remote.contract import layout
from remote.contract.errors import Hint, VfmError, error_from
from remote.contract.events import AnyEvent, FailureEvent, PhaseEvent, UnknownEvent, decode_line
from remote.inference.command import SERVER_KEY
from remote.inference.protocols import TrainingServer
from remote.output.emitter import Emitter
from remote.output.run_dir import RunDir, write_atomic
from remote.processes import oom
from remote.processes.guarded import GuardedProcess
from remote.processes.python_path import python_path
from remote.training.gpu_placement import Placement, trainer_environment

START, READY, SAVE = "start.json", "ready.json", "save"
"""Files in the trainers' folder: arguments; the server's URL once it answers; a request to save."""
RENEW_SERVER = "renew-server"
"""Type of the event by which the first trainer asks for another start of the server; it goes no further."""
SAVING = 50.0  # seconds that the first trainer has to save, of those that the supervisor gives the worker
AFTERMATH = 1.5  # seconds after a failure in which another trainer's end may still explain it
SILENCE = 1.0  # seconds by which a silent death may be noticed later than the failures that it causes
PROGRAM = (sys.executable, "-P", "-m", "remote.workers.rank")


class Trainers:
    """All trainers of a run, from `start` to `stop`. `program` replaces `remote.workers.rank`, for tests."""

    def __init__(
        self, run_dir: RunDir, placement: Placement, emitter: Emitter, *, program: Sequence[str] = PROGRAM
    ) -> None:
        self._run_dir, self._placement, self._emit = run_dir, placement, emitter
        self._program = program
        self._folder = Path(tempfile.mkdtemp(prefix="vfm-trainers-"))
        self._changed = threading.Event()
        self._failures: list[tuple[FailureEvent, int]] = []
        self._ended: dict[int, float] = {}
        self._open: dict[str, None] = {}
        self._processes: list[GuardedProcess] = []
        self._renewal: dict[str, Any] | None = None
        """The first trainer's request to restart the server, until it is answered."""
        self._server_start = 0
        self._oom = oom.OomWatch()

    # --- their life --------------------------------------------------------------------------------

    def start(self, model: Path, server: TrainingServer) -> None:
        """Start them; they load the model while the server starts."""
        start = {
            "model": str(model),
            "weight_sync": server.weight_sync,
            "device": server.device,
            "served_name": server.served_name,
        }
        write_atomic(self._folder / START, json.dumps(start))
        port = _free_port()
        for rank in range(self._placement.trainers):
            self._processes.append(self._start(rank, port, server.key))

    def _start(self, rank: int, port: int, key: str) -> GuardedProcess:
        variables = {SERVER_KEY: key, **trainer_environment(self._placement, rank, port)}
        command = [*self._program, str(self._run_dir.path / layout.REQUEST), str(self._folder)]
        started = GuardedProcess(
            command, _with_this_remote(os.environ) | variables, lambda line: self._on_line(rank, line)
        )
        threading.Thread(target=self._await, args=(rank, started), daemon=True).start()
        return started

    def _await(self, rank: int, process: GuardedProcess) -> None:
        process.exited.wait()
        self._ended[rank] = time.time()
        self._changed.set()

    def ready(self, base_url: str) -> None:
        """Write the URL of the server, which answers: once it has started, and after each restart."""
        self._server_start += 1
        write_atomic(self._folder / READY, json.dumps({"base_url": base_url, "start": self._server_start}))

    def wait(self, server: TrainingServer | None = None) -> None:
        """Return when all have succeeded; raises the failure of the first that has not.

        Meanwhile restarts the server at their request. Raises `ServerError` where that fails.
        """
        while any(process.exit_code is None for process in self._processes):
            self._changed.wait()
            self._changed.clear()
            self._check_output()
            if self._failures or any(process.exit_code for process in self._processes):
                self._fail()
            if self._renewal is not None and server is not None:
                self._renew(server)
        self._check_output()
        if any(process.exit_code for process in self._processes):
            self._fail()

    def _renew(self, server: TrainingServer) -> None:
        renewal, self._renewal = self._renewal, None
        if renewal and renewal.get("proven"):
            server.proven()
        if server.lost():
            server.renew()
        self.ready(server.base_url)

    def save_and_stop(self, signum: Signals) -> None:
        """Have the first save while the others go on; then end all.

        SIGTERM: the training is over. SIGUSR2: another attempt continues it, so no phase has failed.
        """
        self._have_saved(signum)
        if signum == SIGUSR2:
            self._open.clear()
        self.stop()

    def save_last_step(self) -> None:
        """After a failure: have the first save the last whole step, where it still runs."""
        self._have_saved(SIGUSR2)

    def _have_saved(self, signum: Signals) -> None:
        first = self._processes[0] if self._processes else None
        if first is None or first.exit_code is not None:
            return
        (self._folder / SAVE).touch()
        with suppress(ProcessLookupError):
            os.kill(first.group, signum)
        if not first.exited.wait(SAVING):
            self._emit.say("worker", f"the trainers did not stop within {SAVING:.0f} s: nothing was saved")

    def stop(self) -> None:
        """End all of them. Safe to repeat."""
        stopping = [threading.Thread(target=process.stop) for process in self._processes]
        for thread in stopping:
            thread.start()
        for thread in stopping:
            thread.join()
        while self._open:
            self._emit.phase(self._open.popitem()[0], "failed")
        shutil.rmtree(self._folder, ignore_errors=True)

    def rss_bytes(self) -> int:
        """Resident memory of all trainers, in bytes."""
        return sum(process.rss_bytes() for process in self._processes)

    # --- their output ------------------------------------------------------------------------------

    def _on_line(self, rank: int, line: str) -> None:
        try:
            self._forward(rank, decode_line(line))
        except BaseException:
            self._changed.set()  # `GuardedProcess` keeps it
            raise

    def _forward(self, rank: int, event: AnyEvent | str) -> None:
        if isinstance(event, str):
            self._emit.banner(event)
        elif isinstance(event, FailureEvent):
            self._failures.append((event, rank))
            self._changed.set()
        elif isinstance(event, UnknownEvent) and event.data.get("type") == RENEW_SERVER:
            self._renewal = event.data
            self._changed.set()
        else:
            self._follow_phases(event)
            self._emit.emit(event)

    def _follow_phases(self, event: AnyEvent) -> None:
        if not isinstance(event, PhaseEvent):
            return
        if event.status == "started":
            self._open[event.phase] = None
        else:
            self._open.pop(event.phase, None)

    def _check_output(self) -> None:
        for process in self._processes:
            if process.error is not None:
                raise process.error

    # --- failing -----------------------------------------------------------------------------------

    def _fail(self) -> None:
        """End all, and raise the failure of the first to fail, which caused those of the others."""
        deadline = time.monotonic() + AFTERMATH
        for process in self._processes:
            process.exited.wait(max(deadline - time.monotonic(), 0))
        silent = self._silent()
        self.save_last_step()
        self.stop()
        self._check_output()
        failures = sorted(self._failures, key=lambda failure: failure[0].t)
        if silent and (not failures or self._ended.get(silent[0], 0.0) < failures[0][0].t + SILENCE):
            raise self._lost(silent[0])
        event, rank = failures[0]
        self._emit.say("worker", f"trainer {rank + 1} of {len(self._processes)} failed first")
        raise error_from(event.on_record())

    def _silent(self) -> list[int]:
        """Ranks of those that died without a failure event, in order of their deaths."""
        reported = {rank for _, rank in self._failures}
        dead = [rank for rank, p in enumerate(self._processes) if p.exit_code and rank not in reported]
        return sorted(dead, key=lambda rank: self._ended.get(rank, 0.0))

    def _lost(self, rank: int) -> VfmError:
        code = self._processes[rank].exit_code or 0
        end = f"was killed by signal {code - 128}" if code > 128 else f"ended with code {code}"
        return VfmError(
            f"trainer {rank + 1} of {len(self._processes)} {end} without a failure report",
            boundary="train",
            cause=f"exit code {code}",
            hint=Hint(
                f"{oom.who_killed(self._oom.killed())}: see the memory chart and the last lines"
                if code == 128 + SIGKILL
                else "see the last lines"
            ),
        )


def _with_this_remote(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment with a PYTHONPATH on which the trainers find this `remote`."""
    inherited = filter(None, environ.get("PYTHONPATH", "").split(os.pathsep))
    return {**environ, "PYTHONPATH": python_path(*inherited)}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
