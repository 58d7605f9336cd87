"""Where a finished training's time and memory went.

`.venv/bin/python -m benchmarks.run_report RUN_DIR…` reads the run's own events: seconds of a step by
part, what the worker adds to them, and the largest memory of worker and server.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.common import machine, verdict

PARTS = ("rollout", "sync", "train", "other")


def events(run_dir: Path) -> list[dict[str, Any]]:
    """The run's events, in order."""
    return [json.loads(line) for line in (run_dir / "events.jsonl").read_text().splitlines()]


def report(run_dir: Path) -> None:
    """Print one run's shares and peaks."""
    found = events(run_dir)
    steps = [e["values"] for e in found if e["type"] == "metrics" and "time/step" in e["values"]]
    whole = sum(step["time/step"] for step in steps)
    print(f"{run_dir.name}: {len(steps)} steps, median {median(s['time/step'] for s in steps):.2f} s")
    for part in PARTS:
        spent = sum(step[f"time/{part}"] for step in steps)
        print(f"  {part:8} {spent:8.1f} s  {spent / whole:6.1%}")
    own = sum(step["time/other"] for step in steps)
    print("  " + verdict("what the worker adds", own / (whole - own), 0.05))
    for name in ("worker_rss_gb", "server_rss_gb"):
        peak = max((e["values"].get(name, 0.0) for e in found if e["type"] == "system"), default=0.0)
        print(f"  peak {name.removesuffix('_gb')} {peak:.2f} GiB")
    began, first = (
        found[0]["t"],
        next(e["t"] for e in found if e["type"] == "progress" and e["what"] == "steps"),
    )
    print(f"  {first - began:.0f} s to the first step, {found[-1]['t'] - began:.0f} s in all")


def main() -> None:
    """Report each run directory named."""
    print(machine())
    for name in sys.argv[1:]:
        report(Path(name))


if __name__ == "__main__":
    main()
