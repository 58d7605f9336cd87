"""Metrics over steps: one series of numbers a metric.

Owns keeping them in order and free of duplicates. Drawing them, and thinning them for that, is left
to widgets.
"""

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
    """How often a value was put anywhere but at the end: until it changes, what was read still holds."""

    def put(self, step: int, value: float) -> None:
        """Take a value in; of two at the same step the later one stands."""
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
    """Every metric of a run by name, in the order in which names were first seen."""

    def __init__(self, events: Iterable[AnyEvent] = ()) -> None:
        self.series: dict[str, Series] = {}
        self.times = Series()
        """Unix seconds at which each step's numbers were told first."""
        self._timed: set[int] = set()
        for event in events:
            self.add(event)

    def clear(self) -> None:
        """Forget everything."""
        self.series.clear()
        self.times, self._timed = Series(), set()

    def add(self, event: AnyEvent) -> None:
        """Take in a metrics event; other kinds are passed over."""
        if isinstance(event, MetricsEvent):
            if event.step not in self._timed:
                self._timed.add(event.step)
                self.times.put(event.step, event.t)
            for name, value in event.values.items():
                self.series.setdefault(name, Series()).put(event.step, value)

    def rows(self) -> list[dict[str, Any]]:
        """`[{"step": 1, "values": {"reward": 0.3, …}}, …]` by step."""
        rows: dict[int, dict[str, float]] = {}
        for name, series in self.series.items():
            for step, value in zip(series.steps, series.values, strict=True):
                rows.setdefault(step, {})[name] = value
        return [{"step": step, "values": rows[step]} for step in sorted(rows)]
