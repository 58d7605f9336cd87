"""The estimated cost of a run: its price an hour, times the hours that it had machines, over all attempts.

The price is the record's, or what today's table says for its spec (`planning/prices.py`).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from remote.contract import layout
from remote.contract.errors import BackendError, VfmError
from remote.contract.json_text import from_json
from tui.store.runs.row import RunRow

if TYPE_CHECKING:
    from remote.contract.record import RunRecord
    from tui.client import Client


async def price_an_hour(client: Client, row: RunRow | RunRecord) -> float | None:
    """US dollars an hour; None on this machine, and where neither record nor spec tells.

    Raises `BackendError` where the backend cannot be reached.
    """
    if row.backend == "local":
        return None
    known = row.price if isinstance(row, RunRow) else row.usd_per_hour
    if known is not None:
        return known
    path = str(layout.run_path(row.run_id) / layout.SPEC)
    try:
        data = await client.read(row.outputs, path, backend=row.backend)
        return await asyncio.to_thread(_price, data, client)
    except BackendError:
        raise
    except VfmError:  # no spec, or a broken table of prices, which the launch form reports
        return None


def machine_seconds(record: RunRecord, now: float) -> float | None:
    """Seconds that the run had machines; between two attempts it has none. None before it has started."""
    attempts = [(a.started, a.ended) for a in record.attempts]
    if not attempts:
        if record.started is None:
            return None
        attempts = [(record.started, record.ended)]
    seconds = 0.0
    for number, (began, ended) in enumerate(attempts, 1):
        if ended is None:  # live, or its end was not recorded: at the latest when the next one began
            ended = attempts[number][0] if number < len(attempts) else record.ended or now
        seconds += max(0.0, ended - began)
    return seconds


def estimate(record: RunRecord, now: float, price: float | None = None) -> float | None:
    """US dollars so far, at `price` an hour (default: the record's)."""
    price = record.usd_per_hour if price is None else price
    seconds = machine_seconds(record, now)
    return None if price is None or seconds is None else price * seconds / 3600


def _price(data: bytes, client: Client) -> float | None:
    from remote.contract.spec import ExperimentSpec
    from tui.planning.prices import prices

    try:
        spec = ExperimentSpec.model_validate(from_json(data)["spec"])
    except (ValueError, KeyError, TypeError):
        return None
    price = prices(client.settings).of(spec)
    return None if price is None else price.hour
