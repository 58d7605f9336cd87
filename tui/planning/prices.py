"""The price of a launch: an hour of the machine, and the most that the run can cost. Local runs are free.

Owns the table (`prices.toml`, dated), overridden by the workspace's rates and by the user's own file.
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
"""The source of the workspace's own prices, with its discounts."""
_GIB = 1024  # MB, as Modal counts memory


@dataclass(frozen=True)
class Price:
    """The price of a run, in USD."""

    hour: float
    gpu: float
    """The GPUs' part of `hour`."""
    timeout: float
    """Seconds that one attempt may last."""
    date: str
    """The date of the table."""
    source: str
    own: str = ""
    """The user's file, where there is one."""
    attempts: int = 1
    """Attempts at most: the first, and each retry."""
    budget: float | None = None
    """`budget.max_usd`."""
    times: float = 1.0
    """The region's multiplier, which `hour` and `gpu` include."""

    @property
    def whole(self) -> float:
        """The price of all attempts, each until its timeout."""
        return self.hour * self.timeout / 3600 * self.attempts

    @property
    def most(self) -> float:
        """The most that the run can cost: its budget, where that is reached first."""
        return self.whole if self.budget is None else min(self.whole, self.budget)


@dataclass(frozen=True)
class Prices:
    """The table: USD an hour."""

    gpu: Mapping[str, float]
    cpu: float
    memory: float
    """Of a GiB."""
    date: str
    source: str
    own: str = ""
    broad: float = 1.5
    narrow: float = 1.75
    """Multipliers of a broad (`us`) and a narrow region (`us-east`)."""

    def of(self, spec: ExperimentSpec, kind: Kind = "train") -> Price | None:
        """The price of this spec's machine; None where the table lacks its GPU."""
        modal = spec.modal
        count = modal.gpu.count if needs_gpu(spec, kind) else 0
        price = self.machine(modal.gpu.type, count, modal.cpus, modal.memory, modal.timeout)
        if price is None:
            return None
        times = self._times(spec)
        price = replace(price, hour=times * price.hour, gpu=times * price.gpu, times=times)
        return replace(price, attempts=modal.retries + 1, budget=spec.budget.max_usd)

    def _times(self, spec: ExperimentSpec) -> float:
        """The largest multiplier of the regions."""
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
    """The price of a launch, or why there is none, such as an invalid table."""
    if backend == "local":
        return None, "free: it runs on this machine"
    try:
        price = prices(settings).of(spec, kind)
    except ConfigError as error:
        return None, f"unknown: {error.message}"
    return price, "" if price else f"unknown: the table has no {spec.modal.gpu.type}"


def missing_price(resolved: Resolved, backend: str, note: str) -> list[str]:
    """Notices on a missing price, for the reason in `note`."""
    unknown = backend != "local"
    notices = [f"the price is {note}"] if unknown else []
    if resolved.spec.budget.max_usd is None:
        return notices
    where = resolved.provenance["budget.max_usd"].where
    why = "while the price is unknown" if unknown else "on this machine, where runs are free"
    return [*notices, f"{where}: budget.max_usd has no effect {why}"]


def prices(settings: Settings | None = None) -> Prices:
    """The table, overridden by the workspace's prices and the user's file.

    Raises `ConfigError` where that file is invalid.
    """
    table = _with_workspace(tomllib.loads(TABLE.read_text()), settings)
    own = settings.config_dir / NAME if settings else None
    if own is None or not own.is_file():
        return _parsed(table, "")
    theirs = _read(own)
    merged = {**table, **theirs}
    for name in ("gpu", "same", "container", "region"):
        merged[name] = {**table[name], **_section(theirs, name, own)}
    if "source" not in theirs:
        merged["source"] = str(own)
    return _parsed(merged, str(own))


def _with_workspace(table: dict[str, Any], settings: Settings | None) -> dict[str, Any]:
    found = workspace_prices.read(settings.home) if settings else None
    if found is None or not found[0]:
        return table
    rates, when = found
    gpu = {**table["gpu"], **workspace_prices.gpus(rates, [*table["gpu"], *table["same"]])}
    container = {**table["container"], **workspace_prices.container(rates)}
    date = datetime.fromtimestamp(when).date().isoformat()
    return {**table, "gpu": gpu, "container": container, "date": date, "source": WORKSPACE}


def _parsed(table: Mapping[str, Any], own: str) -> Prices:
    try:
        gpu = {str(name): float(price) for name, price in table["gpu"].items()}
        for name, other in table["same"].items():
            gpu.setdefault(name, gpu[other])
        rates = table["container"]
        cpu, memory = float(rates["cpu"]), float(rates["memory"])
        broad, narrow = (float(table["region"][name]) for name in ("broad", "narrow"))
        return Prices(gpu, cpu, memory, str(table["date"]), str(table["source"]), own, broad, narrow)
    except (KeyError, TypeError, ValueError) as error:
        raise _bad(own, f"{error} is not a price") from error


def _section(theirs: Mapping[str, Any], name: str, path: Path) -> dict[str, Any]:
    section = theirs.get(name, {})
    if not isinstance(section, dict):
        raise _bad(str(path), f"{name} is not a table")
    return section


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _bad(str(path), str(error)) from error


def _bad(path: str, reason: str) -> ConfigError:
    return ConfigError(f"cannot use {path}: {reason}", hint=Hint(f"fix or remove it; {TABLE} is an example"))
