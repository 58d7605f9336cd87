"""Which port on 127.0.0.1 the server takes, and who holds one that is taken.

Owns the choice, and a lease on it: a server binds its port seconds after the choice, so two runs that
start together would choose the same one, and the later would talk to the earlier's server. What to
do about a taken port that the config fixes is said here too; the server itself is `vllm_server`'s.
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
    """A port that is ours until `release`, and a notice where it is not the usual one."""

    def __init__(self, port: int, lock: socket.socket | None, notice: str = "") -> None:
        self.port = port
        self.notice = notice
        self._lock = lock

    def release(self) -> None:
        """Let others have the port. Safe to repeat."""
        if self._lock is not None:
            self._lock.close()


def lease_port(fixed: int | None) -> PortLease:
    """The fixed port, or 8000 or the next free one. Raises `ServerError` naming who holds a fixed one."""
    if fixed is not None:
        return _lease(fixed) or _refuse(fixed)
    notice = ""
    for port in range(FIRST, 65536):
        if lease := _lease(port):
            lease.notice = notice and f"{notice}: using {port}"
            return lease
        notice = notice or f"port {port} is taken by {holder(port)}"
    raise ServerError(f"no port from {FIRST} up is free on {HOST}", hint=Hint("end some of the servers"))


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
    """A name in the kernel: it goes with the process, and lives in the port's network namespace."""
    if sys.platform != "linux":
        return None
    lock = socket.socket(socket.AF_UNIX)
    try:
        lock.bind(_lock_name(port))
        lock.listen(1)  # a listening socket is told from a connected one when the holder is looked for
    except OSError:
        lock.close()
        raise
    return lock


def _lock_name(port: int) -> str:
    return f"\0vfm-vllm-port-{port}"


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As the server binds: connections of an earlier server that are still closing are no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def holder(port: int) -> str:
    """`PROGRAM (pid N)`, as far as this user may see; "another program" otherwise."""
    inodes = set(_listening(port))
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if inodes & set(_sockets(entry)):
                return f"{(entry / 'comm').read_text().strip()} (pid {entry.name})"
    return "another program"


def _sockets(process: Path) -> Iterator[str]:
    """Inodes of the sockets that a process (`/proc/PID`) has open."""
    for fd in (process / "fd").iterdir():
        with contextlib.suppress(OSError):  # closed meanwhile, as is the listing's own
            yield os.readlink(fd).removeprefix("socket:[").removesuffix("]")


def _listening(port: int) -> Iterator[str]:
    """Inodes of the sockets that listen on a port, or lease it."""
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
