"""Real runs: the real `vfm`, the real worker, real vLLM on this machine's CPU, with a tiny model."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import block_until

ROOT = Path(__file__).parents[2]
VFM = Path(sys.executable).with_name("vfm")
DEADLINE = 300.0  # seconds for a whole run on a busy machine


@dataclass
class Shell:
    """A user's shell with a home of its own; the image that was built ahead lies in it."""

    home: Path
    project: Path = ROOT
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def env(self, **more: str) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("VFM_", "EXPERIMENT"))}
        ours = {"VFM_HOME": str(self.home), "VFM_PROJECT": str(self.project), "EXPERIMENTER": "ada"}
        return {**kept, **ours, **more}

    def start(self, *args: str, **env: str) -> subprocess.Popen[str]:
        """A `vfm` that goes on by itself."""
        child = subprocess.Popen(
            [str(VFM), *args],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=self.env(**env),
        )
        self.started.append(child)
        return child

    def __call__(self, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
        """A `vfm` run to its end."""
        child = self.start(*args, **env)
        out, err = child.communicate(timeout=DEADLINE)
        return subprocess.CompletedProcess(args, child.returncode, out, err)

    def launched(self, *args: str, **env: str) -> str:
        """Launch the smoke config detached, with more arguments; returns the run's id."""
        done = self("launch", "configs/local_smoke.yaml", "--detach", *args, **env)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def last(self) -> str:
        """The id of the newest run."""
        return str(json.loads(self("show", "last", "--json").stdout)["run_id"])

    def run_dir(self, run_id: str) -> Path:
        """Where a run lies."""
        return next(self.home.glob(f"volumes/*/runs/{run_id}"))

    def events(self, run_id: str) -> list[dict[str, Any]]:
        """The run's events as they stand on disk; a torn last line is left out."""
        path = self.run_dir(run_id) / "events.jsonl"
        lines = path.read_text().split("\n")[:-1] if path.exists() else []
        return [json.loads(line) for line in lines]

    def record(self, run_id: str) -> dict[str, Any]:
        """The run's record."""
        found: dict[str, Any] = json.loads((self.run_dir(run_id) / "record.json").read_text())
        return found

    def await_event(self, run_id: str, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait until the run says something; fail where it ends without."""
        found: dict[str, Any] = {}

        def said() -> bool:
            events = self.events(run_id)
            found.update(next((e for e in events if wanted(e)), {}))
            assert found or not any(e["type"] == "end" for e in events), "the run ended without saying it"
            return bool(found)

        block_until(said, "an event", seconds=DEADLINE)
        return found

    def await_end(self, run_id: str) -> dict[str, Any]:
        """Wait for the run's last event, then return its record."""
        self.await_event(run_id, lambda e: e["type"] == "end")
        block_until(
            lambda: self.record(run_id)["status"] not in ("pending", "running"),
            "the record",
            seconds=DEADLINE,
        )
        return self.record(run_id)


def processes_of(home: Path) -> dict[int, str]:
    """Every process of a run under a home, and all that they started: pid → command.

    They inherit the home's name. A process that gives itself another title loses it, and is found by its
    parent.
    """
    parents = {pid: int(stat[1]) for pid in _pids() if (stat := _stat(pid))}
    found = {pid for pid in parents if _runs_in(home, pid)} - {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return {pid: _command(pid) for pid in found}


def alive(pids: Iterable[int]) -> list[int]:
    """Those that still run; a process that nobody has waited for is over all the same."""
    return [pid for pid in pids if (stat := _stat(pid)) and stat[0] != "Z"]


def _pids() -> list[int]:
    return [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdigit()]


def _stat(pid: int) -> list[str]:
    """State, parent and what follows in /proc/PID/stat; empty for a process that is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _runs_in(home: Path, pid: int) -> bool:
    try:
        return f"VFM_HOME={home}\0".encode() in Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


_WEIGHTS = (
    *("README.md", "adapter_config.json", "adapter_model.safetensors"),
    *("chat_template.jinja", "tokenizer.json", "tokenizer_config.json"),
)
_TO_RESUME = (
    *("complete.json", "optimizer.pt", "rng_state.pth", "scheduler.pt"),
    *("trainer_state.json", "training_args.bin"),
)
SMOKE_RUN = frozenset(
    {
        *("record.json", "request.json", "spec.json", "environment.json", "events.jsonl"),
        "logs/stream.log",
        *(f"rollouts/step-00000{step}.jsonl" for step in (1, 2, 3)),
        "script/train_wordle.py",
        "checkpoints/README.md",
        *(f"checkpoints/final/{name}" for name in _WEIGHTS),
        *(f"checkpoints/checkpoint-3/{name}" for name in (*_WEIGHTS, *_TO_RESUME)),
    }
)
"""The files of a whole run of the smoke config, whichever backend it ran on."""


def layout_of(run: Path) -> frozenset[str]:
    """The files of a run directory that are part of its layout: no lock."""
    files = (str(path.relative_to(run)) for path in run.rglob("*") if path.is_file())
    return frozenset(name for name in files if name != ".lock")


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """A home where nothing has run, and nothing is left running after the test."""
    image = Path((ROOT / ".venv" / ".image").read_text().strip())
    home = tmp_path / "home"
    home.mkdir()
    (home / "images").symlink_to(image.parents[2], target_is_directory=True)
    made = Shell(home)
    yield made
    for child in made.started:
        if child.poll() is None:
            child.kill()
        child.communicate()
    for pid in alive(processes_of(home)):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
