"""Waiting for what other processes, threads and tasks do. Tests sleep nowhere else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

DEADLINE = 60.0
"""Seconds that a busy machine may take over what takes one."""
PAUSE = 0.01
"""Seconds between two looks."""
Seen = TypeVar("Seen")


async def until(
    condition: Callable[[], object] | Callable[[], Awaitable[object]],
    what: str,
    *,
    seconds: float = DEADLINE,
    shows: Callable[[], object] | None = None,
) -> None:
    """Let the event loop run until the condition, which may be a coroutine function, is true.

    Fails after `seconds` with `what` was waited for and, where given, what `shows` returns then.
    """
    deadline = time.monotonic() + seconds
    while True:
        seen = condition()
        if await seen if isinstance(seen, Awaitable) else seen:
            return
        _check(deadline, what, shows)
        await asyncio.sleep(PAUSE)


def block_until(
    condition: Callable[[], Seen],
    what: str,
    *,
    seconds: float = DEADLINE,
    shows: Callable[[], object] | None = None,
) -> Seen:
    """The same where no event loop runs: hold up this thread; returns what the condition gave in the end."""
    deadline = time.monotonic() + seconds
    while not (seen := condition()):
        _check(deadline, what, shows)
        time.sleep(PAUSE)
    return seen


def _check(deadline: float, what: str, shows: Callable[[], object] | None) -> None:
    if time.monotonic() > deadline:
        raise AssertionError(f"waited in vain for {what}" + (f"; there was\n{shows()}" if shows else ""))
