"""Questions about one argument, made at random from few values, so that near misses are many.

Owns combinations of type, right values and value that no entry of the files happens to hold. As in the
files, an argument's right values are all of one type. Part of `agreement.py`.
"""

from __future__ import annotations

import random
from typing import Any

_TYPES = ("string", "integer", "float", "boolean", "array", "tuple", "dict", "any")
_PLAIN = ("", "x", "X", "x.", "1", 0, 1, 1.0, 2, -1.5, True, False, None)


def question(chance: random.Random) -> tuple[list[Any], list[Any], list[Any], str]:
    """Functions, calls, ground truth and category of one question."""
    kind = chance.choice(_TYPES)
    schema: dict[str, Any] = {"type": kind}
    if kind in ("array", "tuple"):
        schema["items"] = {"type": chance.choice(_TYPES)}
    parameters = {"properties": {"a": schema}, "required": chance.choice((["a"], []))}
    allowed = _alike([_allowed(chance) for _ in range(chance.randint(0, 6))])
    if chance.random() < 0.3:
        allowed.insert(chance.randint(0, len(allowed)), "")
    # Half of the values are made from one that is right, or hardly any would be.
    value = _given(chance.choice(allowed), chance) if allowed and chance.random() < 0.5 else _value(chance)
    calls = [{"f": {"a": value}}]
    return [{"name": "f", "parameters": parameters}], calls, [{"f": {"a": allowed}}], "simple_python"


def _value(chance: random.Random, depth: int = 0) -> Any:
    form = chance.random()
    if depth > 1 or form < 0.5:
        return chance.choice(_PLAIN)
    if form < 0.8:
        made = [_value(chance, depth + 1) for _ in range(chance.randint(0, 2))]
        return tuple(made) if form > 0.77 else made
    return {chance.choice("kl"): _value(chance, depth + 1) for _ in range(chance.randint(0, 2))}


def _allowed(chance: random.Random) -> Any:
    """A right value: a dictionary's keys, and those of a list's dictionaries, hold lists of right values."""
    value = _listed(_value(chance))
    return (
        [_options(entry, chance) for entry in value] if isinstance(value, list) else _options(value, chance)
    )


def _alike(values: list[Any]) -> list[Any]:
    return [value for value in values if type(value) is type(values[0])]


def _options(value: Any, chance: random.Random) -> Any:
    if not isinstance(value, dict):
        return value
    return {key: [entry, _listed(_value(chance, 1))] for key, entry in value.items()}


def _given(allowed: Any, chance: random.Random) -> Any:
    """What a model might write for a right value: exactly that, or in another case or type."""
    if isinstance(allowed, dict):
        picked = {k: chance.choice(r) if isinstance(r, list) and r else r for k, r in allowed.items()}
        return {key: _given(value, chance) for key, value in picked.items()}
    if isinstance(allowed, list):
        return [_given(entry, chance) for entry in allowed]
    if isinstance(allowed, str) and chance.random() < 0.3:
        return allowed.upper()
    if isinstance(allowed, int) and chance.random() < 0.2:
        return float(allowed)
    return allowed


def _listed(value: Any) -> Any:
    """The value as a JSON file would hold it: without tuples."""
    if isinstance(value, list | tuple):
        return [_listed(entry) for entry in value]
    return {key: _listed(entry) for key, entry in value.items()} if isinstance(value, dict) else value
