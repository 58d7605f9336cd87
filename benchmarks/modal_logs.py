"""A log line of a run on Modal: how long from its printing until a terminal has it.

A run in a container prints twenty lines a second, each with the time of its printing. `vfm-tui` with its log
open, `vfm logs --follow` and Modal's own `modal app logs -f` watch it in turn, each in a terminal of its own;
what counts is when the line's bytes are written to that terminal. The server is the local one of Modal's
protocol that the tests use. Run with the light client's Python: `.venv/bin/python -m benchmarks.modal_logs`.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import re
import select
import shlex
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path
from statistics import median, quantiles

from benchmarks.common import PROJECT, machine
from benchmarks.modal_server import served
from remote.contract.record import LaunchRequest, RunRecord, new_run_id
from remote.contract.spec import ExperimentSpec

ROUNDS, SECONDS, WARM_UP, PER_SECOND = 3, 12.0, 6.0, 20
MARK = re.compile(rb"mark (\d+) (\d{10}\.\d{6})")
WORKER = f"""
import json, pathlib, sys, time
from remote.contract.events import EndEvent
from remote.output.emitter import Emitter
run_dir = pathlib.Path(json.loads(pathlib.Path(sys.argv[1]).read_text())["run_dir"])
emit, number, enough = Emitter(run_dir), 0, pathlib.Path(__file__).with_name("enough")
while not enough.exists() and number < 100_000:
    emit.say("train", f"mark {{number}} {{time.time():.6f}}")
    number += 1
    time.sleep(1 / {PER_SECOND})
emit.emit(EndEvent(status="done", exit_code=0))
"""


def main() -> None:
    """Print each watcher's median and 99th percentile."""
    print(machine())
    with tempfile.TemporaryDirectory() as name, served(Path(name)) as env:
        os.environ.update(env)
        run = asyncio.run(_running(Path(name)))
        app, run_id = run.identifiers["app"], run.run_id
        ways = {
            "vfm-tui": [sys.executable, "-m", "tui", run_id],
            "vfm logs --follow": [sys.executable, "-m", "tui.cli", "logs", run_id, "--follow"],
            "modal app logs -f": [sys.executable, "-m", "modal", "app", "logs", app, "-f"],
        }
        taken: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(ROUNDS):
            for way, command in ways.items():
                taken[way] += _watched(command)
        (Path(name) / "enough").touch()
    for way, times in taken.items():
        worst = quantiles(times, n=100)[98]
        print(f"{way}: median {median(times):.0f} ms, p99 {worst:.0f} ms (of {len(times)} lines)")


async def _running(folder: Path) -> RunRecord:
    """A run that prints, and its app's id."""
    from tui.backends.modal.backend import ModalBackend

    (folder / "worker.py").write_text(WORKER)
    (folder / "project.env").write_text("EXPERIMENTER=bench\n")
    worker = shlex.join([sys.executable, str(folder / "worker.py")])
    given = {"VFM_WORKER": worker, "VFM_IMAGE_PYTHON": sys.executable, "VFM_STOP_GRACE": "5"}
    backend = ModalBackend(folder / "home", PROJECT, given, folder / "project.env")
    run = await backend.launch(
        LaunchRequest(
            run_id=new_run_id("vf_wordle"),
            spec=ExperimentSpec(),
            model="builtin/tiny-random",
            environment="vf_wordle",
            experimenter="bench",
            experiment="logs",
            outputs="verifiers-outputs-bench-logs",
            cache="verifiers-cache-bench-logs",
        )
    )
    async for _ in backend.watch(run):
        log = backend.log_path(run)
        if log.exists() and MARK.search(log.read_bytes()):
            return await backend.status(run)
    raise SystemExit("the run ended before it printed anything")


def _watched(command: list[str]) -> list[float]:
    """Milliseconds of each line that was printed while the command watched; its history does not count."""
    terminal, inside = pty.openpty()
    fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    env = {**os.environ, "TERM": "xterm-256color"}
    child = subprocess.Popen(
        command, cwd=PROJECT, env=env, stdin=inside, stdout=inside, stderr=inside, start_new_session=True
    )
    os.close(inside)
    began, seen, held = time.time(), dict[bytes, float](), b""
    try:
        while time.time() < began + SECONDS:
            if not select.select([terminal], [], [], 0.1)[0]:
                continue
            held += os.read(terminal, 1 << 16)
            now = time.time()
            for found in MARK.finditer(held):
                if float(found[2]) > began + WARM_UP:
                    seen.setdefault(found[1], 1000 * (now - float(found[2])))
            held = held[-64:]
    finally:
        child.kill()
        child.wait()
        os.close(terminal)
    missing = _missing([int(number) for number in seen])
    if not seen or missing:
        raise SystemExit(f"{command}: {len(seen)} lines seen, {missing} missing between them")
    return list(seen.values())


def _missing(numbers: list[int]) -> int:
    return max(numbers) - min(numbers) + 1 - len(numbers) if numbers else 0


if __name__ == "__main__":
    main()
