"""Which steps teach nothing, and what is said of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote.contract.spec import ExperimentSpec
from remote.rollouts.token_rows import Row, Turn, to_row
from remote.training.learning_signal import Episode, missing

SPEC = ExperimentSpec.model_validate(
    {
        "model": {"max_token_length": 16},
        "training": {"batch_size": 4, "gradient_accumulation_steps": 1, "num_generations": 2}
        | {"max_completion_length": 100},
    }
)
REWARDS = st.floats(-1e6, 1e6)


def episode(reward: float, prompt: int = 3, said: int = 2, failed: bool = False) -> Episode:
    turns: list[Turn] = [{"prompt_ids": [1] * prompt, "completion_ids": [2] * said, "logprobs": [0.0] * said}]
    row: Row | None = None if failed else to_row(turns, SPEC.model.max_token_length)
    return Episode(reward, row, turns, failed)


@given(st.lists(st.tuples(REWARDS, REWARDS), min_size=1, max_size=5))
def test_a_step_teaches_if_any_group_has_rewards_that_differ(groups: list[tuple[float, float]]) -> None:
    found = missing([episode(reward) for group in groups for reward in group], SPEC)
    apart = [abs(a - b) for a, b in groups]
    if max(apart) > 1.0:
        assert found is None
    if max(apart) == 0.0:
        assert found is not None
        assert not found.hopeless


def test_an_episode_that_is_left_out_makes_no_difference() -> None:
    assert missing([episode(1.0), episode(0.0, failed=True)], SPEC) is not None
    assert missing([episode(1.0), episode(0.0, prompt=16)], SPEC) is not None


def test_prompts_that_are_all_too_long_are_hopeless_and_the_length_is_proposed() -> None:
    found = missing([episode(0.5, prompt=16), episode(0.1, prompt=17)], SPEC)
    assert found is not None
    assert found.hopeless
    assert "model.max_token_length = 16 (the longest has 17 tokens)" in found.reason
    assert found.hint is not None
    assert (found.hint.key, found.hint.old, found.hint.new) == ("model.max_token_length", 16, 128)


def test_each_cause_is_counted() -> None:
    mixed = [episode(0, prompt=20), episode(0, failed=True), episode(0, said=0), episode(0, said=0)]
    found = missing(mixed, SPEC)
    assert found is not None
    assert not found.hopeless
    for text in ("in 1 the prompt fills", "1 failed", "in 2 the model's reply is empty"):
        assert text in found.reason


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        (None, "(all are 0.5)"),
        ({}, "has no reward"),
        ({"part": 0.0}, "weight 0 (part)"),
        ({"a": 1.0}, "equal"),
    ],
)
def test_equal_rewards_are_explained(weights: dict[str, float] | None, said: str) -> None:
    found = missing([episode(0.5)] * 4, SPEC, weights)
    assert found is not None
    assert said in found.reason
    assert found.hint is not None
