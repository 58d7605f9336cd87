"""GRPO on verifiers episodes: TRL's configuration, the player of a step's episodes, and the trainer.

`run.py` puts them together. Episodes come from `rollouts`, weights leave through `weight_sync`, numbers
through `callbacks`. TRL's `rollout_func` and the three attributes set in `VfmTrainer` are internals of the
pinned version; a test breaks when an upgrade changes them.
"""

from __future__ import annotations

import inspect
import logging
import math
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import verifiers.v1 as vf
from datasets import Dataset
from torch import Tensor
from trl import GRPOConfig, GRPOTrainer

from remote.contract import layout
from remote.contract.errors import Hint, ScriptError, VfmError
from remote.contract.gpu_split import share
from remote.contract.spec import ExperimentSpec
from remote.output.run_dir import is_disk_full, is_disk_full_behind
from remote.processes.signals import signals_deferred
from remote.rollouts.player import Played, Rollouts, all_failed
from remote.rollouts.recorder import Recorder
from remote.rollouts.seeds import episode_keys
from remote.rollouts.token_rows import Row, blank_row, to_row
from remote.training import checkpoints, learning_signal
from remote.training.callbacks import StepTimer
from remote.training.collectives import Ranks
from remote.training.logprob_guard import LogprobGuard
from remote.training.shared_prompts import shared_logps
from remote.training.weight_sync import WeightSync


def trainer_arguments(
    spec: ExperimentSpec, run_dir: Path, run_id: str, device: str, trainers: int = 1, **changes: Any
) -> GRPOConfig:
    """The `training` section as TRL's configuration; `changes` override it."""
    t, own_share = spec.training, share(spec, trainers)
    exact = spec.model.dtype == "float32"
    configured = dict(
        output_dir=str(run_dir / layout.CHECKPOINTS),
        run_name=run_id,
        max_steps=t.steps,
        per_device_train_batch_size=own_share.batch_size,
        gradient_accumulation_steps=own_share.passes,
        steps_per_generation=own_share.passes,
        num_generations=t.num_generations,
        max_completion_length=t.max_completion_length,
        learning_rate=t.learning_rate,
        lr_scheduler_type=t.lr_scheduler,
        warmup_steps=t.warmup_steps,
        max_grad_norm=t.max_grad_norm,
        weight_decay=t.weight_decay,
        temperature=t.temperature,
        top_p=t.top_p,
        beta=t.beta,
        loss_type=t.loss_type,
        scale_rewards=t.scale_rewards,
        epsilon=t.epsilon,
        entropy_coef=t.entropy_coef,
        seed=t.seed,
        data_seed=t.seed,
        save_steps=t.save_steps,
        save_total_limit=t.save_total_limit,
        gradient_checkpointing=bool(t.gradient_checkpointing),
        bf16=spec.model.dtype == "bfloat16",
        fp16=spec.model.dtype == "float16",
        use_cpu=device == "cpu",
        # In float32 server and trainer agree to 1e-5, which the guard checks, so the ratio that corrects
        # their difference is 1, and computing it would cost a forward pass per step.
        vllm_importance_sampling_correction=not exact,
        report_to=[],  # the run's own callbacks report
        logging_steps=1,
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=device != "cpu",
        # The other trainers wait while the first one scores held-out tasks or saves.
        ddp_timeout=6 * 3600,
    )
    return GRPOConfig(**{**configured, **changes})


def task_rows(tasks: Sequence[vf.Task[Any, Any, Any]], spec: ExperimentSpec) -> Dataset:
    """One row per task: its prompt, which carries the task's index to the rollouts.

    Fewer tasks than a step has groups are repeated, since TRL drops an incomplete batch.
    """
    groups = spec.episodes_per_step // spec.training.num_generations
    indices = list(range(len(tasks))) * -(-groups // max(len(tasks), 1))
    rows = [{"prompt": [{"role": "user", "content": tasks[i].data.prompt_text, "task": i}]} for i in indices]
    return Dataset.from_list(rows)


OnEpisodes = Callable[[int, Sequence[vf.Task[Any, Any, Any]], Sequence[Played]], None]
"""A script's function of a step, the task of each episode, and the episodes, called before they are trained
on. It may set their `reward`."""


@dataclass
class EpisodePlayer:
    """TRL's `rollout_func`: plays the episodes of a step and returns their token rows.

    The first of several trainers plays for all of them, so that the episodes of a step, their order and their
    metrics do not depend on the number of trainers.
    """

    spec: ExperimentSpec
    tasks: Sequence[vf.Task[Any, Any, Any]]
    rollouts: Rollouts
    sync: WeightSync
    recorder: Recorder
    blank_token: int
    ranks: Ranks = field(default_factory=Ranks)
    trainer: VfmTrainer | None = None
    on_episodes: OnEpisodes | None = None

    def __post_init__(self) -> None:
        self.timer = StepTimer()
        self.rollouts.on_new_server = self._on_new_server
        self._idle = 0
        """Steps in a row without a learning signal."""

    def __call__(self, prompts: list[list[dict[str, Any]]], trainer: VfmTrainer) -> dict[str, list[Any]]:
        """One row per prompt, with the repeats of a group."""
        step = trainer.state.global_step + 1
        indices = self.ranks.gather([int(prompt[-1]["task"]) for prompt in prompts])
        return self.ranks.scatter(lambda: self._play(indices, step))

    def _play(self, indices: list[int], step: int) -> list[dict[str, list[Any]]]:
        """Play the episodes of all trainers; returns the rows of each trainer."""
        self.rollouts.model = self.sync.model
        with self.timer.measure("rollout"):
            chosen = [self.tasks[index] for index in indices]
            keys = episode_keys(self.spec.training.seed, "train", step, indices)
            played = self.rollouts.play(chosen, temperature=self.spec.training.temperature, keys=keys)
        if all(p.error for p in played):
            raise all_failed(played, f"step {step}")
        if self.on_episodes is not None:
            _call_script(self.on_episodes, step, chosen, played)
        rows = [self._row(p) for p in played]
        self.recorder.rollouts(step, played, rows)
        self._check_signal(step, chosen, played, rows)
        size = len(played) // self.ranks.count
        return [
            self._columns(played[at : at + size], rows[at : at + size]) for at in range(0, len(played), size)
        ]

    def _columns(self, played: Sequence[Played], rows: Sequence[Row | None]) -> dict[str, list[Any]]:
        usable = [row if row is not None else blank_row(self.blank_token) for row in rows]
        return {
            "prompt_ids": [row.prompt_ids for row in usable],
            "completion_ids": [row.completion_ids for row in usable],
            "logprobs": [row.logprobs for row in usable],
            "env_mask": [row.env_mask for row in usable],
            # None leaves the episode out of its group's mean and gives it no advantage.
            "episode_reward": [
                p.reward if row is not None else None for p, row in zip(played, rows, strict=True)
            ],
        }

    def _row(self, played: Played) -> Row | None:
        return None if played.error else to_row(played.turns, self.spec.model.max_token_length)

    def _on_new_server(self) -> None:
        self.sync.repeat()
        self.rollouts.model = self.sync.model

    def _check_signal(
        self,
        step: int,
        tasks: Sequence[vf.Task[Any, Any, Any]],
        played: Sequence[Played],
        rows: Sequence[Row | None],
    ) -> None:
        """Log a step without a learning signal. Raises `VfmError` after `training.max_idle_steps` in a row,
        and where no later step can have one."""
        episodes = [
            learning_signal.Episode(p.reward, row, p.turns, p.error is not None)
            for p, row in zip(played, rows, strict=True)
        ]
        training = self.spec.training
        weights = None if self.on_episodes is not None else reward_weights(tasks[0], played)
        missing = learning_signal.missing(episodes, self.spec, weights)
        if missing is None:
            self._idle = 0
            return
        self._idle += 1
        other_gradient = training.beta > 0 or training.entropy_coef > 0
        most = 0 if other_gradient else training.max_idle_steps
        if missing.hopeless or (most and self._idle >= most):
            many = f"{self._idle} steps in a row teach nothing: " if self._idle > 1 else ""
            raise VfmError(f"{many}{missing.reason}", boundary="train", hint=missing.hint or _ALLOW_MORE)
        if self._idle & (self._idle - 1) == 0:  # the 1st, 2nd, 4th, 8th …
            many = f" ({self._idle} in a row)" if self._idle > 1 else ""
            advice = "" if missing.hint is None else f"; {missing.hint.text}"
            self.recorder.emitter.say(
                "train", f"⚠ step {step} teaches nothing{many}: {missing.reason}{advice}"
            )

    def publish(self) -> None:
        """Send the current weights to the server."""
        self.sync.sync_weights()
        self.rollouts.model = self.sync.model
        if self.trainer is not None:
            # The next step need not sync again.
            self.trainer._last_loaded_step = self.trainer.state.global_step


_ALLOW_MORE = Hint("training.max_idle_steps says how many such steps are allowed", "training.max_idle_steps")


def reward_weights(task: vf.Task[Any, Any, Any], played: Sequence[Played]) -> dict[str, float] | None:
    """The weights of a task's declared reward parts; None where the episodes have other parts too."""
    weights = {hook.__name__: float(getattr(hook, "_vf_weight", 1.0)) for hook in task.hooks("reward")}
    scored = {part for episode in played for part in episode.rewards}
    return weights if scored <= weights.keys() else None


def _call_script(
    on_episodes: OnEpisodes,
    step: int,
    tasks: Sequence[vf.Task[Any, Any, Any]],
    played: Sequence[Played],
) -> None:
    """Call a script's `on_episodes`, and check the rewards that it has set. Raises `ScriptError`."""
    result: Any = on_episodes(step, tasks, played)  # type: ignore[func-returns-value]
    if inspect.isawaitable(result):
        raise ScriptError("on_episodes is asynchronous", hint=Hint("write def on_episodes, without async"))
    for episode in played:
        try:
            reward = float(episode.reward)
        except (TypeError, ValueError):
            reward = math.nan
        if not math.isfinite(reward):
            raise ScriptError(
                f"on_episodes gave an episode of {episode.task} the reward {episode.reward!r}",
                hint=Hint("a reward is a finite number; episodes with an `error` are left out anyway"),
            )
        episode.reward = reward


# Episodes that failed or cannot be trained on have no reward, which the step's own lines say already.
logging.getLogger("trl.trainer.grpo_trainer").addFilter(
    lambda record: "All reward functions returned None" not in record.getMessage()
)


def episode_reward(
    completions: list[Any], episode_reward: list[float | None], **_: Any
) -> list[float | None]:
    """TRL's reward function: returns the rewards that the environment has given."""
    return episode_reward


class VfmTrainer(GRPOTrainer):  # type: ignore[misc]
    """GRPOTrainer whose episodes are played by our server, which it keeps at the current weights."""

    def __init__(self, *, guard: LogprobGuard, player: EpisodePlayer, **arguments: Any) -> None:
        super().__init__(reward_funcs=episode_reward, rollout_func=player, **arguments)
        self._guard = guard
        self._player = player
        self.vllm_generation = self
        self.use_vllm = True
        self._last_loaded_step = -1
        self._shares_prompts = self.accelerator.device.type == "cpu" and not self.aux_loss_enabled

    def train(self, resume_from_checkpoint: Any = None, **options: Any) -> Any:
        """Train to the end, from the newest whole checkpoint of the run directory if there is one.

        Whatever ends the training early, the last whole step is saved, from which it can be resumed.
        """
        run_dir, ranks = Path(self.args.output_dir).parent, self._player.ranks
        newest = ranks.broadcast(lambda: checkpoints.go_back(run_dir, self._say))
        if newest and ranks.main:
            self._say(f"going on from the checkpoint of step {checkpoints.step_of(Path(newest))}")
        try:
            return super().train(newest or resume_from_checkpoint, **options)
        except BaseException as error:
            if ranks.main and not is_disk_full_behind(error):
                self._try_to_save_last_step()
            raise

    def _try_to_save_last_step(self) -> None:
        """A failure to save is only logged: what ended the training matters more."""
        try:
            with signals_deferred():
                self.save_last_step()
        except Exception as trouble:
            self._say(f"⚠ the last whole step could not be saved: {type(trouble).__name__}: {trouble}")

    def sync_weights(self) -> None:
        """Called by TRL before episodes with new weights; all trainers have the same weights."""
        if not self._player.ranks.main:
            return
        with self._player.timer.measure("sync"):
            self._player.publish()

    def save_last_step(self) -> None:
        """Save the last whole step, unless it is saved already. Only the first trainer calls this.

        During an optimiser step the weights belong to no step: then the last checkpoint remains.
        """
        self._player.ranks.leave()
        optimising = self._player.timer.optimising
        if self.state.global_step and not optimising and not checkpoints.is_whole(self._folder()):
            self._save_checkpoint(self.model, trial=None)
            self.callback_handler.on_save(self.args, self.state, self.control)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Save without removing old checkpoints: this one has no mark until `EventCallback.on_save`.

        Where the disk is full, the incomplete checkpoint is removed, since reporting the failure needs space.
        """
        limit, self.args.save_total_limit = self.args.save_total_limit, None
        try:
            super()._save_checkpoint(model, trial)
        except Exception as error:
            if is_disk_full(error):
                shutil.rmtree(self._folder(), ignore_errors=True)
            raise
        finally:
            self.args.save_total_limit = limit

    def _folder(self) -> Path:
        """Folder of the last step's checkpoint."""
        return Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"

    def _say(self, line: str) -> None:
        self._player.recorder.emitter.say("train", line)

    def store_flos(self) -> None:
        """Sum the trainers' flops with every checkpoint, unless this trainer goes on alone."""
        if not self._player.ranks.left:
            super().store_flos()

    def training_step(self, *args: Any, **kwargs: Any) -> Any:
        """One forward and backward pass; its measured time excludes episodes and weight sync."""
        timer = self._player.timer
        began, elsewhere = time.perf_counter(), timer.spent("rollout", "sync")
        result = super().training_step(*args, **kwargs)
        own = time.perf_counter() - began - (timer.spent("rollout", "sync") - elsewhere)
        timer.add("train", own)
        return result

    def _get_per_token_logps_and_entropies(
        self, model: Any, input_ids: Tensor, attention_mask: Tensor, logits_to_keep: int, **options: Any
    ) -> Any:
        rows = (model, input_ids, attention_mask, logits_to_keep)
        if self._shares_prompts:
            logps, entropies = shared_logps(*rows)
            result = logps, entropies, None
        else:
            result = super()._get_per_token_logps_and_entropies(*rows, **options)
        self._newest_logps = result[0].detach()
        return result

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Any:
        loss = super()._compute_loss(model, inputs)
        mask = inputs["completion_mask"] * inputs["tool_mask"]
        sampled = inputs["sampling_per_token_logps"]
        self._guard.check(self._newest_logps, sampled, mask, self.state.global_step + 1)
        worst = self.accelerator.gather(self._newest_logps.new_tensor(self._guard.last)).max()
        self._player.recorder.note({"sync/logp_difference": float(worst)})
        return loss
