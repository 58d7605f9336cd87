"""What the benchmarks share: medians, the machine, a line per result."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from statistics import median

PROJECT = Path(__file__).resolve().parent.parent


def machine() -> str:
    """The machine in one line: processor, cores, memory in GiB, Python."""
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0))
    return f"{model}, {cores} cores, {memory:.0f} GiB, Python {platform.python_version()}"


def verdict(name: str, ratio: float, bound: float) -> str:
    """`name: 0.52 (at most 0.60: met)`."""
    return f"{name}: {ratio:.3f} (at most {bound:g}: {'met' if ratio <= bound else 'NOT met'})"


def spread(values: list[float], unit: str = "s") -> str:
    """Median with the smallest and the largest value."""
    return f"median {median(values):.3g} {unit} (of {len(values)}: {min(values):.3g} to {max(values):.3g})"
