"""The vLLM server of a run: start it, wait until it answers, explain its death, restart it, stop it.

`stall_watch` notices that it hangs, `command` has its command line, `log_reader` reads its log, `ports`
leases its port, and `guardian` ends all of its processes.
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

POLL = 0.25  # seconds between requests of /health
DYING = 5.0  # seconds that a server whose engine died has to log the cause
SERVED_NAME = "policy"


def image_device() -> Device:
    """The device of this image's vLLM, by its version, as vLLM itself decides it.

    Raises `ServerError` where vLLM is not installed.
    """
    try:
        return "cpu" if metadata.version("vllm").endswith("+cpu") else "cuda"
    except metadata.PackageNotFoundError as error:
        hint = Hint("the worker runs with the image's Python: build it with `vfm image build local`")
        raise ServerError("vLLM is not installed for this Python", cause=str(error), hint=hint) from error


class VllmServer:
    """One server, from `start`, which returns at once, to `stop`; also a context manager that does both.

    `model`: a hub id or a directory. `gpus`: of the server alone. `fixed`: where nothing is trained.
    `program`: replaces `vllm`, for tests.
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
        """The bearer token that every request needs."""
        self._model = str(Path(model).resolve()) if Path(model).is_dir() else model
        self._emit = emitter
        self._gpus = gpus
        self._fixed = fixed
        self._threads = threads or len(os.sched_getaffinity(0))
        self._program = program
        self._lock = threading.RLock()  # the log's thread and the worker's both change the sub-phases
        self._launching = threading.Lock()  # `stop` may come from another thread than `wait_ready`
        self._lease: PortLease | None = None
        self._process: GuardedProcess | None = None
        self._stopping = threading.Event()
        self._attempt = 0
        self._watch: StallWatch | None = None
        self._hung: Diagnosis | None = None
        self._restarts = self._in_a_row = 0
        self.make_room: Callable[[], None] = lambda: None
        """Called before a restart, to free unused GPU memory of this process."""

    # --- properties --------------------------------------------------------------------------------

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
        """Resident memory of all of its processes, in bytes; 0 while none runs."""
        return self._process.rss_bytes() if self._process else 0

    # --- its life ----------------------------------------------------------------------------------

    def start(self) -> None:
        """Lease a port and start the server. Raises `ServerError` where `vllm.port` is taken."""
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
        self._watch = StallWatch(
            self.base_url, self.key, limit, lambda reason: self._end_hung(process, reason)
        )

    def check(self, patience: float = 5.0) -> None:
        """Raise `ServerError` with the cause if the server died or is dying; call it when a request failed.

        A server whose engine was killed takes seconds to end: one that does not answer `/health` has up to
        `patience` seconds to log the cause.
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
        if diagnosis := self._diagnosis(process):
            raise diagnosis.error()

    def lost(self) -> bool:
        """Whether it died or hangs; call it when a request failed."""
        try:
            self.check()
        except ServerError:
            return True
        return False

    def renew(self) -> None:
        """Restart a lost server, with the weights that it started with; returns once it answers.

        Raises `ServerError` with the cause after `vllm.restarts` restarts in a row without `proven`.
        """
        process = self._started()
        if not self._reader.dying and self._hung is None:
            process.exited.wait(DYING)  # then the cause is known
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
        """Report that its requests have succeeded, which resets the count for `vllm.restarts`."""
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
        arguments = command(
            self.spec,
            self._model,
            self.port,
            self.device,
            self.served_name,
            gpus=len(self._gpus),
            fixed=self._fixed,
        )
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
        """End a server whose engine died, after it has logged the cause.

        It waits for requests that are never answered, for which the worker waits too: only its end frees
        both.
        """
        assert self._process is not None
        timer = threading.Timer(DYING, self._process.stop)
        timer.daemon = True
        timer.start()

    def _say_steps(self, steps: list[Step]) -> None:
        for step in steps:
            self._emit.phase("vllm", step.status, step.name)

    def _healthy(self) -> bool:
        return is_healthy(self.base_url, timeout=2.0)

    def _start_again(self, diagnosis: Diagnosis | None) -> GuardedProcess:
        """Start again, where that is allowed and can help; raises the failure otherwise."""
        if diagnosis is None:
            raise ServerError("vLLM was stopped while it started")
        self._attempt += 1
        if not diagnosis.retry or self._attempt > self.spec.vllm.startup_retries:
            raise self._failed(diagnosis)
        left = self.spec.vllm.startup_retries
        self._emit.say("vllm", f"{diagnosis.message}: starting again ({self._attempt} of {left})")
        return self._launch()

    # --- failing -----------------------------------------------------------------------------------

    def _end_hung(self, process: GuardedProcess, reason: str) -> None:
        """End a server that hangs, which also ends the requests that wait for it."""
        if process.exited.is_set() or self._stopping.is_set():
            return
        key = "vllm.stall_timeout"
        limit: float = self.spec.vllm.stall_timeout
        if stall_limit(self.spec) < limit:
            key, limit = "training.episode_timeout", self.spec.training.episode_timeout
        text = f"see the log's [vllm] lines; for a slower machine: --set {key}={2 * limit:g}"
        hint = Hint(text, key=key, old=limit, new=2 * limit)
        with self._lock:
            self._hung = Diagnosis(f"vLLM hangs: {reason}", self._reader.last, hint)
        process.stop()

    def _given_up(self, diagnosis: Diagnosis) -> ServerError:
        count = self._in_a_row
        times = f" (it was started again {count} time{'s' * (count > 1)} in a row)" if count else ""
        return ServerError(diagnosis.message + times, cause=diagnosis.cause, hint=diagnosis.hint)

    def _diagnosis(self, process: GuardedProcess) -> Diagnosis | None:
        """Why it died; None where it was stopped on request."""
        if process.error is not None:
            raise process.error
        if self._hung is not None and not self._stopping.is_set():
            return self._hung
        with self._lock:
            diagnosis = self._reader.failure(process.exit_code, requested=self._stopping.is_set())
        return None if diagnosis is None else diagnosis.with_evidence(self._oom.killed())

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
