"""Paths in a run directory and names of volumes. No I/O.

A volume's name cannot be split back into its parts, since both may contain hyphens: read the records.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from remote.contract.errors import ConfigError, Hint

RECORD = "record.json"
SPEC = "spec.json"
REQUEST = "request.json"
EVENTS = "events.jsonl"
LOGS = "logs"
STREAM = "logs/stream.log"
"""The whole output of the worker, text and events: what `follow` reads."""
THREAD_STACKS = "logs/thread_stacks.txt"
"""Stacks of all threads of a worker that was ended because none of them could run Python; empty otherwise."""
LOCK = ".lock"
"""Locked (flock) while the supervisor or the worker of a local run lives."""
NEW_RUN = ".new-"
"""Prefix of a run directory's name while it is being created."""
SCRIPT = "script"
"""Folder of the training script as it ran, under its own name."""
ENVIRONMENT = "environment.json"
"""The overlay of the cache volume into which the run's environment was installed."""
ROLLOUTS = "rollouts"
CHECKPOINTS = "checkpoints"
FINAL = "checkpoints/final"
STOPPED = "checkpoints/stopped"
"""The weights of a training that was stopped on request."""
BEST = "checkpoints/best.json"
"""The checkpoint with the best held-out score: its step, its path in the run directory, its score."""
EVALUATION = "evaluation"
EVALUATION_TRACES = "evaluation/traces.jsonl"
"""An evaluation's episodes in the format of verifiers, from which an interrupted one is resumed."""
EVALUATION_EPISODES = "evaluation/rollouts.jsonl"
"""The same episodes in the format of a training's, with `sample`: which repeat of its task each is."""
EVALUATION_SUMMARY = "evaluation/summary.json"
WANDB = "wandb"
"""Files that wandb writes, one folder per attempt."""
MODAL_CACHE = "/cache"
"""Mount point of the cache volume in a container on Modal."""
MODAL_OUTPUTS = "/outputs"
"""Mount point of the outputs volume in a container on Modal."""

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_LONGEST = 64  # Modal's limit on a volume's name


def _volume(kind: str, experimenter: str, experiment: str) -> str:
    for variable, value in (("EXPERIMENTER", experimenter), ("EXPERIMENT_NAME", experiment)):
        if not _NAME.fullmatch(value):
            raise ConfigError(
                f"{variable} is {value!r}, which a volume's name cannot contain",
                hint=Hint(
                    f"use letters, digits, '-', '_' and '.' only, for example {variable}={safe_name(value)!r}"
                ),
            )
    name = f"verifiers-{kind}-{experimenter}-{experiment}"
    if len(name) >= _LONGEST:
        raise ConfigError(
            f"the volume name {name!r} has {len(name)} characters; a volume's name has fewer than {_LONGEST}",
            hint=Hint("shorten EXPERIMENTER or EXPERIMENT_NAME in .env"),
        )
    return name


def safe_name(text: str) -> str:
    """The text with everything replaced that a volume's name cannot contain."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._") or "default"


def outputs_volume(experimenter: str, experiment: str) -> str:
    """`verifiers-outputs-{EXPERIMENTER}-{EXPERIMENT_NAME}`; raises `ConfigError` on a bad name."""
    return _volume("outputs", experimenter, experiment)


def cache_volume(experimenter: str, experiment: str) -> str:
    """`verifiers-cache-{EXPERIMENTER}-{EXPERIMENT_NAME}`; raises `ConfigError` on a bad name."""
    return _volume("cache", experimenter, experiment)


def app_name(experimenter: str, experiment: str) -> str:
    """Name of the Modal app."""
    return f"verifiers_{experimenter}_{experiment}"


def run_path(run_id: str) -> PurePosixPath:
    """Path of the run directory in its outputs volume."""
    return PurePosixPath("runs") / run_id


def is_lock(path: str) -> bool:
    """Whether a path of an outputs volume is a run's lock, which is of use to that run alone."""
    return PurePosixPath(path).match(f"runs/*/{LOCK}")


def checkpoint_path(step: int) -> str:
    """Path of a step's checkpoint in the run directory, as transformers names it."""
    return f"{CHECKPOINTS}/checkpoint-{step}"


def rollouts_path(step: int) -> str:
    """Path of a step's episodes in the run directory, one JSON object per line; step 0 is before training."""
    return f"{ROLLOUTS}/step-{step:06d}.jsonl"
