"""Many requests at once, their answers in the order of the requests."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")


async def in_order(
    requests: Iterable[tuple[int, Callable[[], Awaitable[T]]]], at_once: int, budget: float = float("inf")
) -> AsyncGenerator[T, None]:
    """Each request's answer; at most `at_once` requests and about `budget` bytes are under way.

    requests: the bytes that an answer holds in memory, and the coroutine function that asks for it. Closed,
    cancelled or failed, the generator cancels what is under way, which has ended before the generator has.
    """
    running = deque[tuple[int, asyncio.Task[T]]]()
    try:
        for size, ask in requests:
            while running and (len(running) >= at_once or size + sum(held for held, _ in running) > budget):
                yield await running[0][1]
                running.popleft()
            running.append((size, asyncio.ensure_future(_coroutine(ask))))
        while running:
            yield await running[0][1]
            running.popleft()
    finally:
        await _end([task for _, task in running])


async def each(items: Iterable[T], ask: Callable[[T], Awaitable[R]], at_once: int) -> list[R]:
    """The answers about all items, in order. Raises the first error, and asks no more."""
    requests = ((0, partial(ask, item)) for item in items)
    async with aclosing(in_order(requests, at_once)) as answers:
        return [answer async for answer in answers]


async def _coroutine(ask: Callable[[], Awaitable[T]]) -> T:
    return await ask()


async def _end(tasks: list[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait until they are over, even where the waiting one is cancelled meanwhile."""
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
            task.exception()  # read, or else asyncio logs it
    if cancelled:
        raise asyncio.CancelledError
