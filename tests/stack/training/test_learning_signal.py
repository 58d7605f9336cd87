"""A training that teaches nothing says so, and stops."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from remote.contract.errors import ScriptError, VfmError
from remote.output.emitter import Emitter
from tests.stack.training.test_grpo import _train, served

pytestmark = [pytest.mark.stack, pytest.mark.vllm]


@pytest.fixture
def rollouts(reload_server: Any, wordle: None) -> Iterator[Any]:
    yield from served(reload_server)


def lines(tmp_path: Path) -> str:
    return (tmp_path / "stream.log").read_text()


def test_prompts_that_are_too_long_end_the_training_at_its_first_step(
    tmp_path: Path, reload_server: Any, tiny_model: Path, rollouts: Any, emitter: Emitter
) -> None:
    with pytest.raises(
        VfmError, match=r"leaves no room for a reply in model\.max_token_length = 16"
    ) as raised:
        _train(
            tmp_path, reload_server, tiny_model, rollouts, emitter, model={"max_token_length": 16}, steps=3
        )
    hint = raised.value.hint
    assert hint is not None
    assert hint.key == "model.max_token_length"
    assert hint.new > 16


def test_equal_rewards_are_said_and_end_the_training_after_so_many_steps(
    tmp_path: Path,
    reload_server: Any,
    tiny_model: Path,
    rollouts: Any,
    emitter: Emitter,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def equal(run: Any) -> None:
        def judge(step: int, tasks: Any, episodes: Any) -> None:
            for place, episode in enumerate(episodes):
                episode.reward = 0.5 if step != 1 else float(place)
                episode.error = "left out by the script" if place == 0 else None

        run.trainer(run.arguments(), run.tasks(), on_episodes=judge).train()

    with pytest.raises(VfmError, match=r"2 steps in a row teach nothing: .* \(all are 0.5\)") as raised:
        _train(
            tmp_path, reload_server, tiny_model, rollouts, emitter, script=equal, steps=9, max_idle_steps=2
        )
    assert raised.value.boundary == "train"
    assert "⚠ step 2 teaches nothing" in lines(tmp_path)
    steps = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert max(e["step"] for e in steps if e["type"] == "metrics") == 2
    assert "All reward functions returned None" not in caplog.text + lines(tmp_path)


def test_rewards_that_a_script_gives_must_be_numbers(
    tmp_path: Path, reload_server: Any, tiny_model: Path, rollouts: Any, emitter: Emitter
) -> None:
    def play(judge: Any) -> None:
        def script(run: Any) -> None:
            run.trainer(run.arguments(), run.tasks(), on_episodes=judge).train()

        _train(tmp_path, reload_server, tiny_model, rollouts, emitter, script=script, steps=1)

    def infinite(step: int, tasks: Any, episodes: Any) -> None:
        episodes[0].reward = float("inf")

    async def asynchronous(step: int, tasks: Any, episodes: Any) -> None:
        pass

    with pytest.raises(ScriptError, match="the reward inf"):
        play(infinite)
    with pytest.raises(ScriptError, match="on_episodes is asynchronous"):
        play(asynchronous)
