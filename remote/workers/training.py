"""The worker of a training: its phases in order, the same on every backend.

Owns the order of things and what runs at the same time: the environment's install, the trainer's imports and
vLLM's start overlap. The work of each phase lies in the module named after it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from signal import SIGTERM, SIGUSR2
from typing import TYPE_CHECKING, Any

from remote.contract import layout
from remote.contract.errors import Hint, ScriptError
from remote.output.run_dir import is_disk_full_behind, write_atomic
from remote.output.wandb_report import Report
from remote.processes import scratch
from remote.processes.signals import Cancelled, Interrupted
from remote.workers.base import Worker

if TYPE_CHECKING:
    from remote.training.run import TrainingRun


class Training(Worker):
    """One training, from its request to its last event."""

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

    def _train(self, model: Any, server: Any, imported: Future[None]) -> None:
        from remote.models.load import load_for_training, save_final
        from remote.training.weight_sync import make_sync

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
        from remote.training.run import train
        from remote.training.script import Script

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
        from remote.training.run import TrainingRun

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
        from remote.training.rank_launcher import Trainers

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
        from remote.models.load import save_final

        try:
            yield
        except Cancelled:
            if self.recorder.step:
                save_final(learner, tokenizer, self.dir.path / layout.STOPPED)
                self.recorder.checkpoint(self.recorder.step, layout.STOPPED)
            raise

    def _begin_report(self) -> None:
        """Begin the Weights & Biases report, which nothing waits for, while the server starts."""
        report = Report(self.spec, self.dir.path, os.environ, self._say)
        if self.rank or not report.is_written:
            return
        self._tracking = report
        self._stack.callback(report.finish)
        report.start()


def import_stack() -> None:
    """Import what the trainer needs while the server starts."""
    # TRL would import vLLM for code that is not used here: seconds, and 130 MB of each trainer.
    vars(import_module("trl.import_utils"))["is_vllm_available"] = lambda min_version=None: False
    import_module("peft")
    import_module("remote.training.run")
    # The first step of an optimiser imports it, and takes seconds over that.
    import_module("torch._dynamo")
