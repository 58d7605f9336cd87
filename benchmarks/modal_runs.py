"""Listing 200 runs in 50 volumes of Modal: `vfm runs` beside one `modal volume ls` for each volume.

The rows that the last session kept are read first, as the app's first frame does. Then `vfm runs` lists
on a machine that knows nothing yet, and again on the same machine; in between Modal's own command line lists
ten of the volumes, a process each. All on the local server of Modal's protocol that the tests use. Run with
the light client's Python: `.venv/bin/python -m benchmarks.modal_runs`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.common import PROJECT, machine, spread, verdict
from benchmarks.modal_server import served
from remote.contract import layout
from remote.contract.events import EndEvent, MetricsEvent, encode_line
from remote.contract.record import RunRecord

VOLUMES, EACH, ROUNDS = 50, 4, 5
SAMPLE = 10
"""Volumes that Modal's command line lists in each round: others in each, so that all fifty are."""
_FIRST = """
import sys, time
from pathlib import Path
from tui.services.run_list import RunList
began = time.perf_counter()
runs = RunList(None, Path(sys.argv[1]))
runs.read_first()
print(1000 * (time.perf_counter() - began), len(runs.rows))
"""
_SESSION = """
import asyncio, sys
from pathlib import Path
from tui.client import Client
from tui.services.run_list import RunList
from tui.settings import Settings
async def main():
    async def connect(): return Client.default(Settings.load())
    runs = RunList(connect, Path(sys.argv[1]))
    async for _ in runs.updates():
        if len(runs.rows) == int(sys.argv[2]) and all(row.complete for row in runs.rows): break
    await runs.save()
asyncio.run(main())
"""


def main() -> None:
    """Print when the first rows are there, when all are, and the ratio to Modal's own listing."""
    print(machine())
    with tempfile.TemporaryDirectory() as name, served(Path(name)) as env:
        names = [f"verifiers-outputs-bench-{number:02d}" for number in range(VOLUMES)]
        for volume in names:
            _fill(Path(name) / "cloud" / "volumes" / volume, volume)
        first = _first_rows(Path(name) / "app", env)
        new: list[float] = []
        again: list[float] = []
        theirs: list[float] = []
        for number in range(ROUNDS):
            shutil.rmtree(Path(name) / "home", ignore_errors=True)
            new.append(_ours(env))
            again.append(_ours(env))
            some = names[number * SAMPLE : (number + 1) * SAMPLE]
            theirs.append(sum(_theirs(volume, env) for volume in some) / len(some))
    print(f"first rows from the cache: {first}")
    print(f"vfm runs, on a new machine: {spread(new)}")
    print(f"vfm runs, once more: {spread(again)}")
    print(
        f"modal volume ls, one volume: {spread(theirs)}; {VOLUMES} of them: {VOLUMES * median(theirs):.3g} s"
    )
    print(verdict("new machine", median(new) / (VOLUMES * median(theirs)), 0.25))
    print(verdict("once more", median(again) / (VOLUMES * median(theirs)), 0.25))


def _fill(folder: Path, volume: str) -> None:
    """Some runs that are over."""
    for number in range(EACH):
        run_id = f"{volume[-2:]}x{number}-wordle"
        run_dir = folder / layout.run_path(run_id)
        (run_dir / layout.LOGS).mkdir(parents=True)
        now = time.time()
        record = RunRecord(
            run_id=run_id, kind="train", backend="modal", status="done", exit_code=0, created=now - 100,
            started=now - 90, ended=now, experimenter="bench", experiment=volume[-2:],
            environment="vf_wordle", model="builtin/tiny-random", outputs=volume, usd_per_hour=1.0,
        )  # fmt: skip
        (run_dir / layout.RECORD).write_text(record.model_dump_json())
        events = [MetricsEvent(step=n, seq=n, values={"reward": n / 20}) for n in range(20)]
        lines = [encode_line(event) for event in [*events, EndEvent(status="done", exit_code=0, seq=20)]]
        (run_dir / layout.STREAM).write_text("".join(f"{line}\n" for line in lines))


def _first_rows(app: Path, env: dict[str, str]) -> str:
    """A session that saw all runs leaves its rows; another one reads them."""
    app.mkdir()
    total = str(VOLUMES * EACH)
    subprocess.run([sys.executable, "-c", _SESSION, str(app), total], cwd=PROJECT, env=env, check=True)
    command = [sys.executable, "-c", _FIRST, str(app)]
    said = [
        subprocess.run(command, cwd=PROJECT, env=env, check=True, capture_output=True, text=True).stdout
        for _ in range(ROUNDS)
    ]
    times, counts = zip(*((float(line.split()[0]), line.split()[1]) for line in said), strict=True)
    return f"{spread(list(times), 'ms')}, {counts[0]} rows"


def _ours(env: dict[str, str]) -> float:
    took, said = _timed(["-m", "tui.cli", "runs", "--json"], env)
    found = [run for run in json.loads(said) if run["backend"] == "modal"]
    assert len(found) == VOLUMES * EACH, f"{len(found)} runs were listed"
    return took


def _theirs(volume: str, env: dict[str, str]) -> float:
    took, said = _timed(["-m", "modal", "volume", "ls", "--json", volume, "runs"], env)
    assert len(json.loads(said)) == EACH
    return took


def _timed(arguments: list[str], env: dict[str, str]) -> tuple[float, str]:
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *arguments], cwd=PROJECT, env={**os.environ, **env}, check=True,
        capture_output=True, text=True,
    )  # fmt: skip
    return time.perf_counter() - began, done.stdout


if __name__ == "__main__":
    main()
