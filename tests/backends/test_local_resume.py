"""A local run goes on in its own directory: by itself after a timeout, and where a person asks for it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from remote.contract import layout
from remote.contract.errors import ConfigError, DiskError, VfmError
from remote.contract.record import LaunchRequest, RunRecord
from remote.processes import lifecycle
from remote.supervisor import start
from tests.backends.conftest import PROJECT, LocalBench, lines, request
from tests.unit.training.test_checkpoints import killed_at
from tests.waiting import until
from tui.store.logs.stream import events_of
from tui.store.runs.state import RunState


def asked_for(local: LocalBench, run: RunRecord) -> LaunchRequest:
    """What the run keeps of what it was asked to do."""
    return LaunchRequest.model_validate_json((local.run_dir(run) / layout.REQUEST).read_bytes())


def edit_record(local: LocalBench, run: RunRecord, **changes: Any) -> None:
    path = local.run_dir(run) / layout.RECORD
    path.write_text(json.dumps({**json.loads(path.read_bytes()), **changes}))


async def killed(local: LocalBench, script: str, tmp_path: Path) -> RunRecord:
    """A run all of whose processes were killed, as a power cut does it, after the script."""
    backend = local.backend(f"{script} touch:{tmp_path / 'ready'} wait:{tmp_path / 'never'}")
    run = await backend.launch(request())
    await until((tmp_path / "ready").exists, "the worker")
    worker = json.loads((local.run_dir(run) / layout.RECORD).read_bytes())["identifiers"]["worker_pid"]
    for pid in (run.identifiers["pid"], worker):
        os.kill(int(pid), signal.SIGKILL)
    await lines(backend, run)
    return await local.backend().status(run)


async def test_an_interrupted_run_says_how_far_it_came_and_goes_on_in_its_directory(
    local: LocalBench, tmp_path: Path
) -> None:
    before = await killed(local, "lines:2 saved:3/8 raw:half", tmp_path)
    assert before.interrupted
    assert before.reached is not None
    assert (before.reached.done, before.reached.total, before.reached.checkpoint) == (3, 8, 3)
    assert before.failure is not None
    assert "interrupted at step 3 of 8" in before.failure["message"]
    assert (
        before.failure["hint"]["text"] == f"go on from the checkpoint of step 3: vfm resume {before.run_id}"
    )
    (local.run_dir(before) / ".best.json.abcdefgh.tmp").touch()

    backend = local.backend("lines:1 end:done")
    again = await backend.resume(asked_for(local, before))
    assert (again.run_id, again.status, again.failure, again.ended) == (before.run_id, "pending", None, None)
    said = await lines(backend, again)
    after = await backend.status(again)
    assert (after.status, [attempt.why for attempt in after.attempts]) == ("done", ["lost", "done"])
    assert after.created == before.created
    assert said.count("[train] line 0") == 2, "what was said before is still there, and followed by the rest"
    state = RunState().add_all(events_of(said))
    assert (state.attempt, state.failure) == (2, None)
    assert state.end is not None
    assert state.end.status == "done"
    seqs = [event.seq for event in events_of(said)]
    assert seqs == sorted(set(seqs))
    assert not (local.run_dir(before) / ".best.json.abcdefgh.tmp").exists()
    assert len(await backend.runs()) == 1


async def test_a_run_that_is_alive_is_not_resumed(local: LocalBench, tmp_path: Path) -> None:
    backend = local.backend(f"touch:{tmp_path / 'ready'} wait:{tmp_path / 'go'} end:done")
    run = await backend.launch(request())
    await until((tmp_path / "ready").exists, "the worker")
    with pytest.raises(ConfigError, match="still running"):
        await backend.resume(asked_for(local, run))
    (tmp_path / "go").touch()
    await lines(backend, run)
    assert (await backend.status(run)).status == "done"


async def test_a_run_that_is_killed_again_and_again_is_resumed_each_time(
    local: LocalBench, tmp_path: Path
) -> None:
    run = await killed(local, "saved:1/8", tmp_path)
    for step in (2, 3):
        ready = tmp_path / f"ready-{step}"
        backend = local.backend(f"saved:{step}/8 touch:{ready} wait:{tmp_path / 'never'}")
        run = await backend.resume(asked_for(local, run))
        await until(ready.exists, "the worker")
        local.close()
        await lines(backend, run)
        run = await backend.status(run)
        assert run.interrupted
        assert run.reached is not None
        assert (run.reached.done, run.reached.checkpoint) == (step, step)
    assert [attempt.why for attempt in run.attempts] == ["lost"] * 3


async def test_after_a_timeout_with_retries_left_it_goes_on_by_itself(local: LocalBench) -> None:
    backend = local.backend("attempt:1=interruptible attempt:1=pause:60 end:done", VFM_TIMEOUT="4")
    run = await backend.launch(request(modal={"retries": 1}))
    said = await lines(backend, run)
    after = await backend.status(run)
    assert (after.status, [attempt.why for attempt in after.attempts]) == ("done", ["timeout", "done"])
    assert RunState().add_all(events_of(said)).attempt == 2


async def test_after_a_server_that_was_lost_it_goes_on_by_itself(local: LocalBench) -> None:
    backend = local.backend("saved:1/3 attempt:1=exit:76 attempt:2=exit:76 end:done")
    run = await backend.launch(request(modal={"retries": 2}))
    await lines(backend, run)
    after = await backend.status(run)
    assert (after.status, [a.why for a in after.attempts]) == ("done", ["server", "server", "done"])


@pytest.mark.parametrize(("retries", "attempts"), [(0, 1), (2, 3)])
async def test_a_timeout_without_retries_left_ends_it_and_says_what_allows_more(
    local: LocalBench, retries: int, attempts: int
) -> None:
    backend = local.backend("interruptible pause:60", VFM_TIMEOUT="0.3")
    run = await backend.launch(request(modal={"retries": retries}))
    await lines(backend, run)
    after = await backend.status(run)
    assert (after.status, after.exit_code, len(after.attempts)) == ("failed", 124, attempts)
    assert not after.interrupted

    backend = local.backend("end:done")
    again = await backend.resume(asked_for(local, run))
    await lines(backend, again)
    assert (await backend.status(again)).status == "done", "what a person resumes has its retries again"


def test_a_supervisor_killed_at_any_moment_of_its_making_leaves_no_run_or_a_whole_one(tmp_path: Path) -> None:
    moments = 0
    while True:
        home = tmp_path / str(moments)
        wanted = request().model_copy(
            update={"run_dir": str(home / "runs" / "r1"), "cache_dir": str(home / "cache")}
        )

        def create(wanted: LaunchRequest = wanted) -> None:
            start.create(wanted)

        if not killed_at(moments, create):
            break
        run = home / "runs" / "r1"
        if run.exists():
            assert RunRecord.model_validate_json((run / layout.RECORD).read_bytes()).attempts
            assert (run / layout.REQUEST).exists()
        moments += 1
    assert moments > 10
    with pytest.raises(VfmError, match="there is a run"):
        start.create(wanted)


STOP = (sys.executable, "-m", "remote.supervisor", "--stop")
HOSTILE: list[tuple[str, Callable[[dict[str, Any]], Any]]] = [
    ("created", lambda record: record | {"created": 1e300}),
    ("created", lambda record: record | {"created": -1e18}),
    ("ended", lambda record: record | {"ended": "tomorrow"}),
    ("attempts", lambda record: record | {"attempts": [{"started": 1e18}]}),
    ("failure", lambda record: record | {"failure": {"hint": "x"}}),
    ("failure", lambda record: record | {"failure": {"message": {"a": 1}}}),
    ("failure", lambda record: record | {"failure": "no"}),
    ("reached", lambda record: record | {"reached": {"done": -1, "total": 1}}),
    ("resumed_after", lambda record: record | {"resumed_after": -5}),
    ("identifiers", lambda record: record | {"identifiers": {"pid": 1}}),
    ("but in", lambda record: record | {"run_id": "../../elsewhere"}),
    ("but in", lambda record: record | {"outputs": ".."}),
    ("", lambda record: []),
    ("", lambda record: record | {"git": json.loads("[" * 400 + "]" * 400)}),
]


@pytest.mark.parametrize(("said", "change"), HOSTILE)
async def test_a_hostile_record_is_a_damaged_one_and_hides_no_other(
    local: LocalBench, said: str, change: Callable[[dict[str, Any]], Any]
) -> None:
    good, bad = [RunRecord.of(request()).moved("cancelled") for _ in range(2)]
    for run, text in (
        (good, good.model_dump_json()),
        (bad, json.dumps(change(json.loads(bad.model_dump_json())))),
    ):
        local.write(run.outputs, f"runs/{run.run_id}/record.json", text.encode())
    backend = local.backend()
    assert [run.run_id for run in await backend.runs()] == [good.run_id]
    [damaged] = backend.damaged
    assert damaged.run_id == bad.run_id
    with pytest.raises(DiskError) as caught:
        await backend.status(bad)
    assert said in caught.value.cause


async def test_a_record_that_names_a_process_of_no_run_has_nobody_signalled(
    local: LocalBench, tmp_path: Path
) -> None:
    backend = local.backend(f"polite touch:{tmp_path / 'ready'} wait:{tmp_path / 'never'}")
    other = await backend.launch(request())
    await until((tmp_path / "ready").exists, "the worker")
    victim = await local.backend("end:done").launch(request())
    await lines(backend, victim)
    bystander = subprocess.Popen(["sleep", "60"])
    started = lifecycle.start_time(bystander.pid)
    named: list[dict[str, str]] = [
        {"pid": str(bystander.pid), "started": started},
        {"pid": str(bystander.pid), "started": ""},
        {"worker_pid": str(bystander.pid), "worker_started": started},
        {"pid": "-1", "started": "1"},
        {"pid": "1e3", "started": "1"},
        {"pid": other.identifiers["pid"], "started": other.identifiers["started"]},
    ]
    lock = local.run_dir(victim) / layout.LOCK
    lock.unlink()
    lock.symlink_to(local.run_dir(other) / layout.LOCK)
    try:
        for identifiers in named:
            edit_record(local, victim, status="running", identifiers=identifiers, exit_code=None, ended=None)
            record = RunRecord.model_validate_json((local.run_dir(victim) / layout.RECORD).read_bytes())
            await backend.cancel(record)
            stopped = subprocess.run([*STOP, str(local.run_dir(victim))], cwd=PROJECT, check=False)
            assert stopped.returncode == 1, "what `cancel` asks for, had it taken the run for alive"
            assert (await backend.status(record)).ended_already, "a lock that is a link is nobody's"
        assert bystander.poll() is None
        assert (await backend.status(other)).status == "running"
    finally:
        bystander.kill()
        bystander.wait()
        local.close()
