"""Processes of a local run: its lock, whether they are alive, and starting and ending a worker.

A process is identified by its pid and its start time, since pids are reused.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

from remote.contract import layout
from remote.processes import file_lock, guardian

# The gate waits for a line, then becomes the command: so the worker's pid is on record before it runs,
# and where the supervisor dies in between, the gate reads end-of-file and ends too.
_GATE = 'read -r go && exec "$@" </dev/null'


def keep_files_private() -> None:
    """Let only this user read the files that this process and its children create."""
    os.umask(0o077)


def take_lock(run_dir: Path, patience: float = 0.0) -> int | None:
    """The run's lock as a descriptor; None where a live process holds it for longer than `patience` seconds.

    Some patience outlasts the moment in which another process only checks.
    """
    return file_lock.take(run_dir / layout.LOCK, patience)


def start_time(pid: int) -> str:
    """Start time of a process: the kernel's clock ticks since boot, or a date; "" where it is gone."""
    if Path("/proc/self/stat").exists():
        fields = _stat(pid)
        return fields[19] if fields else ""
    command = ["ps", "-o", "lstart=", "-p", str(pid)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def _stat(pid: int | str) -> list[str]:
    """The fields of a process's status from its state on; empty for a dead one, reaped or not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return []
    # The program's name stands in parentheses and may hold anything, so fields count from the last one.
    fields = stat.rpartition(")")[2].split()
    return [] if fields[0] in ("Z", "X") else fields


def is_alive(pid: int, started: str) -> bool:
    """Whether the process with this pid and start time is alive."""
    return bool(started) and start_time(pid) == started


def of_run(run_dir: Path, pid: str, started: str) -> int | None:
    """The pid of a record, where it still is a process of the run; None otherwise.

    A record may be wrong or forged: the start time must match, and the process must have the run's lock open.
    """
    if not (pid.isascii() and pid.isdecimal() and len(pid) < 10) or int(pid) < 2:
        return None
    return int(pid) if is_alive(int(pid), started) and _holds(int(pid), run_dir / layout.LOCK) else None


def _holds(pid: int, lock: Path) -> bool:
    """Whether a process has the lock's file open."""
    if not Path("/proc/self/fd").exists():
        return True  # without /proc the start time must be enough
    try:
        status = lock.lstat()
        files = [entry.stat() for entry in Path(f"/proc/{pid}/fd").iterdir() if entry.exists()]
    except OSError:
        return False
    return any((file.st_dev, file.st_ino) == (status.st_dev, status.st_ino) for file in files)


def start_gated(command: Sequence[str], lock: int, variables: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a worker in a process group of its own, which waits at the gate until `release`.

    `variables` are added to its environment. It inherits the lock, so that the run counts as alive while the
    supervisor or the worker lives.
    """
    return subprocess.Popen(
        ["/bin/sh", "-c", _GATE, "worker", *command],
        stdin=subprocess.PIPE,
        process_group=0,
        pass_fds=(lock,),
        env={**os.environ, **variables},
    )


def release(worker: subprocess.Popen[bytes]) -> None:
    """Open the gate."""
    assert worker.stdin is not None
    try:
        worker.stdin.write(b"go\n")
        worker.stdin.close()
    except BrokenPipeError:
        pass  # It died at the gate, which its exit code shows.


def signal_group(group: int, signum: int) -> bool:
    """Signal a process group; returns whether it exists."""
    try:
        os.killpg(group, signum)
    except ProcessLookupError:
        return False
    return True


def end_group(group: int, patience: float) -> None:
    """End a worker's process group: SIGTERM, and SIGKILL after `patience` seconds."""
    deadline = time.monotonic() + patience
    left = signal_group(group, signal.SIGTERM)
    while left and time.monotonic() < deadline:
        time.sleep(0.02)
        left = _group_lives(group)
    if left:
        signal_group(group, signal.SIGKILL)


def end_session(session: int) -> None:
    """Kill all processes of a session, such as those that a killed supervisor has left."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and _stat(entry.name)[3:4] == [str(session)]:
            with suppress(ProcessLookupError):
                os.kill(int(entry.name), signal.SIGKILL)


def _group_lives(group: int) -> bool:
    """Whether a group has a living member; zombies may exist for ever."""
    if not Path("/proc/self/stat").exists():
        return signal_group(group, 0)
    return any(member == group for _, member in guardian.processes().values())


class SignalWatch:
    """Handles the supervisor's signals, and sleeps until a child ends, a signal arrives or the time is up."""

    def __init__(self) -> None:
        self.stop_asked = False
        self.preempted = False
        """Whether the machine is about to be taken away (SIGUSR1)."""
        self.leash: int | None = None
        """A pipe whose end means that the parent is gone."""
        self.interrupts = False
        """Whether a request to stop raises `Stopped` immediately."""
        self._read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGUSR1, self._on_preemption)
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, self._on_stop)

    def _on_preemption(self, _signum: int, _frame: FrameType | None) -> None:
        self.preempted = True

    def _on_stop(self, _signum: int, _frame: FrameType | None) -> None:
        self.stop_asked = True
        if self.interrupts:
            self.interrupts = False
            raise Stopped

    def sleep(self, seconds: float) -> None:
        """Return at the next signal, or after `seconds`. Raises `Abandoned` at the end of the leash."""
        waited = [fd for fd in (self._read, self.leash) if fd is not None]
        ready, _, _ = select.select(waited, [], [], max(seconds, 0.0))
        if self._read in ready:
            os.read(self._read, 4096)
        if self.leash in ready and not os.read(self.leash, 4096):
            raise Abandoned


class Stopped(BaseException):
    """The run was asked to stop. Not an `Exception`, so that no handler for failures catches it."""


class Abandoned(BaseException):
    """The parent of this process is gone."""
