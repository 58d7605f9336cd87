"""A download from a Modal volume: `vfm get` beside Modal's own `modal volume get`, whole and after a kill.

100 MiB in one file beside 500 small ones, from the local server of Modal's protocol that the tests use. Both
programs are started as people start them, in a terminal, one after the other on the same server. Killed half
way, `vfm get` goes on, and `modal volume get --force` begins anew. Run with the light client's Python:
`.venv/bin/python -m benchmarks.modal_download`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from statistics import median

from benchmarks.common import PROJECT, machine, spread, verdict
from benchmarks.modal_server import served

VOLUME, RUN = "verifiers-outputs-bench-download", "runs/one"
BIG = 100 * 2**20
SMALL = 500
ROUNDS = 7
WAYS = {
    "vfm get": ["-m", "tui.cli", "get", f"{VOLUME}:{RUN}"],
    "modal volume get": ["-m", "modal", "volume", "get", "--force", VOLUME, RUN],
}


def main() -> None:
    """Print medians of whole and of resumed downloads, and their ratios."""
    print(machine())
    with tempfile.TemporaryDirectory() as name, served(Path(name)) as env:
        env["TERM"] = "xterm-256color"  # Modal's progress bars ask for it
        source = _fill(Path(name) / "cloud" / "volumes" / VOLUME / RUN)
        whole: dict[str, list[float]] = {way: [] for way in WAYS}
        resumed: dict[str, list[float]] = {way: [] for way in WAYS}
        for _ in range(ROUNDS):
            for way in WAYS:
                whole[way].append(_whole(way, env, Path(name), source))
                resumed[way].append(_resumed(way, env, Path(name), source))
    for what, taken in (("whole", whole), ("restarted after a kill half way", resumed)):
        for way in WAYS:
            print(f"{what}, {way}: {spread(taken[way])}")
    ours, theirs = WAYS
    print(verdict("whole", median(whole[ours]) / median(whole[theirs]), 0.8))
    print(verdict("after a kill", median(resumed[ours]) / median(resumed[theirs]), 0.6))


def _fill(run: Path) -> Path:
    """A run with a big checkpoint between many small files, written an hour ago."""
    (run / "checkpoints").mkdir(parents=True)
    (run / "rollouts").mkdir()
    (run / "checkpoints" / "model.safetensors").write_bytes(os.urandom(BIG))
    for number in range(SMALL):
        (run / "rollouts" / f"step-{number:06d}.jsonl").write_bytes(os.urandom(2000 + number))
    for path in run.rglob("*"):
        os.utime(path, (time.time() - 3600,) * 2)
    return run


class Run:
    """A download in a terminal of its own, whose screen somebody reads."""

    def __init__(self, way: str, env: dict[str, str], to: Path) -> None:
        self.said = b""
        self._screen, terminal = os.openpty()
        command = [sys.executable, *WAYS[way], str(to)]
        self.child = subprocess.Popen(
            command, cwd=PROJECT, env=env, stdin=terminal, stdout=terminal, stderr=terminal
        )
        os.close(terminal)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def end(self) -> int:
        """Wait for it; its exit code."""
        code = self.child.wait()
        self._reader.join()
        os.close(self._screen)
        return code

    def _read(self) -> None:
        with suppress(OSError):  # a terminal that nobody holds any more
            while more := os.read(self._screen, 65536):
                self.said += more


def _whole(way: str, env: dict[str, str], folder: Path, source: Path) -> float:
    to = folder / "whole"
    to.mkdir()
    took = _finished(way, env, to, source)
    shutil.rmtree(to)
    return took


def _resumed(way: str, env: dict[str, str], folder: Path, source: Path) -> float:
    """Seconds that the second attempt takes when the first was killed with half of the bytes there."""
    to = folder / "resumed"
    to.mkdir()
    run = Run(way, env, to)
    while run.child.poll() is None and _bytes(to) < BIG // 2:
        time.sleep(0.01)
    assert run.child.poll() is None, "it was over before it could be killed"
    run.child.send_signal(signal.SIGKILL)
    run.end()
    took = _finished(way, env, to, source)
    shutil.rmtree(to)
    return took


def _finished(way: str, env: dict[str, str], to: Path, source: Path) -> float:
    os.sync()
    began = time.perf_counter()
    run = Run(way, env, to)
    assert run.end() == 0, run.said[-2000:].decode()
    took = time.perf_counter() - began
    assert _digests(to / source.name) == _digests(source), "what arrived is not what was there"
    return took


def _bytes(folder: Path) -> int:
    """Bytes on disk, not lengths: a file may have holes. Part files come and go meanwhile."""
    found = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            found += path.stat().st_blocks * 512 if path.is_file() else 0
    return found


def _digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


if __name__ == "__main__":
    main()
