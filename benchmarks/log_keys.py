"""How quickly keys answer in a real pseudo-terminal, idle and while a log comes in at 20,000 lines/s.

A child runs an app of one log pane in a pseudo-terminal, and writes the log itself; this side presses a
key every 97 ms and waits for what it changes on the screen. Textual's own Log stands beside it in the same
interleaved run. `.venv/bin/python -m benchmarks.log_keys`.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import select
import struct
import sys
import tempfile
import termios
import threading
import time
from pathlib import Path
from statistics import median, quantiles

from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.widget import Widget
from textual.widgets import Log, Static

from benchmarks.common import PROJECT, machine, verdict
from tui.store.logs.log_file import LogFile
from tui.widgets.logs.pane import LogPane

KEYS = 60
BETWEEN = 0.097
RATE = 20_000
STEP = 0.02
"""Seconds between two appends."""


class Host(App[None]):
    """A counter that a key moves on, over a pane that fills."""

    BINDINGS = [Binding("x", "count", priority=True), Binding("q", "quit", priority=True)]  # noqa: RUF012
    CSS = "Static.counter { height: 1; }"

    def __init__(self, way: str, rate: int, folder: Path) -> None:
        super().__init__()
        self._way, self._rate = way, rate
        self._log_file = LogFile(folder / "stream.log")
        self._presses = 0
        self.painted = 0

    def compose(self) -> ComposeResult:
        """The counter and the log."""
        yield Static("key-0000", classes="counter", markup=False)
        yield self._log_widget()

    def _log_widget(self) -> Widget:
        return LogPane(self._log_file) if self._way == "pane" else Log()

    def on_mount(self) -> None:
        """The log begins to come in."""
        threading.Thread(target=self._write, daemon=True).start()

    def action_count(self) -> None:
        """What a key changes on the screen."""
        self._presses += 1
        self.query_one(".counter", Static).update(f"key-{self._presses:04}")

    def _write(self) -> None:
        count = max(1, int(self._rate * STEP))
        began, written = time.perf_counter(), 0
        with self._log_file.path.open("ab", buffering=0) as file:
            while True:
                time.sleep(max(0.0, began + written / max(1, count) * STEP - time.perf_counter()))
                written += count
                if not self._rate:
                    continue
                lines = [f"[train] INFO step {written + i} loss=0.{i:04} tokens/s {i}" for i in range(count)]
                if self._way == "pane":
                    file.write(("\n".join(lines) + "\n").encode())
                    self.call_later(self.query_one(LogPane).log_grew)
                else:
                    self.call_later(self.query_one(Log).write_lines, lines)


def child(way: str, rate: str, folder: str) -> None:
    """The measured process."""
    asyncio.run(Host(way, int(rate), Path(folder)).run_async())


def measure(way: str, rate: int) -> tuple[list[float], float]:
    """Milliseconds from each key to its change on the screen, and repaints of the pane a second."""
    with tempfile.TemporaryDirectory() as folder:
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(PROJECT)
            os.environ |= {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
            os.execv(sys.executable, [sys.executable, "-m", "benchmarks.log_keys", way, str(rate), folder])
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        try:
            _wait(terminal, b"key-0000", 30)
            _wait(terminal, b"\x00", 1.5)  # the first second is not what is measured
            return _press(terminal)
        finally:
            os.write(terminal, b"q")
            _wait(terminal, b"\x00", 1.0)
            os.close(terminal)
            os.waitpid(pid, 0)


def _press(terminal: int) -> tuple[list[float], float]:
    taken, frames, began = [], 0, time.perf_counter()
    for number in range(1, KEYS + 1):
        pressed = time.perf_counter()
        os.write(terminal, b"x")
        seen = _wait(terminal, f"{number:04}".encode(), 10)
        taken.append((time.perf_counter() - pressed) * 1000)
        rest = _wait(terminal, b"\x00", max(0.0, BETWEEN - (time.perf_counter() - pressed)))
        frames += (seen + rest).count(b"following")
    return taken, frames / (time.perf_counter() - began)


def _wait(terminal: int, text: bytes, seconds: float) -> bytes:
    """Read until a text comes, or so long."""
    seen, until = b"", time.perf_counter() + seconds
    while text not in seen and (left := until - time.perf_counter()) > 0:
        if select.select([terminal], [], [], left)[0]:
            try:
                seen += os.read(terminal, 1 << 16)
            except OSError:
                break
    return seen


def main() -> None:
    """Idle and under load, the pane and Textual's Log, in turn."""
    if len(sys.argv) == 4:
        child(*sys.argv[1:])
        return
    print(machine())
    ways = [("pane", 0), ("pane", RATE), ("Log", 0), ("Log", RATE)]
    taken: dict[tuple[str, int], list[float]] = {way: [] for way in ways}
    frames: dict[tuple[str, int], list[float]] = {way: [] for way in ways}
    for _ in range(2):
        for way in ways:
            found, rate = measure(*way)
            taken[way] += found
            frames[way].append(rate)
    for (name, rate), found in taken.items():
        print(
            f"{name} at {rate:,} lines/s: key p50 {median(found):.1f} ms, p99 {p99(found):.1f} ms "
            f"(of {len(found)})"
        )
    idle, busy = taken["pane", 0], taken["pane", RATE]
    print(verdict("keys, p50 / 10 ms", median(busy) / 10, 1))
    print(verdict("keys, p99 / (2 x idle + 100 ms)", p99(busy) / (2 * p99(idle) + 100), 1))
    print(verdict("keys, p50, pane / Textual's Log", median(busy) / median(taken["Log", RATE]), 1))
    repaints = median(frames["pane", RATE])
    print(verdict(f"repaints, {repaints:.1f} a second / 15", repaints / 15, 1))


def p99(values: list[float]) -> float:
    """The 99th percentile."""
    return quantiles(values, n=100)[98]


if __name__ == "__main__":
    main()
