"""A run's state: what its events add up to.

Owns the fold. It takes events in the stream's order, and taking one in twice changes nothing, so that
a follower may start again from an earlier position. Metrics over time are `series.py`'s.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from remote.contract.events import (
    AnyEvent,
    AttemptEvent,
    CheckpointEvent,
    EndEvent,
    FailureEvent,
    MetricsEvent,
    PhaseEvent,
    ProgressEvent,
    RestartEvent,
    RolloutEvent,
    SystemEvent,
    UnknownEvent,
)

_PACE = 20  # steps that the estimate looks back on
_NOT_AGAIN = frozenset({"image"})  # phases that an attempt finds done


@dataclass
class PhaseState:
    """A phase, or a sub-phase of one, with its times in Unix seconds."""

    name: str
    status: str = "started"
    started: float | None = None
    ended: float | None = None
    details: dict[str, PhaseState] = field(default_factory=dict)
    """Sub-phases in order of appearance; they have none of their own."""
    note: str | None = None
    """How it ended, where that was said (an image: reused, built)."""

    @property
    def seconds(self) -> float | None:
        """How long it took, once it is over."""
        return None if self.started is None or self.ended is None else self.ended - self.started

    def take(self, status: str, t: float) -> None:
        """Begin, or end; a phase whose beginning got lost began unknown."""
        self.status = status
        if status == "started":
            self.started, self.ended = t, None
        else:
            self.ended = t


@dataclass
class RunState:
    """How a run stands, by what it has said so far."""

    phases: dict[str, PhaseState] = field(default_factory=dict)
    """By name, in order of appearance."""
    progress: dict[str, ProgressEvent] = field(default_factory=dict)
    """The latest count of each thing that is counted (steps, packages, bytes)."""
    step: int | None = None
    """The last optimiser step with metrics; 0 is before any training."""
    metrics: dict[str, float] = field(default_factory=dict)
    """The latest value of every metric."""
    system: dict[str, float] = field(default_factory=dict)
    checkpoints: list[CheckpointEvent] = field(default_factory=list)
    rollouts: int = 0
    """Episodes shown so far."""
    attempt: int = 1
    """Which go at the run this is: more than 1 after an interruption."""
    taken_up: AttemptEvent | None = None
    """What was said when the run was last taken up again, and why it had to be."""
    earlier: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    """Phase → when attempts before this one, or servers before this one, were in it (Unix seconds)."""
    restarts: int = 0
    """How often the server died or hung in mid-run and was started again."""
    restarted: RestartEvent | None = None
    """The last time that it was, and why."""
    failure: FailureEvent | None = None
    end: EndEvent | None = None
    unknown: int = 0
    """Events of kinds that this version does not know."""
    last_seq: int = -1
    first_t: float | None = None
    last_t: float | None = None
    _pace: deque[tuple[int, float]] = field(default_factory=lambda: deque(maxlen=_PACE), repr=False)

    def add(self, event: AnyEvent) -> bool:
        """Take an event in; False where it was taken in before."""
        if 0 <= event.seq <= self.last_seq:
            return False
        self.last_seq = max(self.last_seq, event.seq)
        self.first_t = event.t if self.first_t is None else self.first_t
        self._take(event)
        self.last_t = event.t
        return True

    def add_all(self, events: Iterable[AnyEvent]) -> RunState:
        """Take events in, and return the state itself."""
        for event in events:
            self.add(event)
        return self

    @property
    def phase(self) -> PhaseState | None:
        """The phase under way (the one begun last), or the last one that was."""
        phases = list(self.phases.values())
        candidates = [phase for phase in phases if phase.ended is None] or phases
        return candidates[-1] if candidates else None

    @property
    def total_steps(self) -> int | None:
        """Steps there will be, where the run has said so."""
        steps = self.progress.get("steps")
        return int(steps.total) if steps is not None and 0 < steps.total < math.inf else None

    def eta(self, total_steps: int | None = None) -> float | None:
        """Seconds until the last step, at the pace of the latest ones; None where nothing tells."""
        total = total_steps or self.total_steps
        if self.end is not None or total is None or len(self._pace) < 2:
            return None
        (step0, t0), (step1, t1) = self._pace[0], self._pace[-1]
        if step1 <= step0:
            return None
        return max(0.0, (t1 - t0) / (step1 - step0) * (total - step1))

    def _take(self, event: AnyEvent) -> None:
        match event:
            case PhaseEvent():
                self._take_phase(event)
            case ProgressEvent():
                self.progress[event.what] = event
            case MetricsEvent():
                self._take_metrics(event)
            case RolloutEvent():
                self.rollouts += 1
            case CheckpointEvent():
                self._take_checkpoint(event)
            case SystemEvent():
                self.system = {**self.system, **event.values}
            case FailureEvent():
                self.failure = event
            case EndEvent():
                self._take_end(event)
            case AttemptEvent():
                self._take_attempt(event)
            case RestartEvent():
                self._take_restart(event)
            case UnknownEvent():
                self.unknown += 1

    def _take_phase(self, event: PhaseEvent) -> None:
        """A detail that was never begun is no sub-phase: it says how the phase itself ended."""
        phase = self.phases.setdefault(event.phase, PhaseState(event.phase))
        if event.detail is None:
            phase.take(event.status, event.t)
        elif event.status == "started" or event.detail in phase.details:
            phase.details.setdefault(event.detail, PhaseState(event.detail)).take(event.status, event.t)
        else:
            phase.note = event.detail
            phase.take(event.status, event.t)

    def _take_metrics(self, event: MetricsEvent) -> None:
        if self.step is None or event.step > self.step:
            self.step = event.step
            self._pace.append((event.step, event.t))
        self.metrics = {**self.metrics, **event.values}

    def _take_checkpoint(self, event: CheckpointEvent) -> None:
        """One that is saved anew, by another attempt, takes the place of the one before."""
        self.checkpoints = [known for known in self.checkpoints if known.path != event.path]
        self.checkpoints.append(event)

    def _take_attempt(self, event: AttemptEvent) -> None:
        """What was done on a machine that is gone is done again; the steps go on from a checkpoint."""
        self.attempt, self.taken_up = event.number, event
        self.failure = self.end = None
        self._pace.clear()
        for name in [name for name in self.phases if name not in _NOT_AGAIN]:
            self._begin_anew(name, event.t)

    def _take_restart(self, event: RestartEvent) -> None:
        """The server starts again while the phase that needs it goes on."""
        self.restarts, self.restarted = self.restarts + 1, event
        if "vllm" in self.phases:
            self._begin_anew("vllm", event.t)

    def _begin_anew(self, name: str, t: float) -> None:
        phase = self.phases.pop(name)
        if phase.started is not None:
            # Until it was last heard of: the next machine may have been long in coming.
            ended = phase.ended or self.last_t or t
            self.earlier.setdefault(name, []).append((phase.started, max(phase.started, ended)))

    def _take_end(self, event: EndEvent) -> None:
        """Nothing goes on after the end: what was open ended with the run."""
        self.end = event
        for phase in self.phases.values():
            if phase.ended is None:
                phase.take("failed" if event.status == "failed" else event.status, event.t)
