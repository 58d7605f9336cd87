"""Scores by task of a file of episodes: means of the reward and of its parts. Pure, on bytes.

Failed episodes are left out.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from remote.contract.json_text import from_json

TOTAL = "reward"
"""The name of the total reward."""


@dataclass(frozen=True)
class TaskScores:
    """Scores by task of an evaluation, or of a training's held-out tasks."""

    parts: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """`reward` and each part → task → mean over its episodes."""
    episodes: int = 0
    failed: int = 0
    """Episodes that failed, and lines that are damaged."""

    @property
    def tasks(self) -> int:
        """Tasks that have a score."""
        return len(self.parts.get(TOTAL, {}))


def task_scores(data: bytes) -> TaskScores:
    """Read the scores of a file of episodes, one JSON object a line; a torn last line is ignored."""
    rewards: dict[str, list[float]] = defaultdict(list)
    sums: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    episodes = failed = 0
    for line in data[: data.rfind(b"\n") + 1].splitlines():
        if (episode := _episode(line)) is None:
            failed += 1
            continue
        episodes += 1
        task, total, parts = episode
        rewards[task].append(total)
        for part, value in parts:
            sums[part][task] += value
    counts = {task: len(values) for task, values in rewards.items()}
    # A part that an episode lacks counts as 0, as in the evaluation's own means.
    means = {
        part: {task: found.get(task, 0.0) / n for task, n in counts.items()} for part, found in sums.items()
    }
    totals = {task: sum(values) / counts[task] for task, values in rewards.items()}
    return TaskScores({TOTAL: totals, **dict(sorted(means.items()))}, episodes, failed)


def _episode(line: bytes) -> tuple[str, float, list[tuple[str, float]]] | None:
    """Task, reward and parts of an episode; None where it failed or its reward is no finite number."""
    try:
        data = from_json(line)
        if data.get("error") is not None:
            return None
        task, reward = str(data["task"]), float(data["reward"])
        return (task, reward, list(_numbers(data.get("rewards")))) if math.isfinite(reward) else None
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return None


def _numbers(rewards: object) -> Iterator[tuple[str, float]]:
    for name, value in rewards.items() if isinstance(rewards, dict) else ():
        if isinstance(value, int | float) and math.isfinite(value):
            yield str(name), float(value)
