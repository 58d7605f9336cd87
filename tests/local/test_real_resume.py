"""A training that is killed and resumed is the training that was never interrupted. Real vLLM, tiny model."""

from __future__ import annotations

import json
import os
import signal
from contextlib import suppress
from typing import Any

import pytest

from remote.contract import layout
from remote.training import checkpoints
from tests.local.conftest import Shell, alive, processes_of
from tests.waiting import block_until

STEPS = 5
HOW = (
    "--set",
    f"training.steps={STEPS}",
    "--set",
    "training.save_steps=2",
    "--set",
    "training.temperature=1",
)


def metrics(shell: Shell, run_id: str) -> dict[int, dict[str, float]]:
    """Each step's numbers; the last word on a step counts, since a killed one is repeated."""
    return {e["step"]: e["values"] for e in shell.events(run_id) if e["type"] == "metrics"}


def episodes(shell: Shell, run_id: str) -> dict[str, list[Any]]:
    """Every episode on file by its step, in order: what was asked, what was said, what it earned."""
    files = sorted((shell.run_dir(run_id) / layout.ROLLOUTS).glob("*.jsonl"))
    lines = {file.stem: [json.loads(line) for line in file.read_text().splitlines()] for file in files}
    return {step: [(e["task"], e["messages"], e["reward"]) for e in found] for step, found in lines.items()}


def kill_everything(shell: Shell) -> None:
    """What a power cut does."""
    for pid in alive(processes_of(shell.home)):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    block_until(lambda: not alive(processes_of(shell.home)), "the end of every process")


def test_a_training_that_is_killed_and_resumed_equals_one_that_was_not(shell: Shell) -> None:
    unbroken = shell.launched(*HOW)
    assert shell.await_end(unbroken)["status"] == "done"

    broken = shell.launched(*HOW)
    shell.await_event(broken, lambda e: e["type"] == "checkpoint" and e["step"] == 2)
    kill_everything(shell)
    assert f"{broken} was interrupted at step" in shell("runs").stderr
    resumed = shell("resume", broken)
    assert resumed.returncode == 0, resumed.stderr
    assert "going on from the checkpoint of step 2" in resumed.stdout

    record = shell.record(broken)
    assert [attempt["why"] for attempt in record["attempts"]] == ["lost", "done"]
    assert episodes(shell, broken) == episodes(shell, unbroken), "the same tasks, and the same replies"
    assert len(episodes(shell, broken)) == STEPS
    ours, theirs = metrics(shell, broken), metrics(shell, unbroken)
    assert sorted(ours) == sorted(theirs) == list(range(1, STEPS + 1))
    for step, values in theirs.items():
        for name in ("loss", "reward", "grad_norm", "learning_rate", "num_tokens"):
            assert ours[step][name] == pytest.approx(values[name], rel=1e-3, abs=1e-5), (step, name)
    seqs = [event["seq"] for event in shell.events(broken)]
    assert seqs == sorted(set(seqs)), "no event is doubled"
    newest = checkpoints.newest(shell.run_dir(broken))
    assert newest is not None
    assert checkpoints.step_of(newest) == STEPS
