"""Metrics over steps: a series for each metric, in order and without duplicates."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from remote.contract.events import AnyEvent, MetricsEvent


@dataclass
class Series:
    """One metric: `values[i]` was measured at `steps[i]`; steps rise strictly."""

    steps: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    rewritten: int = field(default=0, compare=False, repr=False)
    """How often a value was changed, or inserted before the end: then earlier values are no longer valid."""

    def put(self, step: int, value: float) -> None:
        """Add a value; it replaces one of the same step."""
        at = bisect_left(self.steps, step)
        if at < len(self.steps) and self.steps[at] == step:
            self.values[at] = value
            self.rewritten += 1
        else:
            at_end = at == len(self.steps)
            self.steps.insert(at, step)
            self.values.insert(at, value)
            self.rewritten += not at_end


class Metrics:
    """All metrics of a run by name, in order of appearance."""

    def __init__(self, events: Iterable[AnyEvent] = ()) -> None:
        self.series: dict[str, Series] = {}
        self.times = Series()
        """Unix seconds of each step's first metrics."""
        self._timed: set[int] = set()
        for event in events:
            self.add(event)

    def clear(self) -> None:
        self.series.clear()
        self.times, self._timed = Series(), set()

    def add(self, event: AnyEvent) -> None:
        """Add a metrics event; others are ignored."""
        if isinstance(event, MetricsEvent):
            if event.step not in self._timed:
                self._timed.add(event.step)
                self.times.put(event.step, event.t)
            for name, value in event.values.items():
                self.series.setdefault(name, Series()).put(event.step, value)

    def rows(self) -> list[dict[str, Any]]:
        """By step: `[{"step": 1, "values": {"reward": 0.3, …}}, …]`."""
        rows: dict[int, dict[str, float]] = {}
        for name, series in self.series.items():
            for step, value in zip(series.steps, series.values, strict=True):
                rows.setdefault(step, {})[name] = value
        return [{"step": step, "values": rows[step]} for step in sorted(rows)]
