"""Locks between processes, which the kernel releases when their holder ends, however it ends."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_UNSUPPORTED = {errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK}
_POLL = 0.2  # seconds between two attempts of `hold`
_NOTICE = 5.0  # seconds between two calls of `waiting`


def take(path: Path, patience: float = 0.0) -> int | None:
    """Lock a file; returns its descriptor, or None where it stays locked for `patience` seconds."""
    fd = _open(path)
    deadline = time.monotonic() + patience
    while not _locked(fd):
        if time.monotonic() >= deadline:
            os.close(fd)
            return None
        time.sleep(0.01)
    return fd


@contextmanager
def hold(path: Path, waiting: Callable[[str, float], None]) -> Iterator[int]:
    """Lock a file, however long that takes; yields its descriptor, for children that must keep the lock.

    While another process holds it, `waiting(its pid, seconds so far)` is called at once and every 5 s. The
    file is never removed, which would let two processes in. On a file system without locks, nothing is
    locked.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = _open(path)
    try:
        _wait(fd, waiting)
        os.ftruncate(fd, 0)
        os.pwrite(fd, str(os.getpid()).encode(), 0)
        yield fd
    finally:
        os.close(fd)  # children that inherited it keep the lock until they end


def _open(path: Path) -> int:
    # A link would make the lock somebody else's.
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)


def _locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _wait(fd: int, waiting: Callable[[str, float], None]) -> None:
    began, noticed = time.monotonic(), -_NOTICE
    try:
        while not _locked(fd):
            passed = time.monotonic() - began
            if passed - noticed >= _NOTICE:
                waiting(os.pread(fd, 20, 0).decode(errors="replace").strip() or "unknown", passed)
                noticed = passed
            time.sleep(_POLL)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
