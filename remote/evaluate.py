"""Episodes of held-out tasks: while training (`HeldOut`) and as a run of their own (`evaluate`).

Owns which tasks are scored and how the scores are summed up. Episodes are played by `rollouts`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import stdev

from remote.contract import layout
from remote.contract.spec import ExperimentSpec
from remote.recorder import Recorder, summary
from remote.rollouts import Played, Rollouts, all_failed

TRACES = "evaluation/rollouts.jsonl"
SUMMARY = "evaluation/summary.json"


class HeldOut:
    """The held-out score of a training: before it, every `eval_steps`, and after it."""

    def __init__(self, spec: ExperimentSpec, rollouts: Rollouts, recorder: Recorder) -> None:
        self._spec = spec
        self._rollouts = rollouts
        self._recorder = recorder
        count = spec.training.eval_examples
        self._tasks = rollouts.tasks(held_out=True)[:count] if count else []
        self.before_play: Callable[[], None] | None = None
        """Brings the server to the present weights."""
        self._scored: set[int] = set()

    def due(self, step: int) -> bool:
        """Whether the config wants a score after this step."""
        training = self._spec.training
        between = training.eval_steps and step % training.eval_steps == 0
        return bool(self._tasks) and (bool(between) or step >= training.steps)

    def play(self, step: int) -> None:
        """Score the tasks once with the present weights."""
        if not self._tasks or step in self._scored:
            return
        if step and self.before_play is not None:
            self.before_play()
        played = self._rollouts.play(self._tasks, temperature=self._spec.evaluation.temperature)
        if all(p.error for p in played):
            raise all_failed(played, "the held-out tasks")
        values = summary(played, "eval")
        self._scored.add(step)
        self._recorder.save(f"{layout.ROLLOUTS}/held-out-{step:06d}.jsonl", step, played)
        self._recorder.metrics(step, values)
        self._recorder.emitter.say("train", f"held-out score after step {step}: {values['eval/total']:.3f}")


def evaluate(spec: ExperimentSpec, rollouts: Rollouts, recorder: Recorder) -> dict[str, float]:
    """Play the held-out tasks and return mean, standard error and each reward part's mean."""
    options = spec.evaluation
    tasks = rollouts.tasks(held_out=True)[: options.num_examples]
    planned = [task for task in tasks for _ in range(options.rollouts_per_example)]
    finished: list[Played] = []
    recorder.forget(TRACES)  # of an attempt that was interrupted

    def done(played: Played) -> None:
        finished.append(played)
        recorder.save(TRACES, 0, [played])
        recorder.emitter.progress(len(finished), len(planned), "episodes")

    played = rollouts.play(planned, temperature=options.temperature, on_done=done)
    if all(p.error for p in played):
        raise all_failed(played, "the evaluation")
    recorder.show(0, played)
    values = scores(played)
    recorder.metrics(0, values)
    recorder.emitter.say("train", f"score {values['eval/total']:.3f} ± {values['eval/standard_error']:.3f}")
    return values


def scores(played: list[Played]) -> dict[str, float]:
    """Mean, standard error of the mean, and the mean of each part, over episodes that succeeded."""
    rewards = [p.reward for p in played if p.error is None]
    spread = stdev(rewards) / math.sqrt(len(rewards)) if len(rewards) > 1 else 0.0
    return {
        **summary(played, "eval"),
        "eval/standard_error": spread,
        "eval/episodes": float(len(rewards)),
        "eval/failed": float(len(played) - len(rewards)),
    }
