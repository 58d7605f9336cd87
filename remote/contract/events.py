"""The events of a run, numbered and versioned, and their form on a line of the worker's output.

A line that begins with the ASCII record separator (0x1E, as in RFC 7464) is one JSON event; every other line
is text for people, tagged with its source (`[vllm] …`). Unknown kinds and fields survive decoding, so that an
older client can read a newer worker's runs. Measured numbers that are not finite are written as null.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal

from remote.contract.json_text import from_json, to_json

RECORD_SEPARATOR = "\x1e"
VERSION = 1

Phase = Literal["image", "prepare", "vllm", "train", "evaluate", "save", "finish"]
PHASES: tuple[Phase, ...] = ("image", "prepare", "vllm", "train", "evaluate", "save", "finish")
Source = Literal["vllm", "env", "train", "worker", "image"]
SOURCES: tuple[Source, ...] = ("image", "worker", "env", "vllm", "train")


@dataclass(frozen=True, kw_only=True)
class Event:
    """Fields of every event."""

    type: ClassVar[str] = ""
    seq: int = -1
    """Number within the run, from 0."""
    t: float = field(default_factory=time.time)
    """Unix seconds."""


@dataclass(frozen=True, kw_only=True)
class PhaseEvent(Event):
    """A phase began or ended. `detail` names a sub-phase (of vllm: resolving, loading weights, …)."""

    type: ClassVar[str] = "phase"
    phase: str
    status: str
    detail: str | None = None


@dataclass(frozen=True, kw_only=True)
class ProgressEvent(Event):
    """`done` of `total`, in units of `what` (steps, bytes, packages); a `total` of 0 is unknown."""

    type: ClassVar[str] = "progress"
    done: float
    total: float
    what: str


@dataclass(frozen=True, kw_only=True)
class MetricsEvent(Event):
    """Metrics of one optimiser step. Steps count from 1; step 0 is before any training."""

    type: ClassVar[str] = "metrics"
    step: int
    values: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class RolloutEvent(Event):
    """One finished episode: the conversation, each part of the reward, and the total that is trained on."""

    type: ClassVar[str] = "rollout"
    step: int
    task: str
    messages: list[dict[str, Any]]
    rewards: dict[str, float]
    reward: float


@dataclass(frozen=True, kw_only=True)
class CheckpointEvent(Event):
    """A checkpoint was saved; `path` is relative to the run directory."""

    type: ClassVar[str] = "checkpoint"
    step: int
    path: str
    score: float | None = None
    """The held-out score at that step; None where none was taken."""
    best: bool = False
    """Whether no earlier checkpoint has scored as high."""


@dataclass(frozen=True, kw_only=True)
class SystemEvent(Event):
    """Load of the machine: cpu_percent, memory_gb, worker_rss_gb, server_rss_gb and the like."""

    type: ClassVar[str] = "system"
    values: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class FailureEvent(Event):
    """Why the run fails: the fields of `errors.VfmError.to_dict`."""

    type: ClassVar[str] = "failure"
    boundary: str
    cause: str
    message: str
    hint: dict[str, Any] | None = None
    """`{text, key, from, to}`; the last three are null unless one config key mends the failure."""

    def on_record(self) -> dict[str, Any]:
        """The failure as the run's record has it, which `errors.error_from` reads."""
        names = ("boundary", "cause", "message", "hint")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, kw_only=True)
class EndEvent(Event):
    """The last event of a run. `status` is done, failed or cancelled."""

    type: ClassVar[str] = "end"
    status: str
    exit_code: int


@dataclass(frozen=True, kw_only=True)
class AttemptEvent(Event):
    """Another attempt at the run begins."""

    type: ClassVar[str] = "attempt"
    number: int
    """From 2."""
    why: str
    """What ended the previous attempt: `timeout`, `server`, `preempted` or `lost`."""


@dataclass(frozen=True, kw_only=True)
class RestartEvent(Event):
    """The vLLM server died or hung during the run and is started again."""

    type: ClassVar[str] = "restart"
    number: int
    """Restarts of the run so far, from 1."""
    why: str
    """A sentence: `vLLM died while running: its process EngineCore was killed`."""


@dataclass(frozen=True, kw_only=True)
class UnknownEvent(Event):
    """An event of an unknown kind; `data` is the whole object."""

    type: ClassVar[str] = "unknown"
    data: dict[str, Any]


AnyEvent = (
    PhaseEvent
    | ProgressEvent
    | MetricsEvent
    | RolloutEvent
    | CheckpointEvent
    | SystemEvent
    | FailureEvent
    | EndEvent
    | AttemptEvent
    | RestartEvent
    | UnknownEvent
)

KINDS: dict[str, type[Event]] = {
    kind.type: kind
    for kind in (
        PhaseEvent,
        ProgressEvent,
        MetricsEvent,
        RolloutEvent,
        CheckpointEvent,
        SystemEvent,
        FailureEvent,
        EndEvent,
        AttemptEvent,
        RestartEvent,
    )
}


_TYPES = {kind: [(f.name, str(f.type)) for f in fields(kind)] for kind in KINDS.values()}
_LARGEST = 2.0**53
"""From here on floats skip integers."""
_LATEST = 1e11
"""Unix seconds, about the year 5100."""
_WHOLE = 2**1023
"""From here on integers do not fit into a float."""
_LIMITS = {"t": _LATEST, "done": _LARGEST, "total": _LARGEST}
"""Fields that must be finite, since they are used in arithmetic; measured ones may be anything."""
_CLASSES: dict[str, type] = {"str": str, "list[dict[str, Any]]": list, "dict[str, Any]": dict, "bool": bool}
_UNFIT = object()


def to_dict(event: Event) -> dict[str, Any]:
    """The event as its JSON object: `{"v": 1, "seq": …, "t": …, "type": …, …}`."""
    if isinstance(event, UnknownEvent):
        return event.data
    body = {f.name: getattr(event, f.name) for f in fields(event) if f.name not in ("seq", "t")}
    return {"v": VERSION, "seq": event.seq, "t": event.t, "type": event.type, **body}


def from_dict(data: Mapping[str, Any]) -> AnyEvent:
    """The event of a JSON object; an `UnknownEvent` where a field does not have its type.

    Values of metrics and of the machine may be null (not finite); those that are no numbers are left out.
    """
    kind = KINDS.get(str(data.get("type")))
    seq, t = data.get("seq", -1), data.get("t", 0.0)
    if kind is not None:
        known = {name: _fitting(name, data[name], type_) for name, type_ in _TYPES[kind] if name in data}
        try:
            if _UNFIT not in known.values():
                return kind(**known)  # type: ignore[return-value]
        except TypeError:
            pass
    return UnknownEvent(
        seq=seq if isinstance(seq, int) and seq < _LARGEST else -1,
        t=float(t) if _is_number(t) and -_LATEST < t < _LATEST else 0.0,
        data=dict(data),
    )


def _fitting(name: str, value: Any, type_: str) -> Any:
    """The value in the field's type, or `_UNFIT`: user code can write anything to the stream."""
    if value is None and type_.endswith(" | None"):
        return value
    match type_.removesuffix(" | None"):
        case "int":
            return value if isinstance(value, int) and -_LARGEST < value < _LARGEST else _UNFIT
        case "float":
            limit = _LIMITS.get(name, math.inf)
            if limit == math.inf:
                return _measured(value) if _is_measured(value) else _UNFIT
            return float(value) if _is_number(value) and -limit < value < limit else _UNFIT
        case "dict[str, float]":
            numbers = value.items() if isinstance(value, dict) else ()
            return {key: _measured(number) for key, number in numbers if _is_measured(number)}
        case other:
            return value if isinstance(value, _CLASSES[other]) else _UNFIT


def _is_number(value: object) -> bool:
    return isinstance(value, float) or (isinstance(value, int) and -_WHOLE < value < _WHOLE)


def _is_measured(value: object) -> bool:
    """Whether it is a number, or null: one that was not finite."""
    return value is None or _is_number(value)


def _measured(value: Any) -> float:
    return math.nan if value is None else float(value)


def encode_line(event: Event) -> str:
    """One line of the stream, with the separator and without the newline."""
    return RECORD_SEPARATOR + to_json(to_dict(event))


def decode_line(line: str) -> AnyEvent | str:
    """The event on a line, or the line itself where it is text or not a JSON object."""
    if not line.startswith(RECORD_SEPARATOR):
        return line
    try:
        data = from_json(line[1:])
    except ValueError:
        return line
    return from_dict(data) if isinstance(data, dict) else line


def split_source(line: str) -> tuple[Source, str]:
    """The source of a text line, by its tag, and the rest of it; untagged lines are the worker's."""
    for source in SOURCES:
        tag = f"[{source}] "
        if line.startswith(tag):
            return source, line[len(tag) :]
    return "worker", line
