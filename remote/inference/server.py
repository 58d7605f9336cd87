"""The vLLM server of a run: start it, await its health, say what it died of, start it again, stop all of it.

Owns the server's life. Noticing that one hangs is left to `server_watch`, how a spec becomes a command line
to `vllm_command`, reading the log to `vllm_log`, the port to `ports`, and that no process is left behind to
`guardian`. Requests to the server, and weights on their way to it, are `rollouts`' and `weight_sync`'s.
"""

from __future__ import annotations

import os
import secrets
import sys
import threading
import time
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path

from remote.contract.errors import Hint, ServerError
from remote.contract.events import RestartEvent
from remote.contract.spec import ExperimentSpec
from remote.inference import gate
from remote.inference.command import (
    VLLM,
    Device,
    Fixed,
    command,
    environment,
    inherited,
    notices,
    resolve_weight_sync,
)
from remote.inference.failures import Diagnosis, Setting
from remote.inference.log_reader import LogReader, Step, calmed
from remote.inference.stall_watch import StallWatch, is_healthy, stall_limit
from remote.output.emitter import Emitter
from remote.processes.guarded import GuardedProcess
from remote.processes.oom import OomWatch
from remote.processes.ports import HOST, PortLease, lease_port

POLL = 0.25  # seconds between looks at /health
LAST_WORDS = 5.0  # seconds that a server whose engine died has to say why
SERVED_NAME = "policy"


def image_device() -> Device:
    """What this image's vLLM computes on: builds for a CPU say so in their version, as vLLM itself has it.

    Raises `ServerError` where this Python has no vLLM.
    """
    try:
        return "cpu" if metadata.version("vllm").endswith("+cpu") else "cuda"
    except metadata.PackageNotFoundError as error:
        hint = Hint("the worker runs with the image's Python: build it with `vfm image build local`")
        raise ServerError("vLLM is not installed for this Python", cause=str(error), hint=hint) from error


class VllmServer:
    """One server, from `start` to `stop`; also a context manager that does both.

    `start` returns at once, so that other things can be made ready while the server starts.
    `model` is a hub id or a directory; `gpus` are those that it has for itself; `fixed` is given where
    nothing is trained; `program` is what is run in place of `vllm`.
    """

    def __init__(
        self,
        spec: ExperimentSpec,
        model: str,
        emitter: Emitter,
        *,
        device: Device | None = None,
        served_name: str = SERVED_NAME,
        threads: int | None = None,
        gpus: Sequence[str] = (),
        fixed: Fixed | None = None,
        program: Sequence[str] = (sys.executable, *VLLM),
    ) -> None:
        self.spec = spec
        self.device: Device = device or image_device()
        self.served_name = served_name
        self.weight_sync = resolve_weight_sync(spec, self.device)
        self.key = secrets.token_urlsafe(32)
        """What every request to it has to show, as a bearer token."""
        self._model = str(Path(model).resolve()) if Path(model).is_dir() else model
        self._emit = emitter
        self._gpus = gpus
        self._fixed = fixed
        self._threads = threads or len(os.sched_getaffinity(0))
        self._program = program
        self._lock = threading.RLock()  # the log's thread and the worker's both move the sub-phases
        self._launching = threading.Lock()  # `stop` may come from another thread than `wait_ready`
        self._lease: PortLease | None = None
        self._process: GuardedProcess | None = None
        self._stopping = threading.Event()
        self._attempt = 0
        self._watch: StallWatch | None = None
        self._hung: Diagnosis | None = None
        self._restarts = self._in_a_row = 0
        self.make_room: Callable[[], None] = lambda: None
        """Called before another start: what this process has of the GPU's memory and does not need."""

    # --- what others need of it --------------------------------------------------------------------

    @property
    def port(self) -> int:
        """The port on 127.0.0.1, chosen by `start`."""
        if self._lease is None:
            raise RuntimeError("the server has no port before start()")
        return self._lease.port

    @property
    def base_url(self) -> str:
        """`http://127.0.0.1:PORT`, without `/v1`."""
        return f"http://{HOST}:{self.port}"

    def rss_bytes(self) -> int:
        """Resident memory of all of the server's processes, in bytes; 0 while none runs."""
        return self._process.rss_bytes() if self._process else 0

    # --- its life ----------------------------------------------------------------------------------

    def start(self) -> None:
        """Take a port and start the server. Raises `ServerError` where `vllm.port` is taken."""
        self._began = time.monotonic()
        self._emit.phase("vllm", "started")
        for notice in notices(self.spec, self.device):
            self._emit.say("vllm", notice)
        self._launch()

    def wait_ready(self) -> None:
        """Return once `/health` answers 200.

        Raises `ServerError` with the cause where the server dies (after `vllm.startup_retries` more
        starts where those can help), takes longer than `vllm.startup_timeout`, or is stopped.
        """
        process = self._started()
        while not self._healthy():
            if process.error is not None:
                raise process.error
            if process.exited.wait(POLL):
                process = self._start_again(self._diagnosis(process))
            elif time.monotonic() - self._began > self.spec.vllm.startup_timeout:
                raise self._too_slow()
        with self._lock:
            self._say_steps(self._reader.mark_ready())
        self._emit.phase("vllm", "done")
        limit = stall_limit(self.spec)
        self._watch = StallWatch(self.base_url, self.key, limit, lambda how: self._end_hung(process, how))

    def check(self, patience: float = 5.0) -> None:
        """Raise `ServerError` with the cause if the server died or is dying; call it when a request failed.

        A server whose engine was killed takes seconds to end: one that does not answer `/health` is
        given up to `patience` seconds to say why.
        """
        process = self._started()
        if process.error is not None:
            raise process.error
        if self._hung is not None:
            raise self._hung.error()
        deadline = time.monotonic() + patience
        while not process.exited.is_set() and not self._reader.dying:
            if self._healthy() or time.monotonic() >= deadline:
                return
            process.exited.wait(POLL)
        if found := self._diagnosis(process):
            raise found.error()

    def lost(self) -> bool:
        """Whether it died or hangs; call it when a request failed."""
        try:
            self.check()
        except ServerError:
            return True
        return False

    def renew(self) -> None:
        """Start a server that was lost again, with the weights that it started with; returns once it answers.

        Raises `ServerError` with the cause after `vllm.restarts` starts in a row without `proven`.
        """
        process = self._started()
        if not self._reader.dying and self._hung is None:
            process.exited.wait(LAST_WORDS)  # how it ended is known then
        diagnosis = self._diagnosis(process)
        if diagnosis is None:
            raise ServerError("vLLM was stopped")
        if self._in_a_row >= self.spec.vllm.restarts:
            raise self._given_up(diagnosis)
        self._restarts += 1
        self._in_a_row += 1
        self._end()
        self._emit.emit(RestartEvent(number=self._restarts, why=diagnosis.message))
        self.make_room()
        self._hung, self._attempt, self._began = None, 0, time.monotonic()
        self._emit.phase("vllm", "started")
        self._launch()
        self.wait_ready()

    def proven(self) -> None:
        """What it was asked for has come through: `vllm.restarts` counts from here."""
        self._in_a_row = 0

    def stop(self) -> None:
        """End every process of the server, within seconds, and free its port. Safe to repeat."""
        self._stopping.set()
        self._end()

    def _end(self) -> None:
        if self._watch is not None:
            self._watch.stop()
        with self._launching:  # no start begins after this one
            process, lease = self._process, self._lease
        if process is not None:
            process.stop()
        if lease is not None:
            lease.release()

    def __enter__(self) -> VllmServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # --- starting ----------------------------------------------------------------------------------

    def _started(self) -> GuardedProcess:
        if self._process is None:
            raise RuntimeError("the server was not started")
        return self._process

    def _launch(self) -> GuardedProcess:
        with self._launching:
            if self._stopping.is_set():
                raise ServerError("vLLM was stopped before it started")
            return self._launch_now()

    def _launch_now(self) -> GuardedProcess:
        if self._lease is not None:
            self._lease.release()
        self._lease = lease_port(self.spec.vllm.port)
        if self._lease.notice:
            self._emit.say("vllm", self._lease.notice)
        self._oom = OomWatch()
        with self._lock:
            self._reader = LogReader(Setting(self.spec, self._model, self.port, self.device))
        what = (self.spec, self._model, self.port, self.device, self.served_name, len(self._gpus))
        arguments = command(*what, self._fixed)
        variables = environment(self.spec, self.device, self._threads, self._model, self._gpus, self._fixed)
        variables[gate.KEY_VARIABLE] = self.key
        self._process = GuardedProcess(
            [*self._program, *arguments], inherited(os.environ, self._model) | variables, self._on_line
        )
        return self._process

    def _on_line(self, line: str) -> None:
        self._emit.say("vllm", calmed(line))
        with self._lock:
            was_dying = self._reader.dying
            self._say_steps(self._reader.feed(line))
            if self._reader.dying and not was_dying:
                self._end_soon()

    def _end_soon(self) -> None:
        """End a server whose engine died, once it has said why.

        It waits for requests that nobody will answer any more, and whoever made them waits for it: only
        its end sets both free.
        """
        assert self._process is not None
        timer = threading.Timer(LAST_WORDS, self._process.stop)
        timer.daemon = True
        timer.start()

    def _say_steps(self, steps: list[Step]) -> None:
        for step in steps:
            self._emit.phase("vllm", step.status, step.name)

    def _healthy(self) -> bool:
        return is_healthy(self.base_url, timeout=2.0)

    def _start_again(self, diagnosis: Diagnosis | None) -> GuardedProcess:
        """Another start, where one is left and can help; raises the failure otherwise."""
        if diagnosis is None:
            raise ServerError("vLLM was stopped while it started")
        self._attempt += 1
        if not diagnosis.retry or self._attempt > self.spec.vllm.startup_retries:
            raise self._failed(diagnosis)
        left = self.spec.vllm.startup_retries
        self._emit.say("vllm", f"{diagnosis.message}: starting again ({self._attempt} of {left})")
        return self._launch()

    # --- failing -----------------------------------------------------------------------------------

    def _end_hung(self, process: GuardedProcess, how: str) -> None:
        """End a server that hangs: that frees those who wait for its answer."""
        if process.exited.is_set() or self._stopping.is_set():
            return
        key = "vllm.stall_timeout"
        limit: float = self.spec.vllm.stall_timeout
        if stall_limit(self.spec) < limit:
            key, limit = "training.episode_timeout", self.spec.training.episode_timeout
        text = f"see the log's [vllm] lines; for a slower machine: --set {key}={2 * limit:g}"
        hint = Hint(text, key=key, old=limit, new=2 * limit)
        with self._lock:
            self._hung = Diagnosis(f"vLLM hangs: {how}", self._reader.last, hint)
        process.stop()

    def _given_up(self, diagnosis: Diagnosis) -> ServerError:
        count = self._in_a_row
        times = f" (it was started again {count} time{'s' * (count > 1)} in a row)" if count else ""
        return ServerError(diagnosis.message + times, cause=diagnosis.cause, hint=diagnosis.hint)

    def _diagnosis(self, process: GuardedProcess) -> Diagnosis | None:
        """What it died of; None where it was stopped on request."""
        if process.error is not None:
            raise process.error
        if self._hung is not None and not self._stopping.is_set():
            return self._hung
        with self._lock:
            found = self._reader.failure(process.exit_code, requested=self._stopping.is_set())
        return None if found is None else found.with_evidence(self._oom.killed())

    def _failed(self, diagnosis: Diagnosis) -> ServerError:
        with self._lock:
            if self._reader.step:
                self._emit.phase("vllm", "failed", self._reader.step)
        self._emit.phase("vllm", "failed")
        return diagnosis.error()

    def _too_slow(self) -> ServerError:
        limit = self.spec.vllm.startup_timeout
        step = self._reader.step or "starting"
        self.stop()
        message = f"vLLM did not start within {limit} s: it was at {step!r}"
        text = f"set vllm.startup_timeout = {limit * 2}, or see in the log's [vllm] lines what it waits for"
        hint = Hint(text, key="vllm.startup_timeout", old=limit, new=limit * 2)
        return self._failed(Diagnosis(message, self._reader.last, hint))
