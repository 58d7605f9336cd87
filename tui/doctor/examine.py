"""Run all checks at once, each off the event loop, by itself and with a deadline.

Owns the list of checks and its order. `setup.py`, `machine.py`, `modal.py` and `terminal.py` do the checking.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tui.doctor import machine, modal, setup, terminal
from tui.doctor.finding import Finding, Result, Surroundings


@dataclass(frozen=True)
class Check:
    """One thing to check."""

    id: str
    title: str
    look: Callable[[Surroundings], Result | Awaitable[Result]]
    """A function that may block, or a coroutine function."""
    deadline: float = 10.0
    """Seconds that it may take."""


CHECKS: tuple[Check, ...] = (
    Check("home", "data folder", machine.home),
    Check("image", "local image", machine.image, deadline=40.0),
    Check("project", "configs", setup.project),
    Check("env", ".env", setup.env),
    Check("modal", "Modal", modal.look, deadline=30.0),
    Check("settings", "settings.toml", setup.settings, deadline=70.0),
    Check("terminal", "terminal", terminal.look),
)


async def examine(around: Surroundings, checks: Sequence[Check] = CHECKS) -> AsyncIterator[Finding]:
    """The findings of all checks, in the order in which they come."""
    for finding in asyncio.as_completed([_finding(check, around) for check in checks]):
        yield await finding


async def _finding(check: Check, around: Surroundings) -> Finding:
    try:
        result = await asyncio.wait_for(_result(check, around), check.deadline)
    except TimeoutError:
        detail = f"no answer within {check.deadline:g} s: a disk or a program hangs"
        result = Result("problem", detail)
    except Exception as error:  # a bug, or an error of a library: the other checks go on
        result = Result("problem", f"could not be checked: {type(error).__name__}: {error}")
    return Finding(check.id, check.title, **asdict(result))


async def _result(check: Check, around: Surroundings) -> Result:
    if inspect.iscoroutinefunction(check.look):
        result: Result = await check.look(around)
        return result
    return await _in_thread(check, around)


def _in_thread(check: Check, around: Surroundings) -> asyncio.Future[Result]:
    """Run a check in a daemon thread: a file system that hangs must not keep the app from ending."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Result] = loop.create_future()

    def finish(result: Result | Exception) -> None:
        if future.done():
            return
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)

    def look() -> None:
        result: Any
        try:
            result = check.look(around)
        except Exception as error:
            result = error
        if not loop.is_closed():
            loop.call_soon_threadsafe(finish, result)

    threading.Thread(target=look, name=f"doctor {check.id}", daemon=True).start()
    return future
