"""A run as a row of the runs table.

Owns the row, its form in the cache (a JSON object) and the order of rows. Imports little, since the app's
first frame waits for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

LIVE = frozenset({"pending", "running"})
"""Statuses of live runs."""
POINTS = 32
"""Values of a sparkline, at most."""

_HUGE = 1e300  # JSON may have integers that no float can hold

Key = tuple[str, str, str]
Scalar = str | int | float | bool | None


@dataclass(frozen=True)
class RunRow:
    """One run. Times are Unix seconds, `eta` is seconds, `cost` and `price` are US dollars."""

    run_id: str
    kind: str = "train"
    backend: str = "local"
    status: str = "pending"
    experimenter: str = "default"
    experiment: str = "default"
    environment: str = ""
    model: str = ""
    outputs: str = ""
    """The volume that holds the run's directory."""
    step: int | None = None
    """Optimiser steps done; of an evaluation, episodes."""
    total_steps: int | None = None
    eta: float | None = None
    reward: float | None = None
    """The latest mean reward (NaN where not finite); of an evaluation, its score."""
    reward_error: float | None = None
    """The standard error of an evaluation's score."""
    rewards: tuple[float, ...] = ()
    """The rewards over the run, thinned to a sparkline."""
    created: float = 0.0
    started: float | None = None
    ended: float | None = None
    cost: float | None = None
    """Its estimated cost, over all attempts."""
    price: float | None = None
    """Its price an hour; None where unknown or free."""
    failure: str = ""
    """The message of its failure."""
    hint: str = ""
    """The failure's hint."""
    fix_key: str = ""
    """The dotted config key that fixes the failure, if any."""
    fix_value: Scalar = None
    """The value of that key which fixes it."""
    phase: str = ""
    """The present phase, such as `vllm · loading weights`."""
    attempt: str = ""
    """The attempt and its reason, if not the first."""
    config_path: str | None = None
    complete: bool = False
    """Whether the run's whole stream was read."""

    @property
    def key(self) -> Key:
        """Identifies the run."""
        return self.backend, self.outputs, self.run_id

    @property
    def live(self) -> bool:
        return self.status in LIVE

    @property
    def progress(self) -> float | None:
        """The share of steps done, from 0 to 1."""
        if self.step is None or not self.total_steps:
            return None
        return max(0.0, min(1.0, self.step / self.total_steps))

    def seconds(self, now: float) -> float | None:
        """How long it has been running, or ran."""
        return None if self.started is None else max(0.0, (self.ended or now) - self.started)

    @cached_property
    def text(self) -> str:
        """All that a search finds, prepared by `for_search`."""
        words = (self.run_id, self.status, self.experiment, self.environment, self.model, self.backend)
        also = (self.kind, self.config_path or "", self.experimenter, self.failure, self.phase)
        return for_search("\n".join((*words, *also)))

    def to_dict(self) -> dict[str, Any]:
        """The row for the cache, without default values and NaN."""
        known = ((name, getattr(self, name), default) for name, default in _DEFAULTS)
        return {name: value for name, value, default in known if value != default and value == value}


def for_search(text: str) -> str:
    """Text for comparisons that ignore case and take `vf-wordle` for `vf_wordle`."""
    return text.casefold().replace("-", "_")


def row_from(data: Any) -> RunRow | None:
    """The row of a JSON object; None where it is invalid. Unknown names are ignored."""
    if not isinstance(data, Mapping):
        return None
    known = {name: value for name, value in data.items() if name in _FITS}
    if not known.get("run_id") or not all(_FITS[name](value) for name, value in known.items()):
        return None
    known["rewards"] = tuple(map(float, known.get("rewards", ())))
    return RunRow(**known)


def advice(hint: Any) -> dict[str, Any]:
    """The fields of a row from a failure's hint (`{text, key, from, to}`)."""
    if not isinstance(hint, Mapping):
        return {"hint": "", "fix_key": "", "fix_value": None}
    text, key, value = hint.get("text"), hint.get("key"), hint.get("to")
    mends = isinstance(key, str) and _is_scalar(value)
    return {
        "hint": text if isinstance(text, str) else "",
        "fix_key": key if mends else "",
        "fix_value": value if mends else None,
    }


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and -_HUGE < value < _HUGE


def _is_whole(value: Any) -> bool:
    return type(value) is int and -_HUGE < value < _HUGE


def _or_none(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or fits(value)


def _is_series(value: Any) -> bool:
    if (
        type(value) not in (list, tuple)
        or len(value) > POINTS
        or not {int, float}.issuperset(map(type, value))
    ):
        return False
    try:
        return bool(-_HUGE < sum(value) < _HUGE)  # NaN makes the sum NaN
    except OverflowError:
        return False


def _is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, str | bool) or _is_number(value)


_KINDS: dict[str, Callable[[Any], bool]] = {
    "Scalar": _is_scalar,
    "str": _is_text,
    "float": _is_number,
    "bool": lambda value: isinstance(value, bool),
    "str | None": _or_none(_is_text),
    "int | None": _or_none(_is_whole),
    "float | None": _or_none(_is_number),
    "tuple[float, ...]": _is_series,
}
_FITS: dict[str, Callable[[Any], bool]] = {field.name: _KINDS[str(field.type)] for field in fields(RunRow)}
_DEFAULTS = [(field.name, field.default) for field in fields(RunRow)]

_RANKS = {"running": 0, "pending": 1, "failed": 2, "cancelled": 3, "done": 4}

SORT_KEYS: dict[str, Callable[[RunRow], Any]] = {
    "status": lambda row: _RANKS.get(row.status, 5),
    "id": lambda row: row.run_id.casefold(),
    "experiment": lambda row: row.experiment.casefold() or None,
    "environment": lambda row: row.environment.casefold() or None,
    "model": lambda row: row.model.casefold() or None,
    "progress": lambda row: row.progress,
    "reward": lambda row: row.reward,
    "age": lambda row: -row.created if row.created else None,
    "time": lambda row: None if row.started is None else (row.ended or math.inf) - row.started,
    "cost": lambda row: row.cost,
    "backend": lambda row: row.backend,
    "kind": lambda row: row.kind,
    "user": lambda row: row.experimenter.casefold() or None,
}
"""Column → sort key; None comes last in either direction. Statuses sort live ones first."""


def sort_rows(rows: Iterable[RunRow], column: str, *, reverse: bool = False) -> list[RunRow]:
    """The rows in a column's order (stable); in their own order for an unknown column."""
    key = SORT_KEYS.get(column)
    if key is None:
        return list(rows)
    keyed = [(key(row), row) for row in rows]
    known = [pair for pair in keyed if _is_known(pair[0])]
    known.sort(key=lambda pair: pair[0], reverse=reverse)
    return [row for _, row in known] + [row for value, row in keyed if not _is_known(value)]


def _is_known(value: Any) -> bool:
    return value is not None and value == value  # NaN cannot be sorted


def thin(values: Sequence[float], most: int = POINTS) -> tuple[float, ...]:
    """Thin a series to at most `most` values: the lowest and highest of each stretch."""
    values = [value for value in values if math.isfinite(value)]
    if len(values) <= most:
        return tuple(values)
    buckets = max(1, (most - 2) // 2)
    inner, found = values[1:-1], [values[0]]
    for bucket in range(buckets):
        start, end = bucket * len(inner) // buckets, (bucket + 1) * len(inner) // buckets
        stretch = inner[start:end]
        low, high = stretch.index(min(stretch)), stretch.index(max(stretch))
        found += [stretch[at] for at in sorted({low, high})]
    return (*found, values[-1])
