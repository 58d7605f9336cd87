"""Waiting for a backend that may not answer: people are told, and at last it is given up.

Owns how long that takes. Asking is whoever's question it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from remote.contract.errors import BackendError

PATIENCE = 10.0
"""Seconds without an answer after which people are told."""
GIVE_UP = 60.0
"""Seconds after which an unanswered question is dropped."""

T = TypeVar("T")


async def patiently(question: Awaitable[T], say: Callable[[str], object], then: str) -> T:
    """The answer; `say` is told while it does not come.

    Raises `BackendError` when it never does; `then` is what happens, or is to be done, after that.
    """
    asked, waited = asyncio.ensure_future(question), 0.0
    try:
        while not (await asyncio.wait({asked}, timeout=PATIENCE))[0]:
            waited += PATIENCE
            if waited >= GIVE_UP:
                raise BackendError(f"no answer for {waited:.0f} s, {then}")
            say(f"no answer for {waited:.0f} s, still trying")
    finally:
        asked.cancel()
    return asked.result()
