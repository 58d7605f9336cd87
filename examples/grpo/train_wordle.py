"""GRPO on Wordle: the training script of `vf-wordle`, on this machine and on Modal.

    vfm launch configs/local_demo.yaml
    modal run run_modal.py::train --env wordle --steps 200

Copy this file to write a training of your own (docs/training_scripts.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from remote.training.run import TrainingRun


def train(run: TrainingRun) -> None:
    """Everything else comes from the run's config, such as `run.spec.training.learning_rate`."""
    # The environment's training tasks. For a curriculum, sort them, and use
    # `run.arguments(shuffle_dataset=False)`.
    tasks = run.tasks()

    # TRL's GRPOConfig for the config. Arguments that are no keys of the config can be changed here:
    # `run.arguments(adam_beta2=0.99, num_iterations=2)`.
    arguments = run.arguments()

    # TRL's GRPOTrainer, whose episodes are played by the vLLM server and scored by the environment.
    # `on_episodes=` can shape rewards (see train_bfcl.py), `callbacks=[…]` are those of transformers, and
    # `trainer_class=` may be a subclass of VfmTrainer with another loss.
    trainer = run.trainer(arguments, tasks)

    # Trains to the end, from the newest checkpoint if there is one.
    trainer.train()


if __name__ == "__main__":
    raise SystemExit(
        "A training needs a run and its server: vfm launch CONFIG, or modal run run_modal.py::train"
    )
