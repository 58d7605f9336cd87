"""The event loop on which episodes are played, in a thread of its own, with limits on everything that waits
for it.

It survives code that calls `sys.exit`, and notices synchronous code that blocks it. Such code is interrupted
where Python can; otherwise the work fails with the line, or the process ends where no Python runs at all.
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
"""Seconds between two checks of the loop."""
SLOW = 30.0
"""Seconds of blocking after which the log names the line."""
INTERRUPTIONS = 20
"""How many times to interrupt blocking code, a beat apart, before giving up."""
REPORT_EVERY = 10.0
"""Seconds between two log lines on slow loading."""
REARM = 2.0  # seconds
BEYOND = 20.0
"""Seconds beyond the limit after which a process that cannot run Python is ended."""
CLOSING = 30.0
"""Seconds that the environment's teardown may take."""


class BlockedTooLong(RuntimeError):
    """Raised inside code that has blocked the event loop for longer than an episode may take."""

    def __str__(self) -> str:
        return "blocked all episodes for longer than training.episode_timeout"


class OutOfTime(Exception):
    """Work on the loop took longer than its limit."""


class EpisodeLoop:
    """A running event loop. `limit`: seconds for which one step of a coroutine may block it.

    Where code keeps all threads from running Python, the process writes their stacks to the file
    `thread_stacks` and ends.
    """

    def __init__(
        self, module: str, limit: float, say: Callable[[str], None], thread_stacks: IO[str] | None = None
    ) -> None:
        self._module, self._limit, self._say = module, limit, say
        self._thread_stacks, self._armed = thread_stacks, 0.0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run_forever, name="episodes", daemon=True)
        self._closing = False
        self._stuck = False
        self._pinged: float | None = None  # when the unanswered ping of the loop was sent
        self._interruptions = 0
        self._named: set[str] = set()
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T], limit: float | None = None) -> T:
        """Run work on the loop, and return its result. `limit`: in seconds, where the work has none of its
        own.

        Raises `VfmError` where the loop is blocked for good or has ended, `OutOfTime` after `limit`.
        """
        tasks: list[asyncio.Task[Any]] = []

        async def with_task() -> T:
            tasks.extend(filter(None, [asyncio.current_task()]))
            return await work

        future = asyncio.run_coroutine_threadsafe(with_task(), self._loop)
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
            self._pinged = None
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
                # asyncio raises SystemExit and KeyboardInterrupt in the task and out of the loop as well:
                # they end that episode, and must not end the others.
                continue

    def _watch(self) -> None:
        """Ping the loop, and deal with code that keeps it from answering."""
        now = time.monotonic()
        self._arm()
        if not self._thread.is_alive():
            self._stuck = True
            raise VfmError("the thread that plays the episodes has ended", boundary="rollout")
        if self._pinged is None:
            self._pinged, self._interruptions = now, 0
            self._loop.call_soon_threadsafe(self._answer)
            return
        blocked = now - self._pinged
        if blocked > self._limit:
            self._interrupt(blocked)
        elif blocked > min(SLOW, self._limit / 2):
            self._name_line(blocked)

    def _waits_at(self, tasks: list[asyncio.Task[Any]]) -> str:
        chains = [chain for task in tasks for chain in user_lines.of_task(task)]
        lines = (user_lines.own(user_lines.lines_of(chain), self._module) for chain in chains)
        return next((f", waiting at {line}" for line in lines if line), "")

    def _arm(self) -> None:
        """Have faulthandler write the stacks and end this process where C code, such as a regular expression,
        keeps all threads from running Python."""
        if self._thread_stacks is not None and time.monotonic() - self._armed > REARM:
            self._armed = time.monotonic()
            faulthandler.dump_traceback_later(self._limit + BEYOND, exit=True, file=self._thread_stacks)

    def _disarm(self) -> None:
        if self._thread_stacks is not None:
            self._armed = 0.0
            faulthandler.cancel_dump_traceback_later()

    def _answer(self) -> None:
        self._pinged = None

    def _interrupt(self, blocked: float) -> None:
        """Raise `BlockedTooLong` in the blocking code; give up after `INTERRUPTIONS`."""
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
                "rewards, tools and environments must await what takes long, or run it with "
                "asyncio.to_thread and a time limit of its own; or raise training.episode_timeout"
            ),
        )

    def _name_line(self, blocked: float) -> None:
        line = self._described(user_lines.of_thread(self._thread.ident))
        if line not in self._named:
            self._named.add(line)
            self._say(f"⚠ one episode has blocked all others for {blocked:.0f} s: {line}")

    def _described(self, frames: list[FrameType]) -> str:
        lines = user_lines.lines_of(frames)
        return str(user_lines.own(lines, self._module) or (lines[-1] if lines else "the thread has ended"))


@contextmanager
def report_slow_loading(module: str, say: Callable[[str], None]) -> Iterator[None]:
    """While the block runs, log the user's line that it is at every `REPORT_EVERY` seconds."""
    done, ident, began = threading.Event(), threading.get_ident(), time.monotonic()

    def report() -> None:
        while not done.wait(REPORT_EVERY):
            line = user_lines.own(user_lines.lines_of(user_lines.of_thread(ident)), module)
            place = "" if line is None else f", at {line}"
            say(f"the environment {module} has been loading for {time.monotonic() - began:.0f} s{place}")

    threading.Thread(target=report, name="waiting", daemon=True).start()
    try:
        yield
    finally:
        done.set()


async def _end_tasks() -> None:
    """Cancel the loop's other tasks, and wait a second for their end."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    if others:
        await asyncio.wait(others, timeout=1.0)


def _raise_in(thread: threading.Thread, error: type[BaseException] | None) -> None:
    """Raise an exception in another thread, at its next bytecode; None takes a pending one back.

    It takes effect when a call into C returns.
    """
    assert thread.ident is not None
    ident = ctypes.c_ulong(thread.ident)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, None if error is None else ctypes.py_object(error))
