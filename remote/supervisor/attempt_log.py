"""A run's attempts: each machine's go at it, from the first line that it adds to why it ended.

Owns the record's list of attempts, what a new one says before anything else, and what all of them have
cost. On this machine the same supervisor begins the next one, or the supervisor of `vfm resume` does; on
Modal another container, which finds the directory as the last commit of the volume left it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from remote.contract import layout
from remote.contract.events import RECORD_SEPARATOR, AttemptEvent, decode_line
from remote.contract.record import Attempt, RunRecord
from remote.contract.spec import ExperimentSpec
from remote.output.emitter import Emitter
from remote.output.run_dir import RunDir, remove_temporaries
from remote.supervisor.verdict import restore_events

GAP = 1_000_000
"""Event numbers left out before a new attempt's first: lines of the last one that were seen but never
committed may have used them."""
COSTS_A_RETRY = ("timeout", "server")
"""Ends of an attempt that use up one of `modal.retries`, on Modal as failures of a call. One that was
preempted, or whose container crashed, is rescheduled in any case (its guides to preemption and to retries);
`time_left` bounds those."""


@dataclass(frozen=True)
class Meter:
    """What a run has cost so far, and what it may cost."""

    usd_per_hour: float | None = None
    limit: float | None = None
    """US dollars; None: no limit."""
    before: float = 0.0
    """Seconds that earlier attempts took."""

    def seconds_left(self, seconds: float) -> float:
        """Seconds until the limit, of an attempt that has taken so many."""
        if self.usd_per_hour is None or self.limit is None:
            return float("inf")
        return self.limit / self.usd_per_hour * 3600 - self.before - seconds

    def spent(self, seconds: float) -> float:
        """US dollars with so many seconds of this attempt; 0 where the price is not known."""
        return (self.before + seconds) * (self.usd_per_hour or 0.0) / 3600


def meter(spec: ExperimentSpec, record: RunRecord) -> Meter:
    """The meter of the attempt that is under way."""
    return Meter(record.usd_per_hour, spec.budget.max_usd, _seconds(record.attempts[:-1]))


def time_left(spec: ExperimentSpec, record: RunRecord) -> float:
    """Seconds that the attempt under way may take: all of them together may take modal.timeout for the first
    and for each retry, however often Modal takes a machine away. What a plan calls "at most" rests on it."""
    return (spec.modal.retries + 1) * spec.modal.timeout - _seconds(_earlier(record))


def _earlier(record: RunRecord) -> list[Attempt]:
    """The attempts before the last, since the run was launched or a person had it resumed."""
    return record.attempts[record.resumed_after : -1]


def _seconds(attempts: Sequence[Attempt]) -> float:
    return sum((attempt.ended or attempt.started) - attempt.started for attempt in attempts)


def goes_on(spec: ExperimentSpec, record: RunRecord) -> bool:
    """Whether another attempt follows when this one reaches its timeout, or loses its server."""
    used = sum(attempt.why in COSTS_A_RETRY for attempt in _earlier(record))
    if used >= spec.modal.retries:
        return False
    # Here nobody takes a machine away, and saving may take each attempt longer than its timeout.
    return record.backend == "local" or time_left(spec, record) > spec.modal.timeout


def begin(run_dir: RunDir, record: RunRecord, container: str | None = None) -> RunRecord:
    """Put a new attempt on record; the first one's begins with whatever the stream holds already."""
    offset = 0 if not record.attempts else _size(run_dir.path / layout.STREAM)
    now = Attempt(started=time.time(), offset=offset, container=container)
    return run_dir.write_record(record.model_copy(update={"attempts": [*record.attempts, now]}))


def take_up(run_dir: RunDir, head: str, container: str | None, identifiers: dict[str, str]) -> RunRecord:
    """Begin the next attempt in a directory that the launcher, or the last attempt, has left.

    `head` is the stream that the launcher wrote. A run that is over stays as it is.
    """
    record = run_dir.record()
    if record.ended_already:
        return record
    record = record.model_copy(update={"identifiers": {**record.identifiers, **identifiers}})
    if not record.attempts:
        _write_head(run_dir.path, head)
        return begin(run_dir, record, container)
    # Its container is gone, and has not said how it ended; or only why it was about to.
    record = record.with_attempt_ended(record.attempts[-1].why or "lost", last_sign(run_dir.path))
    _restore_head(run_dir.path, head)
    return another(run_dir, record, container)


def another(run_dir: RunDir, record: RunRecord, container: str | None = None) -> RunRecord:
    """Begin one more attempt at a run, and say so in its stream."""
    remove_temporaries(run_dir.path)
    (run_dir.path / layout.LAST_WORDS).unlink(missing_ok=True)  # how the last attempt ended, and not this one
    record = begin(run_dir, record, container)
    _announce(run_dir.path, record)
    return record


def last_sign(run_dir: Path) -> float:
    """When the run last said something, by its events (Unix seconds); 0 where it has not."""
    try:
        with (run_dir / layout.EVENTS).open(encoding="utf-8", errors="replace") as file:
            events = [decode_line(RECORD_SEPARATOR + line) for line in file]
    except FileNotFoundError:
        return 0.0
    return max((event.t for event in events if not isinstance(event, str)), default=0.0)


def _write_head(run_dir: Path, head: str) -> None:
    """The launcher's part of stream and events, in place of what an attempt that left no record wrote."""
    for folder in (layout.LOGS, layout.ROLLOUTS, layout.CHECKPOINTS):
        (run_dir / folder).mkdir(exist_ok=True)
    (run_dir / layout.STREAM).write_text(head, encoding="utf-8", newline="")
    events = [line[1:] + "\n" for line in head.split("\n") if line.startswith(RECORD_SEPARATOR)]
    (run_dir / layout.EVENTS).write_text("".join(events), encoding="utf-8", newline="")


def _restore_head(run_dir: Path, head: str) -> None:
    """The launcher's part of the stream, where the lost attempt's stream is gone with its machine."""
    if _size(run_dir / layout.STREAM) < len(head.encode()):
        (run_dir / layout.STREAM).write_text(head, encoding="utf-8", newline="")


def _announce(run_dir: Path, record: RunRecord) -> None:
    number, why = len(record.attempts), record.attempts[-2].why or "lost"
    fd = os.open(run_dir / layout.STREAM, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        # In the new attempt's part: whoever saw the lost lines has places of the old one for them.
        restore_events(run_dir, fd)
        Emitter(run_dir, fd, gap=GAP).emit(AttemptEvent(number=number, why=why))
    finally:
        os.close(fd)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
