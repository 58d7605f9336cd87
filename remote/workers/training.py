"""The worker of a training: its phases in order, the same on every backend.

The environment's install, the trainer's imports and vLLM's start overlap.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from signal import SIGTERM, SIGUSR2
from typing import TYPE_CHECKING

from remote.contract import layout
from remote.contract.errors import Hint, ScriptError
from remote.output.run_dir import is_disk_full_behind, write_atomic
from remote.output.wandb_report import Report
from remote.processes import scratch
from remote.processes.signals import Cancelled, Interrupted
from remote.workers.base import Worker

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from remote.inference.protocols import TrainingServer
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

    def _train(self, folder: Path, server: TrainingServer, imported: Future[None]) -> None:
        """Train the model that lies in `folder`."""
        imported.result()
        from remote.models.load import load_for_training, save_final
        from remote.training.run import TrainingRun
        from remote.training.weight_sync import make_sync

        self._begin_report()
        script = self._script()
        model, tokenizer = load_for_training(self.spec, folder)
        rollouts = self._rollouts(server)
        server.wait_ready()
        sync = make_sync(server.weight_sync, model, server, folder, self.spec, server.device)
        sync.scratch = scratch.for_weights(self.dir.path)
        self._stack.callback(sync.close)
        self.emit.banner("🏃 Starting GRPO training...")
        run = TrainingRun(
            spec=self.spec,
            run_dir=self.dir.path,
            run_id=self.request.run_id,
            model=model,
            tokenizer=tokenizer,
            rollouts=rollouts,
            sync=sync,
            recorder=self.recorder,
            device=server.device,
            trainers=self.trainers,
            report=self._report,
        )
        with self.phase("train"), self._server_watched(server), self._save_if_stopped(model, tokenizer):
            script(run)
            self._check_that_it_trained()
        if self.rank:
            return
        self.emit.banner("💾 Saving the trained weights")
        with self.phase("save"):
            save_final(model, tokenizer, self.dir.path / layout.FINAL)

    def _script(self) -> Callable[[TrainingRun], None]:
        """The request's training script, which is copied to the run directory, or the built-in training."""
        from remote.training.run import train
        from remote.training.script import Script

        request = self.request
        if not request.script:
            return train
        if not self.rank:
            copy = self.dir.path / layout.SCRIPT / Path(request.script).name
            write_atomic(copy, request.script_text)
            self.emit.say("worker", f"training with the script {request.script}")
        project = Path(request.project_dir)
        return Script(request.script, request.script_text, project, self._say_train).load()

    def _say_train(self, line: str) -> None:
        self.emit.say("train", line)

    def _check_that_it_trained(self) -> None:
        if not self.rank and not self.recorder.step:
            raise ScriptError(
                f"{self.request.script} returned without a step of training",
                hint=Hint("its train(run) has to call run.trainer(…).train()"),
            )

    def _train_by_many(self, folder: Path, server: TrainingServer) -> None:
        """`_train` in several processes, each with its own GPU."""
        from remote.training.rank_launcher import Trainers

        trainers = Trainers(self.dir, self.placement, self.emit)
        self._stack.callback(trainers.stop)
        trainers.start(folder, server)
        self._sampler.trainers_rss = trainers.rss_bytes
        server.wait_ready()
        trainers.ready(server.base_url)
        try:
            with self._server_watched(server):
                trainers.wait(server)
        except (Cancelled, Interrupted) as request:
            trainers.save_and_stop(SIGUSR2 if isinstance(request, Interrupted) else SIGTERM)
            raise
        except Exception as error:
            if not is_disk_full_behind(error):
                trainers.save_last_step()
            raise

    @contextmanager
    def _save_if_stopped(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Iterator[None]:
        """Where the block is cancelled, save the weights so far."""
        from remote.models.load import save_final

        try:
            yield
        except Cancelled:
            if self.recorder.step:
                save_final(model, tokenizer, self.dir.path / layout.STOPPED)
                self.recorder.checkpoint(self.recorder.step, layout.STOPPED)
            raise

    def _begin_report(self) -> None:
        """Begin the Weights & Biases report while the server starts; nothing waits for it."""
        report = Report(self.spec, self.dir.path, os.environ, self._say)
        if self.rank or not report.is_written:
            return
        self._report = report
        self._stack.callback(report.finish)
        report.start()


def import_stack() -> None:
    """Import what the trainer needs while the server starts."""
    # TRL would import vLLM for code that is not used here, which takes seconds and 130 MB in each trainer.
    vars(import_module("trl.import_utils"))["is_vllm_available"] = lambda min_version=None: False
    import_module("peft")
    import_module("remote.training.run")
    # Otherwise the first step of an optimiser imports it, which takes seconds.
    import_module("torch._dynamo")
