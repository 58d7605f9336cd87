"""A run as one row of the runs table: what is known of it at a glance.

Owns the row, its form in the cache (a JSON object) and the order of rows. Which rows are shown is
`run_filter.py`'s; what a stream adds to a row is `run_fold.py`'s. Light: the first frame waits for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

LIVE = frozenset({"pending", "running"})
"""Statuses of runs that are not over."""
POINTS = 32
"""Numbers of a sparkline, at most."""

_HUGE = 1e300  # JSON has whole numbers that no float can hold

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
    """The latest mean reward (NaN where it is no finite number); of an evaluation, its score."""
    reward_error: float | None = None
    """The standard error of an evaluation's score, where it is known."""
    rewards: tuple[float, ...] = ()
    """The reward over the run, thinned to a sparkline."""
    created: float = 0.0
    started: float | None = None
    ended: float | None = None
    cost: float | None = None
    """What it is estimated to have cost, all attempts together."""
    price: float | None = None
    """What an hour of it costs; None where that is unknown, or nothing."""
    failure: str = ""
    """Why it failed, in a sentence."""
    hint: str = ""
    """What to do about the failure."""
    fix_key: str = ""
    """The dotted config key that mends it, where one does."""
    fix_value: Scalar = None
    """What that key is to become."""
    phase: str = ""
    """What goes on now, such as `vllm · loading weights`."""
    attempt: str = ""
    """Which go at the run it is, and why, where it is not the first."""
    config_path: str | None = None
    complete: bool = False
    """Whether everything that the run has said is in."""

    @property
    def key(self) -> Key:
        """What tells it from every other run."""
        return self.backend, self.outputs, self.run_id

    @property
    def live(self) -> bool:
        """Whether it is not over."""
        return self.status in LIVE

    @property
    def progress(self) -> float | None:
        """The share of its steps that is done, from 0 to 1."""
        if self.step is None or not self.total_steps:
            return None
        return max(0.0, min(1.0, self.step / self.total_steps))

    def seconds(self, now: float) -> float | None:
        """How long it has been running, or ran."""
        began = self.started if self.started is not None else None
        return None if began is None else max(0.0, (self.ended or now) - began)

    @cached_property
    def text(self) -> str:
        """Everything that a search may find, in one string made for searching (`for_search`)."""
        words = (self.run_id, self.status, self.experiment, self.environment, self.model, self.backend)
        also = (self.kind, self.config_path or "", self.experimenter, self.failure, self.phase)
        return for_search("\n".join((*words, *also)))

    def to_dict(self) -> dict[str, Any]:
        """The row for the cache: what is not as it is by default, and JSON has a word for."""
        known = ((name, getattr(self, name), default) for name, default in _DEFAULTS)
        return {name: value for name, value, default in known if value != default and value == value}


def for_search(text: str) -> str:
    """Text as it is compared: case does not matter, and `vf-wordle` is `vf_wordle`."""
    return text.casefold().replace("-", "_")


def row_from(data: Any) -> RunRow | None:
    """The row that a JSON object stands for; None where it is none. Unknown names are passed over."""
    if not isinstance(data, Mapping):
        return None
    known = {name: value for name, value in data.items() if name in _FITS}
    if not known.get("run_id") or not all(_FITS[name](value) for name, value in known.items()):
        return None
    known["rewards"] = tuple(map(float, known.get("rewards", ())))
    return RunRow(**known)


def advice(hint: Any) -> dict[str, Any]:
    """What a failure's hint (`{text, key, from, to}`) adds to a row: fields by name."""
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
        return bool(-_HUGE < sum(value) < _HUGE)  # what is no number makes the sum none
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
"""What a column is sorted by; None comes last, whichever way. The status sorts by how live it is."""


def sort_rows(rows: Iterable[RunRow], column: str, *, reverse: bool = False) -> list[RunRow]:
    """The rows in a column's order, equal ones as they were; an unknown column leaves them as they are."""
    key = SORT_KEYS.get(column)
    if key is None:
        return list(rows)
    keyed = [(key(row), row) for row in rows]
    known = [pair for pair in keyed if _is_known(pair[0])]
    known.sort(key=lambda pair: pair[0], reverse=reverse)
    return [row for _, row in known] + [row for value, row in keyed if not _is_known(value)]


def _is_known(value: Any) -> bool:
    return value is not None and value == value  # NaN has no place in an order


def thin(values: Sequence[float], most: int = POINTS) -> tuple[float, ...]:
    """A series in at most `most` numbers that look the same: of each stretch its lowest and its highest."""
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
