"""Choose a free port on 127.0.0.1 for the server, and lease it.

A server binds its port seconds after it was chosen. Without a lease, two runs that start together would
choose the same port, and the later would talk to the earlier's server.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

from remote.contract.errors import Hint, ServerError

HOST = "127.0.0.1"
FIRST = 8000
_LISTEN = "0A"  # the state column of /proc/net/tcp
_ACCEPTS = "00010000"  # the flags column of /proc/net/unix


class PortLease:
    """A port that is leased until `release`, and a notice where it is not the usual one."""

    def __init__(self, port: int, lock: socket.socket | None, notice: str = "") -> None:
        self.port = port
        self.notice = notice
        self._lock = lock

    def release(self) -> None:
        """End the lease. Safe to repeat."""
        if self._lock is not None:
            self._lock.close()


def lease_port(fixed: int | None) -> PortLease:
    """The `fixed` port, or 8000 or the next free one. Raises `ServerError` with the holder of a fixed one."""
    if fixed is not None:
        return _lease(fixed) or _refuse(fixed)
    notice = ""
    for port in range(FIRST, 65536):
        if lease := _lease(port):
            lease.notice = notice and f"{notice}: using {port}"
            return lease
        notice = notice or f"port {port} is taken by {holder(port)}"
    raise ServerError(f"no port from {FIRST} up is free on {HOST}", hint=Hint("end some other servers"))


def _refuse(port: int) -> PortLease:
    spare = lease_port(None)
    spare.release()
    raise ServerError(
        f"port {port} is taken by {holder(port)}, and the config fixes vllm.port = {port}",
        cause=f"[Errno 98] Address already in use: {HOST}:{port}",
        hint=Hint(
            f"end that program, or set vllm.port = {spare.port}, or leave it unset to take the next free one",
            key="vllm.port",
            old=port,
            new=spare.port,
        ),
    )


def _lease(port: int) -> PortLease | None:
    try:
        lock = _lock(port)
    except OSError:
        return None
    if _is_free(port):
        return PortLease(port, lock)
    if lock is not None:
        lock.close()
    return None


def _lock(port: int) -> socket.socket | None:
    """An abstract socket: it ends with the process, and belongs to the port's network namespace."""
    if sys.platform != "linux":
        return None
    lock = socket.socket(socket.AF_UNIX)
    try:
        lock.bind(_lock_name(port))
        lock.listen(1)  # so that `holder` can tell it from a connected one
    except OSError:
        lock.close()
        raise
    return lock


def _lock_name(port: int) -> str:
    return f"\0vfm-vllm-port-{port}"


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As the server does, so that closing connections of an earlier server do not matter.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def holder(port: int) -> str:
    """The holder of a port: `PROGRAM (pid N)`, or "another program" where this user may not see it."""
    inodes = set(_listening(port))
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if inodes & set(_sockets(entry)):
                return f"{(entry / 'comm').read_text().strip()} (pid {entry.name})"
    return "another program"


def _sockets(process: Path) -> Iterator[str]:
    """Inodes of the sockets that a process (`/proc/PID`) has open."""
    for fd in (process / "fd").iterdir():
        with contextlib.suppress(OSError):  # closed meanwhile
            yield os.readlink(fd).removeprefix("socket:[").removesuffix("]")


def _listening(port: int) -> Iterator[str]:
    """Inodes of the sockets that listen on a port or lease it."""
    for table in ("tcp", "tcp6"):
        for row in _rows(table):
            if row[3] == _LISTEN and int(row[1].rpartition(":")[2], 16) == port:
                yield row[9]
    name = _lock_name(port).replace("\0", "@")
    yield from (row[6] for row in _rows("unix") if row[-1] == name and row[3] == _ACCEPTS)


def _rows(table: str) -> list[list[str]]:
    try:
        return [line.split() for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]]
    except OSError:
        return []
