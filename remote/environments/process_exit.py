"""Raise an exception where an environment's own code calls `os._exit` or `os.abort`.

So a run loses only that episode, with the line named. Processes that the environment forks are not affected.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from remote.environments.user_lines import Line, own

_modules: list[str] = []


class ProcessExit(SystemExit):
    """Raised by `os._exit` and `os.abort` in an environment's code."""

    def __init__(self, call: str) -> None:
        super().__init__(1)
        self.call = call

    def __str__(self) -> str:
        return f"the environment's code called {self.call}, which ends the whole process"


def keep_alive(module: str) -> None:
    """From now on, raise `ProcessExit` where the code of an environment's `module` would end this process."""
    if not _modules:
        for name in ("_exit", "abort"):
            setattr(os, name, _raising(name, getattr(os, name)))
    if module not in _modules:
        _modules.append(module)


def _raising(name: str, ends: Callable[..., NoReturn]) -> Callable[..., NoReturn]:
    process = os.getpid()

    def end(*arguments: Any, **named: Any) -> NoReturn:
        frame = sys._getframe(1)
        line = Line(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)
        if os.getpid() == process and any(own([line], module, alone=True) for module in _modules):
            raise ProcessExit(f"os.{name}({', '.join(map(repr, (*arguments, *named.values())))})")
        ends(*arguments, **named)

    return end
