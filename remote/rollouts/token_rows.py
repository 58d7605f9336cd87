"""Episodes as token rows: what the trainer learns from.

Owns the arithmetic of multi-turn masks. A row is one prompt and one completion: the first turn's
prompt, then everything that follows it, the model's own tokens masked 1 and whatever the environment
put between them (feedback, the chat template's frame) masked 0. Nothing is tokenised here: all ids
are the server's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypedDict


class Turn(TypedDict):
    """One model call: what the server read, what it said, and how likely each token was (nats)."""

    prompt_ids: list[int]
    completion_ids: list[int]
    logprobs: list[float]


@dataclass
class Row:
    """One episode for the trainer; the three completion lists have equal length."""

    prompt_ids: list[int]
    completion_ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    """Log-probabilities under the server; 0 on environment tokens."""
    env_mask: list[int] = field(default_factory=list)
    """1 on the model's own tokens, 0 on the environment's."""
    rewritten: bool = False
    """The chat template rewrote the history, so later turns are left out."""
    clipped: bool = False
    """The episode is longer than `max_token_length`, so its end is left out."""

    def _add(self, ids: Sequence[int], logprobs: Sequence[float], mask: int) -> None:
        self.completion_ids += ids
        self.logprobs += logprobs
        self.env_mask += [mask] * len(ids)


def to_row(turns: Sequence[Turn], max_tokens: int) -> Row | None:
    """The row of an episode's turns, at most `max_tokens` long; None where the model said nothing.

    A turn continues the row only if its prompt begins with every token so far.
    """
    spoken = [turn for turn in turns if turn["completion_ids"]]
    if not spoken or len(spoken[0]["prompt_ids"]) >= max_tokens:
        return None
    row = Row(prompt_ids=list(spoken[0]["prompt_ids"]))
    for index, turn in enumerate(spoken):
        seen = row.prompt_ids + row.completion_ids
        if turn["prompt_ids"][: len(seen)] != seen:
            row.rewritten = True
            break
        if index:
            between = turn["prompt_ids"][len(seen) :]
            row._add(between, [0.0] * len(between), 0)
        row._add(turn["completion_ids"], turn["logprobs"], 1)
    return _clip(row, max_tokens)


def _clip(row: Row, max_tokens: int) -> Row | None:
    room = max_tokens - len(row.prompt_ids)
    if len(row.completion_ids) > room:
        row.clipped = True
        for values in (row.completion_ids, row.logprobs, row.env_mask):
            del values[room:]
    while row.env_mask and not row.env_mask[-1]:
        # Environment tokens at the end teach nothing and cost a forward pass.
        for values in (row.completion_ids, row.logprobs, row.env_mask):
            values.pop()
    return row if row.completion_ids else None


def blank_row(token: int) -> Row:
    """What stands for an episode that failed: one masked token, which trains nothing."""
    return Row(prompt_ids=[token], completion_ids=[token], logprobs=[0.0], env_mask=[0])
