"""The third door: `modal run run_modal.py::train | evaluate | train_with_config`.

    modal run run_modal.py::train --env wordle --steps 200
    modal run run_modal.py::train --config-path configs/modal_training_config.yaml --gpu-type H100
    modal run run_modal.py::train_with_config --config-path configs/modal_training_config_wordle.yaml
    modal run run_modal.py::evaluate --env wordle --model Qwen/Qwen2.5-0.5B-Instruct --num-examples 50
    EXPERIMENTER=alice EXPERIMENT_NAME=wordle-v1 modal run run_modal.py::train --env wordle

Owns the entry points, and the image of every run on Modal, whichever door launched it. An option that is
typed overrides the config. Each run is a detached app of its own: the app of this file stays empty, and
ending this program ends no run. What stands behind an entry point is in `tui/cli/modal_entry.py`.
"""

from __future__ import annotations

import contextlib
import logging

import modal

try:
    from remote.contract.platforms import unsupported

    if unsupported():
        raise SystemExit(f"run_modal.py: {unsupported()}")
    from remote.contract.record import Kind
    from remote.image import pins
except ModuleNotFoundError as missing:
    raise SystemExit(f"run_modal.py: {missing}. In the project's folder: pip install -e .") from None

# Packages of your own go into this list: the next launch builds them in, on top of the training stack
# (torch, vllm, transformers, trl, verifiers, wandb, …), whose pins are in remote/image/pins.py.
image = pins.modal_image().pip_install(
    [
        # "your-custom-package>=1.0.0",
    ]
)
app = modal.App()

# Environment → the script that trains it (docs/training_scripts.md), on the lines that the guide names.
# `vfm` reads this dict without running the file: plain texts only.

TRAINING_SCRIPTS = {
    "vf-wordle": "examples/grpo/train_wordle.py",
    "vf-bfcl-single-turn": "examples/grpo/train_bfcl.py",
    "vf-tool-test": "examples/grpo/train_bfcl.py",
}


# Modal's command line reads the options off the signatures; its help shows them from the last to the first.
@app.local_entrypoint()
def train(
    gpu_count: int | None = None,
    gpu_type: str | None = None,
    model: str | None = None,
    steps: int | None = None,
    env: str | None = None,
    config_path: str | None = None,
) -> None:
    """Train with GRPO: the config, or the defaults, with what is typed over it."""
    _run("train", config_path, env=env, steps=steps, model=model, gpu_type=gpu_type, gpu_count=gpu_count)


@app.local_entrypoint()
def evaluate(
    gpu_count: int | None = None,
    gpu_type: str | None = None,
    endpoint: str | None = None,
    checkpoint: str | None = None,
    num_examples: int | None = None,
    model: str | None = None,
    env: str | None = None,
    config_path: str | None = None,
) -> None:
    """Score a model, a training's checkpoint or a service on an environment's held-out tasks."""
    typed = {"env": env, "model": model, "num_examples": num_examples}
    typed |= {"checkpoint": checkpoint, "endpoint": endpoint}
    _run("evaluate", config_path, **typed, gpu_type=gpu_type, gpu_count=gpu_count)


@app.local_entrypoint()
def train_with_config(
    config_path: str,
    gpu_count: int | None = None,
    gpu_type: str | None = None,
    model: str | None = None,
    steps: int | None = None,
    env: str | None = None,
) -> None:
    """The same as `train`, where a config has to be named."""
    _run("train", config_path, env=env, steps=steps, model=model, gpu_type=gpu_type, gpu_count=gpu_count)


def _run(kind: Kind, config_path: str | None, **typed: str | int | None) -> None:
    from tui.cli import modal_entry

    _hush()
    modal_entry.run(kind, config_path, typed)


def _hush_beginning() -> None:
    """`modal run` says "Initialized. View run at …" of this file's app before an entry point is called: a
    page that stays empty, while the run's own follows."""
    with contextlib.suppress(ImportError, AttributeError):
        from modal.output import OutputManager

        vars(OutputManager.get())["step_completed"] = lambda _message: None


def _hush() -> None:
    """This file's app is empty: nothing that Modal says of it, or of a connection to it, is of use."""
    for name in ("modal-client", "modal-utils"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with contextlib.suppress(ImportError, AttributeError):
        from modal.output import OutputManager

        OutputManager.get().stop_status_spinner()
        OutputManager.get().set_quiet_mode(True)


_hush_beginning()
