"""Launch runs with Modal's own command: `modal run run_modal.py::train | evaluate | train_with_config`.

    modal run run_modal.py::train --env wordle --steps 200
    modal run run_modal.py::train --config-path configs/modal_training_config.yaml --gpu-type H100
    modal run run_modal.py::train_with_config --config-path configs/modal_training_config_wordle.yaml
    modal run run_modal.py::evaluate --env wordle --model Qwen/Qwen2.5-0.5B-Instruct --num-examples 50
    EXPERIMENTER=alice EXPERIMENT_NAME=wordle-v1 modal run run_modal.py::train --env wordle

Also defines the image of every run on Modal, however it is launched. Options override the config. Each run is
a detached app of its own: the app of this file stays empty, and ending this program ends no run. The entry
points call `tui/cli/modal_entry.py`.
"""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path

import modal

try:
    from remote.contract.platforms import unsupported

    if unsupported():
        raise SystemExit(f"run_modal.py: {unsupported()}")
    from remote.contract.record import Kind
    from remote.image import pins
except ModuleNotFoundError as missing:
    raise SystemExit(f"run_modal.py: {missing}. Take the `modal` that lies beside `vfm`.") from None

# Add your own packages to this list: the next launch installs them, on top of the training stack
# (torch, vllm, transformers, trl, verifiers, wandb, …), whose pins are in remote/image/pins.py.
image = pins.modal_image().pip_install(
    [
        # "your-custom-package>=1.0.0",
    ]
)
app = modal.App()

# Environment → its training script (docs/training_scripts.md).
# `vfm` reads this dict without running the file: use string literals only.

TRAINING_SCRIPTS = {
    "vf-wordle": "examples/grpo/train_wordle.py",
    "vf-bfcl-single-turn": "examples/grpo/train_bfcl.py",
    "vf-tool-test": "examples/grpo/train_bfcl.py",
}


# Modal's command line takes the options from the signatures; its help lists them from the last to the first.
@app.local_entrypoint()
def train(
    gpu_count: int | None = None,
    gpu_type: str | None = None,
    model: str | None = None,
    steps: int | None = None,
    env: str | None = None,
    config_path: str | None = None,
) -> None:
    """Train with GRPO: the config or the defaults, with these options on top."""
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
    """Evaluate a model, a checkpoint or an endpoint on an environment's held-out tasks."""
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
    """Like `train`, with a required config."""
    _run("train", config_path, env=env, steps=steps, model=model, gpu_type=gpu_type, gpu_count=gpu_count)


def _run(kind: Kind, config_path: str | None, **typed: str | int | None) -> None:
    from tui.cli import modal_entry

    os.environ.setdefault("VFM_PROJECT", str(Path(__file__).absolute().parent))
    _silence_modal()
    modal_entry.run(kind, config_path, typed)


def _silence_modal_start() -> None:
    """Suppress "Initialized. View run at …", which `modal run` prints for this file's empty app before it
    calls an entry point; the run's own page is printed later."""
    with contextlib.suppress(ImportError, AttributeError):
        from modal.output import OutputManager

        vars(OutputManager.get())["step_completed"] = lambda _message: None


def _silence_modal() -> None:
    """Suppress Modal's further output on this file's empty app."""
    for name in ("modal-client", "modal-utils"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with contextlib.suppress(ImportError, AttributeError):
        from modal.output import OutputManager

        OutputManager.get().stop_status_spinner()
        OutputManager.get().set_quiet_mode(True)


_silence_modal_start()
