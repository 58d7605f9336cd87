"""Log-probabilities of a group's completions with the prompt computed once, not once per completion.

Owns the packing only. The completions of a group follow their common prompt in one sequence, each under
a mask that hides the others, at the positions that it would have alone; the model and its output layer
are TRL's. The numbers are those of the plain computation, since no token sees anything that it would not
see there. The last prompt token stands before each completion once more: it is what predicts the first
token, and a position can have one label only.

A dense mask rules out a GPU's fastest attention kernels, so this is for a CPU, where a step of short
completions spends most of its time on prompts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

IGNORED = -100  # a label that is not scored


@dataclass
class Packed:
    """Groups as rows of one batch: G groups of at most L tokens; B completions of at most C tokens."""

    input_ids: Tensor
    """(G, L)"""
    position_ids: Tensor
    """(G, L)"""
    labels: Tensor
    """(G, L): the token that each position predicts, or `IGNORED`."""
    attention_mask: Tensor
    """(G, 1, L, L), added to attention scores: 0 where a token may look, else the type's minimum."""
    places: Tensor
    """(B, C): where each completion token is predicted, as an index into the flattened (G, L)."""
    scored: Tensor
    """(B, C): whether there is a token."""


def shared_logps(model: Any, input_ids: Tensor, attention_mask: Tensor, completion: int) -> tuple[Any, Any]:
    """Log-probability and entropy (B, completion) of the last `completion` tokens of each row, in nats.

    `model` has TRL's fused output layer (a reference model's computes no entropy: then that is None); rows
    are padded on the left of the prompt and on the right of the completion.
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
    """Put rows with the same prompt into one sequence."""
    prompts, said = _unpad(input_ids, attention_mask, completion)
    groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for row, prompt in enumerate(prompts):
        groups[prompt].append(row)
    length = max(len(p) - 1 + sum(1 + len(said[r]) for r in rows) for p, rows in groups.items())
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
            tokens = said[row]
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
    prompts, said = [], []
    for ids, mask in zip(input_ids.tolist(), attention_mask.tolist(), strict=True):
        real = [bool(m) for m in mask]
        prompts.append(tuple(t for t, m in zip(ids[:-completion], real[:-completion], strict=True) if m))
        said.append([t for t, m in zip(ids[-completion:], real[-completion:], strict=True) if m])
    return prompts, said


def _mask(segments: Tensor, dtype: torch.dtype) -> Tensor:
    """A token sees what precedes it in the prompt (segment 0) and in its own segment; padding, itself."""
    own = segments[:, :, None] == segments[:, None, :]
    prompt = (segments == 0)[:, None, :] & (segments >= 0)[:, :, None]
    length = segments.shape[1]
    before = torch.ones(length, length, dtype=torch.bool).tril()
    seen = (own | prompt) & before
    return torch.zeros(seen.shape, dtype=dtype).masked_fill(~seen, torch.finfo(dtype).min)[:, None]
