"""Open files of a run directory without waiting for pipes or devices that somebody has put there."""

from __future__ import annotations

import os
import stat
from pathlib import Path

LARGEST = 4 << 20
"""Bytes of a record, a request or a spec: usually a few thousand."""


def open_plain(path: str | Path, flags: int) -> int:
    """An `opener` for `open`. Raises `OSError` at once for anything but a regular file."""
    fd = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)  # without O_NONBLOCK a pipe waits for its writer
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    raise OSError(f"{path} is not a plain file")


def read_plain(path: Path) -> bytes:
    """Read a whole file that describes a run. Raises `OSError` as `open_plain` does, and for one that is
    larger than any such file."""
    with open(path, "rb", opener=open_plain) as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise OSError(f"{path} is larger than {LARGEST >> 20} MiB")
    return data
