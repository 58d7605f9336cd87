"""Problems, and which of them are held out.

Owns what a problem is, the split, and the choice by split, length and number. Where problems come
from is `generators`' and `real`'s.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Split = Literal["train", "eval"]

_SHORT = 24
"""Characters of a question that go into its name."""
_PATIENCE = 2000
"""Draws in a row that bring nothing new after which a source counts as used up."""


@dataclass(frozen=True)
class Problem:
    """One problem in words or signs, with its answer."""

    question: str
    answer: str
    """A number, as its source writes it."""
    working: str = ""
    """The worked solution, a step a line, without the answer's own line; empty where there is none."""
    kind: str = ""
    """What decides the split: problems of one kind are on the same side of it."""

    @property
    def name(self) -> str:
        """A short name that is the same in every run."""
        if len(self.question) <= _SHORT:
            return self.question
        return f"{self.question[:_SHORT]}… {hashlib.sha256(self.question.encode()).hexdigest()[:6]}"

    @property
    def steps(self) -> int:
        """Lines of the worked solution, at least 1."""
        return max(1, len(self.working.splitlines()))


def side(kind: str) -> Split:
    """Which split a kind belongs to, the same on every machine: a fifth is held out, by a hash."""
    return "eval" if hashlib.sha256(kind.encode()).digest()[0] % 5 == 0 else "train"


def choose(
    source: Iterable[Problem], split: Split, count: int, max_steps: int | None = None
) -> list[Problem]:
    """The first `count` problems of a split as a source brings them, each once; or as many as there are.

    A source is used up where it ends, or where it has long brought nothing new.
    """
    found: dict[str, Problem] = {}
    in_vain = 0
    for problem in source:
        fits = side(problem.kind) == split and (max_steps is None or problem.steps <= max_steps)
        new = fits and problem.question not in found
        in_vain = 0 if new else in_vain + 1
        if new:
            found[problem.question] = problem
        if len(found) == count or in_vain == _PATIENCE:
            break
    return list(found.values())


def shuffled(problems: list[Problem], seed: int) -> list[Problem]:
    """The problems in an order that the seed decides."""
    order = list(problems)
    random.Random(seed).shuffle(order)
    return order
