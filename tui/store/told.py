"""The events that are lines for people, each in a few words. Pure."""

from __future__ import annotations

from remote.contract import events as ev


def tell(event: ev.AnyEvent) -> str:
    """What a phase, a checkpoint, a failure or the end says; other kinds by their name."""
    match event:
        case ev.PhaseEvent():
            sign = {"started": "▶", "done": "✓"}.get(event.status, "✗")
            return f"{sign} {event.phase}" + (f" · {event.detail}" if event.detail else "")
        case ev.CheckpointEvent():
            return f"💾 checkpoint of step {event.step} · {event.path}"
        case ev.FailureEvent():
            return f"✗ failed ({event.boundary}): {event.message}"
        case ev.EndEvent():
            return f"◼ {event.status} · exit code {event.exit_code}"
        case _:
            return event.type
