"""A program in a pseudo-terminal of its own: what it writes, how it leaves the terminal, how it ends."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.waiting import block_until


class Terminal:
    """Runs a command with a terminal on its three streams, as its controlling terminal."""

    def __init__(
        self,
        command: Sequence[str],
        cwd: Path,
        env: Mapping[str, str],
        size: tuple[int, int] = (100, 30),
        **streams: Any,
    ) -> None:
        self.leader, follower = pty.openpty()
        columns, rows = size
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.before = termios.tcgetattr(follower)
        self.written = b""
        three = {"stdin": follower, "stdout": follower, "stderr": follower, **streams}
        self.process = subprocess.Popen(
            command,
            cwd=cwd,
            env={"TERM": "xterm-256color", **env},
            preexec_fn=lambda: fcntl.ioctl(follower, termios.TIOCSCTTY, 0),
            start_new_session=True,
            **three,
        )
        self.follower = follower

    def type(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self.leader, keys)

    def wait_for(self, text: bytes) -> None:
        """Read until the program has written this; fail when it does not, or ends before."""
        self._read(lambda: text in self.written, f"{text!r}")

    def wait_end(self) -> int:
        """Read on until the program is over and all that it wrote is read; returns its exit code."""
        self._read(lambda: self.process.poll() is not None and not self._has_more(), "the end")
        return self.process.wait()

    def attributes(self) -> list[Any]:
        """How the terminal is set now."""
        return termios.tcgetattr(self.follower)

    def hang_up(self) -> None:
        """Close the terminal's window."""
        os.close(self.follower)
        os.close(self.leader)
        self.leader = self.follower = -1

    def close(self) -> None:
        """End what still runs."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for fd in (self.leader, self.follower):
            if fd >= 0:
                os.close(fd)

    def _read(self, enough: Callable[[], bool], what: str) -> None:
        def read() -> bool:
            over = self.process.poll() is not None
            if self._has_more(0.05):
                self.written += os.read(self.leader, 65536)
            elif over and not enough():
                raise AssertionError(f"it ended with {self.process.poll()} before {what}:\n{self.written!r}")
            return enough()

        block_until(read, what, shows=lambda: repr(self.written))

    def _has_more(self, seconds: float = 0.0) -> bool:
        return bool(select.select([self.leader], [], [], seconds)[0])
