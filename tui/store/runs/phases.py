"""A run's phases as spans of time: past, present and to come. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from remote.contract.events import PHASES
from tui.store.logs.event_text import because
from tui.store.runs.state import PhaseState, RunState

FINAL = frozenset({"done", "failed", "cancelled"})
_NOT_IN = {"train": "evaluate", "evaluate": "train"}


@dataclass(frozen=True)
class Span:
    """A phase or a sub-phase; times in Unix seconds."""

    name: str
    state: str
    """done, now, failed, cancelled or ahead."""
    start: float | None = None
    """None where it has not begun, or its beginning was lost."""
    end: float | None = None
    """None where it has not begun; of one under way, now."""
    note: str = ""
    """How it ended, if the event says."""
    parts: tuple[Span, ...] = ()
    """Sub-phases, in order."""
    earlier: tuple[tuple[float, float], ...] = ()
    """(start, end) in earlier attempts."""

    @property
    def seconds(self) -> float | None:
        """Its duration so far."""
        return None if self.start is None or self.end is None else max(0.0, self.end - self.start)

    @property
    def part(self) -> Span | None:
        """The last sub-phase that is under way or has failed."""
        return next((part for part in reversed(self.parts) if part.state in ("now", "failed")), None)


def spans(state: RunState, kind: str, now: float, status: str) -> list[Span]:
    """All phases of a run of this kind, in order, with those to come.

    now: by the user's clock. If the run's clock is ahead of it, durations are still not negative.
    """
    now = max(now, state.last_t or now) if status not in FINAL else (state.last_t or now)
    return [
        replace(_span(name, state.phases.get(name), now, status), earlier=tuple(state.earlier.get(name, ())))
        for name in _names(state, kind)
    ]


def attempt_span(state: RunState, now: float, status: str) -> Span | None:
    """The present or last attempt, with the reason for it; None for the first attempt."""
    event = state.taken_up
    if event is None:
        return None
    over = status in FINAL
    end = (state.last_t or now) if over else max(now, state.last_t or now)
    return Span(f"attempt {event.number}", status if over else "now", event.t, end, because(event.why))


def _names(state: RunState, kind: str) -> Iterator[str]:
    yield from (name for name in PHASES if name != _NOT_IN.get(kind) or name in state.phases)
    yield from (name for name in state.phases if name not in PHASES)


def _span(name: str, phase: PhaseState | None, now: float, status: str) -> Span:
    if phase is None:
        return Span(name, "ahead")
    state, end = _ended(phase, now, status)
    parts = tuple(_part(part, state, end) for part in phase.details.values())
    return Span(name, state, phase.started, end, phase.note or "", parts)


def _part(part: PhaseState, state: str, end: float) -> Span:
    if part.ended is None:  # it lasts as long as its phase
        return Span(part.name, state, part.started, end)
    return Span(part.name, "failed" if part.status == "failed" else "done", part.started, part.ended)


def _ended(phase: PhaseState, now: float, status: str) -> tuple[str, float]:
    """State and end; a phase without an end event ended with its run."""
    if phase.ended is None:
        return (status if status in FINAL else "now"), now
    return (phase.status if phase.status in FINAL else "done"), phase.ended


def under_way(found: Iterable[Span]) -> Span | None:
    """The phase to show: the last one under way, else the last that failed or ended."""
    begun = [span for span in found if span.start is not None or span.end is not None]
    for state in ("now", "failed", "cancelled"):
        if matching := [span for span in begun if span.state == state]:
            return max(matching, key=lambda span: span.start or 0.0)  # vLLM may restart in mid-run
    return begun[-1] if begun else None


def doing(state: RunState, found: Iterable[Span]) -> str:
    """The present activity: `vllm · loading weights`, `train · step 43`."""
    span = under_way(found)
    if span is None or span.state != "now":
        return ""
    counted = [p for p in state.progress.values() if p.t >= (span.start or 0.0)]
    latest = max(counted, key=lambda p: (p.seq, p.t), default=None)
    if latest is not None and latest.what == "steps":
        return span.name + (f" · step {latest.done + 1:,.0f}" if latest.done < latest.total else "")
    parts = [span.name]
    if span.part is not None:
        parts.append(span.part.name)
    if latest is not None:
        parts.append(f"{latest.done:,.0f}{f'/{latest.total:,.0f}' if latest.total else ''} {latest.what}")
    return " · ".join(parts)
