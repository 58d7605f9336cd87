"""The local backend alone: deaths of launcher, supervisor and worker, full disks, damaged records."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

import tui.backends.programs
from remote.contract import layout
from remote.contract.errors import BackendError, DiskError, ImageError
from remote.contract.events import EndEvent, FailureEvent
from remote.contract.record import LaunchRequest, RunRecord
from remote.processes import lifecycle
from tests.backends.conftest import PROJECT, WORKER, LocalBench, lines, request
from tests.waiting import until
from tui.backends.local.backend import LocalBackend
from tui.backends.stream_file import is_alive
from tui.store.logs.stream import events_of
from tui.store.runs.state import RunState

NUMBERED = [f"[train] line {n}" for n in range(40)]


def worker_pid(local: LocalBench, run: RunRecord) -> int:
    record = json.loads((local.run_dir(run) / layout.RECORD).read_bytes())
    return int(record["identifiers"].get("worker_pid", 0))


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


MARK = "VFM_TEST_FOLDER"


def start_launcher(local: LocalBench, wanted: LaunchRequest, folder: Path) -> subprocess.Popen[bytes]:
    env = {
        "VFM_SCRIPT": "lines:20 pause:0.3 lines:20 end:done",
        "VFM_IMAGE_PYTHON": sys.executable,
        "VFM_WORKER": shlex.join([sys.executable, str(WORKER)]),
    }
    (folder / "request.json").write_text(wanted.model_dump_json())
    (folder / "env.json").write_text(json.dumps(env))
    command = [sys.executable, "-m", "tests.backends.launcher"]
    arguments = [str(folder / "request.json"), str(local.home), str(folder / "env.json")]
    return subprocess.Popen(
        [*command, *arguments],
        cwd=PROJECT,
        env={**os.environ, MARK: str(folder)},
        stdout=subprocess.PIPE,
        start_new_session=True,
    )


# What the launcher has printed when it is killed, and at most how many seconds after that.
MOMENTS = [("launching", 0.0), *[("launching", 0.8)] * 3, ("launched", 0.0), ("line 5", 0.2)]


@pytest.mark.parametrize(("word", "within"), MOMENTS)
async def test_a_launcher_killed_at_any_moment_leaves_no_run_or_a_whole_one(
    local: LocalBench, tmp_path: Path, word: str, within: float
) -> None:
    delay = random.uniform(0.0, within)  # the dice are cast anew each time
    wanted = request()
    launcher = start_launcher(local, wanted, tmp_path)
    assert launcher.stdout is not None
    while word.encode() not in launcher.stdout.readline():
        assert launcher.poll() is None
    time.sleep(delay)  # not to wait for anything: this is the moment under test
    os.killpg(launcher.pid, signal.SIGKILL)  # with everything that a closing terminal takes along
    launcher.wait()
    launcher.stdout.close()
    run_dir = local.home / "volumes" / wanted.outputs / "runs" / wanted.run_id
    # A supervisor that was given its request whole goes on by itself; one that was not, leaves nothing.
    await until(lambda: (run_dir / layout.RECORD).exists() or not supervisors(tmp_path), "the supervisor")
    runs = await local.backend().runs()
    if not runs:
        assert word == "launching"
        assert not run_dir.exists()
        return
    found = await lines(local.backend(), runs[0])
    assert [line for line in found if line.startswith("[train] line")] == NUMBERED[:20] * 2
    assert (await local.backend().status(runs[0])).status == "done"


def supervisors(folder: Path) -> list[str]:
    """Processes that are starting the run of a launcher that was started in this folder."""
    mark = f"{MARK}={folder}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            if command.strip().endswith("-m remote.supervisor") and mark in (
                process / "environ"
            ).read_bytes().split(b"\0"):
                found.append(command)
        except OSError:
            continue
    return found


async def test_a_run_whose_processes_are_all_killed_has_failed(local: LocalBench, tmp_path: Path) -> None:
    backend = local.backend(f"lines:2 raw:half touch:{tmp_path / 'ready'} wait:{tmp_path / 'never'}")
    run = await backend.launch(request())
    await until((tmp_path / "ready").exists, "the worker")
    following = asyncio.create_task(lines(backend, run))
    os.kill(int(run.identifiers["pid"]), signal.SIGKILL)
    os.kill(worker_pid(local, run), signal.SIGKILL)
    assert (await following)[-1] == "half"
    stream = (local.run_dir(run) / layout.STREAM).stat()
    written = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(stream.st_mtime))
    after = await local.backend().status(run)
    assert (after.status, after.exit_code) == ("failed", 1)
    assert after.failure is not None
    assert after.failure["message"].startswith("the run was interrupted: its processes are gone")
    assert f"vfm resume {run.run_id}" in after.failure["hint"]["text"]
    assert after.failure["cause"] == f"the last line of its log, of {written} UTC: half"
    assert after.interrupted
    found = list(events_of(await lines(backend, run)))
    assert [type(event) for event in found[-2:]] == [FailureEvent, EndEvent]
    assert (await local.backend().runs())[0] == after


@pytest.mark.parametrize("killed", ["nobody", "the worker", "both"])
async def test_temporary_files_go_with_the_run_whoever_is_killed(
    local: LocalBench, tmp_path: Path, killed: str
) -> None:
    there = tmp_path / "there"
    ends = "polite" if killed != "nobody" else "touch:" + str(tmp_path / "go")
    backend = local.backend(f"{ends} litter:{there} wait:{tmp_path / 'go'} end:done")
    run = await backend.launch(request())
    await until(there.exists, "the worker")
    await until(lambda: there.read_text() != "", "the folders")
    folders = [Path(line) for line in there.read_text().split("\n")]
    assert folders
    assert all(list(folder.iterdir()) for folder in folders)
    assert all(folder.stat().st_mode & 0o777 == 0o700 for folder in folders)
    if killed == "both":
        os.kill(int(run.identifiers["pid"]), signal.SIGKILL)
        await until(lambda: is_gone(int(run.identifiers["pid"])), "the supervisor's end")
    if killed != "nobody":
        os.kill(worker_pid(local, run), signal.SIGKILL)
    await lines(backend, run)
    await local.backend().status(run)  # settles a run that nobody is left of
    await until(lambda: not [folder for folder in folders if folder.exists()], "the folders to go")


async def test_a_worker_outlives_its_supervisor_and_can_still_be_cancelled(
    local: LocalBench, tmp_path: Path
) -> None:
    backend = local.backend(f"polite touch:{tmp_path / 'ready'} wait:{tmp_path / 'never'}")
    run = await backend.launch(request())
    await until((tmp_path / "ready").exists, "the worker")
    supervisor = int(run.identifiers["pid"])
    os.kill(supervisor, signal.SIGKILL)
    await until(lambda: is_gone(supervisor), "the supervisor's end")
    assert (await backend.status(run)).status == "running"
    await backend.cancel(run)
    assert "[worker] saved" in await lines(backend, run)
    assert (await backend.status(run)).status == "cancelled"


@pytest.mark.parametrize("supervisor_is", ["stopped", "gone"])
async def test_a_run_is_ended_at_once_whatever_became_of_its_supervisor(
    local: LocalBench, tmp_path: Path, supervisor_is: str
) -> None:
    backend = local.backend(f"stubborn touch:{tmp_path / 'ready'} wait:{tmp_path / 'never'}")
    run = await backend.launch(request())
    await until((tmp_path / "ready").exists, "the worker")
    os.kill(int(run.identifiers["pid"]), signal.SIGSTOP if supervisor_is == "stopped" else signal.SIGKILL)
    await backend.cancel(run, now=True)
    after = await backend.status(run)
    assert (after.status, after.exit_code, after.failure) == ("cancelled", 143, None)
    assert is_gone(int(run.identifiers["pid"]))


async def test_a_pid_that_is_somebody_elses_by_now_is_not_signalled(local: LocalBench) -> None:
    backend = local.backend("end:done")
    run = await backend.launch(request())
    await lines(backend, run)
    bystander = subprocess.Popen(["sleep", "60"])
    path = local.run_dir(run) / layout.RECORD
    record = json.loads(path.read_bytes())
    who = {"pid": str(bystander.pid), "started": "1", "worker_pid": str(bystander.pid), "worker_started": "1"}
    path.write_text(json.dumps({**record, "status": "running", "identifiers": who}))
    lock = lifecycle.take_lock(local.run_dir(run))
    assert lock is not None
    with pytest.raises(BackendError, match="none of its processes"):
        await backend.cancel(run)
    assert bystander.poll() is None
    bystander.kill()
    bystander.wait()
    os.close(lock)
    assert (await backend.status(run)).status == "done"  # as its events say


@pytest.mark.parametrize("death", ["kill:SIGSEGV", "exit:1", "end:done"])
async def test_nothing_of_the_workers_group_is_left(local: LocalBench, tmp_path: Path, death: str) -> None:
    backend = local.backend(f"child:{tmp_path / 'pid'} {death}")
    run = await backend.launch(request())
    found = await lines(backend, run)
    assert is_gone(int((tmp_path / "pid").read_text()))
    assert not is_alive(local.run_dir(run))
    if death == "kill:SIGSEGV":
        assert "SIGSEGV" in "".join(found)


async def test_a_cancel_that_comes_while_the_image_is_built_ends_the_run(
    local: LocalBench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = slow_image(local, tmp_path, monkeypatch)
    run = await backend.launch(request())
    await until(lambda: "building" in (local.run_dir(run) / layout.STREAM).read_text(), "the image")
    await backend.cancel(run)
    await lines(backend, run)
    assert (await backend.status(run)).status == "cancelled"


async def test_an_image_that_cannot_be_built_fails_the_run(
    local: LocalBench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = slow_image(local, tmp_path, monkeypatch, failing=True)
    run = await backend.launch(request())
    state = RunState().add_all(events_of(await lines(backend, run)))
    assert state.failure is not None
    assert (state.failure.boundary, state.failure.message) == (ImageError.boundary, "no such version")
    assert state.failure.hint == {"text": "go online", "key": None, "from": None, "to": None}
    assert (await backend.status(run)).status == "failed"


def slow_image(
    local: LocalBench, folder: Path, monkeypatch: pytest.MonkeyPatch, *, failing: bool = False
) -> LocalBackend:
    """A backend of a copy of the far side whose image never gets ready, or fails at once."""
    project = folder / "project"
    shutil.copytree(PROJECT / "remote", project / "remote", ignore=shutil.ignore_patterns("__pycache__"))
    image = project / "remote" / "image" / "local.py"
    image.write_text(FAILING_IMAGE if failing else SLOW_IMAGE)
    monkeypatch.setattr("tui.backends.programs.PACKAGES", project)
    return LocalBackend(local.home, project, {"VFM_SCRIPT": "end:done"})


SLOW_IMAGE = """
import time
this_recipe = str
def ensure(home, emit, recipe):
    emit.say("image", "building")
    time.sleep(600)
"""
FAILING_IMAGE = """
from remote.contract.errors import Hint, ImageError
this_recipe = str
def ensure(home, emit, recipe):
    raise ImageError("no such version", hint=Hint("go online"))
"""


async def test_secrets_reach_the_worker_and_no_file(local: LocalBench, tmp_path: Path) -> None:
    backend = local.backend(f"env:HF_TOKEN={tmp_path / 'seen'} exit:1", HF_TOKEN="hf_verysecret")
    run = await backend.launch(request())
    supervisor = Path(f"/proc/{run.identifiers['pid']}/cmdline")
    assert b"hf_verysecret" not in (supervisor.read_bytes() if supervisor.exists() else b"")
    await lines(backend, run)
    assert (tmp_path / "seen").read_text() == "hf_verysecret"
    files = [path for path in local.home.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if b"hf_verysecret" in path.read_bytes()]


async def test_a_full_disk_does_not_keep_a_run_from_ending(local: LocalBench) -> None:
    backend = local.backend("lines:4000 limit:8192 kill:SIGKILL")
    run = await backend.launch(request())
    found = await lines(backend, run)
    assert "Traceback" not in "".join(found)
    after = await backend.status(run)
    assert after.status == "failed"
    assert after.failure is not None
    assert "SIGKILL" in after.failure["message"]


async def test_a_record_that_cannot_be_completed_counts_as_failed_all_the_same(local: LocalBench) -> None:
    backend = local.backend("lines:4000 limit:100 kill:SIGKILL")
    run = await backend.launch(request())
    await lines(backend, run)
    path = local.run_dir(run) / layout.RECORD
    assert json.loads(path.read_bytes())["status"] == "running"
    stream = local.run_dir(run) / layout.STREAM
    stream.unlink()
    stream.mkdir()
    for found in (await backend.status(run), *await backend.runs()):
        assert found.status == "failed"
        assert found.failure is not None
        assert "could not be updated" in found.failure["message"]
        assert layout.STREAM in found.failure["cause"]
    assert json.loads(path.read_bytes())["status"] == "running"


async def test_a_supervisor_that_does_not_end_holds_nobody_for_ever(
    local: LocalBench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await local.backend("lines:4000 limit:100 kill:SIGKILL").launch(request())
    await lines(local.backend(), run)
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexec sleep 1000\n")
    python.chmod(0o755)
    monkeypatch.setattr(tui.backends.programs, "TIMEOUT", 0.5)
    found = await LocalBackend(local.home, PROJECT, python=str(python)).status(run)
    assert found.failure is not None
    assert "(settle) did not end within 0.5 s" in found.failure["cause"]


async def test_a_home_that_cannot_be_written_refuses_the_launch(local: LocalBench) -> None:
    local.home.mkdir()
    (local.home / "volumes").write_text("a file where a folder should be")
    with pytest.raises(DiskError, match="volumes"):
        await local.backend().launch(request())


async def test_a_supervisor_that_does_not_start_is_a_backend_error(local: LocalBench, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho this is broken; exit 1\n")
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    for broken in (python, tmp_path / "missing"):
        with pytest.raises(BackendError, match=r"this is broken|cannot start"):
            await LocalBackend(local.home, PROJECT, python=str(broken)).launch(request())
    assert await local.backend().runs() == []


@pytest.mark.parametrize("damage", ["cut", "endless"])
async def test_damaged_records_are_passed_over_with_a_notice(local: LocalBench, damage: str) -> None:
    backend = local.backend("end:done")
    run = await backend.launch(request())
    whole = run.model_dump_json()
    endless = whole.replace(f'"created":{run.created}', '"created":Infinity')
    assert endless != whole
    local.write(run.outputs, "runs/half/record.json", (whole[:20] if damage == "cut" else endless).encode())
    assert [found.run_id for found in await backend.runs()] == [run.run_id]
    [damaged] = backend.damaged
    assert (damaged.run_id, damaged.outputs) == ("half", run.outputs)


async def test_ten_thousand_known_runs_are_not_read_again(local: LocalBench) -> None:
    """Records are the very objects that they were: how long a file system takes to be asked says nothing."""
    record = RunRecord.of(request()).moved("failed", exit_code=1)
    for number in range(10_000):
        run = record.model_copy(update={"run_id": f"r{number}", "created": float(number)})
        local.write(run.outputs, f"runs/r{number}/record.json", run.model_dump_json().encode())
    backend = local.backend()
    first = await backend.runs()
    again = await backend.runs()
    assert len(again) == 10_000
    assert all(known is record for known, record in zip(again, first, strict=True))
    assert [first[0].run_id, first[-1].run_id] == ["r9999", "r0"]


async def test_links_out_of_the_volume_are_shown_but_not_followed(local: LocalBench, tmp_path: Path) -> None:
    volume = "verifiers-outputs-ann-links"
    local.write(volume, "runs/r/file", b"inside")
    folder = local.home / "volumes" / volume / "runs" / "r"
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("outside")
    (folder / "out").symlink_to(tmp_path / "outside")
    (folder / "loop").symlink_to(folder)
    (folder / "in").symlink_to(folder / "file")
    volumes = local.backend().volumes
    entries = {entry.path: entry.is_dir for entry in await volumes.list(volume, "runs/r", recursive=True)}
    assert entries["runs/r/out"] is False
    assert "runs/r/out/secret" not in entries
    for path in ("runs/r/out/secret", "runs/r/out"):
        with pytest.raises(Exception, match="leaves the volume"):
            await volumes.download(volume, path, tmp_path / "dest")
    assert not (tmp_path / "dest").exists()
    done = await volumes.download(volume, "runs/r", tmp_path / "dest")
    assert "runs/r/out" in [one.path for one in done.left_out]
    assert not list((tmp_path / "dest").rglob("secret"))
    await volumes.download(volume, "runs/r/in", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"inside"
