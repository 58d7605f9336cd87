"""What a launch would cost: an hour of the machine, and what all of the run can come to at most.

Owns the table (`prices.toml`, dated), and laying the workspace's and the user's own over it. How long a run
really takes is nobody's to know before it runs; a local run costs nothing here. The words are
`tui/planning/price_text.py`'s.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from remote.contract.errors import ConfigError, Hint
from remote.contract.modal_resources import needs_gpu, regions
from remote.contract.record import Kind
from remote.contract.spec import ExperimentSpec
from tui.config.resolve import Resolved
from tui.planning import workspace_prices
from tui.settings import Settings

TABLE = Path(__file__).with_name("prices.toml")
NAME = "prices.toml"
WORKSPACE = "modal billing rates"
"""The source of prices that Modal tells this workspace, discounts included."""
_GIB = 1024  # MB, as Modal counts memory


@dataclass(frozen=True)
class Price:
    """USD, and how much of it is the GPU's."""

    hour: float
    gpu: float
    """The part of an hour that is the GPUs'."""
    timeout: float
    """Seconds that one attempt may last."""
    date: str
    """Of the table."""
    source: str
    own: str = ""
    """The user's file, where it changed anything."""
    attempts: int = 1
    """How many there may be: the first, and each retry."""
    budget: float | None = None
    """What the run may cost; None where nobody said."""
    times: float = 1.0
    """What the base price is multiplied by for its region; `hour` and `gpu` have it already."""

    @property
    def whole(self) -> float:
        """What every attempt costs that lasts until its timeout."""
        return self.hour * self.timeout / 3600 * self.attempts

    @property
    def most(self) -> float:
        """What the run can come to: the budget, where that is reached first."""
        return self.whole if self.budget is None else min(self.whole, self.budget)


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
    broad: float = 1.5
    narrow: float = 1.75
    """What a broad (`us`) and a narrow region (`us-east`) multiply it by."""

    def of(self, spec: ExperimentSpec, kind: Kind = "train") -> Price | None:
        """What Modal asks for this spec's machine; None where the table lacks its GPU."""
        modal = spec.modal
        count = modal.gpu.count if needs_gpu(spec, kind) else 0
        price = self.machine(modal.gpu.type, count, modal.cpus, modal.memory, modal.timeout)
        if price is None:
            return None
        times = self._times(spec)
        price = replace(price, hour=times * price.hour, gpu=times * price.gpu, times=times)
        return replace(price, attempts=modal.retries + 1, budget=spec.budget.max_usd)

    def _times(self, spec: ExperimentSpec) -> float:
        """The multiplier of the region; of several, which Modal may choose from, the largest."""
        return max((self.narrow if "-" in name else self.broad for name in regions(spec)), default=1.0)

    def machine(self, gpu: str, count: int, cpus: float, memory_mb: float, timeout: float) -> Price | None:
        """The same for a machine by its parts; `timeout` in seconds."""
        if gpu not in self.gpu:
            return None
        gpus = self.gpu[gpu] * count
        hour = gpus + self.cpu * cpus + self.memory * memory_mb / _GIB
        return Price(hour, gpus, timeout, self.date, self.source, self.own)


def price_of(
    spec: ExperimentSpec, settings: Settings, backend: str, kind: Kind = "train"
) -> tuple[Price | None, str]:
    """The price of a launch, or why there is none. Raises nothing: a table to mend is a reason too."""
    if backend == "local":
        return None, "free: it runs on this machine"
    try:
        price = prices(settings).of(spec, kind)
    except ConfigError as error:
        return None, f"unknown: {error.message}"
    return price, "" if price else f"unknown: the table has no {spec.modal.gpu.type}"


def missing_price(resolved: Resolved, backend: str, note: str) -> list[str]:
    """What people should know where there is no price, for the reason in `note`."""
    unknown = backend != "local"
    said = [f"the price is {note}"] if unknown else []
    if resolved.spec.budget.max_usd is None:
        return said
    where = resolved.provenance["budget.max_usd"].where
    why = "while the price is unknown" if unknown else "on this machine, where a run costs nothing"
    return [*said, f"{where}: budget.max_usd has no effect {why}"]


def price_per_hour(
    gpu: str, count: int = 1, cpus: float = 0, memory_mb: float = 0, *, settings: Settings | None = None
) -> Price | None:
    """An hour of a machine (`most` is the same); None where the table lacks the GPU. Raises `ConfigError`."""
    return prices(settings).machine(gpu, count, cpus, memory_mb, 3600)


def prices(settings: Settings | None = None) -> Prices:
    """The table, under the workspace's own prices where Modal has told them, and the user's own figures.

    Raises `ConfigError` where their file is no table.
    """
    table = _with_workspace(tomllib.loads(TABLE.read_text()), settings)
    own = settings.config_dir / NAME if settings else None
    if own is None or not own.is_file():
        return _made(table, "")
    theirs = _read(own)
    merged = {**table, **theirs}
    for name in ("gpu", "same", "container", "region"):
        merged[name] = {**table[name], **_section(theirs, name, own)}
    if "source" not in theirs:
        merged["source"] = str(own)
    return _made(merged, str(own))


def _with_workspace(table: dict[str, Any], settings: Settings | None) -> dict[str, Any]:
    told = workspace_prices.read(settings.home) if settings else None
    if told is None or not told[0]:
        return table
    rates, when = told
    gpu = {**table["gpu"], **workspace_prices.gpus(rates, [*table["gpu"], *table["same"]])}
    container = {**table["container"], **workspace_prices.container(rates)}
    date = datetime.fromtimestamp(when).date().isoformat()
    return {**table, "gpu": gpu, "container": container, "date": date, "source": WORKSPACE}


def _made(table: Mapping[str, Any], own: str) -> Prices:
    try:
        gpu = {str(name): float(price) for name, price in table["gpu"].items()}
        for name, other in table["same"].items():
            gpu.setdefault(name, gpu[other])
        rates = table["container"]
        cpu, memory = float(rates["cpu"]), float(rates["memory"])
        broad, narrow = (float(table["region"][name]) for name in ("broad", "narrow"))
        return Prices(gpu, cpu, memory, str(table["date"]), str(table["source"]), own, broad, narrow)
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
