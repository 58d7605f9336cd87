"""An event that many tasks wait for, again and again."""

from __future__ import annotations

import asyncio
from contextlib import suppress


class Signal:
    """An event that is never set: `fire` wakes the tasks that wait at that moment."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def fire(self) -> None:
        """Wake the waiting tasks."""
        self._event.set()
        self._event = asyncio.Event()

    async def wait(self, seconds: float | None = None) -> None:
        """Wait until it fires, or for so many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._event.wait()
