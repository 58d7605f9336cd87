"""An attempt as a container makes it: real supervisors, scripted workers, and a volume that only counts."""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from remote.contract import layout
from remote.contract.errors import VfmError
from remote.contract.events import AttemptEvent, Event, decode_line
from remote.contract.log_frames import Frame, FrameReader
from remote.contract.record import LaunchRequest, RunRecord
from remote.contract.spec import ExperimentSpec
from remote.modal_app import container
from remote.output.emitter import Emitter
from remote.output.run_dir import RunDir, disk_error
from remote.supervisor.start import create
from tests.waiting import block_until

PROJECT = Path(__file__).parents[3]
WORKER = f"{sys.executable} {PROJECT / 'tests/backends/scripted_worker.py'}"


class Cancelled(BaseException):
    """Stands for Modal's InputCancellation."""


@dataclass
class Stage:
    """A run in an outputs volume as the launcher leaves it, and the containers that take it up."""

    folder: Path
    monkeypatch: pytest.MonkeyPatch
    commits: list[str] = field(default_factory=list)
    """The record's status at each commit."""
    foretold: list[str | None] = field(default_factory=list)
    """At each commit while an attempt goes on: what is about to end it."""
    head: str = ""
    attempts: int = 0

    def launch(self, usd_per_hour: float | None = None, **spec: dict[str, Any]) -> None:
        """What the launcher does: the directory, and the stream's first lines."""
        request = LaunchRequest(
            run_id="r1-x",
            backend="modal",
            spec=ExperimentSpec.model_validate(spec),
            model="m",
            environment="vf_x",
            outputs="o",
            cache="c",
            usd_per_hour=usd_per_hour,
        )
        RunDir(self.run_dir).create(request)
        staged = RunDir(self.folder / "staged")
        staged.create(request)
        stream = staged.path / layout.STREAM
        with stream.open("ab") as file:
            emit = Emitter(staged.path, file.fileno())
            emit.phase("image", "started")
            emit.say("image", "Schritt 1 – größer")
            emit.phase("image", "done", "built")
        self.head = stream.read_text()
        self.request = request

    def attempt(self, script: str, **env: str) -> dict[str, Any]:
        """One container; its output is `output()` then."""
        settings = {"VFM_WORKER": WORKER, "VFM_SCRIPT": script, "VFM_STOP_GRACE": "5", **env}
        for name, value in settings.items():
            self.monkeypatch.setenv(name, value)
        self.attempts += 1
        place = container.Place(self.folder, self.folder / "cache", PROJECT, f"ta-{self.attempts}", "fc-1")
        out = os.open(self._out(self.attempts), os.O_WRONLY | os.O_CREAT)
        try:
            return container.run(self.request, self.head, place, self.commit, Cancelled, out)
        finally:
            os.close(out)

    def commit(self) -> None:
        record = self.record()
        self.commits.append(record.status)
        if record.attempts[-1].ended is None:
            self.foretold.append(record.attempts[-1].why)

    def interrupted(self, script: str, error: BaseException, when: Callable[[], object]) -> None:
        """An attempt whose main thread is interrupted as soon as a condition holds, as Modal does it."""

        def raise_it(*_: object) -> None:
            raise error

        def wait_and_signal() -> None:
            block_until(when, "the moment to interrupt")
            os.kill(os.getpid(), signal.SIGUSR1)

        before = signal.signal(signal.SIGUSR1, raise_it)
        watcher = threading.Thread(target=wait_and_signal)
        watcher.start()
        try:
            with pytest.raises(type(error)):
                self.attempt(script)
        finally:
            watcher.join()
            signal.signal(signal.SIGUSR1, before)

    def _out(self, attempt: int) -> Path:
        return self.folder / f"output-{attempt}"

    def output(self, attempt: int = 1) -> list[Frame]:
        """The frames that a container has printed."""
        items = FrameReader().feed(self._out(attempt).read_text())
        frames = [item for item in items if isinstance(item, Frame)]
        assert len(frames) == len(items), "a container prints nothing but frames"
        return frames

    def printed(self, attempt: int = 1) -> bytes:
        """Their bytes, without gap or repetition."""
        data = b""
        for frame in self.output(attempt):
            assert (frame.attempt, frame.at) == (attempt, len(data))
            data += frame.data
        return data

    @property
    def run_dir(self) -> Path:
        return self.folder / "runs" / "r1-x"

    def stream(self) -> bytes:
        path = self.run_dir / layout.STREAM
        return path.read_bytes() if path.exists() else b""

    def events(self) -> list[Event]:
        lines = (self.run_dir / layout.EVENTS).read_text().split("\n")
        found = [decode_line("\x1e" + line) for line in lines if line]
        return [event for event in found if not isinstance(event, str)]

    def record(self) -> RunRecord:
        return RunDir(self.run_dir).record()


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """An empty volume."""
    return Stage(tmp_path, monkeypatch)


def test_a_container_prints_the_whole_stream_and_commits_what_counts(stage: Stage) -> None:
    stage.launch()
    long = "raw:" + "x" * 70_000 + "\\n"
    outcome = stage.attempt(f"lines:500 {long} raw:caf\\xe9\\r\\n steps:2 end:done raw:no\\x20newline")
    assert outcome == {"status": "done", "exit_code": 0}
    assert stage.printed() == stage.stream()
    assert stage.stream().startswith(stage.head.encode())
    assert max(len(frame.data) for frame in stage.output()) <= 65536
    assert [event.seq for event in stage.events()] == list(range(len(stage.events())))
    record = stage.record()
    assert record.identifiers == {"call": "fc-1"}
    assert [(a.offset, a.container, a.why) for a in record.attempts] == [(0, "ta-1", "done")]
    assert stage.commits[-1] == "done"
    # A call that is delivered again finds the run over, and leaves it alone.
    assert stage.attempt("lines:9") == outcome
    assert stage.printed() == stage.stream()


def test_an_attempt_is_on_record_before_it_prints_and_a_checkpoint_while_it_goes_on(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.launch()
    monkeypatch.setattr(container, "COMMIT_EVERY", 1e9)
    quiet, go = tmp_path / "quiet", tmp_path / "go"
    printed_before: list[bool] = []

    def commit() -> None:
        if not printed_before:
            block_until(lambda: b"line 0" in stage.stream(), "the worker")
        elif b'"checkpoint"' in stage.stream():
            go.touch()
        else:
            quiet.touch()  # The record stays as it is from here on: only the checkpoint is a reason.
        printed_before.append(bool(stage.output()))

    stage.commit = commit  # type: ignore[method-assign]
    script = f"lines:1 wait:{quiet} steps:3 wait:{go} end:done"
    assert stage.attempt(script, VFM_TIMEOUT="20")["status"] == "done"
    assert not printed_before[0]


def test_a_volume_that_cannot_be_committed_is_said_once_and_ends_no_run(stage: Stage) -> None:
    stage.launch()

    def commit() -> None:
        raise ConnectionError("no route")

    stage.commit = commit  # type: ignore[method-assign]
    assert stage.attempt("steps:3 end:done")["status"] == "done"
    assert stage.stream().count(b"could not be committed: ConnectionError: no route") == 1


def test_a_run_that_is_cancelled_saves_and_is_over(stage: Stage) -> None:
    stage.launch()
    stage.interrupted("polite lines:1 pause:60", Cancelled(), lambda: b"line 0" in stage.stream())
    assert b"[worker] saved" in stage.stream()
    assert stage.printed() == stage.stream()
    assert stage.record().status == "cancelled"
    assert stage.commits[-1] == "cancelled"


def test_a_machine_that_is_taken_away_hands_the_run_on(stage: Stage) -> None:
    stage.launch()
    stage.interrupted("lines:2 pause:60", KeyboardInterrupt(), lambda: b"line 1" in stage.stream())
    record = stage.record()
    assert (record.status, record.attempts[-1].why) == ("running", "preempted")
    assert not any(event.type in ("end", "failure") for event in stage.events())
    first = stage.stream()
    assert stage.printed() == first

    assert stage.attempt("lines:3 end:done")["status"] == "done"
    assert stage.stream() == first + stage.printed(2)
    (taken_up,) = [event for event in stage.events() if isinstance(event, AttemptEvent)]
    assert (taken_up.number, taken_up.why) == (2, "preempted")
    before = [event.seq for event in stage.events() if event.t < taken_up.t]
    assert taken_up.seq == max(before) + 1_000_001
    record = stage.record()
    assert [(a.container, a.why) for a in record.attempts] == [("ta-1", "preempted"), ("ta-2", "done")]
    assert record.attempts[1].offset == len(first)
    assert record.attempts[0].ended is not None


def test_a_machine_that_is_gone_before_the_worker_has_saved_was_taken_away_and_not_lost(stage: Stage) -> None:
    stage.launch(modal={"retries": 1})
    stage.interrupted("stubborn lines:2 pause:60", KeyboardInterrupt(), lambda: b"line 1" in stage.stream())
    assert "preempted" in stage.foretold, "committed while the worker saves"
    record = stage.record()
    unended = record.attempts[0].model_copy(update={"ended": None})  # as that commit has it
    RunDir(stage.run_dir).write_record(record.model_copy(update={"attempts": [unended]}))
    with pytest.raises(container.AttemptOver, match="timeout"):  # the retry is still there
        stage.attempt("lines:1 pause:60", VFM_TIMEOUT="1")
    assert [attempt.why for attempt in stage.record().attempts] == ["preempted", "timeout"]
    assert all(attempt.ended for attempt in stage.record().attempts)


def test_all_attempts_together_take_no_longer_than_the_plan_says(stage: Stage) -> None:
    stage.launch(modal={"retries": 1, "timeout": 60})
    stage.interrupted("lines:1 pause:60", KeyboardInterrupt(), lambda: b"line 0" in stage.stream())
    record = stage.record()
    long_ago = record.attempts[0].model_copy(update={"ended": record.attempts[0].started + 113})
    RunDir(stage.run_dir).write_record(record.model_copy(update={"attempts": [long_ago]}))
    assert stage.attempt("polite lines:1 pause:60") == {"status": "failed", "exit_code": 124}
    assert b"[worker] saved" in stage.stream()


def test_a_timeout_hands_the_run_on_until_no_retry_is_left(stage: Stage) -> None:
    stage.launch(modal={"retries": 1})
    with pytest.raises(container.AttemptOver, match="timeout"):
        stage.attempt("lines:1 pause:60", VFM_TIMEOUT="1")
    assert stage.record().attempts[-1].why == "timeout"
    outcome = stage.attempt("polite lines:1 pause:60", VFM_TIMEOUT="1")
    assert outcome == {"status": "failed", "exit_code": 124}
    failure = stage.record().failure
    assert failure is not None
    assert "in the last of 2 attempts" in failure["message"]
    assert failure["hint"]["key"] == "modal.timeout"


def test_a_container_that_vanished_is_an_attempt_that_was_lost(stage: Stage) -> None:
    stage.launch()
    with pytest.raises(container.AttemptOver):
        stage.attempt("lines:1 raw:half\\x20a\\x20line orphan:SIGKILL pause:60")
    assert stage.record().attempts[-1].ended is None
    assert stage.printed() == stage.stream()
    torn = len(stage.stream())
    assert stage.attempt("failure:broken exit:3") == {"status": "failed", "exit_code": 3}
    record = stage.record()
    assert [a.why for a in record.attempts] == ["lost", "failed"]
    assert record.attempts[1].offset == torn
    assert stage.printed(2) == stage.stream()[torn:]
    assert stage.printed(2).startswith(b"\n")


def test_a_full_volume_is_named_with_what_makes_room(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.launch()
    asked = stage.folder / "volume"
    stage.attempt(f"env:VFM_VOLUME={asked} end:done")
    full = OSError(errno.ENOSPC, "No space left on device")
    here = disk_error(full, "x").hint
    monkeypatch.setenv("VFM_VOLUME", asked.read_text())
    there = disk_error(full, "x").hint
    assert here is not None
    assert there is not None
    assert "VFM_HOME" in here.text
    assert "the volume o is full" in there.text
    assert "vfm rm o:runs/RUN" in there.text


@pytest.mark.parametrize("left", ["nothing", "half"])
def test_events_that_only_their_file_has_come_back_into_the_stream(stage: Stage, left: str) -> None:
    stage.launch()
    with pytest.raises(container.AttemptOver):
        stage.attempt("lines:1 steps:3 orphan:SIGKILL pause:60")
    stream = stage.run_dir / layout.STREAM
    said = stage.stream()
    cut = said.index(b'"step":2') + 4 if left == "half" else 0  # in the middle of a line
    stream.write_bytes(said[:cut])
    assert stage.attempt("end:done")["status"] == "done"
    assert stage.stream().startswith(stage.head.encode())
    found = [decode_line(line) for line in stage.stream().decode().split("\n")]
    events = [event for event in found if not isinstance(event, str)]
    assert [event.seq for event in events] == [event.seq for event in stage.events()]
    # What is said again belongs to the new attempt: the old one's places were seen with other bytes.
    assert stage.printed(2) == stage.stream()[stage.record().attempts[1].offset :]


@pytest.mark.parametrize("spent_before", [0.0, 3600.0])
def test_a_run_stops_when_it_has_cost_what_it_may(stage: Stage, spent_before: float) -> None:
    # A dollar a second: two seconds here, or an hour in an earlier attempt and one second more.
    limit = 2.0 + spent_before - (1.0 if spent_before else 0.0)
    stage.launch(usd_per_hour=3600.0, budget={"max_usd": limit})
    if spent_before:
        stage.interrupted("lines:1 pause:60", KeyboardInterrupt(), lambda: b"line 0" in stage.stream())
        record = stage.record()
        earlier = record.attempts[0].model_copy(update={"ended": record.attempts[0].started + 3600})
        RunDir(stage.run_dir).write_record(record.model_copy(update={"attempts": [earlier]}))
    assert stage.attempt("polite lines:1 pause:60")["status"] == "failed"
    assert b"[worker] saved" in stage.stream()
    failure = stage.record().failure
    assert failure is not None
    assert f"budget.max_usd = {limit:g}" in failure["message"]
    assert f"${limit:,.0f}"[:4] in failure["message"]
    assert failure["hint"]["key"] == "budget.max_usd"


def test_nothing_is_left_of_an_attempt_whose_container_is_gone(stage: Stage, tmp_path: Path) -> None:
    """The container's process is killed: its supervisor and worker go with it, and write nothing more."""
    stage.launch()
    pid = os.fork()
    if pid == 0:
        try:
            stage.attempt(f"lines:1 child:{tmp_path / 'child'} pause:60")
        finally:
            os._exit(1)
    block_until((tmp_path / "child").exists, "the worker")
    child = int((tmp_path / "child").read_text() or 0)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    block_until(lambda: not Path(f"/proc/{child}/cmdline").exists(), "the worker's child to be gone")
    record = json.loads((stage.run_dir / layout.RECORD).read_text())
    assert record["status"] == "running"
    assert record["attempts"][-1]["ended"] is None


def test_a_local_run_has_one_attempt_on_record(tmp_path: Path) -> None:
    request = LaunchRequest(
        run_id="r", spec=ExperimentSpec(), model="m", environment="e", outputs="o", cache="c",
        run_dir=str(tmp_path / "run"), cache_dir=str(tmp_path / "cache"),
    )  # fmt: skip
    _, record, lock = create(request)
    os.close(lock)
    assert [(a.offset, a.ended) for a in record.attempts] == [(0, None)]
    with pytest.raises(VfmError):
        create(request)
