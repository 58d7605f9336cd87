"""Run one command, and end its whole process tree, whatever dies.

`python guardian.py [--grace SECONDS] [--report FD] -- COMMAND…` ends the tree when the command ends, when
SIGTERM arrives, when standard input reaches its end or when the parent is gone (even by SIGKILL). Exits with
the command's code, 128 + N where signal N killed it. Imports only the standard library, so that it starts in
milliseconds, and outlives its parent.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import select
import signal
import sys
import time
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
TICK = 0.5  # seconds between looks at the parent
NOT_FOUND = 127


def processes() -> dict[int, tuple[int, int]]:
    """All living processes: pid → (parent's pid, process group). Empty where there is no /proc."""
    alive: dict[int, tuple[int, int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            # The program's name stands in parentheses and may hold anything, so count from the last one.
            state, parent, group = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
            if state not in "ZX":
                alive[int(entry.name)] = (int(parent), int(group))
    return alive


def descendants(pid: int) -> list[int]:
    """The living children of a process, their children, and so on."""
    alive, tree = processes(), [pid]
    for parent in tree:
        tree += [child for child, (above, _) in alive.items() if above == parent]
    return tree[1:]


def signal_all(pids: list[int], signum: int) -> None:
    """Signal processes; those that are gone are ignored."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signum)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


class Guardian:
    """The command's parent, which also adopts its orphans."""

    def __init__(self, command: list[str], grace: float) -> None:
        self._command = command
        self._grace = grace
        self._parent = os.getppid()
        self._stop = False
        self._codes: dict[int, int] = {}
        self._woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(signum, self._on_signal)

    def _on_signal(self, signum: int, _frame: object) -> None:
        self._stop |= signum != signal.SIGCHLD

    def start(self) -> int:
        """Start the command in a session of its own; returns its pid, which is also its group's id."""
        _prctl(PR_SET_CHILD_SUBREAPER, 1)
        guardian = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            self._become_command(guardian)
        return self.pid

    def _become_command(self, guardian: int) -> None:
        try:
            signal.set_wakeup_fd(-1)
            for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGPIPE):
                signal.signal(signum, signal.SIG_DFL)
            os.setsid()
            # SIGTERM, not SIGKILL: a server that is asked to end also ends its children.
            _prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != guardian:
                os._exit(NOT_FOUND)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.execvp(self._command[0], self._command)
        except OSError as error:
            os.write(2, f"cannot start {self._command[0]}: {error.strerror}\n".encode())
        finally:
            os._exit(NOT_FOUND)

    def run(self) -> int:
        """Wait for the command's end, or for a reason to end it; returns its exit code."""
        while self.pid not in self._codes and not self._stop:
            self._wait(TICK)
            self._stop |= os.getppid() != self._parent
        self._end_tree()
        while self.pid not in self._codes:  # dead by now, but perhaps not reaped
            self._wait(TICK)
        return self._codes[self.pid]

    def _wait(self, seconds: float) -> None:
        watched = [self._woken] if self._stop else [self._woken, 0]
        ready, _, _ = select.select(watched, [], [], seconds)
        if self._woken in ready:
            os.read(self._woken, 4096)
        if 0 in ready and not os.read(0, 4096):
            self._stop = True
        self._reap()

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                code = os.waitstatus_to_exitcode(status)
                self._codes[pid] = code if code >= 0 else 128 - code

    def _end_tree(self) -> None:
        """SIGTERM to the remaining processes, orphans included, and SIGKILL after the grace, until none is
        left."""
        self._stop = True
        deadline = time.monotonic() + self._grace
        signal_all(self._left(), signal.SIGTERM)
        while left := self._left():
            if time.monotonic() >= deadline:
                signal_all(left, signal.SIGKILL)
            self._wait(0.05)

    def _left(self) -> list[int]:
        self._reap()
        if Path("/proc/self/stat").exists():
            return descendants(os.getpid())
        return [] if self.pid in self._codes else [self.pid]


def main(arguments: list[str]) -> int:
    """The door: see the module's docstring."""
    parser = argparse.ArgumentParser(prog="guardian")
    parser.add_argument("--grace", type=float, default=5.0, help="seconds from SIGTERM to SIGKILL")
    parser.add_argument("--report", type=int, help="descriptor that the command's pid is written to")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args(arguments)
    guardian = Guardian(options.command, options.grace)
    if options.report is not None:
        os.set_inheritable(options.report, False)
    pid = guardian.start()
    if options.report is not None:
        os.write(options.report, f"{pid}\n".encode())
        os.close(options.report)
    return guardian.run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
