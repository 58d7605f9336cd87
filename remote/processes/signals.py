"""How a worker is told to end: the two requests, as exceptions in its main thread.

Owns the signals. What is saved is up to whoever is interrupted.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2)


class Cancelled(BaseException):
    """The run was asked to stop (SIGTERM, SIGINT)."""


class Interrupted(BaseException):
    """This machine's part in the run is over (SIGUSR2): another goes on from the last checkpoint."""


def ignore_signals() -> None:
    """While a run is being wound up, a second Ctrl-C changes nothing."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def signals_wait() -> Iterator[None]:
    """Let no signal interrupt a block: the first that arrives meanwhile counts once it is over."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []
    before = {number: signal.signal(number, lambda one, _: arrived.append(one)) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if arrived:
            os.kill(os.getpid(), arrived[0])


def raise_on_signals() -> None:
    """Make the signals end the run in order."""

    def stop(number: int, frame: Any) -> None:
        ignore_signals()
        raise (Interrupted if number == signal.SIGUSR2 else Cancelled)(signal.Signals(number).name)

    for number in _SIGNALS:
        signal.signal(number, stop)
