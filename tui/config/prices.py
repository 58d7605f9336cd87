"""What a launch would cost: an hour of the machine, and at most until its timeout.

Owns the table (`prices.toml`, dated) and laying the user's own over it. How long a run really takes is
nobody's to know before it runs; a local run costs nothing here.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from remote.contract.errors import ConfigError, Hint
from remote.contract.spec import ExperimentSpec
from tui.settings import Settings

TABLE = Path(__file__).with_name("prices.toml")
NAME = "prices.toml"
_GIB = 1024  # MB, as Modal counts memory


@dataclass(frozen=True)
class Price:
    """USD, and how much of it is the GPU's."""

    hour: float
    gpu: float
    """The part of an hour that is the GPUs'."""
    most: float
    """What it can be at most: until the timeout."""
    date: str
    """Of the table."""
    source: str
    own: str = ""
    """The user's file, where it changed anything."""


@dataclass(frozen=True)
class Prices:
    """The table: USD an hour."""

    gpu: Mapping[str, float]
    cpu: float
    memory: float
    """A GiB."""
    date: str
    source: str
    own: str = ""

    def of(self, spec: ExperimentSpec) -> Price | None:
        """What Modal asks for this spec's machine; None where the table lacks its GPU."""
        modal = spec.modal
        return self.machine(modal.gpu.type, modal.gpu.count, modal.cpus, modal.memory, modal.timeout)

    def machine(self, gpu: str, count: int, cpus: float, memory_mb: float, timeout: float) -> Price | None:
        """The same for a machine by its parts; `timeout` in seconds."""
        if gpu not in self.gpu:
            return None
        gpus = self.gpu[gpu] * count
        hour = gpus + self.cpu * cpus + self.memory * memory_mb / _GIB
        return Price(hour, gpus, hour * timeout / 3600, self.date, self.source, self.own)


def price_per_hour(
    gpu: str, count: int = 1, cpus: float = 0, memory_mb: float = 0, *, settings: Settings | None = None
) -> Price | None:
    """An hour of a machine (`most` is the same); None where the table lacks the GPU. Raises `ConfigError`."""
    return prices(settings).machine(gpu, count, cpus, memory_mb, 3600)


def prices(settings: Settings | None = None) -> Prices:
    """The table with the user's own figures over it. Raises `ConfigError` where their file is no table."""
    table = tomllib.loads(TABLE.read_text())
    own = settings.config_dir / NAME if settings else None
    if own is None or not own.is_file():
        return _made(table, "")
    theirs = _read(own)
    merged = {**table, **theirs}
    for name in ("gpu", "same", "container"):
        merged[name] = {**table[name], **_section(theirs, name, own)}
    if "source" not in theirs:
        merged["source"] = str(own)
    return _made(merged, str(own))


def _made(table: Mapping[str, Any], own: str) -> Prices:
    try:
        gpu = {str(name): float(price) for name, price in table["gpu"].items()}
        for name, other in table["same"].items():
            gpu.setdefault(name, gpu[other])
        rates = table["container"]
        when = str(table["date"])
        return Prices(gpu, float(rates["cpu"]), float(rates["memory"]), when, str(table["source"]), own)
    except (KeyError, TypeError, ValueError) as error:
        raise _bad(own, f"{error} is no price") from error


def _section(theirs: Mapping[str, Any], name: str, path: Path) -> dict[str, Any]:
    section = theirs.get(name, {})
    if not isinstance(section, dict):
        raise _bad(str(path), f"{name} is no table")
    return section


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _bad(str(path), str(error)) from error


def _bad(path: str, reason: str) -> ConfigError:
    return ConfigError(f"cannot use {path}: {reason}", hint=Hint(f"mend or remove it; see {TABLE.name}"))
