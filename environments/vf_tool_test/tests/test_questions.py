"""vf-tool-test's generated questions, without verifiers: each has an answer that the checker accepts."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from typing import Any

import pytest

ENVIRONMENTS = Path(__file__).parents[2]
sys.path[:0] = [str(ENVIRONMENTS / "vf_bfcl_single_turn"), str(ENVIRONMENTS / "vf_tool_test")]
checker = importlib.import_module("vf_bfcl_single_turn.checker")
families, questions = (importlib.import_module(f"vf_tool_test.{name}") for name in ("families", "questions"))


def reference(entry: Any) -> list[dict[str, Any]]:
    """The calls that are right."""
    return [
        {name: {argument: values[0] for argument, values in arguments.items()}}
        for answer in entry.ground_truth
        for name, arguments in answer.items()
    ]


def judged(entry: Any, calls: list[dict[str, Any]]) -> bool:
    return bool(checker.check(entry.functions, calls, entry.ground_truth, entry.category).valid)


@pytest.mark.parametrize("split", ["train", "eval"])
@pytest.mark.parametrize(("functions", "calls"), [(1, 1), (3, 1), (2, 2)])
def test_the_answer_is_right_and_every_change_of_it_wrong(split: str, functions: int, calls: int) -> None:
    made = questions.make(split, 200, functions=functions, calls=calls)
    assert len(made) == 200
    assert {len(entry.ground_truth) for entry in made} == set(range(1, calls + 1))
    for entry in made:
        right = reference(entry)
        assert judged(entry, right)
        assert judged(entry, right[::-1])
        assert not judged(entry, right[1:])
        assert not judged(entry, [*right, right[0]])
        ((name, arguments),) = right[0].items()
        for argument, value in arguments.items():
            other = f"{value} too" if isinstance(value, str) else value + 1
            assert not judged(entry, [{name: {**arguments, argument: other}}, *right[1:]])


@pytest.mark.parametrize("split", ["train", "eval"])
def test_a_question_says_every_value_that_its_answer_needs(split: str) -> None:
    for entry in questions.make(split, 300, calls=2):
        asked = entry.messages[0]["content"]
        for call in reference(entry):
            for value in (value for arguments in call.values() for value in arguments.values()):
                assert re.search(rf"(?<!\w)0?{re.escape(str(value))}(?!\w)", asked), (asked, value)


def test_held_out_functions_are_never_offered_in_training() -> None:
    offered = {
        split: {f["name"] for entry in questions.make(split, 500, functions=3) for f in entry.functions}
        for split in ("train", "eval")
    }
    assert offered["eval"] == families.HELD_OUT
    assert not offered["train"] & families.HELD_OUT
    assert len(offered["train"] | offered["eval"]) == len(families.FAMILIES) == 15


def test_a_seed_makes_the_same_questions_and_no_question_twice() -> None:
    made = [questions.make("train", 300, seed=seed) for seed in (0, 0, 1)]
    assert made[0] == made[1] != made[2]
    assert len({entry.messages[0]["content"] for entry in made[0]}) == 300
    assert len(questions.make("eval", 100_000)) < 1500
