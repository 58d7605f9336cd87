"""The thread with the event loop that episodes are played on, which nothing waits for without limit.

Owns running work there from another thread, keeping the loop alive when code calls `sys.exit`, and noticing
that synchronous code blocks it: the code is interrupted where Python can, otherwise the work fails with the
line, or the process ends where not even that can be said. How long an episode may take is `rollouts`'.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import ctypes
import faulthandler
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import IO, Any, TypeVar

from remote.contract.errors import Hint, VfmError
from remote.environments import user_lines

T = TypeVar("T")
BEAT = 0.25
"""Seconds between two looks at the loop."""
SLOW = 30.0
"""Seconds of blocking after which the log names the line."""
INTERRUPTIONS = 20
"""How often blocking code is interrupted, a beat apart, before it counts as beyond reach."""
TELL = 10.0
"""Seconds after which loading that goes on is told of, again and again."""
REARM = 2.0  # seconds
BEYOND = 20.0
"""Seconds beyond the limit after which a process that runs no Python at all is ended."""
CLOSING = 30.0
"""Seconds that the environment's own teardown may take."""


class BlockedTooLong(RuntimeError):
    """Raised inside code that has blocked the event loop for longer than an episode may take."""

    def __str__(self) -> str:
        return "blocked all episodes for longer than training.episode_timeout"


class OutOfTime(Exception):
    """Work on the loop took longer than it may."""


class EpisodeLoop:
    """A running event loop; `limit`: seconds that one step of any coroutine may block it.

    Where code keeps Python from running at all, the process ends after writing its threads' stacks to the
    file `last_words`.
    """

    def __init__(
        self, module: str, limit: float, say: Callable[[str], None], last_words: IO[str] | None = None
    ) -> None:
        self._module, self._limit, self._say = module, limit, say
        self._last_words, self._armed = last_words, 0.0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run_forever, name="episodes", daemon=True)
        self._closing = False
        self._stuck = False
        self._asked: float | None = None  # when the loop was asked for a sign of life that is still due
        self._interruptions = 0
        self._named: set[str] = set()
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T], limit: float | None = None) -> T:
        """The result of work on the loop; `limit` in seconds, where the work does not limit itself.

        Raises `VfmError` where the loop is blocked for good or has ended, `OutOfTime` past `limit`.
        """
        tasks: list[asyncio.Task[Any]] = []

        async def known() -> T:
            tasks.extend(filter(None, [asyncio.current_task()]))
            return await work

        future = asyncio.run_coroutine_threadsafe(known(), self._loop)
        began = time.monotonic()
        try:
            self._arm()
            while not concurrent.futures.wait([future], timeout=BEAT).done:
                self._watch()
                if limit is not None and time.monotonic() - began > limit:
                    raise OutOfTime(f"not done after {limit:g} seconds{self._waits_at(tasks)}")
            return future.result()
        finally:
            future.cancel()  # no effect on what is done
            self._asked = None
            self._disarm()

    def close(self, *last: Coroutine[Any, Any, None]) -> None:
        """Run the last work, each for at most `CLOSING` seconds, and end the thread, unless it is blocked."""
        for work in (*last, _end_tasks()):
            if self._stuck or self._closing:
                work.close()
                continue
            try:
                self.run(work, CLOSING)
            except (Exception, SystemExit, asyncio.CancelledError) as error:
                self._say(f"while the environment was closed: {type(error).__name__}: {error}")
        if self._closing:
            return
        self._closing = True
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(BEAT if self._stuck else CLOSING)
        if not self._thread.is_alive():
            self._loop.close()

    def _run_forever(self) -> None:
        while not self._closing:
            try:
                self._loop.run_forever()
                return
            except BaseException:
                # asyncio has given SystemExit and KeyboardInterrupt to the task that raised them, and lets
                # them out of the loop as well: that ends the episode, and must not end all others.
                continue

    def _watch(self) -> None:
        """Ask the loop for a sign of life, and see to code that keeps it from giving one."""
        now = time.monotonic()
        self._arm()
        if not self._thread.is_alive():
            self._stuck = True
            raise VfmError("the thread that plays the episodes has ended", boundary="rollout")
        if self._asked is None:
            self._asked, self._interruptions = now, 0
            self._loop.call_soon_threadsafe(self._answer)
            return
        blocked = now - self._asked
        if blocked > self._limit:
            self._interrupt(blocked)
        elif blocked > min(SLOW, self._limit / 2):
            self._name_line(blocked)

    def _waits_at(self, tasks: list[asyncio.Task[Any]]) -> str:
        chains = [chain for task in tasks for chain in user_lines.of_task(task)]
        lines = (user_lines.own(user_lines.lines_of(chain), self._module) for chain in chains)
        return next((f", waiting at {line}" for line in lines if line), "")

    def _arm(self) -> None:
        """Have this process end, with its stacks as its last words, where C code such as a regular expression
        keeps Python from running any thread, this one included."""
        if self._last_words is not None and time.monotonic() - self._armed > REARM:
            self._armed = time.monotonic()
            faulthandler.dump_traceback_later(self._limit + BEYOND, exit=True, file=self._last_words)

    def _disarm(self) -> None:
        if self._last_words is not None:
            self._armed = 0.0
            faulthandler.cancel_dump_traceback_later()

    def _answer(self) -> None:
        self._asked = None

    def _interrupt(self, blocked: float) -> None:
        """Raise `BlockedTooLong` in the code that blocks; after enough of that, give up."""
        frames = user_lines.of_thread(self._thread.ident)
        if self._interruptions < INTERRUPTIONS:
            self._interruptions += 1
            _raise_in(self._thread, BlockedTooLong)
            return
        _raise_in(self._thread, None)
        self._stuck = True
        raise VfmError(
            f"the environment {self._module} has blocked every episode for {blocked:.0f} seconds",
            boundary="rollout",
            cause=self._described(frames),
            hint=Hint(
                "a reward, tool or environment must await what takes long, or hand it to "
                "asyncio.to_thread with a time limit of its own; training.episode_timeout allows more"
            ),
        )

    def _name_line(self, blocked: float) -> None:
        line = self._described(user_lines.of_thread(self._thread.ident))
        if line not in self._named:
            self._named.add(line)
            self._say(f"⚠ all episodes have been waiting for {blocked:.0f} s for one that blocks: {line}")

    def _described(self, frames: list[FrameType]) -> str:
        lines = user_lines.lines_of(frames)
        return str(user_lines.own(lines, self._module) or (lines[-1] if lines else "the thread has ended"))


@contextmanager
def waiting_told(module: str, say: Callable[[str], None]) -> Iterator[None]:
    """While a block runs long in this thread, say every so many seconds which line of the user's it is in."""
    done, ident, began = threading.Event(), threading.get_ident(), time.monotonic()

    def tell() -> None:
        while not done.wait(TELL):
            line = user_lines.own(user_lines.lines_of(user_lines.of_thread(ident)), module)
            place = "" if line is None else f", at {line}"
            say(f"the environment {module} has been loading for {time.monotonic() - began:.0f} s{place}")

    threading.Thread(target=tell, name="waiting", daemon=True).start()
    try:
        yield
    finally:
        done.set()


async def _end_tasks() -> None:
    """Cancel what still runs on the loop, and give it a second."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    if others:
        await asyncio.wait(others, timeout=1.0)


def _raise_in(thread: threading.Thread, error: type[BaseException] | None) -> None:
    """Have Python raise an exception in another thread, at its next bytecode; None takes it back.

    Code that waits inside a call of C notices when that call returns.
    """
    assert thread.ident is not None
    ident = ctypes.c_ulong(thread.ident)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, None if error is None else ctypes.py_object(error))
