"""How GPUs are divided between server and trainers, and a step's episodes among the trainers.

Owns that arithmetic, once, for the plan, the memory estimate and the worker. Pure: which GPUs there are is
found out by `gpus` where the run runs, and told by the config where it is planned.
"""

from __future__ import annotations

from dataclasses import dataclass

from remote.contract.errors import ConfigError, Hint
from remote.contract.spec import ExperimentSpec

_PARALLEL = (1, 2, 4)
"""Numbers of GPUs that a model's attention heads can nearly always be divided among."""


@dataclass(frozen=True)
class Split:
    """GPUs of each side."""

    server: int
    """GPUs that vLLM has."""
    trainers: int
    """Trainer processes; with more than one GPU each has one for itself."""
    shared: bool
    """Whether server and trainer have the same GPU (or none)."""


@dataclass(frozen=True)
class Share:
    """One trainer's part of an optimiser step."""

    batch_size: int
    """Episodes in one of its forward and backward passes."""
    passes: int
    """Passes before the optimiser step."""


def split(spec: ExperimentSpec, gpus: int) -> Split:
    """The first `vllm.gpus` (unset: one) for the server, one trainer on each other; a single one is shared.

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
    """What each trainer does of a step, so that the step trains on as many episodes as on one GPU.

    Passes are divided first, since these are the memory of one GPU and of bnpo's token means; only what
    they leave undivided is taken from the batch. Raises `ConfigError` where it does not come out even.
    """
    batch, passes = spec.training.batch_size, spec.training.gradient_accumulation_steps
    left = trainers // _common(passes, trainers)
    if batch % left:
        raise _uneven(spec, trainers)
    return Share(batch // left, passes * left // trainers)


def _common(one: int, other: int) -> int:
    return next(n for n in range(min(one, other), 0, -1) if one % n == other % n == 0)


def _uneven(spec: ExperimentSpec, trainers: int) -> ConfigError:
    episodes = spec.episodes_per_step
    server = spec.vllm.gpus or 1
    advice = f"make the product a multiple of {trainers}"
    hint = Hint(advice)
    for fewer in range(trainers - 1, 0, -1):
        more = server + trainers - fewer
        if episodes % fewer == 0 and more in _PARALLEL:
            which = f"or set vllm.gpus = {more}, which leaves {fewer} trainer{'s' if fewer > 1 else ''}"
            hint = Hint(f"{advice}, {which}", "vllm.gpus", server, more)
            break
    return ConfigError(
        f"training.batch_size × training.gradient_accumulation_steps = {episodes} episodes cannot be divided "
        f"among {trainers} trainers",
        hint=hint,
    )
