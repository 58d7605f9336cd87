"""Compare runs: the keys in which their configs differ, and their scores. Pure, on plain data."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from remote.contract.json_text import from_json
from tui.store.charts.series import Metrics, Series

UNREADABLE = "?"
_MISSING = "–"
_REWARDS = ("reward", "rewards/total")
_SCORE = "eval/total"


@dataclass(frozen=True)
class Difference:
    """A key whose value differs between runs."""

    key: str
    values: tuple[str, ...]
    """As text, one for each run."""
    odd: tuple[bool, ...]
    """Whether a run's value differs from the most frequent one."""


@dataclass(frozen=True)
class Scores:
    """Scores of a run so far; None where there are none."""

    step: int | None = None
    reward: float | None = None
    """The latest."""
    best: float | None = None
    best_step: int | None = None
    before: float | None = None
    """The first held-out score."""
    after: float | None = None
    """The last held-out score, where there are two."""


def read_spec(data: bytes) -> dict[str, Any]:
    """The values of a run's `spec.json` by dotted key. Raises `ValueError`."""
    found = from_json(data)
    spec = found.get("spec") if isinstance(found, dict) else None
    if not isinstance(spec, dict):
        raise ValueError("it has no spec")
    return flatten(spec)


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as dotted keys; an empty mapping is a value."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def differences(configs: Sequence[Mapping[str, Any] | None]) -> list[Difference]:
    """The keys that differ, in the order of the configs; None is a config that cannot be read."""
    readable = [config for config in configs if config is not None]
    keys = list(dict.fromkeys(key for config in readable for key in config))
    found = []
    for key in keys:
        texts = [UNREADABLE if config is None else _text(config, key) for config in configs]
        known = [text for text, config in zip(texts, configs, strict=True) if config is not None]
        if len(set(known)) > 1:
            usual = max(known, key=known.count)
            odd = tuple(text != usual and text != UNREADABLE for text in texts)
            found.append(Difference(key, tuple(texts), odd))
    return found


def scores(metrics: Metrics) -> Scores:
    """A run's reward and held-out scores."""
    rewards = next((metrics.series[name] for name in _REWARDS if name in metrics.series), Series())
    held_out = metrics.series.get(_SCORE, Series()).values
    steps = metrics.times.steps
    best = max(filter(math.isfinite, rewards.values), default=None)
    return Scores(
        step=steps[-1] if steps else None,
        reward=rewards.values[-1] if rewards.values else None,
        best=best,
        best_step=None if best is None else rewards.steps[rewards.values.index(best)],
        before=held_out[0] if held_out else None,
        after=held_out[-1] if len(held_out) > 1 else None,
    )


def _text(config: Mapping[str, Any], key: str) -> str:
    if key not in config:
        return _MISSING
    value = config[key]
    if value is None:
        return "unset"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text.replace("e-0", "e-") if isinstance(value, float) else text
