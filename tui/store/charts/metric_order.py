"""The order of metrics, the most important first.

Names are those of `remote/training/callbacks.py`, `remote/rollouts/recorder.py` and TRL.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_FIRST = (
    r"reward",
    r"eval/total",
    r"eval/.*",
    r"loss",
    r"kl",
    r"entropy",
    r"completions/mean_length",
    r"tokens_per_second",
    r"sync/.*",
    r"sampling/sampling_logp_difference/mean",
    r"rewards/.*",
    r"reward_std",
    r"grad_norm",
    r"learning_rate",
    r"env/.*",
    r"episodes/.*",
    r"completions/.*",
    r"time/.*",
)
_RANKS = re.compile("|".join(f"({pattern})$" for pattern in _FIRST))


def chart_order(names: Iterable[str]) -> list[str]:
    """Names in the order of charts; unknown ones last, by name."""
    return sorted(names, key=lambda name: (_rank(name), name))


def is_reward(name: str) -> bool:
    """Whether this is the reward itself."""
    return name in ("reward", "eval/total")


def is_noisy(name: str) -> bool:
    """Whether smoothing helps; held-out scores are few, and each one counts."""
    return not name.startswith("eval/")


def _rank(name: str) -> int:
    match = _RANKS.match(name)
    return match.lastindex or 0 if match else len(_FIRST) + 1
