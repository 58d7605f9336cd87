"""The estimated cost of a run: its price an hour, times the hours that it had machines, over all attempts."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from remote.contract.record import RunRecord


def machine_seconds(record: RunRecord, now: float) -> float | None:
    """Seconds that the run had machines; between two attempts it has none. None before it has started."""
    attempts = [(a.started, a.ended) for a in record.attempts]
    if not attempts:
        if record.started is None:
            return None
        attempts = [(record.started, record.ended)]
    seconds = 0.0
    for number, (began, ended) in enumerate(attempts, 1):
        if ended is None:  # live, or its end was not recorded: at the latest when the next one began
            ended = attempts[number][0] if number < len(attempts) else record.ended or now
        seconds += max(0.0, ended - began)
    return seconds


def estimate(record: RunRecord, now: float) -> float | None:
    """US dollars so far; None on this machine, which is free, and where the launch knew no price."""
    price = record.usd_per_hour
    seconds = machine_seconds(record, now)
    return None if price is None or seconds is None else price * seconds / 3600
