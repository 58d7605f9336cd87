"""Ends all processes that a container started."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path


def kill_all(pid: int | None, task_id: str) -> None:
    """SIGKILL a process, what it started, and what has the container's id in its environment."""
    for _ in range(5):  # one that forks at this moment is found the next time
        found = _family(pid, task_id)
        # Stopped first: a machine that is gone leaves none of them the time to see the others die.
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for each in found:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(each, number)
        if not found:
            return


def _family(pid: int | None, task_id: str) -> set[int]:
    parents = {int(one.name): _parent(one) for one in Path("/proc").iterdir() if one.name.isdigit()}
    mark = f"MODAL_TASK_ID={task_id}\0".encode()
    found = {pid} if pid else set()
    found |= {one for one in parents if task_id and mark in _environ(one)}
    while more := {one for one, parent in parents.items() if parent in found} - found:
        found |= more
    return {one for one in found if parents.get(one) is not None} - {os.getpid()}


def _parent(place: Path) -> int | None:
    """A process's parent; None for a dead one."""
    try:
        fields = (place / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in ("Z", "X") else int(fields[1])


def _environ(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes() + b"\0"
    except OSError:
        return b""
