"""Where a run's files lie, and what its volumes are called. Names only: no I/O.

A volume's name is never split back into its parts, since both may hold hyphens: read the records.
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
"""The worker's whole output, text and events, as it was said: what `follow` reads."""
LAST_WORDS = "logs/last_words.txt"
"""The stacks of a worker whose threads could run no Python any more; empty otherwise."""
LOCK = ".lock"
"""Held (flock) for as long as a local run's supervisor or worker lives: free means that nobody is left."""
NEW_RUN = ".new-"
"""What the name of a run directory begins with while it is being made."""
SCRIPT = "script"
"""Holds the training script as it ran, under its own name."""
ENVIRONMENT = "environment.json"
"""Which overlay of the cache the run's environment was installed into when it began."""
ROLLOUTS = "rollouts"
CHECKPOINTS = "checkpoints"
ADAPTERS = "adapters"
FINAL = "checkpoints/final"
STOPPED = "checkpoints/stopped"
"""The weights of a training that was asked to stop."""
BEST = "checkpoints/best.json"
"""Which checkpoint has the best held-out score: its step, its path in the run directory, its score."""
EVALUATION = "evaluation"
EVALUATION_TRACES = "evaluation/traces.jsonl"
"""An evaluation's episodes as verifiers writes them: what one that was interrupted goes on from."""
EVALUATION_EPISODES = "evaluation/rollouts.jsonl"
"""The same episodes as those of a training are written, with `sample`, which repeat of its task each is."""
EVALUATION_SUMMARY = "evaluation/summary.json"
WANDB = "wandb"
"""What wandb writes of the run, one folder an attempt."""
MODAL_CACHE = "/cache"
"""Where a container on Modal has the cache volume."""
MODAL_OUTPUTS = "/outputs"
"""Where a container on Modal has the outputs volume."""

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_LONGEST = 64  # Modal's limit on a volume's name


def _volume(kind: str, experimenter: str, experiment: str) -> str:
    for variable, value in (("EXPERIMENTER", experimenter), ("EXPERIMENT_NAME", experiment)):
        if not _NAME.fullmatch(value):
            raise ConfigError(
                f"{variable} is {value!r}, which a volume's name cannot hold",
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
    """The nearest name that a volume can hold."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._") or "default"


def outputs_volume(experimenter: str, experiment: str) -> str:
    """`verifiers-outputs-{EXPERIMENTER}-{EXPERIMENT_NAME}`; raises `ConfigError` on a bad name."""
    return _volume("outputs", experimenter, experiment)


def cache_volume(experimenter: str, experiment: str) -> str:
    """`verifiers-cache-{EXPERIMENTER}-{EXPERIMENT_NAME}`; raises `ConfigError` on a bad name."""
    return _volume("cache", experimenter, experiment)


def app_name(experimenter: str, experiment: str) -> str:
    """The Modal app's name."""
    return f"verifiers_{experimenter}_{experiment}"


def run_path(run_id: str) -> PurePosixPath:
    """The run directory within its outputs volume."""
    return PurePosixPath("runs") / run_id


def is_lock(path: str) -> bool:
    """Whether a path of an outputs volume is a run's lock, which is of use to that run alone."""
    return PurePosixPath(path).match(f"runs/*/{LOCK}")


def checkpoint_path(step: int) -> str:
    """A checkpoint's directory within the run directory, as the trainer names it."""
    return f"{CHECKPOINTS}/checkpoint-{step}"


def rollouts_path(step: int) -> str:
    """The episodes of one step (0 is before training), one JSON object a line."""
    return f"{ROLLOUTS}/step-{step:06d}.jsonl"
