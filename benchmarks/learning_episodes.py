"""A training's held-out episodes, before and after it: means, how far to trust them, and replies.

Owns reading and counting them; `learning.py` fetches them and makes the table.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

Episode = dict[str, Any]
"""A line of `rollouts/held-out-….jsonl`: `task`, `messages`, `reward`, `rewards`, `metrics`, `error`."""


def first_and_last(folder: Path) -> tuple[list[Episode], list[Episode]]:
    """The episodes of a run's first and last held-out score, by its `rollouts` folder; no failed ones."""
    files = sorted(folder.glob("held-out-*.jsonl"))
    if len(files) < 2:
        raise SystemExit(
            f"{folder} has {len(files)} held-out scores; a score before and one after are needed"
        )
    return _read(files[0]), _read(files[-1])


def _read(file: Path) -> list[Episode]:
    episodes = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return [episode for episode in episodes if episode["error"] is None]


def part(episode: Episode, name: str) -> float:
    """`total` is the reward; a part counts unweighted where it is a metric, else as it was rewarded."""
    if name == "total":
        return float(episode["reward"])
    return float(episode["metrics"].get(name, episode["rewards"].get(name, 0.0)))


def mean(episodes: Sequence[Episode], name: str) -> float:
    """The mean of a part."""
    return fmean(part(episode, name) for episode in episodes)


def standard_error(episodes: Sequence[Episode], name: str) -> float:
    """Of that mean, by the sandwich estimator for clusters: episodes that were asked the same are one draw.

    sqrt(G/(G-1) Σ_g (Σ_i in g (x_i - mean))²) / n, with G clusters and n episodes; 0 for a single cluster.
    """
    centre = mean(episodes, name)
    sums: dict[str, float] = defaultdict(float)
    for episode in episodes:
        sums[json.dumps(episode["messages"][:-1])] += part(episode, name) - centre
    count = len(sums)
    scale = count / (count - 1) if count > 1 else 0.0
    return math.sqrt(scale * sum(value**2 for value in sums.values())) / len(episodes)


def replies(before: Sequence[Episode], after: Sequence[Episode], count: int) -> Iterator[str]:
    """Markdown: the first tasks in the held-out order, whatever they earned, and both replies."""
    later = {episode["task"]: episode for episode in after}
    shown = [(episode, later[episode["task"]]) for episode in before if episode["task"] in later]
    for old, new in shown[:count]:
        yield f"{old['task']}: {old['messages'][-2]['content']}"
        for when, episode in (("before", old), ("after", new)):
            yield f"  {when}, {episode['reward']:.2f}: {json.dumps(episode['messages'][-1]['content'])}"
