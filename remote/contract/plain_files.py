"""Reading files of a run directory that anybody may have put there: a pipe is never waited for."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def open_plain(path: str | Path, flags: int) -> int:
    """An `opener` for `open`. Raises `OSError` for what is no plain file (a pipe, a device), at once."""
    number = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)  # opening a pipe would wait for its writer
    if stat.S_ISREG(os.fstat(number).st_mode):
        return number
    os.close(number)
    raise OSError(f"{path} is not a plain file")


def read_plain(path: Path) -> bytes:
    """The whole file. Raises `OSError`, as `open_plain` does."""
    with open(path, "rb", opener=open_plain) as file:
        return file.read()
