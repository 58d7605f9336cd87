"""Seeds of model calls: which call is sent which, and what a real server makes of it."""

from __future__ import annotations

from typing import Any

import pytest

from remote.evaluation.scripted_model import ScriptedModel
from remote.rollouts.seeds import episode_keys
from tests.stack.conftest import tiny_spec

pytestmark = pytest.mark.stack


def sent(model: ScriptedModel, keys: list[str] | None, **training: Any) -> list[tuple[str, int | None]]:
    """What each call was asked and its seed, sorted: calls of a step arrive as they like."""
    from remote.rollouts.player import Rollouts

    spec = tiny_spec(training={**tiny_spec().training.model_dump(), **training})
    made = Rollouts("vf_wordle", spec.training.environment_args, spec, model)
    model.player = lambda request: {"content": "crane"}
    try:
        model.requests.clear()
        task = made.tasks()[0]
        made.play([task] * 4, temperature=1.0, keys=keys)
        return sorted((str(body["messages"]), body.get("seed")) for body in model.requests)
    finally:
        made.close()


def test_each_turn_of_each_episode_has_a_seed_of_its_own_and_the_same_one_every_time(
    model: ScriptedModel, wordle: None
) -> None:
    keys = episode_keys(7, "train", 3, [0] * 4)
    first = sent(model, keys)
    assert len(first) == 12, "four episodes of three turns"
    assert all(isinstance(seed, int) and 0 <= seed < 2**31 for _, seed in first)
    assert len({seed for _, seed in first}) == 12, "numbers of one call again choose the same ranks again"
    assert sent(model, keys) == first, "another process, or an attempt that goes on, sends the same"


def test_a_play_of_a_scripts_own_is_seeded_too(model: ScriptedModel, wordle: None) -> None:
    first = sent(model, None)
    assert sent(model, None) == first
    assert sent(model, None, seed=8) != first


@pytest.mark.vllm
def test_a_real_server_answers_the_same_seeds_with_the_same_episodes(
    reload_server: Any, wordle: None
) -> None:
    from remote.rollouts.player import Rollouts

    spec = tiny_spec()
    made = Rollouts("vf_wordle", spec.training.environment_args, spec, reload_server)
    tasks = [task for task in made.tasks()[:4] for _ in range(4)]

    def replies(step: int) -> list[list[list[int]]]:
        keys = episode_keys(spec.training.seed, "train", step, [place // 4 for place in range(16)])
        played = made.play(tasks, temperature=1.0, keys=keys)
        return [[turn["completion_ids"] for turn in episode.turns] for episode in played]

    try:
        first = replies(1)
        assert replies(1) == first
        assert replies(2) != first
        assert len({str(episode) for episode in first}) > 8, "episodes of a group differ"
    finally:
        made.close()
