"""Events as lines of the log. Pure."""

from __future__ import annotations

from remote.contract import events as ev
from remote.contract.checkpoint_names import score_label

_WHY = {
    "timeout": "its timeout was reached",
    "preempted": "the machine was preempted",
    "lost": "its processes were gone",
    "server": "vLLM was lost",
    "failed": "it had failed",
    "cancelled": "it was cancelled",
    "done": "it is to do more",
}


def because(why: str) -> str:
    """Why an attempt ended: `the machine was preempted`."""
    return _WHY.get(why, why)


def attempt(number: int, why: str) -> str:
    """`attempt 2 (the machine was preempted)`: its number, and why the one before ended."""
    return f"attempt {number} ({because(why)})"


def taken_up(event: ev.AttemptEvent) -> str:
    """The line of a run that continues after an interruption."""
    return f"↻ {attempt(event.number, event.why)}: the run goes on from its last checkpoint, if it has one"


def restarted(event: ev.RestartEvent) -> str:
    """The line of a run whose vLLM server is started again."""
    return f"↻ {event.why}: vLLM is started again (restart {event.number} of this run)"


def event_line(event: ev.AnyEvent) -> str:
    """The line of a phase, a checkpoint, a failure, an attempt or the end; of other kinds their name."""
    match event:
        case ev.PhaseEvent():
            sign = {"started": "▶", "done": "✓"}.get(event.status, "✗")
            return f"{sign} {event.phase}" + (f" · {event.detail}" if event.detail else "")
        case ev.CheckpointEvent():
            score = score_label(event.score, event.best)
            return f"💾 checkpoint of step {event.step} · {event.path}" + (f" · {score}" if score else "")
        case ev.FailureEvent():
            return f"✗ failed ({event.boundary}): {event.message}"
        case ev.AttemptEvent():
            return taken_up(event)
        case ev.RestartEvent():
            return restarted(event)
        case ev.EndEvent():
            return f"◼ {event.status} · exit code {event.exit_code}"
        case _:
            return event.type
