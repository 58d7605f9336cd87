"""A real evaluation whose worker is killed, and another that goes on with it: no server of ours, no model."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from remote.contract import layout
from remote.contract.record import LaunchRequest
from remote.contract.spec import ExperimentSpec
from tests.local.conftest import ROOT, Shell, alive, processes_of, until
from tests.stack.service import Service

pytestmark = pytest.mark.local

KEY = "sk-of-the-test-0123456789"
TASKS = 12


def evaluate(shell: Shell, service: Service, run_id: str, resume: Path | None = None) -> Path:
    """Start an evaluation as the local backend does; returns its run directory."""
    data = {
        "training": {"environment_args": {"turns": 1, "reply": "plain"}, "concurrency": 2},
        "evaluation": {"endpoint": service.url, "endpoint_key": "THEIR_KEY", "num_examples": TASKS},
        "wandb": {"enabled": False},
    }
    volume = shell.home / "volumes/verifiers-outputs-ada-default"
    request = LaunchRequest(
        run_id=run_id,
        kind="evaluate",
        spec=ExperimentSpec.model_validate(data),
        model="theirs-large",
        environment="vf_wordle",
        resume=str(resume or ""),
        outputs=volume.name,
        cache="verifiers-cache-ada-default",
        run_dir=str(volume / "runs" / run_id),
        cache_dir=str(shell.home / "volumes/verifiers-cache-ada-default"),
        project_dir=str(ROOT),
    )
    document = {
        "home": str(shell.home),
        "env": {"THEIR_KEY": KEY},
        "request": request.model_dump(mode="json"),
    }
    command = [sys.executable, "-m", "remote.supervisor"]
    child = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=shell.env()
    )
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(json.dumps(document))
    child.stdin.close()
    assert "record" in json.loads(child.stdout.readline())
    return Path(request.run_dir)


def episodes(run: Path) -> list[dict[str, Any]]:
    path = run / layout.EVALUATION_EPISODES
    return [json.loads(line) for line in path.read_text().split("\n")[:-1]] if path.exists() else []


def test_a_killed_evaluation_is_gone_on_with_by_another_run(shell: Shell) -> None:
    service, gate, asked = Service(), threading.Event(), threading.Semaphore(5)

    def five_then_none(body: dict[str, Any]) -> tuple[int, str]:
        if not asked.acquire(blocking=False):
            gate.wait()
        return 200, "crane"

    service.answer = five_then_none
    try:
        killed = evaluate(shell, service, "aaaaa-wordle")
        until(lambda: len(episodes(killed)) == 5 and len(service.bodies) == 7, "five episodes, and two more")
        running = processes_of(shell.home)
        os.kill(int(shell.record(killed.name)["identifiers"]["worker_pid"]), signal.SIGKILL)
        assert "SIGKILL" in shell.await_end(killed.name)["failure"]["message"]
        until(lambda: not alive(running), "every process to end")
        gate.set()
        again = evaluate(shell, service, "bbbbb-wordle", killed)
        assert shell.await_end(again.name)["status"] == "done"
    finally:
        gate.set()
        service.close()
    played = episodes(again)
    assert len({episode["task"] for episode in played}) == len(played) == TASKS
    assert len(service.bodies) == 7 + TASKS - 5, "an episode that was over was played again"
    assert json.loads((again / layout.EVALUATION_SUMMARY).read_text())["eval/episodes"] == TASKS
    assert service.keys == {f"Bearer {KEY}"}
    for run in (killed, again):
        for file in run.rglob("*"):
            assert not file.is_file() or KEY not in file.read_text(errors="replace"), file
