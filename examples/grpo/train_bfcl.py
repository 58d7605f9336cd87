"""GRPO on function calls: what trains `vf-bfcl-single-turn` and `vf-tool-test`.

    vfm launch configs/modal_training_config_bfcl.yaml --backend modal
    modal run run_modal.py::train --env vf-bfcl-single-turn --steps 500

As train_wordle.py, with the rewards of each category of questions in a chart of their own.
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
        """Note a step's mean reward by category, where there are several.

        To shape rewards, set them: `episode.reward -= 0.001 * len(episode.messages[-1]["content"])`.
        """
        found = defaultdict(list)
        for task, episode in zip(tasks, episodes, strict=True):
            if episode.error is None:
                found[getattr(task.data, "category", "all")].append(episode.reward)
        if len(found) > 1:
            run.note({f"category/{name}": fmean(rewards) for name, rewards in found.items()})

    trainer = run.trainer(run.arguments(), run.tasks(), on_episodes=by_category)
    trainer.train()


if __name__ == "__main__":
    raise SystemExit(
        "A training needs a run and its server: vfm launch CONFIG, or modal run run_modal.py::train"
    )
