"""A condition that many wait for, again and again."""

from __future__ import annotations

import asyncio
from contextlib import suppress


class Signal:
    """`fire` wakes everybody who waits at that moment."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def fire(self) -> None:
        """Wake those who wait."""
        self._event.set()
        self._event = asyncio.Event()

    async def wait(self, seconds: float | None = None) -> None:
        """Until somebody fires, or until the time is up."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._event.wait()
