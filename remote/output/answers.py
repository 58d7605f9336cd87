"""Answer the program that started this one: one line of JSON on stdout, `{"error": …}` where it failed."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import Any

from remote.contract.errors import VfmError
from remote.output import redact


def answer(message: dict[str, Any], fd: int = 1) -> None:
    """Write an answer without secrets. The reader may be gone, which is no reason to stop."""
    with suppress(BrokenPipeError):
        os.write(fd, redact.json_line(json.dumps(message, default=str)).encode() + b"\n")


def leave_caller(output: int, warnings: int | None = None) -> None:
    """Replace the caller's pipes: from here on stdout is `output`, and stderr `warnings`, by default the
    same."""
    null = os.open(os.devnull, os.O_RDONLY)
    for fd, target in ((null, 0), (output, 1), (output if warnings is None else warnings, 2)):
        os.dup2(fd, target)


def answer_failure(error: VfmError, fd: int = 1) -> int:
    """Answer with the error, as `remote.contract.errors.error_from` reads it; returns the exit code."""
    answer({"error": error.to_dict()}, fd)
    return 1
