"""A training as its script sees it: what `train(run)` is handed.

Owns putting the pieces of a training together, in an order that also holds for several trainers. What the
pieces do is `train`'s, `rollouts`' and `weight_sync`'s; finding and loading a script is `training_script`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import verifiers.v1 as vf
from transformers import PrinterCallback, TrainerCallback
from trl import GRPOConfig

from remote.contract.errors import Hint, ScriptError
from remote.contract.spec import ExperimentSpec
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
"""Arguments that others than the trainer go by as well, and the key that sets them; empty: the run itself."""


@dataclass
class TrainingRun:
    """Everything that a training needs, on the first trainer of several as on the only one.

    The other trainers have no tasks: those that the first one chooses are everybody's.
    """

    spec: ExperimentSpec
    """The config: `run.spec.training.steps`."""
    run_dir: Path
    """The run's own folder: what a script writes there is kept with the run."""
    run_id: str
    model: Any
    """What learns: a PEFT model, or a whole one where `model.lora.enabled` is false."""
    tokenizer: Any
    rollouts: Rollouts
    """The environment, being served: `run.rollouts.play(tasks, temperature=0.0)` plays episodes."""
    sync: WeightSync
    recorder: Recorder
    device: str
    """`cpu` or `cuda`."""
    trainers: int = 1
    report: Report | None = None
    """Weights & Biases."""

    def tasks(self) -> list[vf.Task[Any, Any, Any]]:
        """The environment's training tasks, in its order; a step takes them shuffled by `training.seed`."""
        return list(self.rollouts.tasks())

    def held_out(self) -> list[vf.Task[Any, Any, Any]]:
        """The tasks that are never trained on."""
        return list(self.rollouts.tasks(held_out=True))

    def note(self, values: Mapping[str, float]) -> None:
        """Numbers of one's own, `{"category/simple": 0.4}`: charted with the other metrics of the step."""
        self.recorder.note(values)

    def arguments(self, **changed: Any) -> GRPOConfig:
        """The config as TRL's `GRPOConfig`, with arguments of TRL's own changed.

        Raises `ScriptError` for those that belong to the config, since the server goes by them too.
        """
        for name in changed:
            if name in OF_THE_CONFIG:
                raise _belongs_to_the_config(name, OF_THE_CONFIG[name])
        arguments = trainer_arguments(
            self.spec, self.run_dir, self.run_id, self.device, self.trainers, **changed
        )
        # Looking for weights that a pass left alone costs time, and only a mixture of experts leaves any.
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
        **more: Any,
    ) -> VfmTrainer:
        """The trainer, which `train()` then lets go: TRL's `GRPOTrainer` on episodes of the running server.

        `on_episodes(step, tasks, episodes)` is shown a step's episodes before they are trained on, and may
        set their `reward`; `callbacks` are transformers'; `trainer_class` is where a loss of one's own goes;
        `more` goes to `GRPOTrainer` (`optimizers`).
        """
        arguments = arguments or self.arguments()  # and the other trainers are met
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
            train_dataset=ranks.dealt(lambda: [task_rows(tasks, self.spec)] * ranks.count),
            callbacks=[events, *reported, *callbacks],
            **more,
        )
        # It prints every metric as a rounded string; ours go out as events.
        trainer.remove_callback(PrinterCallback)
        player.trainer = trainer
        held_out.before_play = player.publish
        return trainer

    @cached_property
    def _ranks(self) -> Ranks:
        return Ranks()


def _belongs_to_the_config(name: str, key: str) -> ScriptError:
    message = f"run.arguments({name}=…): the script cannot change {name}, which others go by as well"
    return ScriptError(message, hint=Hint(f"set {key} in the config" if key else "leave it out"))


def train(run: TrainingRun) -> None:
    """What trains an environment that has no script; those of `examples/grpo` have the same three lines."""
    arguments = run.arguments()
    trainer = run.trainer(arguments, run.tasks())
    trainer.train()
