"""The questions: Berkeley's files as they are, and which of them are held out.

Owns reading `data/` (see data/NOTICE for where it comes from) and the choice of entries by category, split
and seed. What is said to the model about an entry is `prompts`'.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

from vf_bfcl_single_turn.checker import CATEGORIES

Split = Literal["train", "eval", "all"]

_GROUPS = {
    "all": CATEGORIES,
    "live": tuple(c for c in CATEGORIES if c.startswith("live_")),
    "non_live": tuple(c for c in CATEGORIES if not c.startswith("live_")),
    "simple": ("simple_python",),
}


@dataclass(frozen=True)
class Entry:
    """One question with the functions that are offered, and the calls that are right."""

    id: str
    category: str
    messages: list[dict[str, str]]
    functions: list[dict[str, Any]]
    ground_truth: list[dict[str, Any]]
    """Empty where the category judges only whether there is a call."""

    @property
    def split(self) -> Split:
        """Which split it belongs to, the same on every machine.

        A fifth of the function sets is held out, chosen by a hash of their names, and with a set every
        question that is asked about it: most live questions come in several wordings.
        """
        names = "\n".join(sorted(function["name"] for function in self.functions))
        return "eval" if hashlib.sha256(names.encode()).digest()[0] % 5 == 0 else "train"


def expand(categories: Iterable[str]) -> tuple[str, ...]:
    """The categories that some names mean, in their own order.

    `all`, `live` and `non_live` are groups, `simple` is `simple_python`. Raises `ValueError` for a name
    that means nothing.
    """
    wanted: set[str] = set()
    for name in categories:
        if name not in _GROUPS and name not in CATEGORIES:
            known = ", ".join((*CATEGORIES, *_GROUPS))
            raise ValueError(f"no category is called {name!r}; there are {known}")
        wanted.update(_GROUPS.get(name, (name,)))
    return tuple(category for category in CATEGORIES if category in wanted)


def select(
    categories: Iterable[str] = ("all",),
    split: Split = "all",
    *,
    seed: int | None = None,
    limit: int | None = None,
    longest: int | None = None,
) -> list[Entry]:
    """The entries of some categories on one side of the split.

    They come in the files' order, or shuffled by `seed`. `longest` leaves out entries whose functions and
    messages together have more characters; `limit` keeps the first ones.
    """
    found = [entry for category in expand(categories) for entry in load(category)]
    found = [entry for entry in found if split in ("all", entry.split)]
    if longest is not None:
        found = [entry for entry in found if _characters(entry) <= longest]
    if seed is not None:
        random.Random(seed).shuffle(found)
    return found[:limit]


@cache
def load(category: str) -> tuple[Entry, ...]:
    """Every entry of one category, in the file's order."""
    questions = _lines(f"BFCL_v4_{category}.json.gz")
    answers: Sequence[dict[str, Any]] = [{"ground_truth": []}] * len(questions)
    if not category.endswith("relevance"):
        answers = _lines(f"possible_answer/BFCL_v4_{category}.json.gz")
    return tuple(
        Entry(
            id=question["id"],
            category=category,
            messages=question["question"][0],
            functions=question["function"],
            ground_truth=answer["ground_truth"],
        )
        for question, answer in zip(questions, answers, strict=True)
    )


def _lines(name: str) -> list[dict[str, Any]]:
    content = resources.files("vf_bfcl_single_turn").joinpath("data", name).read_bytes()
    return [json.loads(line) for line in gzip.decompress(content).splitlines()]


def _characters(entry: Entry) -> int:
    return len(json.dumps(entry.functions)) + sum(len(message["content"]) for message in entry.messages)
