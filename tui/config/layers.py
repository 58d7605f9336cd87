"""Layers of values: flatten nested data into keys, override layer by layer, nest again.

Also describes unknown keys and wrong values. The spec has types and bounds; `resolve.py` makes the layers.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator
from typing import Any

from remote.contract.record import Provenance
from remote.contract.redaction import shown_value
from tui.config import peer_names, schema
from tui.config.problems import Problem, shown
from tui.config.yaml_files import Key
from tui.config.yaml_scalars import read_plain

_CLOSE = 0.6


class Layers:
    """Values by key, each with its provenance; a later layer wins."""

    def __init__(self) -> None:
        self.values: dict[Key, Any] = {}
        self.provenance: dict[Key, Provenance] = {}

    def put(self, key: Key, value: Any, source: Provenance) -> None:
        """Set a value; it replaces values at, above and below its key."""
        for other in [k for k in self.values if k[: len(key)] == key or key[: len(k)] == k]:
            self.drop(other)
        self.values[key] = value
        self.provenance[key] = source

    def drop(self, key: Key) -> None:
        """Remove a value."""
        del self.values[key], self.provenance[key]

    def under(self, key: Key) -> list[Key]:
        """The keys of the values below a key."""
        return [k for k in self.values if k[: len(key)] == key and k != key]

    def nested(self) -> dict[str, Any]:
        """All values as the nested mapping that the spec validates."""
        tree: dict[str, Any] = {}
        for key, value in self.values.items():
            branch = tree
            for part in key[:-1]:
                branch = branch.setdefault(part, {})
            branch[key[-1]] = value
        return tree


def defaults() -> Layers:
    """The lowest layer: the spec's defaults."""
    layers = Layers()
    for row in schema.rows():
        layers.put(row.path, row.default, Provenance(layer="default"))
    return layers


def is_section(key: Key) -> bool:
    """Whether a key names a section."""
    return ".".join(key) in schema.sections() and not any("." in part for part in key)


def is_open(key: Key) -> bool:
    """Whether a key is a mapping with keys of the user's own, or lies in one."""
    return any(is_open_root(key[:n]) for n in range(1, len(key) + 1))


def is_open_root(key: Key) -> bool:
    """Whether a key is such a mapping itself, as `model.overrides` is."""
    row = schema.by_path().get(key)
    return row is not None and row.type == "mapping"


def leaves(data: Any, key: Key = ()) -> Iterator[tuple[Key, Any]]:
    """The values of nested data with their full keys; a mapping that is no section is one value."""
    inside = not key or is_section(key) or is_open(key)
    if inside and isinstance(data, dict) and (data or not is_open(key)):
        for name, value in data.items():
            yield from leaves(value, (*key, name))
    elif data is None and (is_section(key) or is_open_root(key)):
        # `training:` with every key commented out is an empty section.
        return
    else:
        yield key, data


def unknown(key: Key, where: str) -> Problem | None:
    """The problem with a key that the spec does not have, and the key to propose; None for a known key."""
    if key in schema.by_path() or is_section(key) or is_open(key):
        return None
    dotted, ours = ".".join(key), peer_names.find(key)
    if ours is not None and dotted not in schema.by_key():
        note = f"; {ours.note}" if ours.key and ours.note else ours.note
        advice = f"here it is {ours.key}{note}" if ours.key else note
        return Problem(f"unknown key {dotted}: {advice}", where, dotted, proposal=ours.key)
    near = nearest(key)
    message = f"unknown key {dotted}"
    parent = next((".".join(key[:n]) for n in range(1, len(key)) if key[:n] in schema.by_path()), None)
    if parent is not None:
        message += f": {parent} is a single value and has no keys below it"
        near = [parent]
    elif near == [dotted]:
        message += " written with dots: in a file, each part stands indented below the one before"
    elif near:
        message += f": did you mean {' or '.join(near)}?"
    return Problem(message, where, dotted, proposal=near[0] if near else None)


def nearest(key: Key) -> list[str]:
    """The known keys that are most similar: at most three, the most similar first."""
    known = [*schema.by_key(), *schema.sections()]
    dotted, name = ".".join(key), key[-1]
    if dotted in known:
        return [dotted]
    same = [k for k in known if k.split(".")[-1] == name]
    if same:
        return sorted(same, key=lambda k: -_likeness(k, dotted))[:3]
    siblings = [k for k in known if k.split(".")[:-1] == list(key[:-1])]
    return _close(name, siblings) or _close(name, known, 0.75) or _close(dotted, known, whole=True)


def _close(name: str, keys: list[str], cutoff: float = _CLOSE, *, whole: bool = False) -> list[str]:
    names = {k: k if whole else k.split(".")[-1] for k in keys}
    close = difflib.get_close_matches(name, names.values(), 1, cutoff)
    return [k for k, tail in names.items() if [tail] == close][:1]


def _likeness(a: str, b: str) -> float:
    return difflib.SequenceMatcher(None, a, b).ratio()


def wrong_kind(key: Key, value: Any) -> bool:
    """Whether pydantic would accept a value that nobody means: `true` as a number, or an infinite number."""
    row = schema.by_path().get(key)
    is_number = row is not None and row.type in ("whole number", "number")
    if is_number and isinstance(value, str):  # quoted: what it says by YAML's grammar, not by Python's
        value = read_plain(value.strip())
        return not isinstance(value, int | float) or isinstance(value, bool) or not _finite(value)
    return not _finite(value) or (isinstance(value, bool) and is_number)


def _finite(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_finite, value))
    return not isinstance(value, float) or math.isfinite(value)


def field_problem(key: Key, value: Any, where: str) -> Problem:
    """The problem with a value: what it is, and what its key takes."""
    dotted = ".".join(key)
    row = schema.by_path().get(key)
    expected = row.expected if row else _expected_elsewhere(key)
    default = row.default if row else None
    message = f"{dotted} is {_as_found(dotted, value)}, but should be {expected}"
    choices = {str(choice).casefold(): choice for choice in row.choices} if row else {}
    if close := difflib.get_close_matches(str(value).casefold(), choices, 1):
        message += f"; did you mean {choices[close[0]]}?"
    if row and row.type == "text" and isinstance(value, int | float) and _finite(value):
        message += f" (write it in quotes: '{value}')"
    message += f" (default: {shown(default)})" if row else ""
    return Problem(message, where, dotted, value, expected, default)


def _as_found(dotted: str, value: Any) -> str:
    if value is None:
        return "empty"
    is_infinite = isinstance(value, float) and math.isinf(value)
    return "infinite" if is_infinite else shown(shown_value(dotted, value))


def _expected_elsewhere(key: Key) -> str:
    if is_section(key):
        return "a section with keys of its own"
    return "text" if key[:2] == ("model", "overrides") else "a finite number"
