"""Shapes of models, to count parameters and bytes: by a table, or by the size in a hub name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from remote.contract.model_choice import SMOLLM2, TINY_RANDOM

_SIZE = re.compile(r"(?:^|[-_/.])(\d+(?:\.\d+)?)([BbMm])(?![A-Za-z0-9])")


@dataclass(frozen=True)
class Shape:
    """A decoder with gated feed-forward layers, as its config.json has it."""

    layers: int
    hidden: int
    inner: int
    """Width of the feed-forward layers."""
    heads: int
    kv_heads: int
    vocab: int
    tied: bool = True
    """Whether the output layer is the embedding."""
    biases: bool = True
    """Whether q, k and v have biases (Qwen2)."""
    exact: bool = True
    """Whether it is the model's own, rather than one scaled to its size."""

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.hidden // self.heads

    @property
    def kv_width(self) -> int:
        """Width of a token's keys (or values) in one layer."""
        return self.kv_heads * self.head_dim

    @property
    def parameters(self) -> int:
        """The number of weights."""
        attention = 2 * self.hidden * self.hidden + 2 * self.hidden * self.kv_width
        biases = self.hidden + 2 * self.kv_width if self.biases else 0
        layer = attention + biases + 3 * self.hidden * self.inner + 2 * self.hidden
        embeddings = self.vocab * self.hidden * (1 if self.tied else 2)
        return embeddings + self.layers * layer + self.hidden

    def adapter(self, rank: int) -> int:
        """Parameters of a LoRA adapter on every linear layer but the output."""
        attention = 2 * (self.hidden + self.hidden) + 2 * (self.hidden + self.kv_width)
        return self.layers * rank * (attention + 3 * (self.hidden + self.inner))


_QWEN_05 = Shape(24, 896, 4864, 14, 2, 151936)
_QWEN_15 = Shape(28, 1536, 8960, 12, 2, 151936)
_QWEN_3 = Shape(36, 2048, 11008, 16, 2, 151936)
_QWEN_7 = Shape(28, 3584, 18944, 28, 4, 152064, tied=False)

SHAPES: Mapping[str, Shape] = {
    "Qwen/Qwen2.5-0.5B-Instruct": _QWEN_05,
    "Qwen/Qwen2.5-1.5B-Instruct": _QWEN_15,
    "Qwen/Qwen2.5-3B-Instruct": _QWEN_3,
    "Qwen/Qwen2.5-7B-Instruct": _QWEN_7,
    "Salesforce/xLAM-2-3b-fc-r": _QWEN_3,  # fine-tuned from Qwen2.5-3B-Instruct
    SMOLLM2: Shape(30, 576, 1536, 9, 3, 49152, biases=False),
    TINY_RANDOM: Shape(2, 64, 128, 2, 2, 1000, tied=False),
}
"""Model → its shape, from its config.json."""


def shape_of(model: str) -> Shape | None:
    """The shape of a model: its own, or a Qwen2.5 scaled to the size in its name; None where unknown."""
    if model in SHAPES:
        return SHAPES[model]
    size = size_in_name(model)
    return _scaled(size) if size else None


def size_in_name(model: str) -> float | None:
    """Parameters by a name (`…-1.5B-…`); None where it has no size."""
    found = _SIZE.findall(model)
    if not found:
        return None
    number, unit = found[-1]
    return float(number) * (1e9 if unit in "Bb" else 1e6)


def _scaled(parameters: float) -> Shape:
    """The known shape nearest in size, with its width scaled to the number of parameters."""
    known = (_QWEN_05, _QWEN_15, _QWEN_3, _QWEN_7)
    near = min(known, key=lambda shape: abs(shape.parameters - parameters))
    low, high = 0.01, 100.0
    for _ in range(40):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if _wider(near, middle).parameters < parameters else (low, middle)
    return _wider(near, high)


def _wider(shape: Shape, factor: float) -> Shape:
    hidden = max(round(shape.hidden * factor / shape.heads), 1) * shape.heads
    inner = max(round(shape.inner * factor), 1)
    return Shape(
        shape.layers, hidden, inner, shape.heads, shape.kv_heads, shape.vocab, shape.tied, exact=False
    )
