"""Start-up to first content in a pseudo-terminal: `vfm-tui` against a minimal Textual app and others.

Run with the light client's Python: `.venv/bin/python -m benchmarks.start_up`. `--peers` also installs
posting, harlequin and toolong, each into a throw-away environment, and measures them in the same rounds.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks.common import PROJECT, machine, spread, verdict

BUDGET = 1.8
"""How many times a minimal Textual app's start-up ours may take."""
CACHED_RUNS = 10_000
PEERS = {
    # The pin: with tree-sitter 0.26.1 posting 2.11.1 ends before it draws (a segmentation fault).
    "posting": (["posting", "tree-sitter<0.26"], ["posting"], b"Collection"),
    "harlequin": (["harlequin"], ["harlequin", "--locale", "C"], b"Catalog"),
    "toolong": (["toolong"], ["tl", "LOG"], b"first line"),
}
"""What is installed, what is started, and the text by which its first content is known."""
_NAMES = {
    "experimenter": "ann",
    "experiment": "bench",
    "environment": "vf_wordle",
    "model": "builtin/tiny-random",
}
MINIMAL = """
from textual.app import App
from textual.widgets import Static

class Minimal(App):
    def compose(self):
        yield Static("CONTENT")

Minimal().run()
"""


@dataclass
class Program:
    """What is started, and by which text its first content is known."""

    command: list[str]
    content: bytes
    env: dict[str, str] = field(default_factory=dict)


def seconds(program: Program) -> float:
    """From the start of a program to its first content on the terminal."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    env = {**_environment(), **program.env}
    began = time.perf_counter()
    child = subprocess.Popen(
        program.command, stdin=follower, stdout=follower, stderr=follower, env=env, start_new_session=True
    )
    os.close(follower)
    try:
        _until(leader, program.content)
        return time.perf_counter() - began
    finally:
        child.kill()
        child.wait()
        os.close(leader)


def main() -> None:
    """Print medians, and ours against a minimal Textual app's."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument(
        "--peers", action="store_true", help="install and measure posting, harlequin, toolong"
    )
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        programs = _programs(Path(folder)) | (_peers(Path(folder)) if asked.peers else {})
        taken: dict[str, list[float]] = {name: [] for name in programs}
        for _ in range(asked.rounds + 1):
            for name, program in programs.items():
                taken[name].append(seconds(program))
    print(machine())
    base = median(taken["minimal Textual app"][1:])
    for name, times in taken.items():
        warm = times[1:]  # the first start reads from disk
        print(f"{name}: {spread(warm)}, {median(warm) / base:.2f} x")
    for name in ("vfm-tui", f"vfm-tui, {CACHED_RUNS} runs"):
        print(verdict(f"{name} / minimal Textual app", median(taken[name][1:]) / base, BUDGET))


def _programs(folder: Path) -> dict[str, Program]:
    beside = Path(sys.executable).parent
    ours = str(beside / "vfm-tui")
    empty, full = folder / "empty", folder / "full"
    marker = _fill(full)
    return {
        "minimal Textual app": Program([sys.executable, "-c", MINIMAL], b"CONTENT"),
        "vfm-tui": Program([ours], b"runs", {"VFM_HOME": str(empty)}),
        f"vfm-tui, {CACHED_RUNS} runs": Program([ours], marker, {"VFM_HOME": str(full)}),
        "modal --help": Program([str(beside / "modal"), "--help"], b"Usage"),
    }


def _fill(home: Path) -> bytes:
    """Runs on disk, and the rows of them that a session before has kept; returns the newest one's name."""
    from remote.contract.record import RunRecord
    from tui.store.runs.row import RunRow
    from tui.store.runs.row_cache import RunCache

    now, volume = time.time(), "verifiers-outputs-ann-bench"
    ids = [f"{'first' if number == 0 else 'later'}-{number:05}" for number in range(CACHED_RUNS)]
    for number, run_id in enumerate(ids):
        fields = {"run_id": run_id, "kind": "train", "backend": "local", "status": "done", "outputs": volume}
        times = {"created": now - number * 60, "started": now - number * 60, "ended": now - number * 60 + 30}
        record = RunRecord.model_validate({**fields, **times, "exit_code": 0, **_NAMES})
        run_dir = home / "volumes" / volume / "runs" / run_id
        run_dir.mkdir(parents=True)
        (run_dir / "record.json").write_text(record.model_dump_json())
    rows = [
        RunRow(
            run_id,
            status="done",
            outputs=volume,
            created=now - number * 60,
            reward=0.5,
            complete=True,
            **_NAMES,  # type: ignore[arg-type]
        )
        for number, run_id in enumerate(ids)
    ]
    RunCache(home / "app" / "runs.json").write(rows)
    return ids[0].encode()


def _peers(folder: Path) -> dict[str, Program]:
    """Each peer in an environment of its own; one that cannot be installed is left out, and named."""
    found = {}
    (folder / "home").mkdir()
    (folder / "LOG").write_text("the first line of a log\n")
    for name, (packages, (script, *words), content) in PEERS.items():
        if _install(folder / name, packages):
            args = [str(folder / word) if word == "LOG" else word for word in words]
            command = [str(folder / name / "bin" / script), *args]
            found[name] = Program(command, content, {"HOME": str(folder / "home")})
        else:
            print(f"{name} could not be installed")
    return found


def _install(place: Path, packages: list[str]) -> bool:
    uv = [sys.executable, "-m", "uv"]
    make = [*uv, "venv", "-q", "--python", sys.executable, str(place)]
    put = [*uv, "pip", "install", "-q", "--python", str(place), *packages]
    return all(subprocess.run(command, check=False).returncode == 0 for command in (make, put))


def _environment() -> Mapping[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {**kept, "TERM": "xterm-256color", "COLORTERM": "truecolor", "VFM_PROJECT": str(PROJECT)}


def _until(leader: int, content: bytes, patience: float = 60.0) -> None:
    seen, deadline = b"", time.perf_counter() + patience
    while content not in seen:
        left = max(deadline - time.perf_counter(), 0)
        try:
            more = os.read(leader, 65536) if select.select([leader], [], [], left)[0] else b""
        except OSError:  # how Linux says that the other side is closed
            more = b""
        if not more:
            raise TimeoutError(f"{content!r} never came; there was {seen[-2000:]!r}")
        seen += more


if __name__ == "__main__":
    main()
