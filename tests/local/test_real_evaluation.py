"""A real evaluation whose worker is killed, and `vfm rerun`, which goes on with it: no server, no model."""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from remote.contract import layout
from tests.local.conftest import DEADLINE, Shell, alive, processes_of
from tests.stack.service import Service
from tests.waiting import block_until

pytestmark = pytest.mark.local

KEY = "sk-of-the-test-0123456789"
TASKS = 12


def launched(shell: Shell, service: Service) -> Path:
    """An evaluation that goes on by itself; returns its run directory."""
    values = {
        "model.base_model": "theirs-large",
        "evaluation.endpoint": service.url,
        "evaluation.num_examples": TASKS,
        "training.environment_args.turns": 1,
        "training.concurrency": 2,
    }
    sets = [word for key, value in values.items() for word in ("--set", f"{key}={value}")]
    return shell.run_dir(shell.launched("--kind", "evaluate", *sets, OPENAI_API_KEY=KEY))


def episodes(run: Path) -> list[dict[str, Any]]:
    path = run / layout.EVALUATION_EPISODES
    return [json.loads(line) for line in path.read_text().split("\n")[:-1]] if path.exists() else []


def test_a_killed_evaluation_is_gone_on_with_by_another_run(shell: Shell) -> None:
    service, gate, asked = Service(), threading.Event(), threading.Semaphore(5)

    def five_then_none(body: dict[str, Any]) -> tuple[int, str]:
        if not asked.acquire(blocking=False):
            gate.wait()
        return (400, f"too long, {KEY}") if len(service.bodies) == 1 else (200, "crane")

    service.answer = five_then_none
    try:
        killed = launched(shell, service)
        block_until(
            lambda: len(episodes(killed)) == 5 and len(service.bodies) == 7,
            "five episodes, and two more",
            seconds=DEADLINE,
        )
        running = processes_of(shell.home)
        os.kill(int(shell.record(killed.name)["identifiers"]["worker_pid"]), signal.SIGKILL)
        assert "SIGKILL" in shell.await_end(killed.name)["failure"]["message"]
        block_until(lambda: not alive(running), "every process to end")
        gate.set()
        done = shell("rerun", killed.name, OPENAI_API_KEY=KEY)
        assert done.returncode == 0, done.stderr
        assert f"continues {killed.name}" in done.stderr
        again = shell.run_dir(shell.last())
    finally:
        gate.set()
        service.close()
    played = episodes(again)
    assert len({episode["task"] for episode in played}) == len(played) == TASKS
    assert len(service.bodies) == 7 + TASKS - 4, "an episode that was over was played again"
    assert json.loads((again / layout.EVALUATION_SUMMARY).read_text())["eval/episodes"] == TASKS
    assert service.keys == {f"Bearer {KEY}"}
    for run in (killed, again):
        for file in run.rglob("*"):
            assert not file.is_file() or KEY not in file.read_text(errors="replace"), file
