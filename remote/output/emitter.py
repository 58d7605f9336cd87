"""Write the run's stream: its events, which are numbered here, and its log lines, all without secrets.

Everything goes to one file descriptor, one write per line, so that threads, or the supervisor and the worker,
never mix their lines.
"""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from remote.contract import layout
from remote.contract.errors import VfmError
from remote.contract.events import (
    RECORD_SEPARATOR,
    Event,
    FailureEvent,
    PhaseEvent,
    ProgressEvent,
    Source,
    decode_line,
    encode_line,
)
from remote.output import redact

E = TypeVar("E", bound=Event)


class Emitter:
    """Writes lines to a descriptor, and events also to `events.jsonl`.

    Without a run directory (an image built by hand) events go to the descriptor only. `gap`: how many numbers
    to skip before the first event.
    """

    def __init__(self, run_dir: Path | None, fd: int = 1, *, gap: int = 0) -> None:
        self._fd = fd
        self._lock = threading.Lock()
        self._events = None if run_dir is None else run_dir / layout.EVENTS
        self._next = _next_seq(self._events) + gap

    def emit(self, event: E) -> E:
        """Number and write the event; returns it with its number."""
        with self._lock:
            event = redact.event(replace(event, seq=self._next))
            self._next += 1
            line = encode_line(event) + "\n"
            if self._events is not None:
                with self._events.open("ab") as file:
                    file.write(line.removeprefix(RECORD_SEPARATOR).encode())
            self._write(line)
        return event

    def say(self, source: Source, text: str) -> None:
        """Write a log line, or several, with their tag."""
        lines = "".join(f"[{source}] {line}\n" for line in redact.line(text).split("\n"))
        with self._lock:
            self._write(lines)

    def banner(self, text: str) -> None:
        """Write a line without a tag, which marks a phase."""
        with self._lock:
            self._write(redact.line(text) + "\n")

    def phase(self, phase: str, status: str, detail: str | None = None) -> PhaseEvent:
        """Emit the start or end of a phase or a sub-phase."""
        return self.emit(PhaseEvent(phase=phase, status=status, detail=detail))

    def progress(self, done: float, total: float, unit: str) -> None:
        """Emit progress, such as 3 of 10 `steps`."""
        self.emit(ProgressEvent(done=done, total=total, what=unit))

    def failure(self, error: VfmError) -> FailureEvent:
        """Log and emit the reason why the run fails."""
        self.say("worker", f"❌ {error}")
        return self.emit(failure_event(error))

    def _write(self, text: str) -> None:
        write_all(self._fd, text)


def write_all(fd: int, text: str) -> None:
    """Write a text to a descriptor, which may take it in parts."""
    data = text.encode(errors="replace")
    while data:
        data = data[os.write(fd, data) :]


def failure_event(error: VfmError) -> FailureEvent:
    """The event of an error, without secrets."""
    return redact.event(FailureEvent(**error.to_dict()))


def _next_seq(events: Path | None) -> int:
    """One more than the last number on file; a torn last line is skipped."""
    if events is None or not events.exists():
        return 0
    with events.open(encoding="utf-8", errors="replace") as file:
        decoded = [decode_line(RECORD_SEPARATOR + line) for line in file]
    seqs = [event.seq for event in decoded if not isinstance(event, str)]
    return max(seqs, default=-1) + 1
