"""The list of attempts in a run's record: begin the next one, and add up their time and cost.

On this machine the next attempt is begun by the same supervisor, or by that of `vfm resume`; on Modal by
another container, which finds the run directory as the volume's last commit left it.
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
"""Event numbers skipped before a new attempt's first one: events of the previous attempt that were mirrored
to Modal's logs but never committed may have used them."""
COSTS_A_RETRY = ("timeout", "server")
"""Ends of an attempt that use up one of `modal.retries`. Modal reschedules preempted and crashed containers
in any case (see its guides to preemption and retries); `time_left` bounds those."""


@dataclass(frozen=True)
class Meter:
    """The cost of a run so far, and its limit."""

    usd_per_hour: float | None = None
    limit: float | None = None
    """US dollars; None: no limit."""
    before: float = 0.0
    """Seconds of earlier attempts."""

    def seconds_left(self, seconds: float) -> float:
        """Seconds until the limit, after so many `seconds` of this attempt."""
        if self.usd_per_hour is None or self.limit is None:
            return float("inf")
        return self.limit / self.usd_per_hour * 3600 - self.before - seconds

    def spent(self, seconds: float) -> float:
        """US dollars after so many `seconds` of this attempt; 0 where the price is not known."""
        return (self.before + seconds) * (self.usd_per_hour or 0.0) / 3600


def meter(spec: ExperimentSpec, record: RunRecord) -> Meter:
    """The meter of the current attempt."""
    return Meter(record.usd_per_hour, spec.budget.max_usd, _seconds(record.attempts[:-1]))


def time_left(spec: ExperimentSpec, record: RunRecord) -> float:
    """Seconds that the current attempt may take. All attempts together may take modal.timeout for the first
    and for each retry, however often Modal preempts them: the "at most" of a plan's price rests on this."""
    return (spec.modal.retries + 1) * spec.modal.timeout - _seconds(_earlier(record))


def _earlier(record: RunRecord) -> list[Attempt]:
    """The attempts before the last one, since the launch or the last `vfm resume`."""
    return record.attempts[record.resumed_after : -1]


def _seconds(attempts: Sequence[Attempt]) -> float:
    return sum((attempt.ended or attempt.started) - attempt.started for attempt in attempts)


def goes_on(spec: ExperimentSpec, record: RunRecord) -> bool:
    """Whether another attempt follows where this one reaches its timeout or loses its server."""
    used = sum(attempt.why in COSTS_A_RETRY for attempt in _earlier(record))
    if used >= spec.modal.retries:
        return False
    # This machine is never taken away, and saving may take an attempt beyond its timeout.
    return record.backend == "local" or time_left(spec, record) > spec.modal.timeout


def begin(run_dir: RunDir, record: RunRecord, container: str | None = None) -> RunRecord:
    """Record a new attempt. The first one owns what the launcher has written to the stream, too."""
    offset = 0 if not record.attempts else _size(run_dir.path / layout.STREAM)
    attempt = Attempt(started=time.time(), offset=offset, container=container)
    return run_dir.write_record(record.model_copy(update={"attempts": [*record.attempts, attempt]}))


def begin_in_container(
    run_dir: RunDir, *, head: str, container: str | None, identifiers: dict[str, str]
) -> RunRecord:
    """Begin the first or next attempt in a directory that the launcher or the previous attempt has left.

    `head`: what the launcher wrote to the stream. A run that is over is returned as it is.
    """
    record = run_dir.record()
    if record.ended_already:
        return record
    record = record.model_copy(update={"identifiers": {**record.identifiers, **identifiers}})
    if not record.attempts:
        _write_head(run_dir.path, head)
        return begin(run_dir, record, container)
    # The previous container has recorded at most why it was about to end.
    record = record.with_attempt_ended(record.attempts[-1].why or "lost", last_event_time(run_dir.path))
    _restore_head(run_dir.path, head)
    return begin_next(run_dir, record, container)


def begin_next(run_dir: RunDir, record: RunRecord, container: str | None = None) -> RunRecord:
    """Begin another attempt, and announce it in the run's stream."""
    remove_temporaries(run_dir.path)
    (run_dir.path / layout.THREAD_STACKS).unlink(missing_ok=True)  # of the previous attempt
    record = begin(run_dir, record, container)
    _announce(run_dir.path, record)
    return record


def last_event_time(run_dir: Path) -> float:
    """Time of the run's last event in Unix seconds; 0 where it has none."""
    try:
        with (run_dir / layout.EVENTS).open(encoding="utf-8", errors="replace") as file:
            events = [decode_line(RECORD_SEPARATOR + line) for line in file]
    except FileNotFoundError:
        return 0.0
    return max((event.t for event in events if not isinstance(event, str)), default=0.0)


def _write_head(run_dir: Path, head: str) -> None:
    """Write the launcher's part of stream and events, over what an uncommitted attempt has left."""
    for folder in (layout.LOGS, layout.ROLLOUTS, layout.CHECKPOINTS):
        (run_dir / folder).mkdir(exist_ok=True)
    (run_dir / layout.STREAM).write_text(head, encoding="utf-8", newline="")
    events = [line[1:] + "\n" for line in head.split("\n") if line.startswith(RECORD_SEPARATOR)]
    (run_dir / layout.EVENTS).write_text("".join(events), encoding="utf-8", newline="")


def _restore_head(run_dir: Path, head: str) -> None:
    """Write the launcher's part of the stream where the stream was lost with its machine."""
    if _size(run_dir / layout.STREAM) < len(head.encode()):
        (run_dir / layout.STREAM).write_text(head, encoding="utf-8", newline="")


def _announce(run_dir: Path, record: RunRecord) -> None:
    number, why = len(record.attempts), record.attempts[-2].why or "lost"
    fd = os.open(run_dir / layout.STREAM, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        # In the new attempt's part: a client may have seen lines at these offsets of the previous one.
        restore_events(run_dir, fd)
        Emitter(run_dir, fd, gap=GAP).emit(AttemptEvent(number=number, why=why))
    finally:
        os.close(fd)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
