"""Ctrl-C: the first press unwinds quietly and says how to go on, a second one ends the process at once.

Owns the SIGINT handler and the one way in which commands run coroutines. What can be said to the user
after an interruption is left to the command, which announces it while it applies.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")
EXIT_CODE = 130


class _State:
    """What a signal handler may look at; there is one process, so there is one."""

    message = ""
    held = False
    pending = False
    task: asyncio.Task[Any] | None = None


def install() -> None:
    """Take over SIGINT for this process."""
    signal.signal(signal.SIGINT, _first)


def leave() -> None:
    """The command is over: from now on Ctrl-C has nothing left to unwind."""
    signal.signal(signal.SIGINT, _second)


def announce(message: str) -> None:
    """Say this when Ctrl-C comes, from now on."""
    _State.message = message


@contextmanager
def held() -> Iterator[None]:
    """Keep a first Ctrl-C waiting until the block is over, so that what it starts is known by name."""
    _State.held = True
    try:
        yield
    finally:
        _State.held = False
    if _State.pending:
        import asyncio

        _say(_State.message)
        # We stand in the coroutine itself: raising is sooner than cancelling, which waits for an await.
        raise KeyboardInterrupt if _State.task is None else asyncio.CancelledError


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end; Ctrl-C cancels it, then raises `KeyboardInterrupt`."""
    import asyncio

    async def watched() -> T:
        _State.task = asyncio.current_task()
        return await work

    try:
        return asyncio.run(watched())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    finally:
        _State.task = None


def _first(signum: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGINT, _second)
    if _State.held:
        _State.pending = True
        return
    _say(_State.message)
    _unwind()


def _unwind() -> None:
    # Raising inside a running loop would leave a task with an exception that nobody fetches, and asyncio
    # reports that with a traceback; cancelling is how a loop ends in order.
    if _State.task is None:
        raise KeyboardInterrupt
    _State.task.cancel()
    _State.task.get_loop().call_soon_threadsafe(lambda: None)


def _second(signum: int, frame: FrameType | None) -> None:
    if _State.held:
        _say("The run may have started: `vfm runs` tells.")
    os._exit(EXIT_CODE)


def _say(text: str) -> None:
    # Not through sys.stderr: a handler may run in the middle of a write to it.
    if text:
        os.write(2, f"\n{text}\n".encode())
