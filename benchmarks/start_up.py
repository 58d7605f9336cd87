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
PEERS = {"posting": "posting", "harlequin": "harlequin", "toolong": "tl"}
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
    return b"runs"


def _peers(folder: Path) -> dict[str, Program]:
    """Each peer in an environment of its own; one that cannot be installed is left out, and named."""
    found = {}
    for package, script in PEERS.items():
        place = folder / package
        uv = [sys.executable, "-m", "uv"]
        make = subprocess.run([*uv, "venv", "-q", "--python", sys.executable, str(place)], check=False)
        put = [*uv, "pip", "install", "-q", "--python", str(place), package]
        if make.returncode or subprocess.run(put, check=False).returncode:
            print(f"{package} could not be installed")
            continue
        found[package] = Program(_peer_command(place, script, folder), _peer_content(package), _home(folder))
    return found


def _peer_command(place: Path, script: str, folder: Path) -> list[str]:
    log = folder / "some.log"
    log.write_text("the first line of a log\n")
    return [str(place / "bin" / script), *([str(log)] if script == "tl" else [])]


def _peer_content(package: str) -> bytes:
    return {"posting": b"POST", "harlequin": b"Catalog", "toolong": b"first line"}[package]


def _home(folder: Path) -> dict[str, str]:
    return {"HOME": str(folder / "home")}


def _environment() -> Mapping[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {**kept, "TERM": "xterm-256color", "COLORTERM": "truecolor", "VFM_PROJECT": str(PROJECT)}


def _until(leader: int, content: bytes, patience: float = 60.0) -> None:
    seen, deadline = b"", time.perf_counter() + patience
    while content not in seen:
        left = deadline - time.perf_counter()
        if left <= 0 or not select.select([leader], [], [], left)[0]:
            raise TimeoutError(f"{content!r} never came; there was {seen[-2000:]!r}")
        seen += os.read(leader, 65536)


if __name__ == "__main__":
    main()
