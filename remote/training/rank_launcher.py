"""More than one trainer: a process for each, beside the worker that stays their parent.

Owns starting them, what they say, and their end: one that fails ends all, and the reason that the run is
given is the first one's. What a trainer does is `trainer`'s. They are started here and not by `accelerate
launch`, with the variables that it would set, because its agent signals all of them at once: here the
first is asked to save while the others keep it company, since it may be waiting for them.
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

import remote
from remote.contract import layout
from remote.contract.errors import Hint, VfmError, error_from
from remote.contract.events import FailureEvent, PhaseEvent, UnknownEvent, decode_line
from remote.inference.command import SERVER_KEY
from remote.inference.stall_watch import RestartableServer
from remote.output.emitter import Emitter
from remote.output.run_dir import RunDir, write_atomic
from remote.processes import oom
from remote.processes.guarded import GuardedProcess
from remote.training.gpu_placement import Placement, trainer_environment

CREW, READY, SAVE = "crew.json", "ready.json", "save"
RENEW_SERVER = "renew-server"
"""Type of the event by which the first trainer asks for another start of the server; it goes no further."""
SAVING = 50.0  # seconds that the first trainer has to save, within those that the supervisor gives the worker
AFTERMATH = 1.5  # seconds after a failure in which the others' ends may still explain it
SILENCE = 1.0  # seconds by which a death without a word may be noticed later than what it did to the others
PROGRAM = (sys.executable, "-m", "remote.workers.rank")


class Trainers:
    """All trainers of a run, from their start to `stop`. `program` is what is run in place of ours."""

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
        self._asked: dict[str, Any] | None = None
        self._server_start = 0
        self._oom = oom.OomWatch()

    # --- their life --------------------------------------------------------------------------------

    def start(self, model: Path, server: Any) -> None:
        """Start them; they load the model while the server starts."""
        told = {"model": str(model), "weight_sync": server.weight_sync, "device": server.device}
        write_atomic(self._folder / CREW, json.dumps({**told, "served_name": server.served_name}))
        port = _free_port()
        for rank in range(self._placement.trainers):
            self._processes.append(self._start(rank, port, server.key))

    def _start(self, rank: int, port: int, key: str) -> GuardedProcess:
        variables = {SERVER_KEY: key, **trainer_environment(self._placement, rank, port)}
        command = [*self._program, str(self._run_dir.path / layout.REQUEST), str(self._folder)]
        started = GuardedProcess(
            command, _with_this_project(os.environ) | variables, lambda line: self._on_line(rank, line)
        )
        threading.Thread(target=self._await, args=(rank, started), daemon=True).start()
        return started

    def _await(self, rank: int, process: GuardedProcess) -> None:
        process.exited.wait()
        self._ended[rank] = time.time()
        self._changed.set()

    def ready(self, base_url: str) -> None:
        """Tell them that the server answers, and where: once it has started, and each time they ask."""
        self._server_start += 1
        write_atomic(self._folder / READY, json.dumps({"base_url": base_url, "start": self._server_start}))

    def wait(self, server: RestartableServer | None = None) -> None:
        """Return when all have ended well; raises the failure of the first that did not.

        Meanwhile the server is started again when they ask for it. Raises `ServerError` where it cannot be.
        """
        while any(process.exit_code is None for process in self._processes):
            self._changed.wait()
            self._changed.clear()
            self._check_output()
            if self._failures or any(process.exit_code for process in self._processes):
                self._fail()
            if self._asked is not None:
                self._renew(server)
        self._check_output()
        if any(process.exit_code for process in self._processes):
            self._fail()

    def _renew(self, server: Any) -> None:
        asked, self._asked = self._asked, None
        if asked and asked.get("proven"):
            server.proven()
        if server.lost():
            server.renew()
        self.ready(server.base_url)

    def save_and_stop(self, signum: Signals) -> None:
        """Ask the first to save what was learnt, while the others go on; then end all.

        SIGTERM: the training is over. SIGUSR2: another machine goes on with it, so no phase has failed.
        """
        self._have_saved(signum)
        if signum == SIGUSR2:
            self._open.clear()
        self.stop()

    def save_last_step(self) -> None:
        """Ask the first to save the last whole step, where it can still be asked: something has failed."""
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

    # --- what they say -----------------------------------------------------------------------------

    def _on_line(self, rank: int, line: str) -> None:
        try:
            self._forward(rank, decode_line(line))
        except BaseException:
            self._changed.set()  # `GuardedProcess` keeps it
            raise

    def _forward(self, rank: int, event: Any) -> None:
        if isinstance(event, str):
            self._emit.banner(event)
        elif isinstance(event, FailureEvent):
            self._failures.append((event, rank))
            self._changed.set()
        elif isinstance(event, UnknownEvent) and event.data.get("type") == RENEW_SERVER:
            self._asked = event.data
            self._changed.set()
        else:
            self._follow_phases(event)
            self._emit.emit(event)

    def _follow_phases(self, event: Any) -> None:
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
        """End all, and raise what the first to fail said: the others fail for want of it."""
        deadline = time.monotonic() + AFTERMATH
        for process in self._processes:
            process.exited.wait(max(deadline - time.monotonic(), 0))
        silent = self._silent()
        self.save_last_step()
        self.stop()
        self._check_output()
        said = sorted(self._failures, key=lambda failure: failure[0].t)
        if silent and (not said or self._ended.get(silent[0], 0.0) < said[0][0].t + SILENCE):
            raise self._lost(silent[0])
        event, rank = said[0]
        self._emit.say("worker", f"trainer {rank + 1} of {len(self._processes)} failed first")
        raise error_from(event.on_record())

    def _silent(self) -> list[int]:
        """Those that died without a word, in the order in which they did."""
        spoke = {rank for _, rank in self._failures}
        dead = [rank for rank, p in enumerate(self._processes) if p.exit_code and rank not in spoke]
        return sorted(dead, key=lambda rank: self._ended.get(rank, 0.0))

    def _lost(self, rank: int) -> VfmError:
        code = self._processes[rank].exit_code or 0
        how = f"was killed by signal {code - 128}" if code > 128 else f"ended with code {code}"
        return VfmError(
            f"trainer {rank + 1} of {len(self._processes)} {how} without a word",
            boundary="train",
            cause=f"exit code {code}",
            hint=Hint(
                f"{oom.who_killed(self._oom.seen())}: see the memory chart and the last lines"
                if code == 128 + SIGKILL
                else "see the last lines"
            ),
        )


def _with_this_project(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment, in which `remote` is found wherever the trainers are started."""
    here = str(Path(remote.__file__ or "").parents[1])
    paths = [here, *filter(None, environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {**environ, "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
