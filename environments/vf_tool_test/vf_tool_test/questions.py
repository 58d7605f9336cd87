"""Questions, made of the function families by a seed, in the form of Berkeley's.

Owns which functions are offered together, the split, and drawing values.
"""

from __future__ import annotations

import hashlib
import random
from typing import Any, Literal

from vf_bfcl_single_turn.entries import Entry

from vf_tool_test.families import FAMILIES, HELD_OUT, Family

Split = Literal["train", "eval"]

MOST_FUNCTIONS = len(HELD_OUT)
_PATIENCE = 2000
"""Draws in a row that bring nothing new after which there are no more questions."""
_JOINERS = (" And another thing: ", " Also: ", " Then: ")


def families(split: Split) -> list[Family]:
    """The functions of one side of the split."""
    return [family for family in FAMILIES if (family.name in HELD_OUT) == (split == "eval")]


def make(split: Split, count: int, *, functions: int = 2, calls: int = 1, seed: int = 0) -> list[Entry]:
    """`count` questions, none twice, or as many as there are.

    Each offers up to `functions` functions, and asks for up to `calls` calls of different ones.
    """
    known, rng = families(split), random.Random(seed)
    found: dict[str, Entry] = {}
    in_vain = 0
    while len(found) < count and in_vain < _PATIENCE:
        entry = _entry(known, functions, calls, rng)
        in_vain = in_vain + 1 if entry.id in found else 0
        found.setdefault(entry.id, entry)
    return list(found.values())


def _entry(known: list[Family], functions: int, calls: int, rng: random.Random) -> Entry:
    wanted = rng.sample(known, rng.randint(1, calls))
    asked = [_ask(family, rng) for family in wanted]
    others = [family for family in known if family not in wanted]
    room = min(max(0, functions - len(wanted)), len(others))
    offered = [*wanted, *rng.sample(others, rng.randint(0, room))]
    rng.shuffle(offered)
    text = rng.choice(_JOINERS).join(question for question, _ in asked)
    return Entry(
        id=f"{'+'.join(family.name for family in wanted)}-{hashlib.sha256(text.encode()).hexdigest()[:8]}",
        category="multiple" if len(asked) == 1 else "parallel_multiple",
        messages=[{"role": "user", "content": text}],
        functions=[family.described() for family in offered],
        ground_truth=[
            {family.name: {name: [value] for name, value in values.items()}}
            for family, (_, values) in zip(wanted, asked, strict=True)
        ],
    )


def _ask(family: Family, rng: random.Random) -> tuple[str, dict[str, Any]]:
    """One way to ask for a function, and the arguments that are meant; no value is meant twice."""
    while True:
        values = {name: rng.choice(known) for name, known in family.values.items()}
        words = [value for value in values.values() if isinstance(value, str)]
        if len(set(words)) == len(words):
            return rng.choice(family.asked).format(**values), values
