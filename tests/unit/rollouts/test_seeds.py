"""Seeds of model calls: what they depend on, and where there are none."""

from __future__ import annotations

from collections import Counter

from remote.rollouts.seeds import EPISODE, call_seed, episode_keys


def test_an_episodes_key_depends_on_run_purpose_step_task_and_place() -> None:
    keys = [
        key
        for seed in (1, 2)
        for purpose in ("train", "held-out")
        for step in (1, 2)
        for key in episode_keys(seed, purpose, step, [5, 9, 5])
    ]
    assert max(Counter(keys).values()) == 1


def test_a_key_is_the_same_wherever_its_task_stands() -> None:
    first, other, second = episode_keys(1, "train", 1, [5, 9, 5])
    assert episode_keys(1, "train", 1, [9, 5, 5]) == [other, first, second]


def test_a_call_has_a_seed_of_its_own_and_the_same_one_every_time() -> None:
    token = EPISODE.set("a key")
    try:
        seeds = [call_seed(agent, turn) for agent in ("one", "two") for turn in range(50)]
        assert seeds == [call_seed(agent, turn) for agent in ("one", "two") for turn in range(50)]
        EPISODE.set("another key")
        assert call_seed("one", 0) not in seeds
    finally:
        EPISODE.reset(token)
    assert len(set(seeds)) == 100
    assert all(isinstance(seed, int) and 0 <= seed < 2**31 for seed in seeds), "vLLM takes 31 bits"


def test_a_call_of_no_episode_has_no_seed() -> None:
    assert call_seed("one", 0) is None
