"""Scores of an evaluation: the reward and its parts, with standard errors, from its metrics. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

EPISODES = "eval/episodes"
"""Only evaluations have this metric, not held-out scores of trainings."""
FAILED = "eval/failed"
_PREFIX, _TOTAL, _ERROR = "eval/", "eval/total", "standard_error"
_NO_SCORES = frozenset({_TOTAL, f"{_PREFIX}{_ERROR}", EPISODES, FAILED})


@dataclass(frozen=True)
class Score:
    """The mean of one part of the reward, over episodes."""

    name: str
    """`reward` for the total, or the part's name."""
    mean: float
    standard_error: float | None = None
    """None while it is unknown."""


def scores_of(metrics: Mapping[str, float]) -> list[Score]:
    """The total, then each part; empty where the metrics are not of an evaluation."""
    if _TOTAL not in metrics or EPISODES not in metrics:
        return []
    total = Score("reward", metrics[_TOTAL], metrics.get(f"{_PREFIX}{_ERROR}"))
    names = [
        n for n in metrics if n.startswith(_PREFIX) and n not in _NO_SCORES and not _is_error(n, metrics)
    ]
    parts = [Score(n.removeprefix(_PREFIX), metrics[n], metrics.get(f"{n}_{_ERROR}")) for n in sorted(names)]
    return [total, *parts]


def _is_error(name: str, metrics: Mapping[str, float]) -> bool:
    part, found, rest = name.rpartition(f"_{_ERROR}")
    return bool(found) and not rest and part in metrics
