"""How the app ends: the terminal is given back within seconds, whatever a thread waits for; runs go on.

Owns SIGTERM, SIGHUP and SIGINT while the app runs, and the watchdog over its end, which stays until the
process is gone. Keys that quit are the app's own.
"""

from __future__ import annotations

import asyncio
import os
import select
import signal
import termios
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Protocol

PATIENCE = 2.0
"""Seconds that an app has to leave by itself, however it was asked to; a hung one is ended after it."""
_AFTERWARDS = 0.5
"""Seconds that threads have to finish once the terminal is given back and everything is said."""
_LOOKS = 1.0  # seconds between two looks at whether the server is still there
_STDIN, _STDERR = 0, 2
# Keyboard protocol, pasting, line wrap, mouse, focus, resizes in band, the alternate screen, the cursor.
_RESET = (
    b"\x1b[<u\x1b[?2004l\x1b[?7h\x1b[?1000l\x1b[?1003l\x1b[?1015l\x1b[?1006l\x1b[?1016l"
    b"\x1b[?1004l\x1b[?2048l\x1b[?1049l\x1b[?25h"
)


class Runnable(Protocol):
    """What is needed of the app."""

    crash: Exception | None
    """What it ended of, if that was unexpected."""
    on_exit: Callable[[], None] | None
    """Called as soon as it begins to leave."""

    @property
    def return_code(self) -> int | None:
        """How it ended, once it has."""

    def exit(self, result: None = None, return_code: int = 0) -> None:
        """Leave in order."""

    async def run_async(self) -> object:
        """Run to the end."""


def run_until_told(app: Runnable, served_by: int | None = None) -> int:
    """Run the app to its end, whoever wants it; returns the exit code. Raises what the app crashed of.

    An app behind `--web` also ends when the server (`served_by`, its process id) is gone.
    """
    return asyncio.run(_run(app, served_by))


async def _run(app: Runnable, served_by: int | None) -> int:
    loop = asyncio.get_running_loop()
    loop.set_default_executor(_Threads(thread_name_prefix="vfm"))
    leaving = _Leaving(app, loop)
    app.on_exit = leaving.begin
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, leaving.told)
    watch = asyncio.create_task(_until_alone(leaving, served_by)) if served_by else None
    try:
        await app.run_async()
    finally:
        leaving.over()
        if watch:
            watch.cancel()
    if app.crash is not None:
        raise app.crash
    return leaving.code


class _Threads(ThreadPoolExecutor):
    """Threads that nobody waits for at the end: one may hang on a dead disk or in a call for good."""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """See `ThreadPoolExecutor`; returns at once."""
        super().shutdown(wait=False, cancel_futures=True)


async def _until_alone(leaving: _Leaving, served_by: int) -> None:
    while os.getppid() == served_by:
        await asyncio.sleep(_LOOKS)
    leaving.told(signal.SIGHUP)


class _Leaving:
    """The way out: in order, or after a while without the app's help."""

    def __init__(self, app: Runnable, loop: asyncio.AbstractEventLoop) -> None:
        self._app, self._loop = app, loop
        self._signal = 0
        self._terminal = _terminal_state()
        self._watchdog: threading.Timer | None = None

    @property
    def code(self) -> int:
        """The exit code: of the signal, else as the app has it."""
        if self._signal:
            return 128 + self._signal
        return 1 if self._app.crash else self._app.return_code or 0

    def begin(self) -> None:
        """The app begins to leave: from now on it has so many seconds."""
        if self._watchdog is None:
            self._watch(PATIENCE)

    def told(self, number: int, frame: Any = None) -> None:
        """A signal came: the first asks the app to leave, a second one does not wait for it."""
        if self._signal:
            self._force()
        self._signal = number
        self.begin()
        self._loop.call_soon_threadsafe(lambda: self._app.exit(return_code=self.code))

    def over(self) -> None:
        """The app has left: what still runs are threads, and Python would wait for each of them."""
        self._terminal = None  # it is given back, and what was said on it stays
        self._watch(PATIENCE if self._app.crash else _AFTERWARDS)  # of a crash there is a report to write

    def _watch(self, seconds: float) -> None:
        if self._watchdog:
            self._watchdog.cancel()
        self._watchdog = threading.Timer(seconds, self._force)
        self._watchdog.daemon = True
        self._watchdog.start()

    def _force(self) -> None:
        if self._terminal:
            _restore(self._terminal)
        os._exit(self.code)


def _terminal_state() -> list[Any] | None:
    """How the terminal is set before the app changes it; None where there is none."""
    try:
        return termios.tcgetattr(_STDIN)
    except (termios.error, OSError):
        return None


def _restore(state: list[Any]) -> None:
    """Undo by hand what the app did to the terminal. One that takes no more text is left as it is."""
    with suppress(termios.error, OSError):
        termios.tcsetattr(_STDIN, termios.TCSANOW, state)
    with suppress(OSError):
        if select.select([], [_STDERR], [], 0.5)[1]:
            os.write(_STDERR, _RESET)
