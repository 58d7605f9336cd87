"""Scores that are no numbers: refused with their name where verifiers records them.

verifiers hands whatever a reward returns to `float`, so that the text "1.0" would count as 1, and an error
would not say which part of a mapping it is about.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import verifiers.v1 as vf

_CHECKED = "_vfm_checked"


def check_scores() -> None:
    """From now on recording a reward or a metric that is no number raises `TypeError` with its name."""
    for what in ("metric", "reward"):
        record = getattr(vf.Trace, f"record_{what}")
        if not hasattr(record, _CHECKED):
            setattr(vf.Trace, f"record_{what}", _checked(what, record))


def _checked(what: str, record: Callable[..., None]) -> Callable[..., None]:
    def checked(trace: Any, name: str, value: Any, *more: Any, **named: Any) -> None:
        if shown := _no_number(value):
            raise TypeError(f"the {what} {name} is {shown}, not a number")
        record(trace, name, value, *more, **named)

    setattr(checked, _CHECKED, True)
    return checked


def _no_number(value: Any) -> str:
    """What a value is that is no number; empty for a number."""
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
