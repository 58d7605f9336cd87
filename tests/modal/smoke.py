"""`make smoke-modal`: the smallest real job on Modal, for people who have an account.

Shows the price and asks first. Then it launches two steps of a tiny random model on a T4 with the real `vfm`,
leaves the run, joins it again, fetches its files, and stops a second run; each check is printed. It uses the
Modal that the environment names.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
VFM = Path(sys.executable).with_name("vfm")
CONFIG = "configs/local_smoke.yaml"
SMALLEST = (
    "modal.gpu.type=T4",
    "modal.gpu.count=1",
    "modal.cpus=2",
    "modal.memory=16384",
    "modal.timeout=900",
    "modal.retries=0",
)
TIMEOUT = 3600.0
"""Seconds for one command: the first launch builds the image, which takes minutes."""


class Failed(Exception):
    """A check that did not hold."""


@dataclass
class Smoke:
    """The checks, in order, and what they share."""

    folder: Path
    runs: list[str] = field(default_factory=list)
    outputs: str = ""
    over: bool = False
    """Whether every run is known to have ended."""

    def price(self) -> str:
        """What the runs cost at most, by the plan."""
        plan = json.loads(vfm("launch", CONFIG, *_launch("training.steps=2"), "--dry-run", "--json").stdout)
        hourly, seconds = plan["usd_per_hour"], plan["spec"]["modal"]["timeout"]
        if hourly is None:
            return "The price of a T4 is not in the table of prices."
        most = 2 * hourly * seconds / 3600
        return (
            f"Two runs on a T4 at about ${hourly:.2f} an hour, each of a few minutes and at most "
            f"{seconds // 60}: ${most:.2f} at the very most, and the image's build (once, on CPUs)."
        )

    def launches(self) -> str:
        """A detached launch prints the run's id, and the run is in the list."""
        self.runs.append(_launched("training.steps=2"))
        listed = [run["run_id"] for run in json.loads(vfm("runs", "--json").stdout)]
        _check(self.runs[0] in listed, f"{self.runs[0]} is not among `vfm runs`")
        return f"run {self.runs[0]}"

    def is_left_and_joined_again(self) -> str:
        """A watcher is killed half-way; another one sees everything from the first line to the end."""
        seen = _watch_and_kill(self.runs[0])
        whole = vfm("logs", self.runs[0], "--follow", codes=(0,)).stdout.splitlines()
        _check(whole[: len(seen)] == seen, "the second watcher saw other lines than the first")
        events = [json.loads(line) for line in vfm("logs", self.runs[0], "--events").stdout.splitlines()]
        numbers = [event["seq"] for event in events]
        _check(numbers == sorted(set(numbers)), "events are doubled or out of order")
        _check(events[-1]["type"] == "end", f"the last event is {events[-1]['type']}, not end")
        return f"{len(seen)} lines before the watcher was killed, {len(whole)} in all, {len(events)} events"

    def is_done(self) -> str:
        """The record says done, and the steps were made."""
        shown = _shown(self.runs[0])
        _check(shown["status"] == "done", f"the run is {shown['status']}")
        self.outputs = shown["outputs"]
        steps = [row["step"] for row in json.loads(vfm("metrics", self.runs[0], "--json").stdout)]
        _check({1, 2} <= set(steps), f"numbers of steps {steps}, not of 1 and 2")
        return f"steps {steps}"

    def is_fetched(self) -> str:
        """The run directory arrives, and a second download finds everything there."""
        where = f"{self.outputs}:runs/{self.runs[0]}"
        vfm("get", where, str(self.folder))
        got = self.folder / self.runs[0]
        record = json.loads((got / "record.json").read_text())
        _check(record["status"] == "done", f"the fetched record says {record['status']}")
        files = [path for path in got.rglob("*") if path.is_file()]
        _check(any(path.name == "events.jsonl" for path in files), "events.jsonl was not fetched")
        vfm("get", where, str(self.folder))
        return f"{len(files)} files, {sum(path.stat().st_size for path in files):,} bytes"

    def stops_another(self) -> str:
        """A longer run is cancelled once it lives, and ends as cancelled."""
        self.runs.append(_launched("training.steps=100000"))
        _watch_and_kill(self.runs[1])
        vfm("cancel", self.runs[1])
        vfm("logs", self.runs[1], "--follow", codes=(1,))
        status = _shown(self.runs[1])["status"]
        _check(status == "cancelled", f"the run that was cancelled is {status}")
        self.over = True
        return f"run {self.runs[1]}"

    def clear_up(self) -> None:
        """Stop whatever a failed check or Ctrl-C left running: it costs money."""
        for run in [] if self.over else self.runs:
            vfm("cancel", run, codes=(0, 1, 2, 3))


def vfm(*words: str, codes: tuple[int, ...] = (0,)) -> subprocess.CompletedProcess[str]:
    """Run a `vfm` command to its end. Raises `Failed` on any exit code but these."""
    done = subprocess.run(
        [str(VFM), *words], cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT, check=False
    )
    _check(
        done.returncode in codes,
        f"vfm {' '.join(words)} ended with {done.returncode}:\n{done.stderr.strip()}",
    )
    return done


def _launch(*sets: str) -> list[str]:
    return ["--backend", "modal", *(word for text in (*SMALLEST, *sets) for word in ("--set", text))]


def _launched(*sets: str) -> str:
    return vfm("launch", CONFIG, *_launch(*sets), "--detach").stdout.strip()


def _watch_and_kill(run: str) -> list[str]:
    """The lines of a run up to its training, by a watcher that is then killed."""
    seen: list[str] = []
    with subprocess.Popen(
        [str(VFM), "logs", run, "--follow"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        for line in child.stdout:
            seen.append(line.rstrip("\n"))
            if line.startswith("▶ train"):
                child.kill()
                return seen
    raise Failed(f"run {run} ended before it trained:\n" + "\n".join(seen[-20:]))


def _shown(run: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(vfm("show", run, "--json").stdout)
    return found


def _check(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Failed(otherwise)


def main(words: list[str]) -> int:
    """Make every check; the exit code says whether all held."""
    with tempfile.TemporaryDirectory(prefix="vfm-smoke-") as folder:
        smoke = Smoke(Path(folder))
        print(smoke.price(), flush=True)
        if "--yes" not in words and input("Start it? [y/N] ").strip().lower() not in ("y", "yes"):
            print("Nothing was started.")
            return 1
        try:
            for check in _checks(smoke):
                print(f"… {check.__name__.replace('_', ' ')}", end=" ", flush=True)
                print(f"✓ {check()}", flush=True)
        except Failed as failed:
            print(f"✗ {failed}", flush=True)
            return 1
        finally:
            smoke.clear_up()
    print("Modal works from launch to download.")
    return 0


def _checks(smoke: Smoke) -> list[Callable[[], str]]:
    return [
        smoke.launches,
        smoke.is_left_and_joined_again,
        smoke.is_done,
        smoke.is_fetched,
        smoke.stops_another,
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
