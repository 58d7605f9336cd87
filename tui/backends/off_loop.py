"""Blocking work in threads that are told to stop when the caller is cancelled."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


class Stopped(Exception):
    """The thread was told to stop."""


async def off_loop(work: Callable[[threading.Event], T]) -> T:
    """Run `work` in a thread. Cancelled, tell the thread to stop, and wait until it has.

    Otherwise the thread of a copy that is resumed at once would still write.
    """
    stop = threading.Event()
    thread = asyncio.ensure_future(asyncio.to_thread(work, stop))
    try:
        return await asyncio.shield(thread)
    except asyncio.CancelledError:
        stop.set()
        while not thread.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait({thread})
        thread.exception()  # marks it as retrieved
        raise
