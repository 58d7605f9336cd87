"""Blocking work in threads that notice when nobody waits for them any more."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


class Stopped(Exception):
    """The thread was told that nobody waits for it any more."""


async def off_loop(work: Callable[[threading.Event], T]) -> T:
    """Do it in a thread. Cancelled, the thread is told to stop, and has stopped before this ends.

    Otherwise a copy that is resumed at once would write beside its predecessor's thread.
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
        thread.exception()  # of a cancelled copy nobody asks
        raise
