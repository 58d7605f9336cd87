"""GRPO on Wordle: what trains `vf-wordle`, on this machine and on Modal.

    vfm launch configs/local_demo.yaml
    modal run run_modal.py::train --env wordle --steps 200

Copy this file to write a training of your own (docs/training_scripts.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from remote.training.run import TrainingRun


def train(run: TrainingRun) -> None:
    """The run's config decides what is not said here: `run.spec.training.learning_rate`, for one."""
    # The environment's training tasks. A curriculum is these in an order of one's own, with
    # `run.arguments(shuffle_dataset=False)`.
    tasks = run.tasks()

    # TRL's GRPOConfig as the config has it. What is no key of the config is changed here:
    # `run.arguments(adam_beta2=0.99, num_iterations=2)`.
    arguments = run.arguments()

    # TRL's GRPOTrainer, whose episodes are played by the vLLM server and judged by the environment.
    # `on_episodes=` shapes rewards (train_bfcl.py has one), `callbacks=[…]` are transformers', and
    # `trainer_class=` is a VfmTrainer with a loss of one's own.
    trainer = run.trainer(arguments, tasks)

    # To the end; from the newest checkpoint, where a machine that is gone has left one.
    trainer.train()


if __name__ == "__main__":
    raise SystemExit(
        "A training needs a run and its server: vfm launch CONFIG, or modal run run_modal.py::train"
    )
