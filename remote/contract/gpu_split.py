"""Divide the GPUs between server and trainers, and a step's episodes among the trainers. Pure functions.

The plan and the memory estimate call them with the config's number of GPUs, the worker
(`remote/training/gpu_placement.py`) with the number that it finds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from remote.contract.errors import ConfigError, Hint
from remote.contract.spec import ExperimentSpec

_PARALLEL = (1, 2, 4)
"""Numbers of GPUs among which a model's attention heads can nearly always be divided."""


@dataclass(frozen=True)
class Split:
    """GPUs of the server and of the trainers."""

    server: int
    """Number of GPUs of vLLM."""
    trainers: int
    """Number of trainer processes; with more than one GPU, each has its own."""
    shared: bool
    """Whether server and trainer share one GPU, or have none."""


@dataclass(frozen=True)
class Share:
    """One trainer's part of an optimiser step."""

    batch_size: int
    """Episodes in one of its forward and backward passes."""
    passes: int
    """Its passes before the optimiser step."""


def split(spec: ExperimentSpec, gpus: int) -> Split:
    """The first `vllm.gpus` (unset: one) for the server, one trainer on each of the others; one GPU is
    shared.

    Raises `ConfigError` where no GPU is left for a trainer.
    """
    if gpus <= 1:
        return Split(gpus, 1, shared=True)
    server = spec.vllm.gpus or 1
    if server >= gpus:
        raise ConfigError(
            f"vllm.gpus = {server} leaves the trainers none of {gpus} GPUs",
            hint=Hint("lower vllm.gpus", "vllm.gpus", server, gpus - 1),
        )
    return Split(server, gpus - server, shared=False)


def share(spec: ExperimentSpec, trainers: int) -> Share:
    """Each trainer's part of a step, so that the step trains on as many episodes as on one GPU.

    Divides the passes first: the batch size decides how much memory a GPU needs and what bnpo averages tokens
    over. Only the rest is taken from the batch. Raises `ConfigError` where the episodes cannot be divided.
    """
    batch, passes = spec.training.batch_size, spec.training.gradient_accumulation_steps
    left = trainers // math.gcd(passes, trainers)
    if batch % left:
        raise _uneven(spec, trainers)
    return Share(batch // left, passes * left // trainers)


def _uneven(spec: ExperimentSpec, trainers: int) -> ConfigError:
    episodes = spec.episodes_per_step
    server = spec.vllm.gpus or 1
    advice = f"make the product a multiple of {trainers}"
    hint = Hint(advice)
    for fewer in range(trainers - 1, 0, -1):
        more = server + trainers - fewer
        if episodes % fewer == 0 and more in _PARALLEL:
            alternative = f"or set vllm.gpus = {more}, which leaves {fewer} trainer{'s' if fewer > 1 else ''}"
            hint = Hint(f"{advice}, {alternative}", "vllm.gpus", server, more)
            break
    return ConfigError(
        f"training.batch_size × training.gradient_accumulation_steps = {episodes} episodes cannot be divided "
        f"among {trainers} trainers",
        hint=hint,
    )
