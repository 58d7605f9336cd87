"""Problems without end from reasoning-gym's generators, by seed.

Owns reaching two of its generators without the rest of that library: its `__init__` modules import every
one, and with them matplotlib, sympy, pycosat and more, which takes seconds and which these two never use.
"""

from __future__ import annotations

import importlib
import importlib.util
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import ModuleType

from vf_gsm8k.problems import Problem

_PATHS = {"gsm_symbolic": "gsm_symbolic.gsm_symbolic", "chain_sum": "chain_sum"}
_PARENTS = ("reasoning_gym", "reasoning_gym.arithmetic")


def gsm_symbolic(seed: int, by_question: bool = False) -> Iterator[Problem]:
    """Word problems of GSM8K's kind: 85 templates, in turn at random, with names and numbers of their own.

    A template's problems are of one kind, so that its words are on one side of the split; `by_question`
    lets a template be on both sides, with other numbers. Only whole numbers are answers, as in GSM8K.
    """
    module = _modules()["gsm_symbolic"]
    config = module.GSMSymbolicDatasetConfig(seed=0, size=1)
    templates = module.GSMSymbolicDataset(config).generators
    rng = random.Random(seed)
    while True:
        number = rng.choice(module.tasks_ok)
        made = templates[number](random.Random(rng.getrandbits(64)), config.difficulty)
        if not made["answer"].isdigit():
            continue
        question = made["question"].strip()
        working, _, _ = made["metadata"]["answer_cot"].rpartition("####")
        kind = question if by_question else f"gsm_symbolic {number}"
        yield Problem(question, made["answer"], working.strip(), kind)


def chain_sum(seed: int, terms: int, digits: int) -> Iterator[Problem]:
    """Sums and differences such as `12 + 7 - 3`, of 2 to `terms` numbers with 1 to `digits` digits.

    Sums that differ only in the order of their terms are of one kind.
    """
    module = _modules()["chain_sum"]
    rng = random.Random(seed)
    while True:
        config = module.ChainSumConfig(max_terms=terms, max_digits=digits, seed=rng.getrandbits(62), size=1)
        made = module.ChainSumDataset(config)[0]
        expression = made["metadata"]["expression"]
        answer = made["answer"]
        yield Problem(f"What is {expression}?", answer, f"{expression} = {answer}", _terms(expression))


def _terms(expression: str) -> str:
    words = ["+", *expression.split()]
    return " ".join(sorted(sign + number for sign, number in zip(words[::2], words[1::2], strict=True)))


@cache
def _modules() -> dict[str, ModuleType]:
    """The generators' modules, by their names."""
    with _bare_parents():
        # In its own order: factory imports coaching, which imports factory back.
        importlib.import_module("reasoning_gym.coaching")
        found = {
            name: importlib.import_module(f"reasoning_gym.arithmetic.{path}") for name, path in _PATHS.items()
        }
        for half in ("00_49", "50_99"):  # its templates, which it would import when they are first asked for
            importlib.import_module(f"reasoning_gym.arithmetic.gsm_symbolic.generators_{half}")
        return found


@contextmanager
def _bare_parents() -> Iterator[None]:
    """While it lasts, reasoning-gym's packages are there without what their `__init__` would import."""
    if "reasoning_gym" in sys.modules:
        yield
        return
    try:
        for name in _PARENTS:
            sys.modules[name] = _bare(name)
        yield
    finally:
        for name in _PARENTS:
            sys.modules.pop(name, None)


def _bare(name: str) -> ModuleType:
    spec = importlib.util.find_spec(name)
    if spec is None:
        raise ModuleNotFoundError(
            "reasoning-gym is not installed: pip install reasoning-gym==0.1.25", name=name
        )
    return importlib.util.module_from_spec(spec)
