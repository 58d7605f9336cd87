"""A run's state: the fold of its events.

Events come in the stream's order; repeated ones change nothing, so that following may start again from an
earlier position.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from remote.contract import layout
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
)

_PACE = 20  # steps that the ETA is estimated from
_ONCE = frozenset({"image"})  # phases that a new attempt does not repeat


@dataclass
class PhaseState:
    """A phase or a sub-phase, with times in Unix seconds."""

    name: str
    status: str = "started"
    started: float | None = None
    ended: float | None = None
    details: dict[str, PhaseState] = field(default_factory=dict)
    """Sub-phases in order; they have none themselves."""
    note: str | None = None
    """How it ended, if the event says (an image: reused, built)."""

    @property
    def seconds(self) -> float | None:
        """Its duration, once it is over."""
        return None if self.started is None or self.ended is None else self.ended - self.started

    def take(self, status: str, t: float) -> None:
        """Start, or end with a status."""
        self.status = status
        if status == "started":
            self.started, self.ended = t, None
        else:
            self.ended = t


@dataclass
class RunState:
    """The state of a run, by its events so far."""

    phases: dict[str, PhaseState] = field(default_factory=dict)
    """By name, in order."""
    progress: dict[str, ProgressEvent] = field(default_factory=dict)
    """The latest count of each kind: steps, packages, bytes."""
    step: int | None = None
    """The last optimiser step with metrics; 0 is before training."""
    metrics: dict[str, float] = field(default_factory=dict)
    """The latest value of every metric."""
    system: dict[str, float] = field(default_factory=dict)
    checkpoints: list[CheckpointEvent] = field(default_factory=list)
    rollouts: int = 0
    """Rollout events so far."""
    attempt: int = 1
    """The number of the attempt: more than 1 after an interruption."""
    taken_up: AttemptEvent | None = None
    """The event of this attempt, with its reason; None for the first."""
    earlier: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    """Phase → (start, end) in earlier attempts, or of earlier servers (Unix seconds)."""
    restarts: int = 0
    """How often the server was restarted in mid-run."""
    restarted: RestartEvent | None = None
    """The last restart, with its reason."""
    failure: FailureEvent | None = None
    end: EndEvent | None = None
    last_seq: int = -1
    last_t: float | None = None
    _pace: deque[tuple[int, float]] = field(default_factory=lambda: deque(maxlen=_PACE), repr=False)

    def add(self, event: AnyEvent) -> bool:
        """Add an event; False where it is repeated."""
        if 0 <= event.seq <= self.last_seq:
            return False
        self.last_seq = max(self.last_seq, event.seq)
        self._take(event)
        self.last_t = event.t
        return True

    def add_all(self, events: Iterable[AnyEvent]) -> RunState:
        """Add events; returns the state."""
        for event in events:
            self.add(event)
        return self

    @property
    def phase(self) -> PhaseState | None:
        """The phase under way that began last, or else the last phase."""
        phases = list(self.phases.values())
        candidates = [phase for phase in phases if phase.ended is None] or phases
        return candidates[-1] if candidates else None

    @property
    def total_steps(self) -> int | None:
        """The number of steps, if the run has sent it."""
        steps = self.progress.get("steps")
        return int(steps.total) if steps is not None and 0 < steps.total < math.inf else None

    def eta(self, total_steps: int | None = None) -> float | None:
        """Seconds until the last step, at the pace of the latest ones; None where unknown."""
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

    def _take_phase(self, event: PhaseEvent) -> None:
        """A detail that was never started is no sub-phase: it says how the phase ended."""
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
        """A checkpoint saved again, by another attempt, replaces the one before."""
        self.checkpoints = [known for known in self.checkpoints if known.path != event.path]
        self.checkpoints.append(event)

    def _take_attempt(self, event: AttemptEvent) -> None:
        """Phases of the earlier attempt begin again; steps continue from a checkpoint."""
        self.attempt, self.taken_up = event.number, event
        self.failure = self.end = None
        self._go_back()
        self._pace.clear()
        for name in [name for name in self.phases if name not in _ONCE]:
            self._restart_phase(name, event.t)

    def _go_back(self) -> None:
        """A training goes on from its newest checkpoint: the steps since are done again."""
        resumable = [c.step for c in self.checkpoints if c.path == layout.checkpoint_path(c.step)]
        if self.step is not None:
            self.step = min(self.step, max(resumable, default=0))
            if (count := self.progress.get("steps")) is not None:
                self.progress["steps"] = replace(count, done=min(count.done, self.step))

    def _take_restart(self, event: RestartEvent) -> None:
        """The server starts again while the phase that needs it continues."""
        self.restarts, self.restarted = self.restarts + 1, event
        if "vllm" in self.phases:
            self._restart_phase("vllm", event.t)

    def _restart_phase(self, name: str, t: float) -> None:
        phase = self.phases.pop(name)
        if phase.started is not None:
            # Up to the last event: the next machine may have taken long to come.
            ended = phase.ended or self.last_t or t
            self.earlier.setdefault(name, []).append((phase.started, max(phase.started, ended)))

    def _take_end(self, event: EndEvent) -> None:
        """Open phases end with the run."""
        self.end = event
        for phase in self.phases.values():
            if phase.ended is None:
                phase.take("failed" if event.status == "failed" else event.status, event.t)
