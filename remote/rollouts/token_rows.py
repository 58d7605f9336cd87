"""Convert episodes to token rows, on which the trainer trains.

A row is one prompt and one completion: the first turn's prompt, then everything after it, with mask 1 on the
model's own tokens and 0 on those of the environment between them (feedback, the chat template). Nothing is
tokenised here: all ids come from the server.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypedDict


class Turn(TypedDict):
    """One model call: token ids of prompt and reply, and the reply's log-probabilities in nats."""

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
    """Whether later turns are left out, because the chat template rewrote the history."""
    clipped: bool = False
    """Whether the end is left out, because the episode is longer than `max_token_length`."""

    def _add(self, ids: Sequence[int], logprobs: Sequence[float], mask: int) -> None:
        self.completion_ids += ids
        self.logprobs += logprobs
        self.env_mask += [mask] * len(ids)


def to_row(turns: Sequence[Turn], max_tokens: int) -> Row | None:
    """The row of an episode's turns, at most `max_tokens` long; None where there is no token to train on.

    A turn continues the row only if its prompt begins with every token so far.
    """
    replied = [turn for turn in turns if turn["completion_ids"]]
    if not replied or len(replied[0]["prompt_ids"]) >= max_tokens:
        return None
    row = Row(prompt_ids=list(replied[0]["prompt_ids"]))
    for index, turn in enumerate(replied):
        tokens = row.prompt_ids + row.completion_ids
        if turn["prompt_ids"][: len(tokens)] != tokens:
            row.rewritten = True
            break
        if index:
            between = turn["prompt_ids"][len(tokens) :]
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
        # Environment tokens at the end are not trained on but cost time in the forward pass.
        for values in (row.completion_ids, row.logprobs, row.env_mask):
            values.pop()
    return row if row.completion_ids else None


def blank_row(token: int) -> Row:
    """The row of a failed episode: one masked token, without effect on the training."""
    return Row(prompt_ids=[token], completion_ids=[token], logprobs=[0.0], env_mask=[0])
