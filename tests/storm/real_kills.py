"""Kills of real trainings: the tiny model, a real vLLM, and the command line. Needs the local image.

A run whose server dies goes on by itself; one whose worker or supervisor dies is resumed with `vfm resume`.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from remote.contract import layout
from remote.processes import guardian, lifecycle
from tests.backends.conftest import PROJECT
from tests.cli.conftest import Vfm
from tests.storm.kills import look
from tests.storm.report import Report

VICTIMS = ("worker", "supervisor", "engine", "everything")
PATIENCE = 300.0  # seconds that a run of a few steps may take on a busy machine
SETS = ("training.steps=6", "training.save_steps=1", "training.save_total_limit=2", "wandb.enabled=false")


def image() -> str:
    """The local image's Python; empty where it is not built."""
    from remote.image.local import find
    from tui.settings import glance

    return str(find(glance({}).home) or "")


async def storm(rng: random.Random, deadline: float, home: Path, report: Report) -> None:
    """Run after run until the deadline (`time.monotonic`)."""
    python = image()
    number = 0
    while python and time.monotonic() < deadline:
        number += 1
        await asyncio.to_thread(_run, rng, Vfm(home / str(number)), python, report)


def _run(rng: random.Random, shell: Vfm, python: str, report: Report) -> None:
    real = {"VFM_IMAGE_PYTHON": python, "VFM_WORKER": ""}
    sets = [word for text in SETS for word in ("--set", text)]
    done = shell("launch", str(PROJECT / "configs/local_smoke.yaml"), *sets, "--detach", **real)
    run = done.stdout.strip()
    run_dir = next(shell.home.glob(f"volumes/*/runs/{run}"))
    victim = rng.choice(VICTIMS)
    killed = _kill(rng, victim, run_dir, report)
    report.add("runs")
    if not _over(run_dir):
        report.violate("processes left", f"{run_dir}: {victim} killed, and the run does not end")
        _end(run_dir)
        return
    record = json.loads(shell("show", run, "--json", **real).stdout)
    where = f"{run_dir}: {victim} killed"
    if victim == "engine" and record["status"] != "done":
        report.violate("resumes failed", f"{where}: {record['status']} ({record['failure']})")
    if record["status"] == "failed" and killed:
        report.add("resumes")
        resumed = shell("resume", run, "--detach", **real)
        if resumed.returncode:
            report.violate("resumes failed", f"{where}: {resumed.stderr[-300:]}")
        elif not _over(run_dir):
            report.violate("processes left", f"{where}: resumed, and the run does not end")
            _end(run_dir)
            return
        else:
            record = json.loads(shell("show", run, "--json", **real).stdout)
            if record["status"] != "done":
                report.violate("resumes failed", f"{where}: {record['status']} ({record['failure']})")
    look(run_dir, [[0]], report)


def _kill(rng: random.Random, victim: str, run_dir: Path, report: Report) -> bool:
    """Wait for a moment between the first process and the last step, and kill."""
    deadline = time.monotonic() + rng.uniform(2, 60)
    steps = rng.randrange(6)
    while time.monotonic() < deadline and not _over(run_dir, 0):
        if victim == "engine" and _steps(run_dir) >= max(steps, 1):
            break
        time.sleep(0.1)
    who: dict[str, Any] = json.loads((run_dir / layout.RECORD).read_bytes())["identifiers"]
    supervisor, worker = int(who.get("pid", 0)), int(who.get("worker_pid", 0))
    engine = [pid for pid in guardian.descendants(worker) if b"vllm" in _command(pid)] if worker else []
    chosen = {"worker": [worker], "supervisor": [supervisor], "engine": engine[:1]}
    pids = [pid for pid in chosen.get(victim, [supervisor, worker, *engine]) if pid > 1]
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            report.add("kills")
    return bool(pids)


def _steps(run_dir: Path) -> int:
    with suppress(OSError):
        return (run_dir / layout.EVENTS).read_bytes().count(b'"type":"metrics"')
    return 0


def _command(pid: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def _over(run_dir: Path, patience: float = PATIENCE) -> bool:
    lock = lifecycle.take_lock(run_dir, patience)
    if lock is not None:
        os.close(lock)
    return lock is not None


def _end(run_dir: Path) -> None:
    """End what is left of a run that hangs, which has been told of."""
    who = json.loads((run_dir / layout.RECORD).read_bytes())["identifiers"]
    for name, started in (("pid", "started"), ("worker_pid", "worker_started")):
        pid = int(who.get(name, 0))
        if pid and lifecycle.start_time(pid) == who.get(started):
            for child in (*guardian.descendants(pid), pid):
                with suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
