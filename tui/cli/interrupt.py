"""Ctrl-C: the first press ends the command in order and prints its message, a second one exits at once.

Owns the SIGINT handler and the function that runs the commands' coroutines. A command announces the message
while it applies.
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
    """The state of the signal handler."""

    message = ""
    held = False
    pending = False
    task: asyncio.Task[Any] | None = None


def install() -> None:
    """Take over SIGINT for this process."""
    signal.signal(signal.SIGINT, _first)


def leave() -> None:
    """The command is over: from now on Ctrl-C exits at once."""
    signal.signal(signal.SIGINT, _second)


def announce(message: str) -> None:
    """The message to print on Ctrl-C from now on."""
    _State.message = message


@contextmanager
def held() -> Iterator[None]:
    """Delay a first Ctrl-C until the block is over, so that its message can name what the block starts."""
    _State.held = True
    try:
        yield
    finally:
        _State.held = False
    if _State.pending:
        import asyncio

        _say(_State.message)
        # Raised in the coroutine itself: cancelling would wait for the next await.
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
    # An exception raised in a running loop is never retrieved, which asyncio reports with a traceback:
    # cancel the task instead.
    if _State.task is None:
        raise KeyboardInterrupt
    _State.task.cancel()
    _State.task.get_loop().call_soon_threadsafe(lambda: None)


def _second(signum: int, frame: FrameType | None) -> None:
    if _State.held:
        _say("The run may have started: see `vfm runs`.")
    os._exit(EXIT_CODE)


def _say(text: str) -> None:
    # Not by sys.stderr: the handler may interrupt a write to it.
    if text:
        os.write(2, f"\n{text}\n".encode())
