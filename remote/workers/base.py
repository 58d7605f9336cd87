"""The base of every worker: prepare the run, start the server, and end the run.

Whatever happens, the server is stopped, the failure is recorded once, and the last event is `end`. The phases
between are a subclass's.
"""

from __future__ import annotations

import faulthandler
import os
import platform
import sys
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import IO, TYPE_CHECKING

from remote.contract import layout
from remote.contract.errors import Hint, ServerError, VfmError
from remote.contract.events import EndEvent
from remote.contract.exit_codes import CANCELLED, FAILED, INTERRUPTED, SERVER_LOST
from remote.contract.record import LaunchRequest, Reached, Status, how_to_resume
from remote.inference.command import Fixed
from remote.inference.endpoint import UNUSED
from remote.output import redact
from remote.output.emitter import Emitter
from remote.output.run_dir import RunDir
from remote.output.wandb_report import Report
from remote.processes import scratch
from remote.processes.signals import Cancelled, Interrupted, ignore_signals
from remote.training import checkpoints
from remote.training.gpu_placement import VISIBLE
from remote.workers.failure import as_vfm_error

if TYPE_CHECKING:
    from remote.environments.resolve import Place
    from remote.inference.endpoint import Endpoint
    from remote.inference.protocols import ModelServer, TrainingServer
    from remote.inference.server import VllmServer
    from remote.rollouts.player import Rollouts
    from remote.rollouts.recorder import Recorder
    from remote.training.gpu_placement import Placement

GOES_ON = "VFM_GOES_ON"  # set by the supervisor where another attempt may follow this one
PACKAGES = ("torch", "transformers", "trl", "peft", "verifiers", "vllm", "accelerate", "datasets", "wandb")


class Worker(ABC):
    """One run, from its request to its last event."""

    def __init__(self, request: LaunchRequest, emitter: Emitter) -> None:
        self.request = request
        self.spec = request.spec
        self.emit = emitter
        self.dir = RunDir(Path(request.run_dir))
        self.cache = Path(request.cache_dir)
        self.module = request.environment
        """The environment's module; certain once it is installed."""
        self.placement: Placement
        self.rank, self.trainers = 0, 1
        self._report: Report | None = None
        """The Weights & Biases report."""
        self._step_before = 0
        """Step of the checkpoint that this attempt continues from."""
        self._stack = ExitStack()
        self._pool = ThreadPoolExecutor(4, thread_name_prefix="prepare")

    def run(self) -> int:
        """Run every phase; returns the exit code, 0 only where the run is done."""
        status: Status = "failed"
        code = FAILED
        failure: VfmError | None = None
        try:
            self._phases()
            status, code = "done", 0
        except Interrupted:
            code = INTERRUPTED
            self._hurry(2.0)
        except Cancelled:
            self._hurry(10.0)
            status, code = "cancelled", CANCELLED
            self.emit.banner("🛑 Stopped on request")
        except BaseException as error:
            failure = as_vfm_error(error)
            if self._may_go_on(failure):
                code = SERVER_LOST
                self.emit.say("worker", f"❌ {failure}")
            failure = self._with_resume_hint(failure)
            if failure.__cause__ is not None or failure is not error:
                self._save_traceback(error)
        finally:
            ignore_signals()
            if code in (INTERRUPTED, SERVER_LOST):  # The run is not over: the supervisor records the attempt.
                self._close_all()
            else:
                self._close()
                self._finish(status, code, failure)
            scratch.remove(self.dir.path, patience=0.0)  # the supervisor does too, but may be gone
        return code

    @abstractmethod
    def _phases(self) -> None:
        """Run the phases. Raises what ends the run."""

    def _hurry(self, seconds: float) -> None:
        """Limit the end of the report: somebody waits for this worker to end."""
        if self._report is not None:
            self._report.limit = min(self._report.limit, seconds)

    def _begin(self, banner: str) -> None:
        self.emit.banner(banner)
        newest = checkpoints.newest(self.dir.path)
        self._step_before = 0 if newest is None else checkpoints.step_of(newest)
        self.dir.write_record(self.dir.record().model_copy(update={"versions": versions()}))

    def _prepare(self) -> tuple[Future[None], Path]:
        """Begin to install the environment, and find the model; returns the install and the folder."""
        from remote.environments import resolve
        from remote.models.load import check_code, prepare_model

        self._place_gpus()
        place = resolve.place(self.request)
        self.emit.banner(f"📦 Installing verifiers... ({place.name})")
        installed = self._pool.submit(self._install, place)
        self.emit.banner(f"🔍 Looking for the model {self.request.model}")
        model = prepare_model(self.request.model, self.cache, self._say)
        check_code(model, self.request.model, self.spec.model.trust_remote_code, self._say)
        return installed, model

    def _say(self, line: str) -> None:
        self.emit.say("worker", line)

    def _place_gpus(self) -> None:
        """Assign the GPUs before anything is started on one."""
        from remote.inference.server import image_device
        from remote.training import gpu_placement

        self.placement = gpu_placement.place(self.spec, self.request.kind, image_device(), os.environ)
        if description := gpu_placement.described(self.placement):
            self.emit.say("worker", description)

    def _install(self, place: Place) -> None:
        from remote.environments import resolve

        self.module = resolve.provide(place, lambda line: self.emit.say("env", line))

    def _start_server(self, model: Path, fixed: Fixed | None = None) -> VllmServer:
        """Start vLLM; `fixed` where nothing is trained."""
        from remote.inference.server import VllmServer

        self.emit.banner(f"🌐 Starting vLLM server with {self.request.model}...")
        server = VllmServer(self.spec, str(model), self.emit, gpus=self.placement.server, fixed=fixed)
        self._stack.callback(server.stop)
        server.make_room = _release_gpu_memory
        server.start()
        if self.placement.trained_on:  # before a library in this process looks for GPUs
            os.environ[VISIBLE] = ",".join(self.placement.trained_on)
        self._sample_system(server.rss_bytes)
        return server

    def _sample_system(self, server_rss: Callable[[], int]) -> None:
        from remote.output.system_metrics import SystemSampler

        self._sampler = SystemSampler(self.emit, server_rss)
        self._stack.callback(self._sampler.stop)
        self._sampler.start()

    def _rollouts(self, server: ModelServer | Endpoint) -> Rollouts:
        from remote.rollouts.player import Rollouts

        rollouts = Rollouts(
            self.module,
            self.spec.training.environment_args,
            self.spec,
            server,
            tokens=self.request.kind == "train",
            say=lambda line: self.emit.say("env", line),
            thread_stacks=self._stack.enter_context(self._thread_stacks()),
        )
        self._stack.callback(rollouts.close)
        return rollouts

    @contextmanager
    def _thread_stacks(self) -> Iterator[IO[str]]:
        """The file for the stacks of a process that is blocked for good; otherwise it is removed."""
        path = self.dir.path / layout.THREAD_STACKS
        with path.open("w") as file:
            faulthandler.enable(file)
            try:
                yield file
            finally:
                faulthandler.disable()
        path.unlink(missing_ok=True)

    @cached_property
    def recorder(self) -> Recorder:
        """Records the episodes and numbers of training and evaluation."""
        from remote.rollouts.recorder import Recorder

        return Recorder(self.emit, self.dir.path, self.spec.training.log_rollouts)

    @contextmanager
    def _server_watched(self, server: TrainingServer) -> Iterator[None]:
        """Where the block fails and the server has died, raise the server's failure instead."""
        try:
            yield
        except ServerError:
            raise
        except Exception:
            server.check()
            raise

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Emit a phase's events around the block."""
        self.emit.phase(name, "started")
        try:
            yield
        except Interrupted:
            raise
        except BaseException:
            self.emit.phase(name, "failed")
            raise
        self.emit.phase(name, "done")

    def _close(self) -> None:
        self.emit.phase("finish", "started")
        self._close_all()
        self.emit.phase("finish", "done")

    def _close_all(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        try:
            self._stack.close()
        except Exception as error:
            self.emit.say("worker", f"while stopping: {type(error).__name__}: {error}")

    def _finish(self, status: Status, code: int, failure: VfmError | None) -> None:
        event = None if failure is None else self.emit.failure(failure)
        record = self.dir.record()
        if not record.ended_already:
            on_record = None if event is None else event.on_record()
            self.dir.write_record(record.moved(status, exit_code=code, ended=time.time(), failure=on_record))
        self.emit.banner("✅ Done" if code == 0 else f"🛑 {status.capitalize()}")
        self.emit.emit(EndEvent(status=status, exit_code=code))

    def _may_go_on(self, failure: VfmError) -> bool:
        """Whether another attempt should follow: the server is lost, and a later step was saved."""
        if failure.boundary != "vllm" or not os.environ.get(GOES_ON):
            return False
        newest = checkpoints.newest(self.dir.path)
        return newest is not None and checkpoints.step_of(newest) > self._step_before

    def _with_resume_hint(self, failure: VfmError) -> VfmError:
        """The failure, with the step from which the training can be resumed in its hint."""
        newest = checkpoints.newest(self.dir.path) if self.request.kind == "train" else None
        if newest is not None:
            step = checkpoints.step_of(newest)
            reached = Reached(done=step, total=self.spec.training.steps, checkpoint=step)
            resume, hint = how_to_resume(self.request.run_id, reached), failure.hint
            failure.hint = Hint(resume) if hint is None else replace(hint, text=f"{hint.text}; {resume}")
        return failure

    def _save_traceback(self, error: BaseException) -> None:
        import traceback

        try:
            text = redact.line("".join(traceback.format_exception(error)))
            (self.dir.path / layout.LOGS / "traceback.txt").write_text(text, encoding="utf-8")
        except OSError:
            return
        self.emit.say("worker", f"the full traceback is in {layout.LOGS}/traceback.txt")


def versions() -> dict[str, str]:
    """Versions of Python and of the installed ones of `PACKAGES`."""
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions


def _release_gpu_memory() -> None:
    """Free the trainer's cached memory on a GPU that it shares with the server."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def prepare_process(request: LaunchRequest) -> None:
    """Set the environment variables that libraries read when they are imported."""
    os.environ.setdefault("OPENAI_API_KEY", UNUSED)
    os.environ.setdefault("HF_HOME", str(Path(request.cache_dir) / "huggingface"))
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    for name in ("NO_PROXY", "no_proxy"):  # no proxy stands between this machine and itself
        os.environ[name] = ",".join(filter(None, (os.environ.get(name), "127.0.0.1", "localhost")))
    # It is about TRL's own vLLM code, which is not used.
    warnings.filterwarnings("ignore", message="TRL currently supports vLLM")
