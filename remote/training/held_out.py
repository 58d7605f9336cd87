"""Score the held-out tasks of a training: before it, every `eval_steps`, and after it."""

from __future__ import annotations

from collections.abc import Callable

from remote.contract import layout
from remote.contract.spec import ExperimentSpec
from remote.rollouts.player import Rollouts, all_failed
from remote.rollouts.recorder import Recorder, summary
from remote.rollouts.seeds import episode_keys


class HeldOut:
    """The held-out tasks, and their score at each step of this attempt."""

    def __init__(self, spec: ExperimentSpec, rollouts: Rollouts, recorder: Recorder) -> None:
        self._spec = spec
        self._rollouts = rollouts
        self._recorder = recorder
        count = spec.training.eval_examples
        self._tasks = rollouts.tasks(held_out=True)[:count] if count else []
        self.before_play: Callable[[], None] | None = None
        """Sends the current weights to the server."""
        self.scored: dict[int, float] = {}
        """Step → mean reward of its episodes."""

    def due(self, step: int) -> bool:
        """Whether the config asks for a score after this step."""
        training = self._spec.training
        between = training.eval_steps and step % training.eval_steps == 0
        return training.eval_examples > 0 and (bool(between) or step >= training.steps)

    def play(self, step: int) -> float | None:
        """Play the tasks with the current weights; returns their mean reward, None without tasks."""
        if not self._tasks or step in self.scored:
            return self.scored.get(step)
        if step and self.before_play is not None:
            self.before_play()
        keys = episode_keys(self._spec.training.seed, "held-out", step, range(len(self._tasks)))
        temperature = self._spec.evaluation.temperature
        played = self._rollouts.play(self._tasks, temperature=temperature, keys=keys)
        if all(p.error for p in played):
            raise all_failed(played, "the held-out tasks")
        values = summary(played, "eval")
        self.scored[step] = values["eval/total"]
        self._recorder.save(f"{layout.ROLLOUTS}/held-out-{step:06d}.jsonl", step, played)
        self._recorder.metrics(step, values)
        self._recorder.log_problems(f"held-out tasks after step {step}", played)
        self._recorder.emitter.say("train", f"held-out score after step {step}: {values['eval/total']:.3f}")
        return self.scored[step]
