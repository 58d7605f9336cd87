"""Read the kernel's counters of processes that it killed because memory ran out.

A SIGKILL looks the same whoever sent it. So lack of memory is only reported as the cause where these have
increased.
"""

from __future__ import annotations

import re
from pathlib import Path

_COUNT = re.compile(r"^oom_kill (\d+)$", re.MULTILINE)


def kills(root: Path = Path("/")) -> int | None:
    """Number of such kills in this control group, or else on this machine; None: unknown."""
    for path in _counters(root):
        try:
            if match := _COUNT.search(path.read_text()):
                return int(match[1])
        except OSError:
            continue
    return None


class OomWatch:
    """Remembers the counter at its creation. `root`: of the file system, for tests."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self._before = kills(root)

    def killed(self) -> bool | None:
        """Whether a process was killed for lack of memory since then; None: unknown."""
        now = kills(self._root)
        return None if now is None or self._before is None else now > self._before


def who_killed(out_of_memory: bool | None) -> str:
    """The probable sender of a SIGKILL that no part of the run sent."""
    if out_of_memory:
        return "the system killed it because memory ran out"
    if out_of_memory is None:
        return "somebody killed it, or the system did because memory ran out (see the machine's kernel log)"
    return "somebody killed it, or the system did; memory has not run out, by the system's own count"


def _counters(root: Path) -> list[Path]:
    """Files with counters: of control groups version 2, of version 1, of the whole machine."""
    groups = root / "sys/fs/cgroup"
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        lines = []
    own = [line.split(":", 2) for line in lines if line.count(":") >= 2]
    second = [groups / path.lstrip("/") / "memory.events" for _, which, path in own if not which]
    first = [
        groups / "memory" / path.lstrip("/") / "memory.oom_control"
        for _, which, path in own
        if "memory" in which.split(",")
    ]
    # In a container the path is that of the host, and the group lies at the root.
    own_roots = [groups / "memory.events", groups / "memory" / "memory.oom_control"]
    return [*second, *first, *own_roots, root / "proc/vmstat"]
