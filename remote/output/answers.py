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


def answer_failure(error: VfmError, fd: int = 1) -> int:
    """Answer with the error, as `remote.contract.errors.error_from` reads it; returns the exit code."""
    answer({"error": error.to_dict()}, fd)
    return 1
