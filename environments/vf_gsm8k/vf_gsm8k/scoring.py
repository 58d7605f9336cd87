"""What a reply is worth: named parts from 0 to 1, and their weights.

Owns the promise that a wrong number earns nothing for being nearly right or well written: `format` weighs
nothing unless a config says so, and never more than half of `correct`.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from types import MappingProxyType

from vf_gsm8k.replies import Form, read_reply

WEIGHTS: Mapping[str, float] = MappingProxyType(
    {
        "correct": 1.0,  # exactly the right number
        "format": 0.0,  # it stands where it was asked for, with nothing beside it
    }
)


def check_weights(given: Mapping[str, float]) -> dict[str, float]:
    """The default weights with the given ones in their place; raises `ValueError` where they are unfit."""
    unknown = sorted(set(given) - set(WEIGHTS))
    if unknown:
        raise ValueError(f"no reward part is called {', '.join(unknown)}; there are {', '.join(WEIGHTS)}")
    weights = {**WEIGHTS, **given}
    negative = [name for name, weight in weights.items() if not 0 <= weight < float("inf")]
    if negative:
        raise ValueError(f"a weight is 0 or more: {', '.join(negative)}")
    if weights["correct"] <= 0 or weights["correct"] < 2 * weights["format"]:
        raise ValueError(
            f"the weight of correct ({weights['correct']:g}) must be above 0 and at least twice that of "
            f"format ({weights['format']:g}), or a wrong answer would pay too well"
        )
    return weights


def score(text: str, answer: Fraction, form: Form) -> dict[str, float]:
    """The parts of a reply, by name."""
    reply = read_reply(text, form)
    return {"correct": float(reply.number == answer), "format": reply.form}
