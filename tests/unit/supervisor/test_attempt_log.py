"""Which attempts follow one another, and what a new one finds."""

from __future__ import annotations

from pathlib import Path

import pytest

from remote.contract import layout
from remote.contract.record import Attempt, LaunchRequest, RunRecord
from remote.contract.spec import ExperimentSpec
from remote.output.run_dir import RunDir
from remote.supervisor import attempt_log


@pytest.mark.parametrize(("backend", "follows"), [("local", True), ("modal", False)])
def test_here_the_time_to_save_costs_no_retry(backend: str, follows: bool) -> None:
    spec = ExperimentSpec.model_validate({"modal": {"retries": 3, "timeout": 60}})
    late = [Attempt(started=0, ended=120, why="timeout"), Attempt(started=120, ended=240, why="timeout")]
    names = {name: "x" for name in ("run_id", "environment", "model", "outputs")}
    record = RunRecord(kind="train", backend=backend, attempts=[*late, Attempt(started=240)], **names)
    assert attempt_log.goes_on(spec, record) == follows


def test_thread_stacks_of_an_attempt_are_removed_before_the_next(tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path / "run")
    names = {name: "x" for name in ("run_id", "environment", "model", "outputs", "cache")}
    record = attempt_log.begin(run_dir, run_dir.create(LaunchRequest(spec=ExperimentSpec(), **names)))
    stacks = run_dir.path / layout.THREAD_STACKS
    stacks.parent.mkdir(exist_ok=True)
    stacks.write_text("an episode")
    attempt_log.begin_next(run_dir, record)
    assert not stacks.exists()
