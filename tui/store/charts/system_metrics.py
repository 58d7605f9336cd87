"""System metrics as figures with labels and units; names are those of `remote/output/system_metrics.py`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

NEARLY_FULL = 0.9
"""Share of a memory from which it is reported as nearly full."""
_NAMES = {
    "cpu_percent": "CPU",
    "memory_gb": "memory",
    "worker_rss_gb": "worker's memory",
    "server_rss_gb": "server's memory",
}
_TOTALS = {
    "memory_gb": "memory_total_gb",
    "worker_rss_gb": "memory_total_gb",
    "server_rss_gb": "memory_total_gb",
}
_GPU = re.compile(r"gpu(\d+)_(percent|memory_gb)")
_OTHER = re.compile(r".*_total_gb")

_LARGEST = 1e15
"""Larger figures, and NaN, are left out."""


@dataclass(frozen=True)
class Figure:
    """A figure of a sample."""

    key: str
    label: str
    value: float
    unit: str
    """`%` or `GiB`; empty for an unknown figure."""
    total: float | None
    """Its maximum, if sampled."""

    @property
    def share(self) -> float | None:
        """The share of its maximum, from 0 to 1."""
        return min(max(self.value / self.total, 0.0), 1.0) if self.total else None

    @property
    def nearly_full(self) -> bool:
        """Whether it is a memory that is nearly full."""
        shared = self.key == "memory_gb" or self.key.endswith("_memory_gb")
        return shared and (self.share or 0.0) >= NEARLY_FULL


def figures(sample: Mapping[str, float]) -> list[Figure]:
    """The figures of a sample: of the machine, of the run's processes, of each GPU, then others."""
    sample = {key: value for key, value in sample.items() if -_LARGEST < value < _LARGEST}
    known = [key for key in _NAMES if key in sample]
    gpus = sorted((key for key in sample if _GPU.fullmatch(key)), key=_gpu_order)
    others = sorted(
        key for key in sample if key not in known and key not in gpus and not _OTHER.fullmatch(key)
    )
    return [_figure(key, sample) for key in (*known, *gpus, *others)]


def has_gpu(sample: Mapping[str, float]) -> bool:
    """Whether a GPU was sampled."""
    return any(_GPU.fullmatch(key) for key in sample)


@dataclass
class Sampled:
    """A figure over time: seconds since the first sample, and values (`curves.Points`)."""

    steps: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    rewritten: int = 0


class MachineHistory:
    """All figures over time, from a growing list of samples."""

    def __init__(self, samples: Sequence[tuple[float, Mapping[str, float]]]) -> None:
        self._samples, self._taken = samples, 0
        self.over_time: dict[str, Sampled] = {}
        """By key."""

    @property
    def latest(self) -> Mapping[str, float]:
        """The latest sample."""
        return self._samples[self._taken - 1][1] if self._taken else {}

    @property
    def seconds(self) -> float:
        """From the first sample to the latest."""
        return max((series.steps[-1] for series in self.over_time.values() if series.steps), default=0.0)

    def peak(self, key: str) -> float:
        """The largest value so far."""
        return max(self.over_time[key].values)

    def refresh(self) -> bool:
        """Add new samples; whether there were any."""
        count = len(self._samples)
        if count == self._taken:
            return False
        for t, sample in self._samples[self._taken : count]:
            at = max(t - self._samples[0][0], self.seconds)  # a clock may be set back
            for figure in figures(sample):
                series = self.over_time.setdefault(figure.key, Sampled())
                series.steps.append(at)
                series.values.append(figure.value)
        self._taken = count
        return True


def _figure(key: str, sample: Mapping[str, float]) -> Figure:
    unit = "%" if key.endswith("_percent") else "GiB" if key.endswith("_gb") else ""
    total = 100.0 if unit == "%" else sample.get(_TOTALS.get(key, key.replace("_gb", "_total_gb")))
    return Figure(key, label_of(key), sample[key], unit, total)


def label_of(key: str) -> str:
    """The label of a figure; an unknown one keeps its name."""
    match = _GPU.fullmatch(key)
    if match:
        return f"GPU {match[1]}" + (" memory" if match[2] == "memory_gb" else "")
    return _NAMES.get(key, key)


def _gpu_order(key: str) -> tuple[int, bool]:
    match = _GPU.fullmatch(key)
    return (int(match[1]), match[2] == "memory_gb") if match else (0, False)
