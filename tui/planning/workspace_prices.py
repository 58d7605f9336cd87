"""The Modal workspace's own prices, cached on this machine for a day.

Owns the file, and what Modal's names of rates mean. `backends/modal/runs/billing.py` asks Modal.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from remote.contract.json_text import from_json, to_json
from tui.private_files import write_private

FRESH = 86400.0
"""Seconds until they are asked for again."""
_CPU, _MEMORY, _GPU = "cpu_hour_cost", "mem_gib_hour_cost", "gpu_hour_cost_"


def read(home: Path) -> tuple[dict[str, float], float] | None:
    """The rates (USD an hour, by Modal's names) and when they were asked for (Unix seconds).

    None: there are no fresh ones. A workspace may also have no rates.
    """
    try:
        data = from_json(_path(home).read_bytes())
        when = float(data["told"])
        rates = {str(name): float(rate) for name, rate in data["rates"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return (rates, when) if 0 <= time.time() - when < FRESH else None


def keep(home: Path, rates: Mapping[str, float]) -> None:
    """Store rates, asked for now; ignores `OSError`."""
    with suppress(OSError):
        write_private(_path(home), to_json({"told": time.time(), "rates": dict(rates)}))


def gpus(rates: Mapping[str, float], names: Iterable[str]) -> dict[str, float]:
    """The rates of GPUs by our names: `gpu_hour_cost_a100_80gb` is that of A100-80GB."""
    known = {_plain(name.removeprefix(_GPU)): rate for name, rate in rates.items() if name.startswith(_GPU)}
    return {name: known[_plain(name)] for name in names if _plain(name) in known}


def container(rates: Mapping[str, float]) -> dict[str, float]:
    """The rates of a core and of a GiB of memory, where known."""
    return {name: rates[key] for name, key in (("cpu", _CPU), ("memory", _MEMORY)) if key in rates}


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _path(home: Path) -> Path:
    return home / "modal" / "prices.json"
