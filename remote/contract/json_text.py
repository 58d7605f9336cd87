"""JSON as it is written and read here: strict on the way out, suspicious on the way in. Pure functions.

What is measured may be no finite number, and what is read may come from anybody. So a number that JSON has no
word for is written as null, characters that a terminal obeys are escaped, and a document is read only to a
depth that whoever walks it can bear.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

DEEPEST = 200
"""Levels of nesting that are read; pydantic reads as many."""
OBEYED = "\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
"""What a terminal obeys, or cannot write, beside C0 controls: DEL, C1, line ends, bidi controls, halves of
surrogates. The inside of a regular expression's class."""
_OBEYED = re.compile(f"[{OBEYED}]")
_ESCAPE = re.compile(r"\\(?:u(d[89a-f][0-9a-f]{2})|.)")
_COMPACT = (",", ":")


def to_json(value: Any, *, indent: int | None = None) -> str:
    """A document on one line, or indented. NaN and infinities become null.

    Raises `TypeError` for what JSON cannot hold.
    """
    separators = None if indent else _COMPACT
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False, indent=indent, separators=separators)
    except ValueError:
        text = json.dumps(
            _finite(value), allow_nan=False, ensure_ascii=False, indent=indent, separators=separators
        )
    # They can stand in strings only, where their escapes mean the same.
    return _OBEYED.sub(lambda match: f"\\u{ord(match.group()):04x}", text)


def to_portable_json(value: Any) -> str:
    """An indented document that pydantic reads too: halves of surrogates become `?`."""
    return _ESCAPE.sub(lambda match: "?" if match.group(1) else match.group(), to_json(value, indent=2))


def from_json(text: str | bytes) -> Any:
    """What a document says. `NaN` and `Infinity`, which older versions wrote, are numbers.

    Raises `ValueError` where it is no JSON, and where it is nested deeper than `DEEPEST`.
    """
    try:
        value = json.loads(text)  # noqa: TID251 - the one place
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    if _brackets(text) > DEEPEST and _is_deep(value):
        raise ValueError(_TOO_DEEP)
    return value


_TOO_DEEP = f"nested deeper than {DEEPEST} levels"


def _brackets(text: str | bytes) -> int:
    """Values that are opened: no document is nested deeper than it has of them."""
    if isinstance(text, bytes):
        return text.count(b"[") + text.count(b"{")
    return text.count("[") + text.count("{")


def _is_deep(value: Any) -> bool:
    """Whether a value is nested deeper than `DEEPEST`; without recursion."""
    level, depth = [value], 0
    while level := [part for parent in level if isinstance(parent, list | dict) for part in _parts(parent)]:
        depth += 1
        if depth > DEEPEST:
            return True
    return False


def _parts(parent: Any) -> Any:
    return parent.values() if isinstance(parent, dict) else parent


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    return [_finite(part) for part in value] if isinstance(value, list | tuple) else value
