"""A training's best checkpoint: saved with the score that it has, kept, and known after an interruption."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from remote.output.emitter import Emitter
from remote.training import checkpoints
from tests.stack.training.test_grpo import _train, served

pytestmark = [pytest.mark.stack, pytest.mark.vllm]

SCORES = {0: 0.9, 1: float("nan"), 2: 0.7, 3: 0.1, 4: 0.7}
"""Held-out scores by step: the model itself is no checkpoint, a score that is no number is no best one, and
step 4 is no better than step 2."""


@pytest.fixture
def rollouts(reload_server: Any, wordle: None) -> Iterator[Any]:
    yield from served(reload_server, eval_examples=2)


def test_the_best_checkpoint_is_saved_marked_and_stays(
    tmp_path: Path,
    reload_server: Any,
    tiny_model: Path,
    rollouts: Any,
    emitter: Emitter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from remote.processes.signals import Interrupted
    from remote.rollouts.player import Played

    play, scores = rollouts.play, iter(SCORES.items())
    stopped = False

    def scored(tasks: Any, *, temperature: float, keys: Any) -> Any:
        nonlocal stopped
        if temperature:
            return play(tasks, temperature=temperature, keys=keys)
        step, score = next(scores)
        if step == 3 and not stopped:
            stopped = True
            raise Interrupted
        return [Played(task=str(task), reward=score) for task in range(len(tasks))]

    monkeypatch.setattr(rollouts, "play", scored)
    how: dict[str, Any] = {"steps": 4, "save_steps": 99, "save_total_limit": 1}
    how |= {"eval_steps": 1, "eval_examples": 2}
    with pytest.raises(Interrupted):
        _train(tmp_path, reload_server, tiny_model, rollouts, emitter, **how)
    scores = iter([(step, score) for step, score in SCORES.items() if step > 3])
    _train(tmp_path, reload_server, tiny_model, rollouts, emitter, **how)

    assert checkpoints.best(tmp_path) == checkpoints.Best(2, "checkpoints/checkpoint-2", 0.7)
    folders = {path.name for path in (tmp_path / "checkpoints").iterdir() if path.is_dir()}
    assert folders == {"checkpoint-2", "checkpoint-4"}
    lines = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    saved = [(e["step"], e["score"], e["best"]) for e in lines if e["type"] == "checkpoint"]
    # The machine that is about to go saves step 3, which nobody has scored.
    assert saved == [(2, 0.7, True), (3, None, False), (4, 0.7, False)]


@pytest.mark.parametrize("score", ["NaN", "Infinity", "-Infinity", "null"])
def test_a_score_that_is_no_number_names_no_best_checkpoint(score: str, tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints/checkpoint-1"
    folder.mkdir(parents=True)
    (folder / "weights").write_bytes(b"w")
    checkpoints.mark(folder)
    best = f'{{"step": 1, "path": "checkpoints/checkpoint-1", "score": {score}}}'
    (tmp_path / "checkpoints/best.json").write_text(best)
    assert checkpoints.best(tmp_path) is None


def test_word_of_a_best_checkpoint_that_is_gone_is_forgotten(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints/checkpoint-2"
    folder.mkdir(parents=True)
    (folder / "weights").write_bytes(b"w")
    checkpoints.mark(folder)
    checkpoints.write_best(tmp_path, checkpoints.Best(2, "checkpoints/checkpoint-2", 0.5))
    checkpoints.go_back(tmp_path, print)
    assert checkpoints.best(tmp_path) is not None
    (folder / "weights").write_bytes(b"")
    assert checkpoints.best(tmp_path) is None
    checkpoints.go_back(tmp_path, print)
    assert not (tmp_path / "checkpoints/best.json").exists()


def test_while_old_checkpoints_are_removed_there_is_always_a_whole_one(
    tmp_path: Path, reload_server: Any, tiny_model: Path, rollouts: Any, emitter: Emitter
) -> None:
    home = str(tmp_path / "checkpoints")
    lost, watching, looking = list[str](), [True], [False]

    def look(event: str, arguments: tuple[Any, ...]) -> None:
        """Before each change below `checkpoints/`: what would a kill at this moment leave?"""
        if not watching[0] or looking[0] or not arguments or not str(arguments[0]).startswith(home):
            return
        looking[0] = True
        if event in ("open", "os.rename", "os.remove", "os.rmdir", "os.mkdir"):
            had.append(checkpoints.newest(tmp_path) is not None)
            if had[-1] < any(had):
                lost.append(f"{event} {arguments[0]}")
        looking[0] = False

    had: list[bool] = []
    sys.addaudithook(look)
    try:
        _train(
            tmp_path, reload_server, tiny_model, rollouts, emitter, steps=3, save_steps=1, save_total_limit=1
        )
    finally:
        watching[0] = False
    assert any(had), "nothing was saved"
    assert not lost
    assert {path.name for path in (tmp_path / "checkpoints").glob("*/")} == {"checkpoint-3"}
