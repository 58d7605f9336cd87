"""Watching a run that outlives its watchers: lines lost and doubled, and how soon all of them are there.

A detached process writes numbered lines and metrics, 5,000 a second. Watchers (the app's live run and log,
in processes of their own) are killed in the middle with SIGKILL, one after another; the last one stays to the
end. Each must have seen exactly what was written so far.

    python -m benchmarks.reattach
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.common import PROJECT, machine, spread
from remote.contract import layout
from remote.contract.events import EndEvent, MetricsEvent, encode_line
from remote.contract.record import RunRecord

PER_SECOND, LONGEST, KILLED = 5_000, 60, 12
ENOUGH, TOTAL = "enough", "total"
OUTPUTS, RUN = "verifiers-outputs-bench-reattach", "a2b3c-bench"


def main() -> None:
    """Print what was lost and doubled, and when a watcher that joins late has everything."""
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        run_dir = home / "volumes" / OUTPUTS / layout.run_path(RUN)
        (run_dir / layout.LOGS).mkdir(parents=True)
        record = RunRecord(
            run_id=RUN,
            kind="train",
            backend="local",
            status="running",
            environment="e",
            model="m",
            outputs=OUTPUTS,
        )
        (run_dir / layout.RECORD).write_text(record.model_dump_json())
        writer = _start("write", run_dir)
        while not (run_dir / layout.STREAM).exists():
            time.sleep(0.01)
        seen = [_killed(home, after) for after in [0.15 + 0.35 * i / KILLED for i in range(KILLED)]]
        last = _start("watch", home)
        time.sleep(4)
        (run_dir / ENOUGH).touch()
        said, _ = last.communicate(timeout=120)
        writer.wait(timeout=120)
    faults = [fault for report in [*seen, said] for fault in report.split("\n") if fault.startswith("wrong")]
    behind = [float(line.split()[1]) for line in said.split("\n") if line.startswith("behind")]
    lines = next(line for line in said.split("\n") if line.startswith("whole"))
    print(f"{KILLED} watchers killed, the last one saw {lines.removeprefix('whole ')}")
    print(f"lost or doubled: {len(faults)} (budget 0: {'met' if not faults else 'NOT met'})")
    print(f"behind the writer: {spread(behind[len(behind) // 4 :], 'ms')}")
    if faults:
        raise SystemExit("\n".join(faults[:5]))


def _start(role: str, where: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.reattach", role, str(where)]
    return subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True)


def _killed(home: Path, after: float) -> str:
    """A watcher that is killed some seconds after its first report; what it said until then."""
    watcher = _start("watch", home)
    assert watcher.stdout is not None
    first = watcher.stdout.readline()
    time.sleep(after)
    watcher.send_signal(signal.SIGKILL)
    rest, _ = watcher.communicate()
    return first + rest


def write(run_dir: Path) -> None:
    """Numbered lines, and after each hundred of them a step's metrics; holds the run's lock meanwhile."""
    lock = (run_dir / layout.LOCK).open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    began = time.monotonic()
    with (run_dir / layout.STREAM).open("w", buffering=1 << 16) as stream:
        number = -1
        while not ((run_dir / ENOUGH).exists() and number % 100 == 99) and number < LONGEST * PER_SECOND:
            number += 1
            stream.write(f"[train] line {number:06d} of a log that says what a trainer says in a step\n")
            if number % 100 == 99:
                step = number // 100 + 1
                event = MetricsEvent(step=step, seq=step, values={"reward": number, "written": time.time()})
                stream.write(encode_line(event) + "\n")
                stream.flush()
                time.sleep(max(0.0, began + number / PER_SECOND - time.monotonic()))
        (run_dir / TOTAL).write_text(str(number + 1))
        stream.write(encode_line(EndEvent(status="done", exit_code=0, seq=number)) + "\n")
    _finish(run_dir)


def _finish(run_dir: Path) -> None:
    path = run_dir / layout.RECORD
    record = RunRecord.model_validate_json(path.read_bytes()).moved("done", exit_code=0, ended=time.time())
    part = path.with_suffix(".part")
    part.write_text(record.model_dump_json())
    os.replace(part, path)


async def watch(home: Path) -> None:
    """Watch as the app does; report anything that is not exactly what was written."""
    from tui.backends.local.backend import LocalBackend
    from tui.client import Client
    from tui.services.live_run import LiveRun

    client = Client(None, {"local": LocalBackend(home, PROJECT)})
    live = LiveRun(client, await client.find(RUN))
    checked = 0
    async for _ in live.updates():
        count = await asyncio.to_thread(live.log_file.refresh, over=live.over)
        fresh = await asyncio.to_thread(live.log_file.read, checked, count - checked)
        for number, line in enumerate(fresh, checked):
            if not line.raw.startswith(b"\x1e") and not line.raw.startswith(b"[train] line %06d " % number):
                print(f"wrong: line {number} is {line.raw[:40]!r}", flush=True)
        checked = count
        reward = live.metrics.series.get("reward")
        if reward is not None and reward.steps != list(range(1, len(reward.steps) + 1)):
            print(f"wrong: steps {reward.steps[:3]} … {reward.steps[-3:]}", flush=True)
        if reward is not None and not live.over:
            print(f"behind {1000 * (time.time() - live.state.metrics['written']):.1f}", flush=True)
    total = int((live.log_file.path.parents[1] / TOTAL).read_text())
    if checked != total + 1 or len(live.metrics.series["reward"].steps) != total // 100:
        print(f"wrong: {checked} lines of {total + 1} in the end", flush=True)
    print(f"whole {checked:,} lines and {len(live.metrics.series['reward'].steps):,} steps", flush=True)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["write", where]:
            write(Path(where))
        case ["watch", where]:
            asyncio.run(watch(Path(where)))
        case _:
            main()
