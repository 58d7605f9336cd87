"""Many requests at once, their answers one by one, in the order in which they were begun.

Owns how many are under way and how much they may hold in memory. What they ask for is the callers'.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

Tag = TypeVar("Tag")
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Job(Generic[Tag, Answer]):
    """Something to ask for: what it is for, how, and the bytes that its answer holds in memory."""

    tag: Tag
    ask: Callable[[], Awaitable[Answer]]
    size: int = 0


async def in_turn(
    jobs: AsyncGenerator[Job[Tag, Answer], None], at_once: int, budget: int
) -> AsyncGenerator[tuple[Tag, Answer], None]:
    """Each job's answer, in order; at most `at_once` jobs and about `budget` bytes are under way.

    Left early or cancelled, it ends the others, and they have ended before it does.
    """
    waiting: deque[tuple[Job[Tag, Answer], asyncio.Task[Answer]]] = deque()
    try:
        async for job in jobs:
            while waiting and (len(waiting) >= at_once or job.size + _held(waiting) > budget):
                yield await _first(waiting)
            waiting.append((job, asyncio.ensure_future(_asked(job))))
        while waiting:
            yield await _first(waiting)
    finally:
        await end([task for _, task in waiting])
        await jobs.aclose()


async def _asked(job: Job[Tag, Answer]) -> Answer:
    return await job.ask()


def _held(waiting: deque[tuple[Job[Tag, Answer], asyncio.Task[Answer]]]) -> int:
    return sum(job.size for job, _ in waiting)


async def _first(waiting: deque[tuple[Job[Tag, Answer], asyncio.Task[Answer]]]) -> tuple[Tag, Answer]:
    answer = await waiting[0][1]
    return waiting.popleft()[0].tag, answer


async def end(tasks: list[asyncio.Task[Answer]]) -> None:
    """Cancel them, and wait until they are over, however often the one that waits is cancelled meanwhile."""
    cancelled = False
    for task in tasks:
        task.cancel()
    while not all(task.done() for task in tasks):
        try:
            await asyncio.wait(tasks)
        except asyncio.CancelledError:
            cancelled = True
    for task in tasks:
        if not task.cancelled():
            task.exception()  # of those that were given up nobody asks
    if cancelled:
        raise asyncio.CancelledError
