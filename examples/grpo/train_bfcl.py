"""GRPO on function calls: the training script of `vf-bfcl-single-turn` and `vf-tool-test`.

    vfm launch configs/modal_training_config_bfcl.yaml --backend modal
    modal run run_modal.py::train --env vf-bfcl-single-turn --steps 500

Like train_wordle.py, with a chart of the mean reward for each category of questions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from remote.rollouts.player import Played
    from remote.training.run import TrainingRun


def train(run: TrainingRun) -> None:
    """Tasks, arguments, trainer, train."""

    def by_category(step: int, tasks: Sequence[Any], episodes: Sequence[Played]) -> None:
        """Add a step's mean reward by category to its metrics, where there are several.

        To shape rewards, set `episode.reward`: `episode.reward -= 0.001 *
        len(episode.messages[-1]["content"])`.
        """
        rewards_by_category = defaultdict(list)
        for task, episode in zip(tasks, episodes, strict=True):
            if episode.error is None:
                rewards_by_category[getattr(task.data, "category", "all")].append(episode.reward)
        if len(rewards_by_category) > 1:
            run.note({f"category/{name}": fmean(rewards) for name, rewards in rewards_by_category.items()})

    trainer = run.trainer(run.arguments(), run.tasks(), on_episodes=by_category)
    trainer.train()


if __name__ == "__main__":
    raise SystemExit(
        "A training needs a run and its server: vfm launch CONFIG, or modal run run_modal.py::train"
    )
