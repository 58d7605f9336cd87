"""Refuse scores that are not numbers, with their name, where verifiers records them.

verifiers itself passes any value of a reward to `float`: the text "1.0" would count as 1, and an error would
not name the part of a mapping.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import verifiers.v1 as vf

_CHECKED = "_vfm_checked"


def check_scores() -> None:
    """From now on, raise `TypeError` with the name of a reward or metric that is not a number."""
    for kind in ("metric", "reward"):
        record = getattr(vf.Trace, f"record_{kind}")
        if not hasattr(record, _CHECKED):
            setattr(vf.Trace, f"record_{kind}", _checked(kind, record))


def _checked(kind: str, record: Callable[..., None]) -> Callable[..., None]:
    def checked(trace: Any, name: str, value: Any, *rest: Any, **named: Any) -> None:
        if problem := _no_number(value):
            raise TypeError(f"the {kind} {name} is {problem}, not a number")
        record(trace, name, value, *rest, **named)

    setattr(checked, _CHECKED, True)
    return checked


def _no_number(value: Any) -> str:
    """Describe a value that is not a number; empty for a number."""
    if isinstance(value, str | bytes | bytearray):
        return f"the text {value[:40]!r}"
    if inspect.iscoroutine(value):
        return "a coroutine (await it)"
    try:
        float(value)
    except OverflowError:
        return "beyond the largest number that there is (1.8e308)"
    except (TypeError, ValueError):
        return "None" if value is None else f"a {type(value).__name__}"
    return ""
