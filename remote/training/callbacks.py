"""The trainer's metrics, progress and checkpoints as events, and the time of a step by part.

TRL prints its metrics as rounded strings; here they are taken from `on_log`, before that.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from remote.contract import layout
from remote.output.wandb_report import Report
from remote.rollouts.recorder import Recorder
from remote.training import checkpoints
from remote.training.collectives import Ranks

if TYPE_CHECKING:
    from remote.training.held_out import HeldOut

PARTS = ("rollout", "sync", "train")
RENAMED = {"step_time": "time/trl_step"}


class StepTimer:
    """Seconds of the current step by part: rollout, sync, train. `eval` is not part of the step's time."""

    def __init__(self) -> None:
        self._spent: dict[str, float] = {}
        self._began = time.perf_counter()
        self.optimising = False
        """Whether the optimiser is changing the weights, which belong to no step meanwhile."""

    @contextmanager
    def measure(self, part: str) -> Iterator[None]:
        """Count the time of a block."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.add(part, time.perf_counter() - began)

    def add(self, part: str, seconds: float) -> None:
        """Count seconds measured elsewhere."""
        self._spent[part] = self._spent.get(part, 0.0) + seconds

    def spent(self, *parts: str) -> float:
        """Seconds so far in these parts."""
        return sum(self._spent.get(part, 0.0) for part in parts)

    def lap(self) -> dict[str, float]:
        """The step's seconds by part, in total, and in no part; begins the next step."""
        now = time.perf_counter()
        whole = now - self._began - self.spent("eval")
        laps = {f"time/{part}": self.spent(part) for part in PARTS}
        laps |= {"time/step": whole, "time/other": whole - self.spent(*PARTS)}
        self._spent, self._began = {}, now
        return laps


class EventCallback(TrainerCallback):  # type: ignore[misc]
    """Emits the trainer's progress as events, scores held-out tasks, and marks checkpoints."""

    def __init__(
        self, recorder: Recorder, timer: StepTimer, held_out: HeldOut, total: int, ranks: Ranks
    ) -> None:
        self._recorder = recorder
        self._timer = timer
        self._held_out = held_out
        self._total = total
        self._ranks = ranks
        self._optimiser_began = 0.0
        self._best: float | None = None
        """The best held-out score of a checkpoint."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Score the held-out tasks before the first step."""
        self._recorder.step = state.global_step
        if state.global_step == 0:
            self._held_out.play(0)
        best = checkpoints.best(self._run_dir(args))
        self._best = None if best is None else best.score
        # Otherwise the trainer removes all checkpoints but the best at its end.
        state.best_model_checkpoint = None
        self._recorder.emitter.progress(state.global_step, self._total, "steps")
        self._timer.lap()

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Gradients are clipped; the optimiser step begins."""
        self._timer.optimising = True
        self._optimiser_began = time.perf_counter()

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The optimiser step is done."""
        self._timer.add("train", time.perf_counter() - self._optimiser_began)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], **_: Any) -> None:
        """Emit a step's metrics. The summary at the end, which has no loss, is skipped."""
        if "loss" not in logs:
            return
        named = {RENAMED.get(name, name): value for name, value in logs.items()}
        laps = self._timer.lap()
        episodes = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
        tokens = named.get("completions/mean_length", 0.0) * episodes
        laps["tokens_per_second"] = tokens / max(laps["time/step"], 1e-9)
        self._recorder.metrics(state.global_step, {**named, **laps})
        self._recorder.emitter.progress(state.global_step, self._total, "steps")
        self._recorder.emitter.say("train", self._line(state.global_step, named, laps["time/step"]))

    def _line(self, step: int, values: dict[str, Any], seconds: float) -> str:
        numbers = " ".join(
            f"{name} {float(values[name]):.3g}"
            for name in ("reward", "loss", "kl", "entropy", "completions/mean_length")
            if values.get(name) is not None
        )
        return f"step {step}/{self._total} {numbers} ({seconds:.1f} s)"

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Score the held-out tasks where the config says so, and save the best weights so far."""
        self._timer.optimising = False
        if not self._held_out.due(state.global_step):
            return
        if self._ranks.broadcast(lambda: self._is_best(state.global_step)):
            control.should_save = True

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Mark a new checkpoint as whole, once every trainer has added its random state, and announce it.

        Old ones are removed here: the trainer would remove them before the new one has its mark.
        """
        self._ranks.wait()
        if not state.is_world_process_zero:
            return
        step = state.global_step
        path, score = layout.checkpoint_path(step), self._held_out.scored.get(step)
        checkpoints.mark(self._run_dir(args) / path)
        best = self._exceeds(score)
        if score is not None and best:
            self._best = score
            checkpoints.write_best(self._run_dir(args), checkpoints.Best(step, path, score))
        self._recorder.checkpoint(step, path, score, best)
        if args.save_total_limit:
            checkpoints.rotate(self._run_dir(args), args.save_total_limit)

    def _is_best(self, step: int) -> bool:
        with self._timer.measure("eval"):
            score = self._held_out.play(step)
        return self._exceeds(score)

    def _exceeds(self, score: float | None) -> bool:
        """Whether a score is finite and better than that of every checkpoint so far."""
        return score is not None and math.isfinite(score) and (self._best is None or score > self._best)

    def _run_dir(self, args: Any) -> Path:
        return Path(args.output_dir).parent


class ReportCallback(TrainerCallback):  # type: ignore[misc]
    """Calls transformers' `WandbCallback` in the report's thread, so that W&B cannot disturb the training."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        """Report the configuration."""
        self._submit("on_train_begin", args, state, control, model=model)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], **_: Any) -> None:
        """Report a step's metrics."""
        self._submit("on_log", args, state, control, logs=dict(logs))

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Upload a checkpoint, where WANDB_LOG_MODEL says so."""
        self._submit("on_save", args, state, control)

    def _submit(self, event: str, args: Any, state: Any, control: Any, **options: Any) -> None:
        if state.is_world_process_zero:
            snapshot = copy.copy(state)  # the trainer changes it meanwhile
            self._report.submit(lambda: getattr(self._wandb, event)(args, snapshot, control, **options))

    @cached_property
    def _wandb(self) -> Any:
        from transformers.integrations import WandbCallback

        return WandbCallback()
