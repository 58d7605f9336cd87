"""The worker: a run's phases in order, the same on every backend.

`python -m remote.worker REQUEST.json`. Owns the order of things, what runs at the same time, and the
run's end: whatever happens, the server is stopped, the reason is recorded once, and the last event
is `end`. The work of each phase lies in the module named after it.
"""

from __future__ import annotations

import os
import platform
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import cached_property
from importlib import import_module, metadata
from pathlib import Path
from signal import SIGTERM, SIGUSR2
from typing import IO, TYPE_CHECKING, Any

from remote import checkpoints, redact, scratch
from remote.capture import take_output
from remote.contract import layout
from remote.contract.errors import Hint, ScriptError, ServerError, VfmError
from remote.contract.events import EndEvent
from remote.contract.record import LaunchRequest, Status
from remote.emit import Emitter
from remote.endpoint import UNUSED
from remote.gpus import VISIBLE
from remote.processes import keep_files_private
from remote.run_dir import RunDir, disk_error, is_disk_full, is_disk_full_behind, write_atomic
from remote.stopping import Cancelled, Interrupted, ignore_signals, raise_on_signals
from remote.tracking import Report
from remote.vllm_command import Fixed

if TYPE_CHECKING:
    from remote.training_run import TrainingRun

CANCELLED = 143  # as a process that SIGTERM ended
FAILED = 1
INTERRUPTED = 75  # as `ending` has it
SERVER_LOST = 76  # likewise
GOES_ON = "VFM_GOES_ON"  # set by the supervisor where another attempt may follow this one
PACKAGES = ("torch", "transformers", "trl", "peft", "verifiers", "vllm", "accelerate", "datasets", "wandb")


class Worker:
    """One run, from its request to its last event."""

    def __init__(self, request: LaunchRequest, emitter: Emitter) -> None:
        self.request = request
        self.spec = request.spec
        self.emit = emitter
        self.dir = RunDir(Path(request.run_dir))
        self.cache = Path(request.cache_dir)
        self.module = request.environment
        """The environment's; known for certain once that is installed."""
        self.rank, self.trainers = 0, 1
        self._tracking: Report | None = None
        self._step_before = 0
        """The step of the checkpoint that this attempt goes on from."""
        self._stack = ExitStack()
        self._pool = ThreadPoolExecutor(4, thread_name_prefix="prepare")

    def run(self) -> int:
        """Run every phase; returns the exit code, which is 0 only for a run that is done."""
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
            failure = self._with_way_on(failure)
            if failure.__cause__ is not None or failure is not error:
                self._save_traceback(error)
        finally:
            ignore_signals()
            if code in (INTERRUPTED, SERVER_LOST):  # The run is not over: the supervisor puts that on record.
                self._close_all()
            else:
                self._close()
                self._finish(status, code, failure)
            scratch.remove(self.dir.path, patience=0.0)  # the supervisor does too, but may be gone
        return code

    def _phases(self) -> None:
        self._begin("🚀 Starting Verifiers RL training with embedded vLLM")
        with self.phase("prepare"):
            environment, model = self._prepare()
        server = self._start_server(model)
        if self.placement.trainers > 1:
            environment.result()
            return self._train_by_many(model, server)
        imported = self._pool.submit(import_stack)
        environment.result()
        self._train(model, server, imported)

    def _begin(self, banner: str) -> None:
        self.emit.banner(banner)
        newest = checkpoints.newest(self.dir.path)
        self._step_before = 0 if newest is None else checkpoints.step_of(newest)
        self.dir.write_record(self.dir.record().model_copy(update={"versions": versions()}))

    # --- prepare ---------------------------------------------------------------------------------

    def _prepare(self) -> tuple[Future[None], Any]:
        """Begin installing the environment; find the model, which the server waits for."""
        from remote import environments
        from remote.models import check_code, prepare_model

        self._place()
        place = environments.place(self.request)
        self.emit.banner(f"📦 Installing verifiers... ({place.name})")
        installed = self._pool.submit(self._install, place)
        self.emit.banner(f"🔍 Looking for the model {self.request.model}")
        model = prepare_model(self.request.model, self.cache, self._say)
        check_code(model, self.request.model, self.spec.model.trust_remote_code, self._say)
        return installed, model

    def _say(self, line: str) -> None:
        self.emit.say("worker", line)

    def _place(self) -> None:
        """Decide who has which GPU, before anything is started on one."""
        from remote import gpus
        from remote.vllm_server import image_device

        self.placement = gpus.place(self.spec, self.request.kind, image_device(), os.environ)
        if said := gpus.described(self.placement):
            self.emit.say("worker", said)

    def _install(self, place: Any) -> None:
        from remote import environments

        self.module = environments.provide(place, lambda line: self.emit.say("env", line))

    # --- vllm ------------------------------------------------------------------------------------

    def _start_server(self, model: Any, fixed: Fixed | None = None) -> Any:
        """Start vLLM; `fixed` where nothing is trained."""
        from remote.vllm_server import VllmServer

        self.emit.banner(f"🌐 Starting vLLM server with {self.request.model}...")
        server = VllmServer(self.spec, str(model), self.emit, gpus=self.placement.server, fixed=fixed)
        self._stack.callback(server.stop)
        server.make_room = _release_gpu_memory
        server.start()
        if self.placement.trained_on:  # before anything here asks what GPUs there are
            os.environ[VISIBLE] = ",".join(self.placement.trained_on)
        self._sample_system(server.rss_bytes)
        return server

    def _sample_system(self, server_rss: Callable[[], int]) -> None:
        from remote.system import SystemSampler

        self._sampler = SystemSampler(self.emit, server_rss)
        self._stack.callback(self._sampler.stop)
        self._sampler.start()

    def _rollouts(self, server: Any) -> Any:
        from remote.rollouts import Rollouts

        args, tokens = self.spec.training.environment_args, self.request.kind == "train"
        last_words = self._stack.enter_context(self._last_words())
        how: dict[str, Any] = {"tokens": tokens, "last_words": last_words}
        rollouts = Rollouts(
            self.module, args, self.spec, server, say=lambda line: self.emit.say("env", line), **how
        )
        self._stack.callback(rollouts.close)
        return rollouts

    @contextmanager
    def _last_words(self) -> Iterator[IO[str]]:
        """The file that says in which line the process was ended; a process that ends well leaves none."""
        path = self.dir.path / layout.LAST_WORDS
        with path.open("w") as file:
            yield file
        path.unlink(missing_ok=True)

    @cached_property
    def recorder(self) -> Any:
        """The one that training and evaluation report to."""
        from remote.recorder import Recorder

        return Recorder(self.emit, self.dir.path, self.spec.training.log_rollouts)

    # --- train, save ---------------------------------------------------------------------

    def _train(self, model: Any, server: Any, imported: Future[None]) -> None:
        from remote.models import load_for_training, save_final
        from remote.weight_sync import make_sync

        imported.result()
        self._begin_report()
        script = self._script()
        learner, tokenizer = load_for_training(self.spec, model)
        rollouts = self._rollouts(server)
        server.wait_ready()
        sync = make_sync(server.weight_sync, learner, server, Path(model), self.spec, server.device)
        sync.scratch = scratch.for_weights(self.dir.path)
        self._stack.callback(sync.close)
        self.emit.banner("🏃 Starting GRPO training...")
        with self.phase("train"), self._server_watched(server), self._kept(learner, tokenizer):
            self._learn(script, learner, tokenizer, rollouts, sync, server.device)
        if self.rank:
            return
        self.emit.banner("💾 Saving the trained weights")
        with self.phase("save"):
            save_final(learner, tokenizer, self.dir.path / layout.FINAL)

    def _script(self) -> Callable[[TrainingRun], None]:
        """What trains: the request's script, which the run directory keeps, or else the built-in training."""
        from remote.train import train
        from remote.training_script import Script

        request = self.request
        if not request.script:
            return train
        if not self.rank:
            copy = self.dir.path / layout.SCRIPT / Path(request.script).name
            write_atomic(copy, request.script_text)
            self.emit.say("worker", f"the training is that of {request.script}")
        project = Path(request.project_dir)
        return Script(request.script, request.script_text, project, self._say_train).load()

    def _say_train(self, line: str) -> None:
        self.emit.say("train", line)

    def _learn(
        self,
        script: Callable[[TrainingRun], None],
        learner: Any,
        tokenizer: Any,
        rollouts: Any,
        sync: Any,
        device: str,
    ) -> None:
        from remote.training_run import TrainingRun

        run_dir, run_id = self.dir.path, self.request.run_id
        how = (learner, tokenizer, rollouts, sync, self.recorder, device, self.trainers)
        script(TrainingRun(self.spec, run_dir, run_id, *how, report=self._tracking))
        if not self.rank and not self.recorder.step:
            raise ScriptError(
                f"{self.request.script} returned without a step of training",
                hint=Hint("its train(run) has to call run.trainer(…).train()"),
            )

    def _train_by_many(self, model: Any, server: Any) -> None:
        """The same training, by processes of which each has a GPU."""
        from remote.trainers import Trainers

        trainers = Trainers(self.dir, self.placement, self.emit)
        self._stack.callback(trainers.stop)
        trainers.start(model, server)
        self._sampler.trainers_rss = trainers.rss_bytes
        server.wait_ready()
        trainers.ready(server.base_url)
        try:
            with self._server_watched(server):
                trainers.wait(server)
        except (Cancelled, Interrupted) as asked:
            trainers.save_and_stop(SIGUSR2 if isinstance(asked, Interrupted) else SIGTERM)
            raise
        except Exception as error:
            if not is_disk_full_behind(error):
                trainers.save_last_step()
            raise

    @contextmanager
    def _kept(self, learner: Any, tokenizer: Any) -> Iterator[None]:
        """A training that is asked to stop keeps what it has learnt so far."""
        from remote.models import save_final

        try:
            yield
        except Cancelled:
            if self.recorder.step:
                save_final(learner, tokenizer, self.dir.path / layout.STOPPED)
                self.recorder.checkpoint(self.recorder.step, layout.STOPPED)
            raise

    @contextmanager
    def _server_watched(self, server: Any) -> Iterator[None]:
        """A server that died explains whatever failed after it."""
        try:
            yield
        except ServerError:
            raise
        except Exception:
            server.check()
            raise

    def _begin_report(self) -> None:
        """Begin the Weights & Biases report, which nothing waits for, while the server starts."""
        report = Report(self.spec, self.dir.path, os.environ, self._say)
        if self.rank or not report.is_written:
            return
        self._tracking = report
        self._stack.callback(report.finish)
        report.start()

    def _hurry(self, seconds: float) -> None:
        """Something waits for this worker to end: the report may take only so long."""
        if self._tracking is not None:
            self._tracking.limit = min(self._tracking.limit, seconds)

    # --- the end -------------------------------------------------------------------------------------

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """A phase's events around its work."""
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
        told = None if event is None else event.on_record()
        record = self.dir.record()
        if not record.ended_already:
            also = {"exit_code": code, "ended": time.time(), "failure": told}
            self.dir.write_record(record.moved(status, **also))
        self.emit.banner("✅ Done" if code == 0 else f"🛑 {status.capitalize()}")
        self.emit.emit(EndEvent(status=status, exit_code=code))

    def _may_go_on(self, failure: VfmError) -> bool:
        """Whether another attempt is to follow: the server is lost, and this one has saved a later step."""
        if failure.boundary != "vllm" or not os.environ.get(GOES_ON):
            return False
        newest = checkpoints.newest(self.dir.path)
        return newest is not None and checkpoints.step_of(newest) > self._step_before

    def _with_way_on(self, failure: VfmError) -> VfmError:
        """The failure, whose hint names the step that the training can go on from."""
        newest = checkpoints.newest(self.dir.path) if self.request.kind == "train" else None
        if newest is not None:
            step = checkpoints.step_of(newest)
            words = f"go on from the checkpoint of step {step}: vfm resume {self.request.run_id}"
            known = failure.hint
            failure.hint = Hint(words) if known is None else replace(known, text=f"{known.text}; {words}")
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
    """Versions of the packages that decide what a run does, of those that are installed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def as_vfm_error(error: BaseException) -> VfmError:
    """The failure that an exception stands for; one of ours, wrapped or bare, as it is."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, VfmError):
            return seen
        if is_disk_full(seen):
            return disk_error(seen, getattr(seen, "filename", None) or "the run's files")
        seen = seen.__cause__ or seen.__context__
    from remote.environment_errors import where

    if isinstance(error, MemoryError):
        hint = Hint("lower training.batch_size and raise training.gradient_accumulation_steps")
    else:
        hint = Hint("this is not a failure that is known: look at the last lines of the log")
    return VfmError(
        f"{type(error).__name__}: {error}", boundary="train", cause=where(error, "remote"), hint=hint
    )


def _release_gpu_memory() -> None:
    """Give back what the trainer's allocator keeps of a GPU that it shares with the server."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def import_stack() -> None:
    """Import what the trainer needs while the server starts."""
    # TRL would import vLLM for code that is not used here: seconds, and 130 MB of each trainer.
    vars(import_module("trl.import_utils"))["is_vllm_available"] = lambda min_version=None: False
    import_module("peft")
    import_module("remote.training_run")
    # The first step of an optimiser imports it, and takes seconds over that.
    import_module("torch._dynamo")


def main(arguments: list[str]) -> int:
    """The door: `python -m remote.worker REQUEST.json`."""
    raise_on_signals()
    keep_files_private()
    output = os.dup(1)
    request = LaunchRequest.model_validate_json(Path(arguments[0]).read_bytes())
    emitter = Emitter(Path(request.run_dir), output)
    if request.kind == "evaluate":
        from remote.evaluator import evaluator

        worker: Worker = evaluator(request, emitter)
    else:
        take_output(lambda line: emitter.say("train", line))
        worker = Worker(request, emitter)
    prepare_process(request)
    return worker.run()


def prepare_process(request: LaunchRequest) -> None:
    """What libraries are told before they are imported."""
    os.environ.setdefault("OPENAI_API_KEY", UNUSED)
    os.environ.setdefault("HF_HOME", str(Path(request.cache_dir) / "huggingface"))
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    for name in ("NO_PROXY", "no_proxy"):  # no proxy stands between this machine and itself
        os.environ[name] = ",".join(filter(None, (os.environ.get(name), "127.0.0.1", "localhost")))
    # TRL's own vLLM code, which this is about, is not used.
    warnings.filterwarnings("ignore", message="TRL currently supports vLLM")


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    # Libraries leave threads behind that would hold up an ordinary exit; everything is on file by now.
    os._exit(code)
