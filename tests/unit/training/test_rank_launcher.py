"""Several trainers under one worker: their words, the first that fails, the end of all."""

from __future__ import annotations

import json
import os
import signal
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from remote.contract import layout
from remote.contract.errors import VfmError
from remote.output.emitter import Emitter
from remote.output.run_dir import RunDir
from remote.training.gpu_placement import Placement
from remote.training.rank_launcher import Trainers
from tests.waiting import block_until

SERVER = SimpleNamespace(weight_sync="adapter", device="cuda", served_name="policy", key="k")
HEAD = """
import os, signal, sys, time
from pathlib import Path
from remote.contract.events import FailureEvent, MetricsEvent, PhaseEvent, encode_line
from remote.contract.events import CheckpointEvent
from tests.waiting import block_until

rank, folder = int(os.environ["RANK"]), Path(sys.argv[2])
here = Path(sys.argv[1]).parent

def tell(event):
    print(encode_line(event), flush=True)

def fail(message, **more):
    tell(FailureEvent(boundary="rollout", cause="why", message=message, **more))
    sys.exit(1)

def wait_for(path):
    block_until(path.exists, str(path), seconds=600)

(here / f"pid-{rank}").write_text(str(os.getpid()))
"""

Make = Callable[[str], Trainers]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Two trainers that do what a text says, started."""
    made: list[Trainers] = []
    fd = os.open(tmp_path / "stream.log", os.O_CREAT | os.O_WRONLY | os.O_APPEND)

    def start(body: str) -> Trainers:
        script = tmp_path / "trainer.py"
        script.write_text(HEAD + textwrap.dedent(body))
        placement = Placement(server=("0",), trained_on=("1", "2"), trainers=2)
        program = (sys.executable, str(script))
        made.append(Trainers(RunDir(tmp_path), placement, Emitter(tmp_path, fd), program=program))
        made[0].start(tmp_path / "model", SERVER)
        return made[0]

    yield start
    for trainers in made:
        trainers.stop()
    os.close(fd)


def events(run_dir: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run_dir / layout.EVENTS).read_text().splitlines()]


def alive(run_dir: Path) -> list[int]:
    pids = [int(file.read_text()) for file in run_dir.glob("pid-*")]
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def test_what_they_say_is_said_once_and_numbered_here(make: Make, tmp_path: Path) -> None:
    trainers = make(
        """
        wait_for(folder / "ready.json")
        print(f"[train] {rank} sees {os.environ['CUDA_VISIBLE_DEVICES']}", flush=True)
        if rank == 0:
            tell(PhaseEvent(phase="train", status="started", seq=70))
            tell(MetricsEvent(step=1, values={"loss": 0.5}, seq=70))
            tell(PhaseEvent(phase="train", status="done", seq=70))
        """
    )
    trainers.ready("http://127.0.0.1:1")
    trainers.wait()
    assert [(e["seq"], e["type"]) for e in events(tmp_path)] == [(0, "phase"), (1, "metrics"), (2, "phase")]
    stream = (tmp_path / "stream.log").read_text().splitlines()
    assert {"[train] 0 sees 1,2", "[train] 1 sees 1,2"} <= set(stream)


def test_the_first_to_fail_is_the_reason_and_the_others_end_with_it(make: Make, tmp_path: Path) -> None:
    trainers = make(
        """
        if rank == 0:
            signal.signal(signal.SIGTERM, lambda *_: fail("connection closed by peer"))
            tell(PhaseEvent(phase="train", status="started"))
            (here / "training").touch()
            wait_for(folder / "never")
        wait_for(here / "training")
        fail("no room", hint={"text": "take less", "key": "training.batch_size", "from": 8, "to": 4})
        """
    )
    with pytest.raises(VfmError, match="no room") as caught:
        trainers.wait()
    assert caught.value.boundary == "rollout"
    assert caught.value.hint is not None
    assert (caught.value.hint.key, caught.value.hint.new) == ("training.batch_size", 4)
    assert not alive(tmp_path)
    assert [e["status"] for e in events(tmp_path) if e["type"] == "phase"] == ["started", "failed"]
    assert "trainer 2 of 2 failed first" in (tmp_path / "stream.log").read_text()


def test_one_that_dies_without_a_word_is_the_reason_of_what_the_others_say(
    make: Make, tmp_path: Path
) -> None:
    trainers = make(
        """
        if rank == 1:
            wait_for(here / "pid-0")
            os.kill(os.getpid(), signal.SIGKILL)
        wait_for(here / "pid-1")
        pid = int((here / "pid-1").read_text() or 0)
        while Path(f"/proc/{pid}/exe").exists():
            pass
        fail("connection closed by peer")
        """
    )
    with pytest.raises(VfmError, match="trainer 2 of 2 was killed by signal 9 without a failure report"):
        trainers.wait()
    assert not alive(tmp_path)


STOPPABLE = """
def stop(*_):
    if (folder / "save").exists():
        assert Path(f"/proc/{(here / 'pid-1').read_text()}").exists()
        tell(CheckpointEvent(step=3, path="checkpoints/stopped"))
    sys.exit(143)

if rank == 0:
    signal.signal(signal.SIGTERM, stop)
    wait_for(here / "pid-1")
    tell(MetricsEvent(step=3, values={}))
wait_for(folder / "never")
"""


def test_a_stop_lets_the_first_save_while_the_others_keep_it_company(make: Make, tmp_path: Path) -> None:
    trainers = make(STOPPABLE)
    block_until((tmp_path / layout.EVENTS).exists, "events")
    trainers.save_and_stop(signal.SIGTERM)
    assert [e["type"] for e in events(tmp_path)] == ["metrics", "checkpoint"]
    assert not alive(tmp_path)


def test_a_machine_that_is_taken_away_ends_no_phase(make: Make, tmp_path: Path) -> None:
    trainers = make(
        """
        def stop(*_):
            tell(CheckpointEvent(step=3, path="checkpoints/checkpoint-3"))
            sys.exit(143)

        if rank == 0:
            signal.signal(signal.SIGUSR2, stop)
            tell(PhaseEvent(phase="train", status="started"))
        wait_for(folder / "never")
        """
    )
    block_until((tmp_path / layout.EVENTS).exists, "events")
    trainers.save_and_stop(signal.SIGUSR2)
    assert [e["type"] for e in events(tmp_path)] == ["phase", "checkpoint"]
    assert not alive(tmp_path)


def test_a_failure_elsewhere_has_the_first_save_its_last_step(make: Make, tmp_path: Path) -> None:
    trainers = make(
        """
        def stop(*_):
            assert (folder / "save").exists()
            tell(CheckpointEvent(step=3, path="checkpoints/checkpoint-3"))
            sys.exit(143)

        if rank == 0:
            signal.signal(signal.SIGUSR2, stop)
            tell(PhaseEvent(phase="train", status="started"))
            (here / "training").touch()
            wait_for(folder / "never")
        wait_for(here / "training")
        fail("no room")
        """
    )
    with pytest.raises(VfmError, match="no room"):
        trainers.wait()
    told = [(e["type"], e.get("status")) for e in events(tmp_path)]
    assert told == [("phase", "started"), ("checkpoint", None), ("phase", "failed")]


class Mortal:
    """The server as the worker has it."""

    base_url = "http://127.0.0.1:1"

    def __init__(self, dies: bool) -> None:
        self.dies, self.told = dies, list[str]()

    def lost(self) -> bool:
        return self.dies

    def renew(self) -> None:
        self.told.append("renew")
        self.base_url = "http://127.0.0.1:2"

    def proven(self) -> None:
        self.told.append("proven")


@pytest.mark.parametrize("dies", [True, False])
def test_a_trainer_that_misses_the_server_is_told_where_it_is(make: Make, tmp_path: Path, dies: bool) -> None:
    trainers = make(
        """
        from remote.output.emitter import Emitter
        from remote.workers.rank import RunningServer

        if rank == 0:
            server = RunningServer(folder, Emitter(None, 1), "policy", "adapter", "cpu")
            server.wait_ready()
            assert server.lost()
            server.proven()
            server.renew()
            (here / "address").write_text(server.base_url)
        """
    )
    server: Any = Mortal(dies)
    trainers.ready(server.base_url)
    trainers.wait(server)
    assert server.told == ["proven", "renew"] if dies else ["proven"]
    assert (tmp_path / "address").read_text() == ("http://127.0.0.1:2" if dies else "http://127.0.0.1:1")
    assert not (tmp_path / layout.EVENTS).exists(), "what they ask each other is no event of the run"


def test_those_that_are_ended_for_a_failure_elsewhere_save_nothing(make: Make, tmp_path: Path) -> None:
    trainers = make(STOPPABLE)
    block_until((tmp_path / layout.EVENTS).exists, "events")
    trainers.stop()
    assert [e["type"] for e in events(tmp_path)] == ["metrics"]
    assert not alive(tmp_path)


def test_waiting_can_be_interrupted_as_sigterm_does_it(make: Make, tmp_path: Path) -> None:
    trainers = make("wait_for(folder / 'never')")

    def interrupt(*_: Any) -> None:
        raise InterruptedError

    before = signal.signal(signal.SIGUSR1, interrupt)
    block_until((tmp_path / "pid-1").exists, "the second trainer")
    threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGUSR1)).start()
    try:
        with pytest.raises(InterruptedError):
            trainers.wait()
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_events_that_cannot_be_written_end_the_training(make: Make, tmp_path: Path) -> None:
    trainers = make(
        "wait_for(here / 'go')\ntell(MetricsEvent(step=1, values={}))\nwait_for(folder / 'never')"
    )
    (tmp_path / layout.EVENTS).mkdir()
    (tmp_path / "go").touch()
    with pytest.raises(IsADirectoryError):
        trainers.wait()
