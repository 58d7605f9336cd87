"""Read what a run was made from, and what its backend billed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from remote.contract import layout
from remote.contract.errors import ConfigError
from remote.contract.json_text import from_json

if TYPE_CHECKING:
    from remote.contract.record import RunRecord
    from tui.client import Client
    from tui.config.resolved_rows import ConfigValue


@dataclass(frozen=True)
class RunConfigLoader:
    """Reads configs and bills. Raises `VfmError`."""

    client: Client

    async def values(self, record: RunRecord) -> list[ConfigValue]:
        """Every value of a run's config, with its source."""
        path = str(layout.run_path(record.run_id) / layout.SPEC)
        data = await self.client.read(record.outputs, path, backend=record.backend)
        try:
            return await asyncio.to_thread(_values, data)
        except ValueError as error:
            raise ConfigError(f"{path} is damaged: {error}") from None

    async def billed(self, record: RunRecord) -> float | None:
        """US dollars billed for a run so far; None where no bill names it."""
        return await self.client.billed(record)


def _values(data: bytes) -> list[ConfigValue]:
    from tui.config.resolved_rows import run_config

    document = from_json(data)
    return list(run_config(document if isinstance(document, dict) else {}))
