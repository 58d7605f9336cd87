"""What a run's stream adds to its row: progress, rewards, the failure. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import replace

from remote.contract.events import (
    AnyEvent,
    MetricsEvent,
    ProgressEvent,
    decode_line,
)
from tui.store.logs.event_text import attempt
from tui.store.runs.row import RunRow, advice, thin
from tui.store.runs.state import RunState

REWARDS = ("reward", "eval/total")
"""The metrics shown as reward, of a training and of an evaluation."""
_PASSED_OVER = re.compile(r'.{0,100}?"type":"(?:rollout|system)"')
_HUGE = 1e15  # larger values are no measurements, and their products may overflow
_COUNTED = {"train": "steps", "evaluate": "episodes"}


class RunFold:
    """The fold of a run's stream."""

    def __init__(self) -> None:
        self.position = 0
        """Bytes of the stream read."""
        self.state = RunState()
        self._rewards: dict[int, float] = {}
        """By step, since steps lost with a machine are repeated."""
        self._diverged = False
        """Whether the latest reward is not finite."""
        self._score: float | None = None
        self._error: float | None = None
        self._first: dict[str, ProgressEvent] = {}

    def take(self, lines: Iterable[str], position: int) -> None:
        """Add the lines up to a position."""
        for line in lines:
            if line.startswith("\x1e") and not _PASSED_OVER.match(line):
                event = decode_line(line)
                if not isinstance(event, str):
                    self._add(event)
        self.position = position

    @property
    def over(self) -> bool:
        """Whether the run has sent its end."""
        return self.state.end is not None

    def row(self, row: RunRow) -> RunRow:
        """The row, updated from the stream."""
        state, train = self.state, row.kind == "train"
        rewards = list(self._rewards.values())
        count = state.progress.get(_COUNTED.get(row.kind, "steps"))
        done, total = (int(count.done), int(count.total)) if count else (None, None)
        eta = None
        if row.live and count and total:
            eta = state.eta(total) if train else self._eta(count)
        if state.failure is not None:
            row = replace(row, failure=state.failure.message, **advice(state.failure.hint))
        return replace(
            row,
            step=done,
            total_steps=total or None,
            eta=eta,
            reward=self._reward(rewards) if train else self._score,
            reward_error=None if train else self._error,
            rewards=thin(rewards),
            phase=_phase(state) if row.live else "",
            attempt=attempt(state.attempt, state.taken_up.why) if state.taken_up else "",
        )

    def _reward(self, rewards: list[float]) -> float | None:
        if self._diverged:
            return math.nan
        return rewards[-1] if rewards else None

    def _add(self, event: AnyEvent) -> None:
        if not self.state.add(event):
            return
        if isinstance(event, ProgressEvent):
            self._first.setdefault(event.what, event)
        elif isinstance(event, MetricsEvent):
            self._take_numbers(event)

    def _take_numbers(self, event: MetricsEvent) -> None:
        for name in REWARDS:
            value = event.values.get(name, math.nan)
            if name == "reward" and name in event.values:
                self._diverged = not math.isfinite(value)
            if not _is_number(value):  # NaN where nothing was rewarded
                continue
            value = float(f"{value:.6g}")  # more digits would only fill the cache
            if name == "reward":
                self._rewards[event.step] = value
            else:
                self._score = value
                error = event.values.get("eval/standard_error", math.nan)
                self._error = float(f"{error:.6g}") if _is_number(error) else None

    def _eta(self, count: ProgressEvent) -> float | None:
        """Seconds left, at the pace since the first count."""
        first = self._first[count.what]
        if count.done <= first.done:
            return None
        return max(0.0, (count.t - first.t) / (count.done - first.done) * (count.total - count.done))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and -_HUGE < value < _HUGE


def _phase(state: RunState) -> str:
    """The present phase and its sub-phase; of several phases, the latest."""
    phase = state.phase
    if phase is None or phase.ended is not None:
        return ""
    details = [detail.name for detail in phase.details.values() if detail.ended is None]
    return " · ".join([phase.name, *details[-1:]])
