"""Scores of an evaluation: means and standard errors over its episodes. Pure."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean
from typing import NamedTuple

from remote.rollouts.player import Played
from remote.rollouts.recorder import summary


class Finished(NamedTuple):
    """An episode and its place: which task, and which repeat of it (both from 0)."""

    task: int
    sample: int
    played: Played


def scores(finished: Sequence[Finished]) -> dict[str, float]:
    """Mean and standard error of the total and of each part over the successful episodes, and counts.

    Without standard errors where there are fewer than two tasks.
    """
    good = [episode for episode in finished if episode.played.error is None]
    tasks = [episode.task for episode in good]
    parts = sorted({part for episode in good for part in episode.played.rewards})
    columns = {"standard_error": [episode.played.reward for episode in good]}
    for part in parts:
        columns[f"{part}_standard_error"] = [episode.played.rewards.get(part, 0.0) for episode in good]
    errors = {f"eval/{name}": standard_error(values, tasks) for name, values in columns.items()}
    return {
        **summary([episode.played for episode in good], "eval"),
        **{name: error for name, error in errors.items() if error is not None},
        "eval/episodes": float(len(good)),
        "eval/failed": float(len(finished) - len(good)),
    }


def standard_error(values: Sequence[float], clusters: Sequence[int]) -> float | None:
    """The standard error of the mean of values that come in clusters: a task's episodes are alike.

    √(G/(G−1) · Σ_g (Σ_i (x_gi − x̄))²) / n, for n values in G clusters. This is the clustered standard error
    of Miller 2024, "Adding Error Bars to Evals" (https://arxiv.org/abs/2411.00640, section 2.2), with the
    usual correction for few clusters; with one value a cluster it is s/√n, with as many in each the standard
    deviation of the cluster means over √G. None with fewer than two clusters.
    """
    if not values:
        return None
    mean = fmean(values)
    sums: dict[int, float] = defaultdict(float)
    for value, cluster in zip(values, clusters, strict=True):
        sums[cluster] += value - mean
    if len(sums) < 2:
        return None
    correction = len(sums) / (len(sums) - 1)
    return math.sqrt(correction * math.fsum(total * total for total in sums.values())) / len(values)
