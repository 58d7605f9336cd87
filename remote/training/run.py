"""A training as its script sees it: the argument of `train(run)`, and the built-in `train`.

Puts the parts of a training together, in an order that also works for several trainers. Loading a script is
`script.py`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import verifiers.v1 as vf
from transformers import PreTrainedModel, PreTrainedTokenizerBase, PrinterCallback, TrainerCallback
from trl import GRPOConfig

from remote.contract.errors import Hint, ScriptError
from remote.contract.spec import ExperimentSpec
from remote.inference.command import Device
from remote.output.wandb_report import Report
from remote.rollouts.player import Rollouts
from remote.rollouts.recorder import Recorder
from remote.training.callbacks import EventCallback, ReportCallback
from remote.training.collectives import Ranks
from remote.training.grpo import EpisodePlayer, OnEpisodes, VfmTrainer, task_rows, trainer_arguments
from remote.training.held_out import HeldOut
from remote.training.logprob_guard import LogprobGuard, allowed_difference
from remote.training.weight_sync import WeightSync

OF_THE_CONFIG = {
    "max_steps": "training.steps",
    "per_device_train_batch_size": "training.batch_size",
    "gradient_accumulation_steps": "training.gradient_accumulation_steps",
    "steps_per_generation": "training.gradient_accumulation_steps",
    "num_generations": "training.num_generations",
    "max_completion_length": "training.max_completion_length",
    "temperature": "training.temperature",
    "top_p": "training.top_p",
    "bf16": "model.dtype",
    "fp16": "model.dtype",
    "report_to": "wandb.enabled",
    "output_dir": "",
    "run_name": "",
    "use_cpu": "",
}
"""Arguments that the server or the run use too, and the config key that sets them; empty: set by the run."""


@dataclass
class TrainingRun:
    """Everything that a training needs.

    Of several trainers, each has one. Only the first has tasks, and all train on those that it chooses.
    """

    spec: ExperimentSpec
    """The config: `run.spec.training.steps`."""
    run_dir: Path
    """The run's own folder; files that a script writes there stay with the run."""
    run_id: str
    model: PreTrainedModel
    """The model in training: a PEFT model, or a plain one where `model.lora.enabled` is false."""
    tokenizer: PreTrainedTokenizerBase
    rollouts: Rollouts
    """The environment: `run.rollouts.play(tasks, temperature=0.0)` plays episodes."""
    sync: WeightSync
    recorder: Recorder
    device: Device
    trainers: int = 1
    """Number of trainer processes."""
    report: Report | None = None
    """The Weights & Biases report."""

    def tasks(self) -> list[vf.Task[Any, Any, Any]]:
        """The environment's training tasks, in its order; the training shuffles them by `training.seed`."""
        return list(self.rollouts.tasks())

    def held_out(self) -> list[vf.Task[Any, Any, Any]]:
        """The tasks that are never trained on."""
        return list(self.rollouts.tasks(held_out=True))

    def note(self, values: Mapping[str, float]) -> None:
        """Add metrics to the current step, such as `{"category/simple": 0.4}`, which are charted too."""
        self.recorder.note(values)

    def arguments(self, **changes: Any) -> GRPOConfig:
        """The config as TRL's `GRPOConfig`, with some of its arguments changed.

        Raises `ScriptError` for arguments that are set in the config, since the server uses them too.
        """
        for name in changes:
            if name in OF_THE_CONFIG:
                raise _belongs_to_the_config(name, OF_THE_CONFIG[name])
        arguments = trainer_arguments(
            self.spec, self.run_dir, self.run_id, self.device, self.trainers, **changes
        )
        # Only a mixture of experts has unused parameters in a pass, and finding them costs time.
        experts = any(".experts." in name for name, _ in self.model.named_parameters())
        arguments.ddp_find_unused_parameters = experts
        return arguments

    def trainer(
        self,
        arguments: GRPOConfig | None = None,
        tasks: Sequence[vf.Task[Any, Any, Any]] | None = None,
        *,
        on_episodes: OnEpisodes | None = None,
        callbacks: Sequence[TrainerCallback] = (),
        trainer_class: type[VfmTrainer] = VfmTrainer,
        **options: Any,
    ) -> VfmTrainer:
        """The trainer, whose `train()` runs the training: TRL's `GRPOTrainer` on episodes of the running
        server.

        `on_episodes(step, tasks, episodes)`: called before a step's episodes are trained on; may set their
        `reward`. `callbacks`: of transformers. `trainer_class`: subclass `VfmTrainer` to customise the loss.
        `options`: passed on to `GRPOTrainer` (`optimizers`).
        """
        arguments = arguments or self.arguments()  # creates the process group of several trainers
        ranks, tasks = self._ranks, self.tasks() if tasks is None else list(tasks)
        player = EpisodePlayer(
            self.spec, tasks, self.rollouts, self.sync, self.recorder, self.tokenizer.pad_token_id, ranks
        )
        player.on_episodes = on_episodes
        held_out = HeldOut(self.spec, self.rollouts, self.recorder)
        events = EventCallback(self.recorder, player.timer, held_out, self.spec.training.steps, ranks)
        reported = [] if self.report is None else [ReportCallback(self.report)]
        trainer = trainer_class(
            guard=LogprobGuard(allowed_difference(self.spec)),
            player=player,
            model=self.model,
            processing_class=self.tokenizer,
            args=arguments,
            train_dataset=ranks.broadcast(lambda: task_rows(tasks, self.spec)),
            callbacks=[events, *reported, *callbacks],
            **options,
        )
        # It prints every metric as a rounded string; here they are events.
        trainer.remove_callback(PrinterCallback)
        player.trainer = trainer
        held_out.before_play = player.publish
        return trainer

    @cached_property
    def _ranks(self) -> Ranks:
        return Ranks()


def _belongs_to_the_config(name: str, key: str) -> ScriptError:
    message = f"run.arguments({name}=…): a script cannot change {name}, which the server or the run use too"
    return ScriptError(message, hint=Hint(f"set {key} in the config" if key else "leave it out"))


def train(run: TrainingRun) -> None:
    """The training of an environment without a script; those of `examples/grpo` have the same three lines."""
    arguments = run.arguments()
    trainer = run.trainer(arguments, run.tasks())
    trainer.train()
