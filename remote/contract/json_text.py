"""Write and read JSON: strict output, limited input. Pure functions.

Measurements may not be finite, and input may come from anybody. So numbers that JSON cannot express are
written as null, characters that a terminal interprets are escaped, and nesting is limited for recursive
readers.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

DEEPEST = 200
"""Levels of nesting that are accepted, as many as pydantic accepts."""
OBEYED = "\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
"""Characters that a terminal interprets or cannot write, besides the C0 controls: DEL, C1, line separators,
bidi controls, lone surrogates. The inside of a character class of a regular expression."""
_OBEYED = re.compile(f"[{OBEYED}]")
_ESCAPE = re.compile(r"\\(?:u(d[89a-f][0-9a-f]{2})|.)")
_COMPACT = (",", ":")


def to_json(value: Any, *, indent: int | None = None) -> str:
    """A document on one line, or indented. NaN and infinities become null.

    Raises `TypeError` for values that are not JSON.
    """
    separators = None if indent else _COMPACT
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False, indent=indent, separators=separators)
    except ValueError:
        text = json.dumps(
            _finite(value), allow_nan=False, ensure_ascii=False, indent=indent, separators=separators
        )
    # They occur in strings only, where their escapes mean the same.
    return _OBEYED.sub(lambda match: f"\\u{ord(match.group()):04x}", text)


def to_portable_json(value: Any) -> str:
    """An indented document that pydantic accepts too: lone surrogates become `?`."""
    return _ESCAPE.sub(lambda match: "?" if match.group(1) else match.group(), to_json(value, indent=2))


def from_json(text: str | bytes) -> Any:
    """Parse a document. `NaN` and `Infinity`, which older versions wrote, are accepted.

    Raises `ValueError` where it is not JSON, or nested deeper than `DEEPEST`.
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
    """Number of opening brackets, which bounds the depth of nesting."""
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
