"""Signals that ask a worker to end, as exceptions in its main thread."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2)


class Cancelled(BaseException):
    """The run is to stop (SIGTERM, SIGINT)."""


class Interrupted(BaseException):
    """The attempt is to end (SIGUSR2); another one continues from the last checkpoint."""


def ignore_signals() -> None:
    """Ignore further requests, such as a second Ctrl-C, while the run is ending."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def signals_deferred() -> Iterator[None]:
    """Keep signals from interrupting the block; the first one is delivered after it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []
    before = {number: signal.signal(number, lambda signum, _: arrived.append(signum)) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if arrived:
            os.kill(os.getpid(), arrived[0])


def raise_on_signals() -> None:
    """Turn the signals into `Cancelled` and `Interrupted`."""

    def stop(number: int, frame: Any) -> None:
        ignore_signals()
        raise (Interrupted if number == signal.SIGUSR2 else Cancelled)(signal.Signals(number).name)

    for number in _SIGNALS:
        signal.signal(number, stop)
