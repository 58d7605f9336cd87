"""Seeds of model calls: two runs with one `training.seed` ask the server for the same random numbers.

Owns how a call's seed is derived from what the call is for: the run's seed, the step, the task, the place
within the task's group, and the turn. Nothing is remembered, so a training that is resumed goes on with the
numbers of one that was never interrupted. What the server's arithmetic adds is in docs/resuming.md.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from contextvars import ContextVar

EPISODE: ContextVar[str] = ContextVar("vfm_episode", default="")
"""The key of the episode under way; empty: its calls carry no seed."""


def episode_keys(seed: int, purpose: str, step: int, tasks: Sequence[int]) -> list[str]:
    """One key an episode: `tasks` are indices, of which repeats are the episodes of one group."""
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
    """The seed of a call in the episode under way, of 31 bits; None where the episode has no key.

    Turns differ: the same numbers again would choose the same ranks again.
    """
    key = EPISODE.get()
    if not key:
        return None
    digest = hashlib.sha256(f"{key} {agent} {turn}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1
