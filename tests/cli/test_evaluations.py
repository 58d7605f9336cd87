"""Evaluations from the command line: of a training's checkpoint, looked at, and compared."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from remote.contract.events import CheckpointEvent, Event, MetricsEvent, ProgressEvent
from tests.cli.conftest import Vfm, _shell
from tests.pilot.conftest import make_run

NAMES = {"experimenter": "ada", "experiment": "cli", "outputs": "verifiers-outputs-ada-cli"}


def _play(path: Path, solved: Sequence[int]) -> None:
    lines = [
        {"task": f"word {task}", "rewards": {"solved": s}, "reward": s, "error": None}
        for task, s in enumerate(solved)
    ]
    path.parent.mkdir()
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def _evaluated(solved: Sequence[int], mean: float) -> list[Event]:
    numbers = {"eval/total": mean, "eval/standard_error": 0.0316, "eval/episodes": 20.0, "eval/failed": 1.0}
    parts = {"eval/solved": mean, "eval/solved_standard_error": 0.05}
    return [
        MetricsEvent(step=20, values={**numbers, **parts}),
        ProgressEvent(done=len(solved), total=20, what="episodes"),
    ]


@pytest.fixture(scope="module")
def vfm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vfm]:
    """A shell whose home holds a training with three checkpoints, and two evaluations."""
    for shell in _shell(tmp_path_factory.mktemp("evaluations") / "shell"):
        saved = [
            CheckpointEvent(step=step, path=f"checkpoints/checkpoint-{step}", score=score, best=best)
            for step, score, best in ((20, 0.47, True), (40, 0.41, False))
        ]
        run = make_run(shell.home, "tr41n-wordle", saved, **NAMES)
        for name in ("checkpoint-20", "checkpoint-40", "final"):
            (run / "checkpoints" / name).mkdir(parents=True, exist_ok=True)
            (run / "checkpoints" / name / "adapter_config.json").write_text("{}")
        best = {"step": 20, "path": "checkpoints/checkpoint-20", "score": 0.47}
        (run / "checkpoints" / "best.json").write_text(json.dumps(best))
        first, second = [0] * 15 + [1] * 5, [0] * 9 + [1] * 11
        for name, solved, mean in (("eval1-wordle", first, 0.25), ("eval2-wordle", second, 0.55)):
            run = make_run(shell.home, name, _evaluated(solved, mean), kind="evaluate", **NAMES)
            _play(run / "evaluation" / "rollouts.jsonl", solved)
        yield shell


def test_a_trainings_best_checkpoint_is_evaluated_with_the_trainings_own_config(vfm: Vfm) -> None:
    words = ("launch", "--checkpoint", "tr41n", "--dry-run", "--json", "--set", "evaluation.num_examples=7")
    plan = json.loads(vfm(*words).stdout)
    assert plan["kind"] == "evaluate"
    assert plan["checkpoint"].endswith("runs/tr41n-wordle/checkpoints/checkpoint-20")
    assert (plan["model"], plan["spec"]["evaluation"]["num_examples"]) == ("builtin/tiny-random", 7)
    assert "--set evaluation.checkpoint=tr41n-wordle" in plan["command"]


def test_a_checkpoint_that_is_not_there_is_told_with_those_that_are(vfm: Vfm) -> None:
    done = vfm("launch", str(vfm.config), "--checkpoint", "tr41n:checkpoint-30", "--dry-run")
    assert done.returncode == 2
    assert "tr41n-wordle has no checkpoint 'checkpoint-30'" in done.stderr
    assert "checkpoint-20 (★ best, 0.47), checkpoint-40, final" in done.stderr


def test_show_tells_every_part_with_its_error_and_marks_the_best_checkpoint(vfm: Vfm) -> None:
    text = vfm("show", "eval1").stdout
    for line in (
        "episodes:    20 of 20, 1 failed",
        "score:       reward  0.250 ± 0.032",
        "score:       solved  0.250 ± 0.050",
    ):
        assert line in text
    scores = json.loads(vfm("show", "eval1", "--json").stdout)["state"]["scores"]
    assert scores[0] == {"name": "reward", "mean": 0.25, "standard_error": 0.0316}
    line = "reward 0.250 ± 0.032 · solved 0.250 ± 0.050 · 20 episodes, 1 failed"
    assert line in vfm("logs", "eval1").stdout
    trained = vfm("show", "tr41n").stdout
    assert "step 20 · checkpoints/checkpoint-20 · ★ best, 0.47" in trained
    assert "step 40 · checkpoints/checkpoint-40 · held-out 0.41" in trained


def test_two_evaluations_are_compared_task_by_task(vfm: Vfm) -> None:
    # Six tasks more are solved, and none less: of the 2^6 flips, two are as far from none.
    [found] = json.loads(vfm("compare", "eval1", "eval2", "--json").stdout)["comparisons"]
    part = found["parts"]["solved"]
    assert (part["wins"], part["ties"], part["losses"], part["p"]) == (6, 14, 0, 2 / 64)
    text = vfm("compare", "eval1", "eval2").stdout
    assert "+0.30 ± 0.11" in text
    assert "20 tasks are in both" in text
    alone = vfm("compare", "tr41n")
    assert (alone.returncode, "tr41n-wordle has no held-out scores" in alone.stderr) == (2, True)
