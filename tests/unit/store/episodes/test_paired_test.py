"""The paired test against published numbers, and against counting every flip of signs."""

from __future__ import annotations

import itertools
import json
import random
from statistics import fmean, stdev

import pytest

from tui.services.compare import Side, match
from tui.store.episodes.paired_test import beta_share, paired, sign_flip, t_test
from tui.store.episodes.task_scores import task_scores

MAIZE = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]
"""Darwin's crossed and self-fertilised plants, in eighths of an inch: the data of Fisher's own examples."""


def test_fishers_examples_come_out_as_he_found_them() -> None:
    # The Design of Experiments, sections 17 and 21: t = 2.148, P ≈ 0.0497; 1726 of the 32768 flips.
    assert sign_flip(MAIZE) == 1726 / 32768
    error = stdev(MAIZE) / len(MAIZE) ** 0.5
    assert fmean(MAIZE) / error == pytest.approx(2.148, abs=5e-4)
    assert t_test(MAIZE, error) == pytest.approx(0.0497029, abs=1e-7)


@pytest.mark.parametrize(
    ("x", "a", "b", "value"),
    [(0.3, 2, 3, 0.3483), (0.5, 0.5, 0.5, 0.5), (10 / (10 + 2.2281388519649385**2), 5, 0.5, 0.05)],
)
def test_the_incomplete_beta_function(x: float, a: float, b: float, value: float) -> None:
    assert beta_share(x, a, b) == pytest.approx(value, rel=1e-9)


def test_flips_are_all_counted() -> None:
    dice = random.Random(7)
    for count in range(1, 9):
        found = [dice.choice((-1.0, -0.25, 0.5, 1.0)) for _ in range(count)]
        sums = [
            abs(sum(s * d for s, d in zip(signs, found, strict=True)))
            for signs in itertools.product((1, -1), repeat=count)
        ]
        far = sum(total >= abs(sum(found)) - 1e-9 for total in sums)
        assert sign_flip(found) == pytest.approx(far / len(sums))


def test_tasks_are_paired_by_name_and_only_those_of_both_count() -> None:
    before = {"a": 0.0, "b": 1.0, "c": 0.5, "only here": 9.0}
    after = {"c": 0.5, "b": 0.5, "a": 1.0, "only there": 9.0}
    found = paired(before, after)
    assert found is not None
    assert (found.tasks, found.wins, found.ties, found.losses) == (3, 1, 1, 1)
    assert found.before == 0.5
    assert found.after == pytest.approx(2 / 3)
    assert found.standard_error == pytest.approx(stdev([1.0, -0.5, 0.0]) / 3**0.5)
    assert (found.p, found.test) == (1.0, "sign-flip")  # 1 - 0.5: half the flips are as far, half further
    assert paired({"a": 1.0}, {"b": 1.0}) is None


def test_many_tasks_take_the_t_test() -> None:
    dice = random.Random(1)
    before = {str(task): dice.random() for task in range(10_000)}
    after = {task: score + dice.gauss(0.002, 0.1) for task, score in before.items()}
    found = paired(before, after)
    assert found is not None
    assert found.test == "t"
    assert found.difference == pytest.approx(0.002, abs=0.003)
    assert found.standard_error == pytest.approx(0.001, rel=0.05)


def _line(task: str, solved: float, **also: object) -> str:
    data = {"task": task, "rewards": {"solved": solved}, "reward": solved, "error": None, **also}
    return json.dumps(data) + "\n"


def test_a_tasks_score_is_the_mean_of_its_episodes_and_failures_count_for_nothing() -> None:
    text = _line("a", 1.0) + _line("a", 0.0, rewards={}) + _line("b", 1.0, error="Boom") + "garbage\n"
    found = task_scores((text + _line("c", 0.25) + '{"task": "torn').encode())
    assert found.parts == {"reward": {"a": 0.5, "c": 0.25}, "solved": {"a": 0.5, "c": 0.25}}
    assert (found.episodes, found.failed, found.tasks) == (3, 2, 2)


def test_sides_that_cannot_be_compared_say_why() -> None:
    one = task_scores(_line("a", 1.0).encode())
    other = task_scores(_line("b", 1.0).encode())
    cases = {
        "environments differ: vf_wordle and vf_gsm8k": Side("x", "vf_gsm8k", {}, one),
        "turns (unset and 3)": Side("x", "vf_wordle", {"turns": 3}, one),
        "x: no episode has a score": Side("x", "vf_wordle"),
        "they share no task": Side("x", "vf_wordle", {}, other),
    }
    for why, side in cases.items():
        found = match(Side("me", "vf_wordle", {}, one), side)
        assert why in found.why_not
        assert not found.parts
    assert match(Side("me", "vf_wordle", {}, one), Side("x", "vf_wordle", {}, one)).parts.keys() == {
        "reward",
        "solved",
    }
