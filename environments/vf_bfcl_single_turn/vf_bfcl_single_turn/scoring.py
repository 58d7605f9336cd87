"""What a reply is worth: named parts from 0 to 1, and their weights.

Owns the promise that a wrong reply earns nothing for being nearly right: `correct` is 1 or 0, and the other
parts weigh nothing unless a config says so. Whether calls are right is `checker`'s.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from vf_bfcl_single_turn import arguments, checker, tools
from vf_bfcl_single_turn.entries import Entry
from vf_bfcl_single_turn.parser import Reply

WEIGHTS: Mapping[str, float] = MappingProxyType(
    {
        "correct": 1.0,  # the calls are the right ones
        "format": 0.0,  # they are written as asked, with nothing beside them
        "functions": 0.0,  # they go to the right functions, whatever their arguments
        "arguments": 0.0,  # the share of arguments with a right value
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
    rest = sum(weight for name, weight in weights.items() if name != "correct")
    if weights["correct"] <= 0 or weights["correct"] < 2 * rest:
        raise ValueError(
            f"the weight of correct ({weights['correct']:g}) must be above 0 and at least twice that of "
            f"the other parts together ({rest:g}), or being nearly right would pay too well"
        )
    return weights


@dataclass(frozen=True)
class Score:
    """A reply, judged."""

    correct: float
    format: float
    functions: float
    arguments: float
    calls: int
    """How many calls were read from the reply."""
    error: str
    """Why it is not correct, in a sentence; empty where it is."""


def score(entry: Entry, reply: Reply, native: bool) -> Score:
    """Judge a reply. `native`: the functions were offered as tools, under the names that tools have."""
    calls = tools.with_own_names(reply.calls, entry.functions) if native else reply.calls
    verdict = checker.check(entry.functions, calls, entry.ground_truth, entry.category)
    wanted = Counter(name for call in entry.ground_truth for name in call)
    called = Counter(name for call in calls for name in call)
    if entry.category.endswith("relevance"):
        wanted_any = not entry.category.endswith("irrelevance")
        form = reply.form if calls or wanted_any else 1.0
        valid = float(verdict.valid)
        return Score(valid, form, valid, valid, len(calls), verdict.error)
    # The share of calls that go to the right functions, of all that were made or should have been.
    share = (wanted & called).total() / (wanted | called).total()
    right = arguments.share_right(entry.functions, calls, entry.ground_truth)
    return Score(float(verdict.valid), reply.form, share, right, len(calls), verdict.error)
