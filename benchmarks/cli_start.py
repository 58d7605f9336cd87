"""`vfm --help` against `modal --help`, interleaved.

Run with the light client's Python: `.venv/bin/python -m benchmarks.cli_start`.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from benchmarks.common import machine, spread, verdict

ROUNDS = 15


def seconds(program: str) -> float:
    """Wall time of `PROGRAM --help`."""
    command = [str(Path(sys.executable).parent / program), "--help"]
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> None:
    """Print medians and their ratio."""
    taken: dict[str, list[float]] = {"vfm": [], "modal": []}
    for name in taken:
        seconds(name)  # the first start reads from disk
    for _ in range(ROUNDS):
        for name, times in taken.items():
            times.append(seconds(name))
    print(machine())
    for name, times in taken.items():
        print(f"{name} --help: {spread(times)}")
    print(verdict("vfm / modal", median(taken["vfm"]) / median(taken["modal"]), 1 / 3))


if __name__ == "__main__":
    main()
