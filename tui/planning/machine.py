"""What this machine has, as far as one look at files tells: its memory, and whether there is a GPU."""

from __future__ import annotations

import os
from pathlib import Path

from tui.planning.gpu_memory import GIB, Machine


def this_machine(root: Path = Path("/")) -> Machine:
    """Memory in GiB, that of the container where there is a limit; None where nobody tells."""
    limits = [_pages(), _limit(root / "sys/fs/cgroup/memory.max")]
    known = [limit for limit in limits if limit is not None]
    gpus = root / "proc/driver/nvidia/gpus"
    return Machine(min(known) / GIB if known else None, gpus.is_dir() and any(gpus.iterdir()))


def _pages() -> float | None:
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (ValueError, OSError, AttributeError):
        return None  # no POSIX


def _limit(path: Path) -> float | None:
    try:
        return float(path.read_text())
    except (OSError, ValueError):
        return None  # no control groups, or `max`
