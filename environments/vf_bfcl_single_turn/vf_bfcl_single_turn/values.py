"""Whether an argument's value is one of those that are right for it.

Types come first: a value has the type that the function's description names, or else the type of the
answers, one of which it then must equal exactly. How far strings may differ depends on where they stand:
alone, in a list or in a dictionary they are compared without case, spaces and some punctuation; deeper,
exactly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

OPTIONAL = ""
"""Among the values that are right: the argument may be left out."""

_TYPES: Mapping[Any, type] = {
    "string": str,
    "integer": int,
    "float": float,
    "boolean": bool,
    "array": list,
    "tuple": list,
    "dict": dict,
    "any": str,
}
_LISTS = ("array", "tuple")
_LOOSE = str.maketrans({**dict.fromkeys(" ,./-_*^"), "'": '"'})


def mismatch(value: Any, schema: Mapping[str, Any], allowed: Sequence[Any]) -> str | None:
    """Why a value is not right, as the rest of a sentence, or None where it is.

    `schema` is the argument's description, `allowed` every value that is right.
    """
    kind = schema.get("type")
    wanted = _TYPES.get(kind)
    inner = _TYPES.get((schema.get("items") or {}).get("type")) if kind in _LISTS else None
    if wanted is None or (kind in _LISTS and inner is None):
        return f"is described with no type that is known ({kind!r})"
    value = _converted(value, kind)
    answered = next((type(answer) for answer in allowed if answer != OPTIONAL), None)
    if type(value) is wanted:
        fits = inner is None or _elements_fit(value, allowed, inner)
    else:
        fits = type(value) is answered
    if not fits:
        return f"should be of type {_type_name(kind, schema)}, not {value!r}"
    # Answers of another type than described stand for a variable: they are compared as they are.
    literal = answered not in (None, wanted)
    right = value in allowed if literal else _among(value, allowed, wanted, inner)
    return None if right else f"is {value!r}, which is none of {list(allowed)!r}"


def _converted(value: Any, kind: Any) -> Any:
    """A whole number may stand for a float, a tuple for what JSON can only hold as a list."""
    if kind == "tuple" and type(value) is tuple:
        return list(value)
    if kind == "float" and type(value) is int:
        with suppress(OverflowError):
            return float(value)
    return value


def _elements_fit(value: Any, allowed: Sequence[Any], inner: type) -> bool:
    """Whether the elements have the type described, or the one that some answer's elements have."""
    return any(
        type(answer) is not list or all(_element_fits(element, answer, inner) for element in value)
        for answer in allowed
    )


def _element_fits(element: Any, answer: list[Any], inner: type) -> bool:
    answered = next((type(other) for other in answer if other != OPTIONAL), None)
    return type(element) in (inner, answered)


def _among(value: Any, allowed: Sequence[Any], wanted: type, inner: type | None) -> bool:
    if wanted is dict:
        return any(_same_dict(value, answer) for answer in allowed)
    if inner is dict:
        return any(_same_dicts(value, answer) for answer in allowed)
    if wanted is list:
        return any(_same_list(value, answer) for answer in allowed)
    if wanted is str:
        return any(type(answer) is str and _loose(value) == _loose(answer) for answer in allowed)
    return value in allowed


def _same_dict(value: Any, answer: Any) -> bool:
    """`answer` holds a list of right values for each key, as for arguments."""
    if not isinstance(value, dict) or not isinstance(answer, dict):
        return False
    known = all(
        key in answer and _loose(entry) in [_loose(right) for right in answer[key]]
        for key, entry in value.items()
    )
    return known and all(key in value or OPTIONAL in right for key, right in answer.items())


def _same_dicts(value: list[Any], answer: Any) -> bool:
    answer = [] if answer == OPTIONAL else answer
    if not isinstance(answer, list) or len(value) != len(answer):
        return False
    return all(_same_dict(one, other) for one, other in zip(value, answer, strict=True))


def _same_list(value: list[Any], answer: Any) -> bool:
    # An empty list says as much as an argument that is left out.
    answer = [] if answer == OPTIONAL else answer
    return isinstance(answer, list) and [_loose(v) for v in value] == [_loose(a) for a in answer]


def _loose(value: Any) -> Any:
    """A string without what may differ: "April 1, 2024" is "april 1 2024". Others stay as they are."""
    return value.translate(_LOOSE).lower() if type(value) is str else value


def _type_name(kind: Any, schema: Mapping[str, Any]) -> str:
    return f"{kind} of {schema['items']['type']}" if kind in _LISTS else str(kind)
