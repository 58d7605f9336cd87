"""Seeds of model calls, so that two runs with the same `training.seed` sample the same random numbers.

A call's seed is derived from the run's seed, the step, the task, the index within the task's group, and the
turn. Nothing is stored, so a resumed training continues with the seeds of one that was never interrupted.
Differences that remain are explained in docs/resuming.md.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from contextvars import ContextVar

EPISODE: ContextVar[str] = ContextVar("vfm_episode", default="")
"""The key of the current episode; empty: its calls have no seed."""


def episode_keys(seed: int, purpose: str, step: int, tasks: Sequence[int]) -> list[str]:
    """One key per episode. `tasks`: their indices; equal ones are episodes of the same group."""
    repeats: Counter[int] = Counter()
    keys = []
    for task in tasks:
        keys.append(episode_key(seed, purpose, step, task, repeats[task]))
        repeats[task] += 1
    return keys


def episode_key(seed: int, purpose: str, step: int, task: int, place: int) -> str:
    """The key of one episode; `place` is its index in the group of its task."""
    return f"{seed} {purpose} {step} {task} {place}"


def call_seed(agent: str, turn: int) -> int | None:
    """The seed of a call in the current episode, of 31 bits; None where the episode has no key.

    Each turn has its own: with equal seeds, sampling would pick tokens of the same ranks again.
    """
    key = EPISODE.get()
    if not key:
        return None
    digest = hashlib.sha256(f"{key} {agent} {turn}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1
