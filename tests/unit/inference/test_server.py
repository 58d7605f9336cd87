"""The server's life, with a small program in vLLM's place: real processes, a real port, real logs."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import signal
import socket
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from remote.contract.errors import ServerError
from remote.contract.events import PhaseEvent, RestartEvent, decode_line
from remote.contract.spec import ExperimentSpec
from remote.inference.server import VllmServer
from remote.inference.stall_watch import StallWatch, is_healthy, stall_limit
from remote.output.emitter import Emitter
from remote.processes import guardian, ports
from tests.waiting import block_until

LOGS = Path(__file__).parents[2] / "data" / "vllm_logs"
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
    block_until(server.check, "the failure")


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
    block_until(lambda: not set(pids) & set(guardian.processes()), "the server's end")
    with pytest.raises(ServerError, match="killed by SIGKILL"):
        server.check()


# --- once it runs: started again when it dies or hangs -------------------------------------------------


def engines(before: set[int]) -> list[int]:
    """What a test has started, without the guardians."""
    found = []
    for pid in set(tree()) - before:
        with suppress(OSError):  # it ended meanwhile
            if "guardian" not in Path(f"/proc/{pid}/cmdline").read_text():
                found.append(pid)
    return found


def kill_engines(before: set[int]) -> None:
    for pid in engines(before):
        with suppress(ProcessLookupError):  # it ended with one that was killed before it
            os.kill(pid, signal.SIGKILL)


def running(make: Make, **vllm: Any) -> VllmServer:
    server = make("answers", "startup_ok", **vllm)
    server.start()
    server.wait_ready()
    return server


def request(server: VllmServer, path: str) -> None:
    urllib.request.urlopen(f"{server.base_url}{path}", timeout=60).read()


def test_a_server_that_dies_in_mid_run_is_started_again_up_to_a_limit(make: Make, said: Said) -> None:
    before = set(tree())
    server = running(make, restarts=2)
    assert not server.lost()
    for number in (1, 2):
        kill_engines(before)
        assert server.lost()
        server.renew()
        request(server, "/health")
        assert not server.lost()
        told = [event for event in said.all() if isinstance(event, RestartEvent)]
        assert [event.number for event in told] == list(range(1, number + 1))
        assert told[-1].why == "vLLM died while running: killed by SIGKILL"
    server.proven()  # a step came through: the count begins anew
    for _ in range(2):
        kill_engines(before)
        server.renew()
    kill_engines(before)
    with pytest.raises(ServerError, match=r"SIGKILL \(it was started again 2 times in a row\)"):
        server.renew()
    assert said.phases().count(("started", None)) == said.phases().count(("done", None)) == 5
    server.stop()
    assert set(tree()) <= before


def test_no_restart_is_wanted(make: Make) -> None:
    before = set(tree())
    server = running(make, restarts=0)
    kill_engines(before)
    with pytest.raises(ServerError, match=r"died while running: killed by SIGKILL\n"):
        server.renew()


@pytest.mark.parametrize("how", ["stopped", "a wedged engine"])
def test_a_server_that_hangs_counts_as_dead_and_frees_those_who_wait(
    make: Make, said: Said, how: str
) -> None:
    before = set(tree())
    server = running(make, stall_timeout=2)
    if how == "stopped":
        for pid in engines(before):
            os.kill(pid, signal.SIGSTOP)
    with pytest.raises((ConnectionResetError, http.client.RemoteDisconnected)):  # no timeout of its own
        request(server, "/work")
    assert server.lost()
    server.renew()
    request(server, "/health")
    (told,) = [event for event in said.all() if isinstance(event, RestartEvent)]
    why = "it has not answered for" if how == "stopped" else "no token while 1 request waited for"
    assert told.why.startswith(f"vLLM hangs: {why} 2 s")


def test_a_server_that_hangs_for_good_names_the_key(make: Make) -> None:
    server = running(make, stall_timeout=2, restarts=0)
    with pytest.raises(OSError, match=r"reset|closed"):
        request(server, "/work")
    with pytest.raises(ServerError, match="vLLM hangs: no token") as raised:
        server.renew()
    assert raised.value.hint is not None
    assert (raised.value.hint.key, raised.value.hint.new) == ("vllm.stall_timeout", 4)


class Looked:
    """A server whose answers a test decides; it counts the looks at it."""

    def __init__(self, outstanding: int, moves: bool) -> None:
        self.looks = threading.Semaphore(0)
        looked, tokens = self, itertools.count()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                activity = json.dumps({"outstanding": outstanding, "finished": 0})
                metrics = f"vllm:tokens {next(tokens) if moves else 0}\nhttp_requests_total {next(tokens)}\n"
                self.send_response(200)
                self.end_headers()
                self.wfile.write((activity if self.path == "/vfm/activity" else metrics).encode())
                if self.path == "/vfm/activity":
                    looked.looks.release()

            def log_message(self, *_: Any) -> None:
                pass

        self.http = ThreadingHTTPServer((ports.HOST, 0), Handler)
        self.url = f"http://{ports.HOST}:{self.http.server_address[1]}"
        threading.Thread(target=self.http.serve_forever, args=[0.02], daemon=True).start()


@pytest.mark.parametrize(("outstanding", "moves"), [(0, False), (5, True)])
def test_idle_and_slow_servers_do_not_hang(outstanding: int, moves: bool) -> None:
    server = Looked(outstanding, moves)
    stalls: list[str] = []
    watch = StallWatch(server.url, "key", 1.0, stalls.append)
    for _ in range(15):  # of five in the time after which it would count as hung
        assert server.looks.acquire(timeout=20)
    watch.stop()
    server.http.shutdown()
    assert stalls == []


@pytest.mark.parametrize("silent", [False, True])
def test_requests_that_wait_while_nothing_moves_are_a_hang_told_once(silent: bool) -> None:
    told = threading.Event()
    stalls: list[str] = []

    def on_stall(how: str) -> None:
        stalls.append(how)
        told.set()

    with socket.socket() as mute:
        mute.bind((ports.HOST, 0))
        mute.listen()  # accepts, and says nothing
        server = Looked(3, False)
        url = f"http://{ports.HOST}:{mute.getsockname()[1]}" if silent else server.url
        StallWatch(url, "key", 1.0, on_stall)
        assert told.wait(30)
    server.http.shutdown()
    assert len(stalls) == 1
    assert stalls[0].startswith("it has not answered" if silent else "no token while 3 requests waited")


@pytest.mark.parametrize("answer", [b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"])
def test_a_server_that_answers_half_or_nonsense_hangs(answer: bytes) -> None:
    told = threading.Event()
    with socket.create_server((ports.HOST, 0)) as broken:

        def serve() -> None:
            while not told.is_set():
                with broken.accept()[0] as asked:
                    asked.recv(65536)
                    asked.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        url = f"http://{ports.HOST}:{broken.getsockname()[1]}"
        assert is_healthy(url, 5) == answer.startswith(b"HTTP/1.1 200")
        StallWatch(url, "key", 1.0, lambda how: told.set())
        assert told.wait(30)


@pytest.mark.parametrize(("stall", "episode", "limit"), [(300, 1800, 300), (300, 120, 60)])
def test_a_hang_is_noticed_before_the_episodes_that_wait_are_over(
    stall: int, episode: int, limit: int
) -> None:
    told = {"vllm": {"stall_timeout": stall}, "training": {"episode_timeout": episode}}
    assert stall_limit(ExperimentSpec.model_validate(told)) == limit
