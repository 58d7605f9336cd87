"""Whether the kernel has killed a process for want of memory, as far as its counters tell.

Owns reading them. A SIGKILL looks the same whoever sent it: only these counters tell one of the kernel's from
somebody's, so memory is blamed where they have gone up and nowhere else.
"""

from __future__ import annotations

import re
from pathlib import Path

_COUNT = re.compile(r"^oom_kill (\d+)$", re.MULTILINE)


def kills(root: Path = Path("/")) -> int | None:
    """How many processes were killed so, in this control group or else on this machine; None: unknown."""
    for path in _counters(root):
        try:
            if found := _COUNT.search(path.read_text()):
                return int(found[1])
        except OSError:
            continue
    return None


class OomWatch:
    """Remembers the count at its start. `root` is the file system's."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self._before = kills(root)

    def seen(self) -> bool | None:
        """Whether a process has been killed so since; None where nothing tells."""
        now = kills(self._root)
        return None if now is None or self._before is None else now > self._before


def who_killed(seen: bool | None) -> str:
    """Who sent a SIGKILL that no part of the run sent."""
    if seen:
        return "the system killed it because memory ran out"
    if seen is None:
        return "somebody killed it, or the system did because memory ran out (see the machine's kernel log)"
    return "somebody killed it, or the system did; memory has not run out, by the system's own count"


def _counters(root: Path) -> list[Path]:
    """The nearest first: version 2 of control groups, version 1, the whole machine."""
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
