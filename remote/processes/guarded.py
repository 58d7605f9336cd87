"""Start, read and end one command under a guardian (`guardian.py`)."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from remote.output.line_splitter import LineSplitter
from remote.processes import guardian
from remote.processes.lifecycle import end_group

GRACE = 3.0  # seconds from SIGTERM to SIGKILL: vLLM takes half a second


class GuardedProcess:
    """A running command. `on_line` is called with each line of its output, on a thread of its own.

    Its first exception is kept in `error`; the output is read to the end anyway, since a full pipe stops the
    command.
    """

    def __init__(
        self, command: Sequence[str], env: Mapping[str, str], on_line: Callable[[str], None]
    ) -> None:
        self._on_line = on_line
        self.error: BaseException | None = None
        self.exit_code: int | None = None
        """The command's code once it ended, 128 + N where signal N killed it."""
        self.exited = threading.Event()
        """Set when the command has ended and its last line was passed on."""
        self._guardian, self.group = _start(command, env)
        self._pump = threading.Thread(target=self._drain, name="vllm-output", daemon=True)
        self._pump.start()
        threading.Thread(target=self._wait, name="vllm-wait", daemon=True).start()

    def stop(self, patience: float = GRACE + 5.0) -> None:
        """End the command and its descendants; returns when they are gone. Safe to repeat."""
        if self._guardian.poll() is None:
            self._guardian.terminate()
        if not self.exited.wait(patience):
            self._guardian.kill()  # then `_wait` ends the group
            self.exited.wait(patience)

    def rss_bytes(self) -> int:
        """Resident memory of the command and its descendants, in bytes; shared pages count several times."""
        return sum(map(_rss, guardian.descendants(self._guardian.pid)))

    def _drain(self) -> None:
        output, splitter = self._guardian.stdout, LineSplitter()
        assert output is not None
        with output:
            while data := os.read(output.fileno(), 65536):
                self._pass_on(splitter.feed(data, time.monotonic()))
        self._pass_on(splitter.close())

    def _pass_on(self, lines: list[str]) -> None:
        try:
            for line in lines:
                self._on_line(line)
        except BaseException as error:
            self.error = self.error or error

    def _wait(self) -> None:
        code = self._guardian.wait()
        if code < 0:
            code = 128 - code
            if self.group:
                end_group(self.group, GRACE)
        self._pump.join(GRACE)
        self.exit_code = code
        self.exited.set()


def _start(command: Sequence[str], env: Mapping[str, str]) -> tuple[subprocess.Popen[bytes], int]:
    """Start a guardian in a session of its own, so that a signal to this process group does not end it."""
    report, write = os.pipe()
    options = ["--grace", str(GRACE), "--report", str(write), "--"]
    with os.fdopen(report, "rb") as pid:
        try:
            process = subprocess.Popen(
                # By path and isolated, so that it starts whatever the command's environment is.
                [sys.executable, "-I", "-S", guardian.__file__, *options, *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=dict(env),
                pass_fds=(write,),
                start_new_session=True,
            )
        finally:
            os.close(write)
        return process, int(pid.readline() or 0)


def _rss(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0
