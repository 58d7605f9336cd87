"""Signals, and the end of the app: the terminal is restored within seconds, whatever a thread waits for.

SIGTERM, SIGHUP and SIGINT end the app; a watchdog ends the process if the app does not.
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
"""Seconds in which the app must exit by itself; then its process is ended."""
_AFTERWARDS = 0.5
"""Seconds for threads to finish after the terminal is restored and all messages are printed."""
_LOOKS = 1.0  # seconds between two looks at whether the server is still there
_STDIN, _STDERR = 0, 2
# Keyboard protocol, pasting, line wrap, mouse, focus, resizes in band, the alternate screen, the cursor.
_RESET = (
    b"\x1b[<u\x1b[?2004l\x1b[?7h\x1b[?1000l\x1b[?1003l\x1b[?1015l\x1b[?1006l\x1b[?1016l"
    b"\x1b[?1004l\x1b[?2048l\x1b[?1049l\x1b[?25h"
)


class Runnable(Protocol):
    """The app, as far as its end is concerned."""

    crash: Exception | None
    """The unexpected error that ended it, if any."""
    on_exit: Callable[[], None] | None
    """Called as soon as it begins to exit."""

    @property
    def return_code(self) -> int | None:
        """The exit code, once it exited."""

    def exit(self, result: None = None, return_code: int = 0) -> None:
        """Exit."""

    async def run_async(self) -> object:
        """Run until it exits."""


def run_until_told(app: Runnable, served_by: int | None = None) -> int:
    """Run the app until it exits or a signal ends it; returns the exit code. Raises the app's crash.

    An app behind `--web` also ends when the server (`served_by`, its process id) is gone.
    """
    return asyncio.run(_run(app, served_by))


async def _run(app: Runnable, served_by: int | None) -> int:
    loop = asyncio.get_running_loop()
    loop.set_default_executor(_Threads(thread_name_prefix="vfm"))
    leaving = _Leaving(app, loop)
    app.on_exit = leaving.begin
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, leaving.signalled)
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
    """Threads that are not joined at the end: one may hang forever on a dead disk or in a call."""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """See `ThreadPoolExecutor`; returns at once."""
        super().shutdown(wait=False, cancel_futures=True)


async def _until_alone(leaving: _Leaving, served_by: int) -> None:
    while os.getppid() == served_by:
        await asyncio.sleep(_LOOKS)
    leaving.signalled(signal.SIGHUP)


class _Leaving:
    """The exit: orderly, or forced after a while."""

    def __init__(self, app: Runnable, loop: asyncio.AbstractEventLoop) -> None:
        self._app, self._loop = app, loop
        self._signal = 0
        self._terminal = _terminal_state()
        self._watchdog: threading.Timer | None = None

    @property
    def code(self) -> int:
        """The exit code: that of the signal, else the app's."""
        if self._signal:
            return 128 + self._signal
        return 1 if self._app.crash else self._app.return_code or 0

    def begin(self) -> None:
        """Start the watchdog: the app begins to exit."""
        if self._watchdog is None:
            self._watch(PATIENCE)

    def signalled(self, number: int, frame: Any = None) -> None:
        """Handle a signal: the first one asks the app to exit, a second one does not wait for it."""
        if self._signal:
            self._force()
        self._signal = number
        self.begin()
        self._loop.call_soon_threadsafe(lambda: self._app.exit(return_code=self.code))

    def over(self) -> None:
        """The app exited: end the process despite threads, for which Python would wait."""
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
    """The settings of the terminal before the app changes them; None without one."""
    try:
        return termios.tcgetattr(_STDIN)
    except (termios.error, OSError):
        return None


def _restore(state: list[Any]) -> None:
    """Restore the terminal without the app; one that accepts no output is left as it is."""
    with suppress(termios.error, OSError):
        termios.tcsetattr(_STDIN, termios.TCSANOW, state)
    with suppress(OSError):
        if select.select([], [_STDERR], [], 0.5)[1]:
            os.write(_STDERR, _RESET)
