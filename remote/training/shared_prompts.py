"""Log-probabilities of a group's completions with their common prompt computed once.

The completions of a group follow their prompt in one sequence, each at the positions that it would have
alone, under a mask that hides the others. The results equal those of the plain computation. The last prompt
token is repeated before each completion, since it predicts the first token and a position can have only one
label.

The dense mask rules out a GPU's fastest attention kernels, so this is for a CPU, where a step of short
completions spends most of its time on prompts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

IGNORED = -100  # label of positions that are not scored


@dataclass
class Packed:
    """Groups as rows of a batch: G groups of at most L tokens; B completions of at most C tokens."""

    input_ids: Tensor
    """(G, L)"""
    position_ids: Tensor
    """(G, L)"""
    labels: Tensor
    """(G, L): the token that each position predicts, or `IGNORED`."""
    attention_mask: Tensor
    """(G, 1, L, L), added to attention scores: 0 where a token may attend, else the type's minimum."""
    places: Tensor
    """(B, C): index into the flattened (G, L) of the position that predicts each completion token."""
    scored: Tensor
    """(B, C): whether there is a token, as opposed to padding."""


def shared_logps(model: Any, input_ids: Tensor, attention_mask: Tensor, completion: int) -> tuple[Any, Any]:
    """Log-probability and entropy (B, completion) of the last `completion` tokens of each row, in nats.

    `model` has TRL's fused output layer; that of a reference model computes no entropy, which is None then.
    Rows are padded on the left of the prompt and on the right of the completion.
    """
    packed = pack(input_ids, attention_mask, completion, next(model.parameters()).dtype)
    outputs = model(
        input_ids=packed.input_ids,
        attention_mask=packed.attention_mask,
        position_ids=packed.position_ids,
        shift_labels=packed.labels,
        fused_lm_head=True,
    )

    def unpacked(values: Tensor | None) -> Tensor | None:
        return None if values is None else values.flatten()[packed.places].masked_fill(~packed.scored, 0.0)

    return unpacked(outputs.log_probs), unpacked(outputs.entropy)


def pack(input_ids: Tensor, attention_mask: Tensor, completion: int, dtype: torch.dtype) -> Packed:
    """Pack rows with the same prompt into one sequence."""
    prompts, completions = _unpad(input_ids, attention_mask, completion)
    groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for row, prompt in enumerate(prompts):
        groups[prompt].append(row)
    length = max(len(p) - 1 + sum(1 + len(completions[r]) for r in rows) for p, rows in groups.items())
    shape = (len(groups), length)
    ids, positions = torch.zeros(shape, dtype=torch.long), torch.zeros(shape, dtype=torch.long)
    labels = torch.full(shape, IGNORED)
    segments = torch.full(shape, -1)
    places = torch.zeros((len(prompts), completion), dtype=torch.long)
    for group, (prompt, rows) in enumerate(groups.items()):
        at = len(prompt) - 1
        ids[group, :at] = torch.tensor(prompt[:-1], dtype=torch.long)
        positions[group, :at] = torch.arange(at)
        segments[group, :at] = 0
        for segment, row in enumerate(rows, start=1):
            tokens = completions[row]
            end = at + len(tokens)
            ids[group, at : end + 1] = torch.tensor([prompt[-1], *tokens])
            positions[group, at : end + 1] = torch.arange(len(prompt) - 1, len(prompt) + len(tokens))
            labels[group, at:end] = torch.tensor(tokens, dtype=torch.long)
            segments[group, at : end + 1] = segment
            places[row, : len(tokens)] = torch.arange(group * length + at, group * length + end)
            at = end + 1
    scored = attention_mask[:, -completion:].bool()
    return Packed(ids, positions, labels, _mask(segments, dtype), places, scored)


def _unpad(
    input_ids: Tensor, attention_mask: Tensor, completion: int
) -> tuple[list[tuple[int, ...]], Sequence[list[int]]]:
    prompts, completions = [], []
    for ids, mask in zip(input_ids.tolist(), attention_mask.tolist(), strict=True):
        real = [bool(m) for m in mask]
        prompts.append(tuple(t for t, m in zip(ids[:-completion], real[:-completion], strict=True) if m))
        completions.append([t for t, m in zip(ids[-completion:], real[-completion:], strict=True) if m])
    return prompts, completions


def _mask(segments: Tensor, dtype: torch.dtype) -> Tensor:
    """A token attends to earlier ones in the prompt (segment 0) and in its own segment; padding to itself."""
    own = segments[:, :, None] == segments[:, None, :]
    prompt = (segments == 0)[:, None, :] & (segments >= 0)[:, :, None]
    length = segments.shape[1]
    before = torch.ones(length, length, dtype=torch.bool).tril()
    visible = (own | prompt) & before
    return torch.zeros(visible.shape, dtype=dtype).masked_fill(~visible, torch.finfo(dtype).min)[:, None]
