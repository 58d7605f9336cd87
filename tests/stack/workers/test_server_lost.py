"""A worker whose server is lost for good leaves the run open for another attempt, where one may follow."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from remote.contract import layout
from remote.contract.errors import ServerError, VfmError
from remote.contract.exit_codes import FAILED, SERVER_LOST
from remote.contract.record import LaunchRequest
from remote.output.emitter import Emitter
from remote.output.run_dir import RunDir
from remote.training import checkpoints
from remote.workers.base import GOES_ON
from remote.workers.training import Training
from tests.stack.conftest import tiny_spec

pytestmark = pytest.mark.stack


class Doomed(Training):
    """A worker that fails after the checkpoint of some steps."""

    steps = 2
    error: VfmError = ServerError("vLLM died")

    def _phases(self) -> None:
        self._begin("begun")
        self.emit.phase("train", "started")
        if self.steps:
            saved = self.dir.path / layout.checkpoint_path(self.steps)
            saved.mkdir(parents=True)
            (saved / "weights").write_text("w")
            checkpoints.mark(saved)
        raise self.error


@pytest.mark.parametrize(
    ("goes_on", "steps", "error", "code"),
    [
        ("1", 2, ServerError("vLLM died"), SERVER_LOST),
        ("", 2, ServerError("vLLM died"), FAILED),
        ("1", 0, ServerError("vLLM died"), FAILED),
        ("1", 2, VfmError("a bug", boundary="train"), FAILED),
    ],
    ids=["lost", "no retry left", "no step further", "another failure"],
)
def test_only_a_lost_server_after_a_step_leaves_the_run_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, goes_on: str, steps: int, error: VfmError, code: int
) -> None:
    monkeypatch.setenv(GOES_ON, goes_on)
    monkeypatch.setattr("remote.workers.base.ignore_signals", lambda: None)
    run = tmp_path / "run"
    request = LaunchRequest(
        run_id="run",
        spec=tiny_spec(),
        model="m",
        environment="vf_wordle",
        outputs="out",
        cache="cache",
        run_dir=str(run),
        cache_dir=str(tmp_path),
    )
    run_dir = RunDir(run)
    run_dir.write_record(run_dir.create(request).moved("running"))
    fd = os.open(run / layout.STREAM, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    try:
        worker = Doomed(request, Emitter(run, fd))
        worker.steps, worker.error = steps, error
        assert worker.run() == code
    finally:
        os.close(fd)
    events = [json.loads(line) for line in (run / layout.EVENTS).read_text().splitlines()]
    is_open = code == SERVER_LOST
    assert (run_dir.record().status == "running") == is_open
    assert ("end" not in {event["type"] for event in events}) == is_open
    assert error.message in (run / layout.STREAM).read_text()
