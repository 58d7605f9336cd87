"""Find the user's line at which an environment's code failed, waits, or keeps its thread busy.

Distinguishes the environment's frames from those of libraries, in formatted tracebacks, suspended tasks and
running threads.
"""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import re
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

import remote
from remote.environments.overlays import source_of

_OUR_CODE = f"{remote.CODE}/"
_FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+)(?:, in (?P<function>.+))?')


@dataclass(frozen=True)
class Line:
    """A line of source."""

    file: str
    number: int
    function: str

    def __str__(self) -> str:
        return f'File "{source_of(self.file)}", line {self.number}, in {self.function}'


def own(lines: Iterable[Line], module: str, *, alone: bool = False) -> Line | None:
    """The innermost line of the environment `module`, or else (unless `alone`) of other code that is no
    library. `lines`: outermost first."""
    lines, home = list(lines), _home(module)
    of_module = [line for line in lines if home and f"{line.file}/".startswith(home)]
    others = [line for line in lines if not line.file.startswith(_libraries())]
    return next(reversed(of_module or ([] if alone else others)), None)


def in_traceback(text: str) -> list[Line]:
    """The lines that a formatted traceback names, outermost first."""
    matches = (_FRAME.search(line) for line in text.splitlines())
    return [Line(m["file"], int(m["line"]), m["function"] or "<module>") for m in matches if m]


def of_thread(ident: int | None) -> list[FrameType]:
    """The current frames of a thread of this process, outermost first; empty where it has ended."""
    frame = sys._current_frames().get(ident or -1)
    frames = []
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    return frames[::-1]


def of_task(task: asyncio.Task[Any]) -> Iterator[list[FrameType]]:
    """The chains of frames in which a suspended task waits, outermost first, through the tasks that it waits
    for: one chain for each that is not done."""
    yield from _chains(task, [], {id(task)})


def lines_of(frames: Iterable[FrameType]) -> list[Line]:
    """Where each frame is."""
    return [Line(f.f_code.co_filename, f.f_lineno, f.f_code.co_name) for f in frames]


def _chains(task: Any, before: list[FrameType], visited: set[int]) -> Iterator[list[FrameType]]:
    chain, coroutine = list(before), task.get_coro()
    while coroutine is not None:
        if (frame := _frame(coroutine)) is not None:
            chain.append(frame)
        coroutine = _inner(coroutine)
    # Private to asyncio: what a task waits for is a future, a task, or the tasks of `gather`.
    waited_for = getattr(task, "_fut_waiter", None)
    inner = [
        task_waited_for
        for task_waited_for in getattr(waited_for, "_children", None) or [waited_for]
        if isinstance(task_waited_for, asyncio.Task)
        and not task_waited_for.done()
        and id(task_waited_for) not in visited
    ]
    if not inner:
        yield chain
    for task_waited_for in inner:
        visited.add(id(task_waited_for))
        yield from _chains(task_waited_for, chain, visited)


def _frame(coroutine: Any) -> FrameType | None:
    frame: FrameType | None = _attribute(coroutine, "cr_frame", "gi_frame", "ag_frame")
    return frame


def _inner(coroutine: Any) -> Any:
    inner = _attribute(coroutine, "cr_await", "gi_yieldfrom", "ag_await")
    if inner is None or _frame(inner) is not None:
        return inner
    # `anext` and `__await__` wrap what runs in objects that only the garbage collector can look into.
    return next((referent for referent in gc.get_referents(inner) if _frame(referent) is not None), None)


def _attribute(value: Any, *names: str) -> Any:
    return next((attribute for name in names if (attribute := getattr(value, name, None)) is not None), None)


@cache
def _libraries() -> tuple[str, ...]:
    return f"{_home('verifiers')}", f"{sysconfig.get_path('stdlib')}/", _OUR_CODE, "<frozen "


@cache
def _home(module: str) -> str:
    """The folder or file of the environment's code, with a slash at the end; empty where it is not found."""
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return ""
    if spec is None or spec.origin is None:
        return ""
    path = Path(spec.origin)
    return f"{path.parent if spec.submodule_search_locations else path}/"
