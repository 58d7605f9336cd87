"""One at a time across processes: a lock that the kernel lets go of when its holder ends, however it ends.

What is guarded, and what the waiting say, is the caller's.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_UNSUPPORTED = {errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK}
_POLL = 0.2  # seconds between two attempts
_NOTICE = 5.0  # seconds between two calls of `waiting`


@contextmanager
def hold(path: Path, waiting: Callable[[str, float], None]) -> Iterator[int]:
    """Hold the lock of a file; yields its descriptor, for children that must keep the lock alive.

    While another holds it, `waiting(holder's pid, seconds so far)` is called at once and every 5 s.
    The file stays: removing it would let two holders in. A file system without locks lets everyone in.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _take(fd, waiting)
        os.ftruncate(fd, 0)
        os.pwrite(fd, str(os.getpid()).encode(), 0)
        yield fd
    finally:
        # Closing alone would leave it locked for as long as a child that inherited it lives.
        os.close(fd)


def _take(fd: int, waiting: Callable[[str, float], None]) -> None:
    began, said = time.monotonic(), -_NOTICE
    while not _try(fd):
        passed = time.monotonic() - began
        if passed - said >= _NOTICE:
            waiting(os.pread(fd, 20, 0).decode(errors="replace").strip() or "unknown", passed)
            said = passed
        time.sleep(_POLL)


def _try(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
    return True
