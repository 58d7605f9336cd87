"""A run's resolved config as rows: each value, its source and its default. Pure.

Reads `spec.json` of a run directory, of any version: keys that this version does not know are rows too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tui.config import schema
from tui.config.layers import is_open
from tui.config.yaml_files import Key

_UNKNOWN = object()


@dataclass(frozen=True)
class ConfigValue:
    """One key of a run's config."""

    key: str
    """Dotted: `training.steps`."""
    value: str
    """As a config would have it; `unset` for null."""
    layer: str
    """default, file, override or set; empty where none is recorded."""
    where: str
    """`path:line` for a file, `KEY=VALUE` for set."""
    default: str
    """Empty where there is none."""
    differs: bool
    """Whether the value is another one than the default."""
    help: str

    @property
    def section(self) -> str:
        """The outermost part of the key."""
        return self.key.partition(".")[0]

    @property
    def name(self) -> str:
        """The key within its section."""
        return self.key.partition(".")[2] or self.key

    @property
    def source(self) -> str:
        """Where the value comes from, as text."""
        if self.layer == "set":
            return f"you: {self.where}" if self.where else "you"
        if self.layer == "override":
            return f"{self.where} (model.overrides)"
        return self.where or self.layer


def run_config(document: Mapping[str, Any]) -> list[ConfigValue]:
    """Every value of a run's `spec.json`, in the spec's own order, what it does not know last."""
    spec, provenance = document.get("spec"), document.get("provenance")
    sources = provenance if isinstance(provenance, dict) else {}
    found = {".".join(key): value for key, value in _leaves(spec if isinstance(spec, dict) else {})}
    order = {row.key: at for at, row in enumerate(schema.rows())}
    keys = sorted(
        found, key=lambda key: (order.get(_root(key), len(order)), key if _root(key) in order else "")
    )
    return [_value(key, found[key], sources.get(key)) for key in keys]


def text(value: Any) -> str:
    """A value as a config would have it."""
    if value is None:
        return "unset"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _leaves(data: Any, key: Key = ()) -> Iterator[tuple[Key, Any]]:
    if isinstance(data, dict) and (data or not is_open(key)):
        for name, value in data.items():
            yield from _leaves(value, (*key, str(name)))
    else:
        yield key, data


def _root(key: str) -> str:
    """The spec's key that a key is, or lies in."""
    parts = key.split(".")
    known = schema.by_key()
    return next((k for n in range(len(parts), 0, -1) if (k := ".".join(parts[:n])) in known), key)


def _value(key: str, value: Any, source: Any) -> ConfigValue:
    row = schema.by_key().get(_root(key))
    source = source if isinstance(source, dict) else {}
    default: Any = _UNKNOWN if row is None or row.key != key else row.default
    return ConfigValue(
        key=key,
        value=text(value),
        layer=str(source.get("layer", "")),
        where=str(source.get("where") or ""),
        default="" if default is _UNKNOWN else text(default),
        differs=default is _UNKNOWN or value != default,
        help=row.help if row else "this version does not know the key",
    )
