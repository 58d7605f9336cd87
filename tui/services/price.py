"""What a run costs: an hour of it, and the time that its machines took, all attempts together.

Owns reckoning that from a run's record, and the spec of one that says no price. The table of prices is
`config/prices.py`'s; what Modal bills is Modal's to say.
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
    """US dollars, as the run's record says, or as its spec makes today's table say; None on this machine,
    which costs nothing, and where nothing tells.

    Raises `BackendError` where the backend cannot be asked.
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
    except VfmError:  # no spec, or a table of prices that the user has to mend: the launch form says so
        return None


def machine_seconds(record: RunRecord, now: float) -> float | None:
    """How long the run has had a machine: between two attempts it has none, and costs nothing."""
    attempts = [(a.started, a.ended) for a in record.attempts]
    if not attempts:
        if record.started is None:
            return None
        attempts = [(record.started, record.ended)]
    seconds = 0.0
    for number, (began, ended) in enumerate(attempts, 1):
        if ended is None:  # going on; or nobody saw it end, which was at the latest when the next one began
            ended = attempts[number][0] if number < len(attempts) else record.ended or now
        seconds += max(0.0, ended - began)
    return seconds


def estimate(record: RunRecord, now: float, price: float | None = None) -> float | None:
    """US dollars so far, or in all, at `price` an hour (the record's own, where none is given)."""
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
