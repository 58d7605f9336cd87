"""Wait for a backend that may not answer: report the delay, and give up in the end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from remote.contract.errors import BackendError

REPORT_AFTER = 10.0
"""Seconds without an answer after which the delay is reported, again and again."""
GIVE_UP_AFTER = 60.0

T = TypeVar("T")


async def answer_of(question: Awaitable[T], report: Callable[[str], object], then: str) -> T:
    """The answer; `report` gets a sentence while there is none.

    Raises `BackendError` after a minute; `then` ends its message with what happens next or what to do.
    """
    task, waited = asyncio.ensure_future(question), 0.0
    try:
        while not (await asyncio.wait({task}, timeout=REPORT_AFTER))[0]:
            waited += REPORT_AFTER
            if waited >= GIVE_UP_AFTER:
                raise BackendError(f"no answer for {waited:.0f} s, {then}")
            report(f"no answer for {waited:.0f} s, still trying")
    finally:
        task.cancel()
    return task.result()
