"""Kills: runs of the scripted worker whose processes die at any moment, and what is left of them.

Real supervisors, launchers and volume; only the work of the worker is scripted, so that a run takes a second.
Every run is looked at afterwards, and resumed.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from remote.contract import layout
from remote.contract.errors import VfmError
from remote.contract.events import RECORD_SEPARATOR, AttemptEvent, EndEvent, decode_line
from remote.contract.record import FINAL, LaunchRequest, RunRecord
from remote.processes import lifecycle, scratch
from tests.backends.conftest import PROJECT, LocalBench, request
from tests.storm.report import Report
from tests.waiting import until

LAUNCHER = PROJECT / "tests/backends/launcher.py"
VICTIMS = ("launcher", "supervisor", "worker", "worker's group", "supervisor and worker", "nobody")
PATIENCE = 30.0  # seconds that processes of a killed run have to be gone


LANES = 3  # runs under way at once


async def storm(rng: random.Random, deadline: float, home: Path, report: Report) -> None:
    """Run after run until the deadline (`time.monotonic`)."""
    seeds = [rng.random() for _ in range(LANES)]
    lanes = (_lane(random.Random(seed), deadline, home / f"{n}", report) for n, seed in enumerate(seeds))
    await asyncio.gather(*lanes)


async def _lane(rng: random.Random, deadline: float, home: Path, report: Report) -> None:
    number = 0
    while time.monotonic() < deadline:
        number += 1
        bench = LocalBench(home / f"{number // 25}")
        try:
            await _run(rng, bench, report)
        except (VfmError, OSError, AssertionError) as error:
            report.violate("unforeseen errors", f"{type(error).__name__}: {error}")
        finally:
            bench.close()


class Killed:
    """One run that something happens to."""

    def __init__(self, rng: random.Random, bench: LocalBench, report: Report) -> None:
        self._rng, self._bench, self._report = rng, bench, report
        self.request = request()
        self.run_dir = bench.home / "volumes" / self.request.outputs / layout.run_path(self.request.run_id)
        self.counts = [rng.randrange(200) for _ in range(3)]
        """Lines of each burst of the worker."""

    def script(self) -> str:
        """Bursts of lines and steps, with pauses in which a kill may fall."""
        first, second, third = self.counts
        pause = f"pause:{self._rng.random() * 0.1:.3f}"
        polite = self._rng.choice(["polite ", "", ""])
        return (
            f"{polite}lines:{first} steps:3 {pause} saved:2/4 lines:{second} {pause} lines:{third} end:done"
        )

    async def launch(self, victim: str) -> None:
        """Launch the run, by a process that may be killed while it does."""
        folder = self._bench.home
        folder.mkdir(parents=True, exist_ok=True)
        asked, env = folder / "request.json", folder / "env.json"
        asked.write_text(self.request.model_dump_json())
        backend = self._bench.backend(self.script())
        env.write_text(json.dumps(backend._env))
        launcher = subprocess.Popen(
            [sys.executable, str(LAUNCHER), str(asked), str(folder), str(env)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": str(PROJECT)},
        )
        delay = self._rng.random() * (1.5 if victim == "launcher" else 0.6)
        if victim == "launcher":
            await asyncio.sleep(delay)
            launcher.kill()
            self._report.add("kills")
        else:
            await self._on_record(launcher)
            await asyncio.sleep(delay)
            self._kill(victim)
        await asyncio.to_thread(_end_of, launcher)

    async def _on_record(self, launcher: subprocess.Popen[bytes]) -> None:
        record = self.run_dir / layout.RECORD
        await until(lambda: launcher.poll() is not None or record.exists(), "the record", seconds=PATIENCE)

    def _kill(self, victim: str) -> None:
        who = _record(self.run_dir).get("identifiers", {})
        supervisor, worker = int(who.get("pid", 0)), int(who.get("worker_pid", 0))
        targets = {
            "supervisor": [supervisor],
            "worker": [worker],
            "worker's group": [-worker],
            "supervisor and worker": [supervisor, -worker],
        }
        for pid in filter(None, targets.get(victim, [])):
            started = who["started" if pid == supervisor else "worker_started"]
            if lifecycle.start_time(abs(pid)) == started:
                with suppress(ProcessLookupError):
                    (os.killpg if pid < 0 else os.kill)(abs(pid), signal.SIGKILL)
                    self._report.add("kills")

    async def gone(self) -> bool:
        """Whether all processes of the run end; the lock is theirs as long as one lives."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if not self.run_dir.exists():
                return True
            lock = lifecycle.take_lock(self.run_dir)
            if lock is not None:
                os.close(lock)
                return True
            await asyncio.sleep(0.02)
        self._report.violate("processes left", str(self.run_dir))
        return False


async def _run(rng: random.Random, bench: LocalBench, report: Report) -> None:
    run = Killed(rng, bench, report)
    victim = rng.choice(VICTIMS)
    await run.launch(victim)
    if not await run.gone():
        return
    report.add("runs")
    if not (run.run_dir / layout.RECORD).exists():
        left = [path.name for path in run.run_dir.parent.glob("*") if path.name == run.request.run_id]
        if left and victim != "launcher":
            report.violate("records unreadable", f"{run.run_dir} has no record ({victim} killed)")
        return
    backend = bench.backend("lines:20 end:done")
    record = await backend.status(RunRecord.model_validate(_record(run.run_dir)))
    look(run.run_dir, [run.counts], report)
    if record.status in ("failed", "cancelled") and rng.random() < 0.6:
        await _resume(run, backend, record, report)


async def _resume(run: Killed, backend: object, record: RunRecord, report: Report) -> None:
    asked = LaunchRequest.model_validate_json((run.run_dir / layout.REQUEST).read_bytes())
    await backend.resume(asked)  # type: ignore[attr-defined]
    report.add("resumes")
    if not await run.gone():
        return
    after = await backend.status(record)  # type: ignore[attr-defined]
    if after.status != "done":
        report.violate("resumes failed", f"{run.run_dir}: {after.status} ({after.failure})")
    look(run.run_dir, [run.counts, [20]], report)


def look(run_dir: Path, bursts: Sequence[Sequence[int]], report: Report) -> None:
    """Judge what is left of a run that is over, whose attempts said so many lines in bursts."""
    try:
        record = RunRecord.model_validate_json((run_dir / layout.RECORD).read_bytes())
        for name in (layout.SPEC, layout.REQUEST):
            json.loads((run_dir / name).read_bytes())
    except (OSError, ValueError) as error:
        report.violate("records unreadable", f"{run_dir}: {error}")
        return
    stream = (run_dir / layout.STREAM).read_text(errors="replace").split("\n")
    attempts = _attempts(stream)
    for number, said in enumerate(attempts):
        _look_at_lines(run_dir, said, bursts[min(number, len(bursts) - 1)], report)
    _look_at_events(run_dir, stream, record, report)
    left = [path for path in run_dir.rglob(".*.tmp")]
    for base in {Path(tempfile.gettempdir()), Path("/tmp"), scratch.MEMORY}:
        if (folder := scratch.folder_in(base, run_dir)).exists():
            report.violate("files left", f"{run_dir}: {folder}")
    if left and record.status == "done":
        report.violate("files left", str(left[0]), len(left))


def _attempts(stream: Sequence[str]) -> list[list[str]]:
    """The stream's lines, attempt by attempt."""
    found: list[list[str]] = [[]]
    for line in stream:
        if isinstance(decode_line(line), AttemptEvent):
            found.append([])
        found[-1].append(line)
    return found


def _look_at_lines(run_dir: Path, said: Sequence[str], bursts: Sequence[int], report: Report) -> None:
    expected = [f"[train] line {number}" for count in bursts for number in range(count)]
    found = [line for line in said if line.startswith("[train] line ")]
    whole = found if found == expected[: len(found)] else found[:-1]  # the last one may be torn
    if whole != expected[: len(whole)]:
        doubled = len(whole) - len({(line, whole[:at].count(line)) for at, line in enumerate(whole)})
        report.violate("lines doubled" if doubled else "lines lost", f"{run_dir}: {len(found)} lines")
    done = any(isinstance(event := decode_line(line), EndEvent) and event.status == "done" for line in said)
    if done and len(whole) < len(expected):
        lost = len(expected) - len(whole)
        report.violate("lines lost", f"{run_dir}: {lost} of {len(expected)}", lost)


def _look_at_events(run_dir: Path, stream: Sequence[str], record: RunRecord, report: Report) -> None:
    said = [event for line in stream if not isinstance(event := decode_line(line), str)]
    file = (run_dir / layout.EVENTS).read_text(errors="replace").split("\n")
    decoded = [decode_line(RECORD_SEPARATOR + line) for line in file]
    kept = [event for event in decoded if not isinstance(event, str)]
    seqs, kept_seqs = [event.seq for event in said], [event.seq for event in kept]
    for name, numbers in (("the stream", seqs), ("events.jsonl", kept_seqs)):
        if len(numbers) != len(set(numbers)):
            report.violate("events doubled", f"{run_dir}: {name}", len(numbers) - len(set(numbers)))
    # The file is written first: a kill in between leaves one event that nobody saw.
    missing = set(kept_seqs) - set(seqs)
    if len(missing) > len(record.attempts) or set(seqs) - set(kept_seqs):
        report.violate("events lost", f"{run_dir}: {sorted(missing)[:5]}", len(missing))
    ends = [event.status for event in kept if isinstance(event, EndEvent)]
    if record.status not in FINAL or (record.status == "done") != (bool(ends) and ends[-1] == "done"):
        report.violate("records untrue", f"{run_dir}: {record.status}, and the events say {ends}")
    if record.status == "failed" and not record.failure:
        report.violate("records untrue", f"{run_dir}: failed without a cause")


def _record(run_dir: Path) -> dict[str, dict[str, str]]:
    with suppress(OSError, ValueError):
        return dict(json.loads((run_dir / layout.RECORD).read_bytes()))
    return {}


def _end_of(launcher: subprocess.Popen[bytes]) -> None:
    try:
        launcher.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        launcher.kill()
        launcher.wait()
