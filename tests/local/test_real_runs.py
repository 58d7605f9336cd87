"""Whole runs on this machine, and what becomes of them when something dies."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.local.conftest import DEADLINE, ROOT, SMOKE_RUN, Shell, alive, layout_of, processes_of
from tests.waiting import block_until

pytestmark = pytest.mark.local

MANY_STEPS = ("--set", "training.steps=500", "--set", "training.save_steps=500")


@contextmanager
def listening(port: int) -> Iterator[None]:
    """Something of somebody else's on a port; no matter whose it is already."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):
            other.bind(("127.0.0.1", port))
            other.listen()
        yield


def tagged(lines: list[str]) -> list[str]:
    """Log lines that name their source, without the space that terminals do not show."""
    return [line.rstrip() for line in lines if line.startswith("[")]


def first_step(event: dict[str, Any]) -> bool:
    return bool(event["type"] == "metrics" and event["step"] >= 1)


def test_the_whole_story_and_a_launcher_that_is_killed_in_the_middle(shell: Shell, tmp_path: Path) -> None:
    with listening(8000):
        launcher = shell.start("launch", "configs/local_smoke.yaml")
        block_until(lambda: any(shell.home.glob("volumes/*/runs/*/events.jsonl")), "the run")
        launcher.kill()
        followed = shell("logs", "last", "--follow")
    assert followed.returncode == 0, followed.stderr
    run_id = shell.last()
    run = shell.run_dir(run_id)

    # Not splitlines(): it takes the record separator for a line's end too.
    said = (run / "logs/stream.log").read_text().split("\n")
    text = [line for line in said if not line.startswith("\x1e")]
    assert tagged(followed.stdout.split("\n")) == tagged(text), "a line was lost or came twice"
    for banner in (
        "🚀 Starting Verifiers RL",
        "📦 Installing verifiers...",
        "🌐 Starting vLLM server",
        "🏃 Starting GRPO",
    ):
        assert any(line.startswith(banner) for line in text), banner
    assert any("port 8000 is taken" in line for line in text)

    events = shell.events(run_id)
    assert [e["seq"] for e in events] == list(range(len(events)))
    done = {e["phase"] for e in events if e["type"] == "phase" and e["status"] == "done"}
    assert done == {"image", "prepare", "vllm", "train", "save", "finish"}
    details = {e["detail"] for e in events if e["type"] == "phase" and e["phase"] == "vllm"}
    assert {"resolving", "loading weights"} <= details
    assert events[-1]["type"] == "end"
    assert events[-1]["status"] == "done"

    record = shell.record(run_id)
    assert (record["status"], record["exit_code"]) == ("done", 0)
    assert record["versions"]["trl"]
    assert record["ended"] - record["created"] < 240
    spec = json.loads((run / "spec.json").read_text())
    assert spec["provenance"]["training.steps"]["where"].startswith("configs/local_smoke.yaml:")
    assert (run / "checkpoints/checkpoint-3/optimizer.pt").exists()
    assert (run / "checkpoints/final/adapter_model.safetensors").exists()
    assert sum(1 for _ in (run / "rollouts/step-000002.jsonl").open()) == 8
    assert layout_of(run) == SMOKE_RUN, "a run on Modal is laid out so too"

    series = json.loads(shell("metrics", run_id, "--json").stdout)
    assert [row["step"] for row in series] == [1, 2, 3]
    assert all(row["values"]["sync/logp_difference"] < 1e-3 for row in series)
    assert series[-1]["values"]["time/other"] < 0.05 * series[-1]["values"]["time/step"]
    fetched = shell("get", f"{record['outputs']}:runs/{run_id}/checkpoints/final", str(tmp_path / "out"))
    assert fetched.returncode == 0, fetched.stderr
    assert list((tmp_path / "out").rglob("adapter_model.safetensors"))
    block_until(lambda: not alive(processes_of(shell.home)), "every process to end")


def test_a_worker_that_is_killed_leaves_nothing_running_and_says_so(shell: Shell) -> None:
    run_id = shell.launched(*MANY_STEPS, VFM_TRAINERS="2")
    shell.await_event(run_id, first_step)
    running = processes_of(shell.home)
    assert any("EngineCore" in command for command in running.values())
    trainers = [c for c in running.values() if "remote.workers.rank" in c and "guardian" not in c]
    assert len(trainers) == 2
    os.kill(int(shell.record(run_id)["identifiers"]["worker_pid"]), signal.SIGKILL)
    record = shell.await_end(run_id)
    assert record["status"] == "failed"
    assert "SIGKILL" in record["failure"]["message"]
    block_until(lambda: not alive(running), "every process to end")


def test_a_server_that_is_killed_in_mid_run_is_started_again(shell: Shell) -> None:
    run_id = shell.launched(*MANY_STEPS, "--set", "vllm.restarts=1")
    shell.await_event(run_id, first_step)

    def kill_engine() -> None:
        (engine,) = [pid for pid, command in processes_of(shell.home).items() if "EngineCore" in command]
        os.kill(engine, signal.SIGKILL)

    kill_engine()
    shell.await_event(run_id, lambda e: bool(e["type"] == "restart"))
    before = max(e["step"] for e in shell.events(run_id) if e["type"] == "metrics")
    # A step that began before the server died, and one that began after it.
    shell.await_event(run_id, lambda e: bool(e["type"] == "metrics" and e["step"] >= before + 2))
    assert "restarted 1 time (last: vLLM died" in shell("show", run_id).stdout
    running = processes_of(shell.home)
    kill_engine()  # a step has come through since, so the count begins anew
    block_until(
        lambda: len([e for e in shell.events(run_id) if e["type"] == "restart"]) == 2,
        "the second restart",
        seconds=DEADLINE,
    )
    steps = [e["step"] for e in shell.events(run_id) if e["type"] == "metrics"]
    assert steps == sorted(set(steps)), "a step was counted twice"
    assert shell("cancel", run_id).returncode == 0
    shell.await_end(run_id)
    block_until(lambda: not alive(running), "every process to end")


def test_a_server_that_may_not_be_started_again_is_the_cause_and_the_last_step_is_kept(shell: Shell) -> None:
    run_id = shell.launched(*MANY_STEPS, "--set", "vllm.restarts=0", "--set", "modal.retries=0")
    shell.await_event(run_id, first_step)
    running = processes_of(shell.home)
    (engine,) = [pid for pid, command in running.items() if "EngineCore" in command]
    os.kill(engine, signal.SIGKILL)
    followed = shell("logs", run_id, "--follow")
    record = shell.await_end(run_id)
    assert followed.returncode == 1
    assert record["failure"]["boundary"] == "vllm", record["failure"]
    step = max(e["step"] for e in shell.events(run_id) if e["type"] == "metrics")
    assert (shell.run_dir(run_id) / f"checkpoints/checkpoint-{step}/complete.json").exists()
    assert (
        f"go on from the checkpoint of step {step}: vfm resume {run_id}" in record["failure"]["hint"]["text"]
    )
    block_until(lambda: not alive(running), "every process to end")


def test_a_cancelled_run_saves_its_record_and_leaves_nothing_running(shell: Shell) -> None:
    run_id = shell.launched(*MANY_STEPS)
    shell.await_event(run_id, first_step)
    running = processes_of(shell.home)
    assert shell("cancel", run_id).returncode == 0
    assert shell.await_end(run_id)["status"] == "cancelled"
    assert (shell.run_dir(run_id) / "checkpoints/stopped/adapter_model.safetensors").exists()
    (checkpoint,) = (shell.run_dir(run_id) / "checkpoints").glob("checkpoint-*")
    assert {"complete.json", "optimizer.pt"} <= {file.name for file in checkpoint.iterdir()}
    block_until(lambda: not alive(running), "every process to end")


def test_a_fixed_port_that_is_taken_names_its_holder_and_stops_the_run(shell: Shell) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        done = shell("launch", "configs/local_smoke.yaml", "--set", f"vllm.port={port}")
    assert done.returncode == 1
    failure = shell.record(shell.last())["failure"]
    assert failure["boundary"] == "vllm"
    assert str(os.getpid()) in failure["message"]
    assert failure["hint"]["key"] == "vllm.port"


def test_an_environment_that_raises_is_named_with_its_own_line(shell: Shell, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    for name in ("remote", "configs"):
        (project / name).symlink_to(ROOT / name)
    package = project / "environments" / "vf_wordle"
    shutil.copytree(ROOT / "environments" / "vf_wordle", package)
    broken = package / "vf_wordle" / "taskset.py"
    broken.write_text(broken.read_text() + '\nraise LookupError("no words today")\n')
    line = len(broken.read_text().splitlines())
    shell.project = project
    done = shell("launch", str(project / "configs/local_smoke.yaml"))
    assert done.returncode == 1
    failure = shell.record(shell.last())["failure"]
    assert failure["boundary"] == "environment"
    assert f"taskset.py:{line}: LookupError: no words today" in failure["cause"]
    assert "Traceback" not in done.stderr
    block_until(lambda: not alive(processes_of(shell.home)), "every process to end")


def test_a_training_script_of_ones_own_trains_and_fails_by_its_own_name(shell: Shell, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    for name in ("remote", "configs", "environments"):
        (project / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "examples", project / "examples")
    shutil.copy(ROOT / "run_modal.py", project)
    theirs, mine = (project / "examples" / "grpo" / f"train_{name}.py" for name in ("wordle", "mine"))
    more = ['print(f"mine took {trainer.state.global_step} steps")', 'open("/no/such")']
    mine.write_text(
        theirs.read_text().replace("trainer.train()\n", "\n    ".join(["trainer.train()", *more, ""]))
    )
    line = mine.read_text().splitlines().index('    open("/no/such")') + 1
    mapping = (project / "run_modal.py").read_text()
    (project / "run_modal.py").write_text(mapping.replace("train_wordle.py", "train_mine.py"))
    shell.project = project
    done = shell("launch", str(project / "configs/local_smoke.yaml"), "--set", "wandb.enabled=true")
    assert done.returncode == 1
    failure, run = shell.record(shell.last())["failure"], shell.run_dir(shell.last())
    assert failure["boundary"] == "script"
    assert failure["cause"].startswith(f"examples/grpo/train_mine.py:{line}: FileNotFoundError: ")
    assert (run / "script/train_mine.py").read_text() == mine.read_text()
    assert (run / "checkpoints/checkpoint-3/complete.json").exists()
    said = tagged(done.stdout.split("\n"))
    assert "[train] mine took 3 steps" in said
    assert f'[train]   File "examples/grpo/train_mine.py", line {line}, in train' in said
    assert not [text for text in said if "remote/training/script.py" in text]
    # The report to Weights & Biases, written offline, comes along.
    fetched = shell("get", f"{run.parent.parent.name}:runs/{run.name}", str(tmp_path / "out"))
    assert fetched.returncode == 0, fetched.stderr
    assert list((tmp_path / "out" / run.name).rglob("run-*.wandb"))
    assert (tmp_path / "out" / run.name / "checkpoints/checkpoint-3/complete.json").exists()


ADAPTER = """
import sys
from pathlib import Path
from remote.contract.spec import ExperimentSpec
from remote.models.load import load_for_training, prepare_model, save_final
spec = ExperimentSpec.model_validate({"model": {"dtype": "float32"}})
model = prepare_model("builtin/tiny-random", Path(sys.argv[1]), print)
save_final(*load_for_training(spec, model), Path(sys.argv[2]))
"""
"""Saves an adapter of the tiny model, as a training's first step would find it."""


def test_an_evaluation_of_a_checkpoint_scores_held_out_tasks(shell: Shell, tmp_path: Path) -> None:
    python = (ROOT / ".venv" / ".image").read_text().strip()
    cache, adapter = shell.home / "volumes/verifiers-cache-ada-default", tmp_path / "adapter"
    command = [python, "-c", ADAPTER, str(cache), str(adapter)]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT, timeout=120)
    sets = ("--set", "evaluation.num_examples=6", "--set", f"evaluation.checkpoint={adapter}")
    done = shell("launch", "configs/local_smoke.yaml", "--kind", "evaluate", *sets)
    assert done.returncode == 0, done.stderr
    run_id = shell.last()
    summary = json.loads((shell.run_dir(run_id) / "evaluation/summary.json").read_text())
    assert summary["eval/episodes"] == 6
    assert 0 <= summary["eval/total"] <= 2
    assert "merging the adapter of adapter into a copy of builtin/tiny-random" in done.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk_is_named_and_what_was_saved_stays(shell: Shell, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=6m", "none", str(small)]
    mounted = subprocess.run(command, capture_output=True)
    if mounted.returncode:
        pytest.skip(f"no small disk: {mounted.stderr.decode()}")
    try:
        (shell.home / "volumes").symlink_to(small, target_is_directory=True)
        # Every checkpoint is kept, so that the disk is full before the run is over.
        sets = ("--set", "training.save_steps=1", "--set", "training.save_total_limit=99")
        done = shell("launch", "configs/local_smoke.yaml", "--set", "training.steps=99", *sets)
        assert done.returncode == 1
        assert "disk is full" in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        block_until(lambda: not alive(processes_of(shell.home)), "every process to end")
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)
