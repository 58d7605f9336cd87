"""Which port the server takes, with real sockets."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from remote.contract.errors import ServerError
from remote.processes import ports
from remote.processes.ports import HOST, holder, lease_port


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which this process listens."""
    with socket.socket() as server:
        server.bind((HOST, 0))
        server.listen()
        yield server.getsockname()[1]


@pytest.fixture
def first(taken: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """The taken port stands for the usual one, so that the test needs no port of its own."""
    monkeypatch.setattr(ports, "FIRST", taken)
    return taken


def test_a_fixed_port_that_is_taken_names_its_holder_and_a_free_one(taken: int) -> None:
    with pytest.raises(ServerError) as raised:
        lease_port(taken)
    assert f"(pid {os.getpid()})" in raised.value.message
    hint = raised.value.hint
    assert hint is not None
    assert (hint.key, hint.old) == ("vllm.port", taken)
    lease_port(hint.new).release()


def test_an_unset_port_moves_to_the_next_free_one_with_a_notice(first: int) -> None:
    lease = lease_port(None)
    assert lease.port > first
    assert lease.notice.startswith(f"port {first} is taken by ")
    assert f"(pid {os.getpid()})" in lease.notice
    assert lease.notice.endswith(f": using {lease.port}")
    lease.release()


def test_the_usual_port_needs_no_notice(free: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "FIRST", free)
    lease = lease_port(None)
    assert (lease.port, lease.notice) == (free, "")
    lease.release()


@pytest.fixture
def free() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def test_two_servers_that_start_together_take_two_ports(free: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "FIRST", free)
    one, other = lease_port(None), lease_port(None)  # neither listens yet
    assert one.port == free
    assert other.port > free
    assert f"(pid {os.getpid()})" in holder(free)
    one.release()
    again = lease_port(None)
    assert again.port == free
    for lease in (other, again):
        lease.release()


def test_connections_that_still_close_do_not_hold_a_port() -> None:
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as vLLM does
        server.bind((HOST, 0))
        server.listen()
        port = server.getsockname()[1]
        with socket.create_connection((HOST, port)) as client:
            accepted, _ = server.accept()
            accepted.close()
            client.recv(1)
    lease_port(port).release()
