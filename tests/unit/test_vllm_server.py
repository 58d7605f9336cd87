"""The server's life, with a small program in vLLM's place: real processes, a real port, real logs."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from remote import guardian, ports
from remote.contract.errors import ServerError
from remote.contract.events import PhaseEvent, decode_line
from remote.contract.spec import ExperimentSpec
from remote.emit import Emitter
from remote.vllm_server import VllmServer

LOGS = Path(__file__).parent.parent / "data" / "vllm_logs"
STAND_IN = Path(__file__).parent / "stand_in_vllm.py"
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="process trees are read from /proc")


class Said:
    """What an emitter wrote."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def all(self) -> list[object]:
        # Not splitlines(): to it the record separator ends a line too.
        return [decode_line(line) for line in self.path.read_text().split("\n")]

    def lines(self) -> list[str]:
        return [line for line in self.all() if isinstance(line, str)]

    def phases(self) -> list[tuple[str, str | None]]:
        return [(event.status, event.detail) for event in self.all() if isinstance(event, PhaseEvent)]


@pytest.fixture
def said(tmp_path: Path) -> Said:
    (tmp_path / "stream").touch()
    return Said(tmp_path / "stream")


Make = Callable[..., VllmServer]


@pytest.fixture
def make(said: Said, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Makes a server whose log is `log`; all of them are stopped at the end."""
    made: list[VllmServer] = []
    fd = os.open(said.path, os.O_WRONLY | os.O_APPEND)
    with socket.socket() as probe:
        probe.bind((ports.HOST, 0))
        monkeypatch.setattr(ports, "FIRST", probe.getsockname()[1])

    def build(behaviour: str, log: Path | str, **vllm: Any) -> VllmServer:
        path = LOGS / f"{log}.log" if isinstance(log, str) else log
        spec = ExperimentSpec.model_validate({"vllm": vllm})
        program = (sys.executable, str(STAND_IN), behaviour, str(path))
        made.append(VllmServer(spec, "mine", Emitter(None, fd), device="cpu", program=program))
        return made[-1]

    yield build
    for server in made:
        server.stop()
    os.close(fd)


def tree() -> list[int]:
    return guardian.descendants(os.getpid())


def test_it_starts_answers_and_leaves_nothing(make: Make, said: Said) -> None:
    before = set(tree())
    with make("answers", "startup_ok") as server:
        server.wait_ready()
        server.check()
        assert urllib.request.urlopen(f"{server.base_url}/health", timeout=5).status == 200
        assert server.rss_bytes() > 1_000_000
        assert len(set(tree()) - before) == 3  # guardian, server, engine
    assert set(tree()) <= before
    assert server.rss_bytes() == 0
    server.stop()
    assert said.phases()[0] == ("started", None)
    assert said.phases()[-1] == ("done", None)
    assert ("done", "loading weights") in said.phases()
    assert "[vllm] INFO:     Application startup complete." in said.lines()


def test_a_death_at_the_start_names_the_cause_and_is_not_repeated_in_vain(make: Make, said: Said) -> None:
    server = make("dies", "max_model_len_too_big", startup_retries=3)
    server.start()
    with pytest.raises(ServerError) as raised:
        server.wait_ready()
    assert "(1024)" in raised.value.message
    assert raised.value.hint is not None
    assert raised.value.hint.new == 1024
    assert said.phases()[-2:] == [("failed", "starting engine"), ("failed", None)]
    assert not [line for line in said.lines() if "starting again" in line]


def test_a_start_that_may_succeed_next_time_is_repeated(make: Make, said: Said, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("OSError: [Errno 98] Address already in use\n")
    server = make("dies once", log)
    server.start()
    server.wait_ready()
    assert [line for line in said.lines() if "starting again (1 of 1)" in line]


def test_no_retry_is_left(make: Make, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("OSError: [Errno 98] Address already in use\n")
    server = make("dies once", log, startup_retries=0)
    server.start()
    with pytest.raises(ServerError, match="taken by another program"):
        server.wait_ready()


def test_a_server_that_takes_too_long_is_stopped(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    server = make("hangs", "port_in_use")
    server.spec.vllm.startup_timeout = 0  # less than a config may say
    server.start()
    with pytest.raises(ServerError) as raised:
        server.wait_ready()
    assert "did not start within 0 s" in raised.value.message
    assert raised.value.hint is not None
    assert raised.value.hint.key == "vllm.startup_timeout"
    assert server.rss_bytes() == 0


def check_until_it_fails(server: VllmServer) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        server.check()


@pytest.mark.parametrize("behaviour", ["ends", "lingers"])
def test_a_death_in_mid_run_is_a_failure_even_with_code_0(make: Make, tmp_path: Path, behaviour: str) -> None:
    log = tmp_path / "log"
    good = (LOGS / "startup_ok.log").read_text()
    bad = (LOGS / "worker_killed.log").read_text().partition("(EngineCore pid=1018) ERROR 11-22 20:51:17")
    log.write_text(good + "\n=== end\n" + bad[1] + bad[2])
    server = make(behaviour, log)
    server.start()
    server.wait_ready()
    server.check()
    urllib.request.urlopen(f"{server.base_url}/end", timeout=5).close()
    with pytest.raises(ServerError, match="died while running: its process VllmWorker-0 was killed"):
        check_until_it_fails(server)


def test_a_dying_server_is_ended_under_those_who_wait_for_its_answer(make: Make, tmp_path: Path) -> None:
    before = set(tree())
    log = tmp_path / "log"
    last = "(APIServer pid=8) WARNING 11-22 20:00:00 [c.py:1] [shutdown] MPClient: engine core exited"
    log.write_text((LOGS / "startup_ok.log").read_text() + f"\n=== end\n{last} unexpectedly\n")
    server = make("hangs at the end", log)
    server.start()
    server.wait_ready()
    with pytest.raises(ConnectionResetError):  # no timeout, and nobody has called check()
        urllib.request.urlopen(f"{server.base_url}/end", timeout=30)
    with pytest.raises(ServerError, match="died while running"):
        check_until_it_fails(server)
    server.stop()
    assert set(tree()) <= before


def test_an_end_that_was_asked_for_is_no_failure(make: Make) -> None:
    server = make("answers", "startup_ok")
    server.start()
    server.wait_ready()
    server.stop()
    server.check()


def test_stopping_a_server_that_starts_frees_whoever_waits_for_it(make: Make) -> None:
    server = make("hangs", "port_in_use")
    server.start()
    server.stop()
    with pytest.raises(ServerError, match="was stopped"):
        server.wait_ready()


def test_a_fixed_port_that_is_taken_names_the_holder(make: Make) -> None:
    with socket.socket() as other:
        other.bind((ports.HOST, 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ServerError, match=rf"port {port} is taken by .* \(pid {os.getpid()}\)"):
            make("answers", "startup_ok", port=port).start()


def test_two_servers_take_two_ports_and_the_second_says_so(make: Make, said: Said) -> None:
    one, other = make("answers", "startup_ok"), make("answers", "startup_ok")
    one.start()
    other.start()
    assert one.port != other.port
    assert [line for line in said.lines() if f"using {other.port}" in line]


def test_a_guardian_that_is_killed_leaves_no_server(make: Make) -> None:
    before = set(tree())
    server = make("answers", "startup_ok")
    server.start()
    server.wait_ready()
    pids = sorted(set(tree()) - before)
    os.kill(pids[0], signal.SIGKILL)  # the guardian is the eldest
    deadline = time.monotonic() + 20
    while set(pids) & set(guardian.processes()):
        assert time.monotonic() < deadline
    with pytest.raises(ServerError, match="killed by SIGKILL"):
        server.check()
