"""Find out why a step's episodes have no learning signal, and what would mend it. Pure.

GRPO learns from differences of rewards within a group. There are none where no episode can be trained on, and
where the rewards of every group are equal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from remote.contract.errors import Hint
from remote.contract.spec import ExperimentSpec
from remote.rollouts.token_rows import Row, Turn

_SAME = 1e-9
"""Rewards that differ by less are equal: sums of the same parts in another order."""
_ROUND = 64  # tokens: a proposed length is a multiple of it


@dataclass(frozen=True)
class Episode:
    """The parts of an episode that decide."""

    reward: float
    row: Row | None
    """None where it cannot be trained on."""
    turns: Sequence[Turn] = ()
    failed: bool = False


@dataclass(frozen=True)
class NoSignal:
    """Why a step has no learning signal."""

    reason: str
    hint: Hint | None = None
    hopeless: bool = False
    """Whether later steps will have none either."""


def missing(
    episodes: Sequence[Episode], spec: ExperimentSpec, weights: Mapping[str, float] | None = None
) -> NoSignal | None:
    """Why the episodes, in order of groups, have no signal; None where the rewards of a group differ.

    `weights`: of the task's reward parts, where they are known.
    """
    size = spec.training.num_generations
    if any(_differ(episodes[at : at + size]) for at in range(0, len(episodes), size)):
        return None
    usable = [episode for episode in episodes if episode.row is not None]
    if not usable:
        return _nothing_usable(episodes, spec)
    values = sorted({round(episode.reward, 6) for episode in usable})
    rewards = f"all are {values[0]:g}" if len(values) == 1 else "each group has its own"
    reason = f"the rewards of a task's episodes are equal in every group ({rewards})"
    if weights is not None and not weights:
        return NoSignal(f"{reason}: the task has no reward", Hint("give it a method with @vf.reward"))
    if weights and not any(weights.values()):
        named = ", ".join(weights)
        return NoSignal(f"{reason}: every part has weight 0 ({named})", Hint("give a part a weight"))
    hint = Hint("rewards must differ between the replies to one prompt: see the episodes under rollouts/")
    return NoSignal(reason, hint)


def _differ(group: Sequence[Episode]) -> bool:
    rewards = [episode.reward for episode in group if episode.row is not None]
    return bool(rewards) and max(rewards) - min(rewards) > _SAME * max(1.0, *map(abs, rewards))


def _nothing_usable(episodes: Sequence[Episode], spec: ExperimentSpec) -> NoSignal:
    longest_allowed = spec.model.max_token_length
    failed = sum(episode.failed for episode in episodes)
    prompts = [_prompt_length(episode) for episode in episodes if not episode.failed]
    long = [length for length in prompts if length is not None and length >= longest_allowed]
    hint = _longer(max(long), spec) if long else None
    if len(long) == len(episodes):
        reason = (
            f"every episode's prompt leaves no room for a reply in model.max_token_length = {longest_allowed}"
        )
        return NoSignal(f"{reason} (the longest has {max(long)} tokens)", hint, hopeless=True)
    counts = {
        f"in {len(long)} the prompt fills model.max_token_length = {longest_allowed}": len(long),
        f"{failed} failed": failed,
        f"in {len(prompts) - len(long)} the model's reply is empty": len(prompts) - len(long),
    }
    reasons = ", ".join(text for text, count in counts.items() if count)
    return NoSignal(f"none of its {len(episodes)} episodes can be trained on: {reasons}", hint)


def _prompt_length(episode: Episode) -> int | None:
    return next((len(t["prompt_ids"]) for t in episode.turns if t["completion_ids"]), None)


def _longer(prompt: int, spec: ExperimentSpec) -> Hint:
    needed = prompt + spec.training.max_completion_length
    new: Any = -(-needed // _ROUND) * _ROUND
    old = spec.model.max_token_length
    return Hint(
        f"allow longer episodes: --set model.max_token_length={new}", "model.max_token_length", old, new
    )
