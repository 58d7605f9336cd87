"""What an hour of a run costs, by the machine that its spec asked for.

Owns reading that spec from the run's directory. The table of prices is `config/prices.py`'s.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from remote.contract import layout
from remote.contract.errors import BackendError, VfmError
from tui.store.run_rows import RunRow

if TYPE_CHECKING:
    from remote.contract.record import RunRecord
    from tui.client import Client


async def price_an_hour(client: Client, row: RunRow | RunRecord) -> float | None:
    """US dollars; None on this machine, which costs nothing, and where nothing tells.

    Raises `BackendError` where the backend cannot be asked.
    """
    if row.backend == "local":
        return None
    path = str(layout.run_path(row.run_id) / layout.SPEC)
    try:
        data = await client.read(row.outputs, path, backend=row.backend)
        return await asyncio.to_thread(_price, data, client)
    except BackendError:
        raise
    except VfmError:  # no spec, or a table of prices that the user has to mend: the launch form says so
        return None


def _price(data: bytes, client: Client) -> float | None:
    from remote.contract.spec import ExperimentSpec
    from tui.config.prices import prices

    try:
        spec = ExperimentSpec.model_validate(json.loads(data)["spec"])
    except (ValueError, KeyError, TypeError):
        return None
    price = prices(client.settings).of(spec)
    return None if price is None else price.hour
