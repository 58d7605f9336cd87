"""One body for every backend: launch, follow, cancel, list, browse, download."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from remote.contract import layout
from remote.contract.errors import BackendError, ConfigError
from remote.contract.events import EndEvent, FailureEvent
from remote.contract.record import LaunchRequest, RunRecord
from tests.backends.conftest import VOLUME, Bench, lines, request
from tests.waiting import until
from tui.backends.base import Backend, Batch, Transfer
from tui.backends.destination import Occupied
from tui.store.logs.stream import events_of
from tui.store.runs.state import RunState

NUMBERED = [f"[train] line {n}" for n in range(50)]


def numbered(found: list[str]) -> list[str]:
    return [line for line in found if line.startswith("[train] line ")]


async def test_a_run_is_followed_from_its_launch_to_its_end(bench: Bench) -> None:
    backend = bench.backend("lines:50 steps:3 end:done")
    run = await backend.launch(request())
    assert (run.backend, run.status) == (bench.name, "pending")
    found = await lines(backend, run)
    state = RunState().add_all(events_of(found))
    assert numbered(found) == NUMBERED
    assert list(state.phases) == ["image", "train"]
    assert (state.step, state.total_steps) == (3, 3)
    assert state.end is not None
    assert state.end.status == "done"
    after = await backend.status(run)
    assert (after.status, after.exit_code, after.failure) == ("done", 0, None)
    assert after.started is not None
    assert after.ended is not None
    assert after.started <= after.ended


async def test_events_are_numbered_without_a_gap(bench: Bench) -> None:
    backend = bench.backend("steps:5 kill:SIGKILL")
    found = await lines(backend, await backend.launch(request()))
    seqs = [event.seq for event in events_of(found)]
    assert seqs == list(range(len(seqs)))


async def test_two_followers_see_the_same_lines(bench: Bench) -> None:
    backend = bench.backend("lines:20 pause:0.2 lines:20 end:done")
    run = await backend.launch(request())
    one, two = await asyncio.gather(lines(backend, run), lines(bench.backend(""), run))
    assert one == two
    assert len(numbered(one)) == 40


async def test_following_again_from_each_position_loses_nothing(bench: Bench) -> None:
    backend = bench.backend("lines:50 raw:caf\\xc3\\xa9\\n end:done")
    run = await backend.launch(request())
    everything = await lines(backend, run)
    batches: list[Batch] = [batch async for batch in backend.follow(run)]
    assert [line for batch in batches for line in batch.lines] == everything
    for number, batch in enumerate(batches):
        rest = [line for later in batches[number + 1 :] for line in later.lines]
        assert await lines(backend, run, batch.position) == rest


async def test_lines_keep_carriage_returns_and_survive_bad_bytes(bench: Bench) -> None:
    backend = bench.backend("raw:5%\\r50%\\r100%\\n raw:bad\\xff\\xfebytes\\n raw:\\x1e{no\\n end:done")
    found = await lines(backend, await backend.launch(request()))
    assert "5%\r50%\r100%" in found
    assert "bad\ufffd\ufffdbytes" in found
    assert "\x1e{no" in found


async def test_a_torn_line_waits_until_the_run_is_over(bench: Bench, tmp_path: Path) -> None:
    torn, go = tmp_path / "torn", tmp_path / "go"
    backend = bench.backend(f"lines:1 raw:half touch:{torn} wait:{go} raw:\\x20more kill:SIGKILL")
    run = await backend.launch(request())
    await until(torn.exists, "half a line")
    assert "half" not in "".join(await lines(backend, run, live=False))
    go.touch()
    found = await lines(backend, run)
    assert found.count("half more") == 1
    assert [e.status for e in events_of(found) if isinstance(e, EndEvent)] == ["failed"]


async def test_long_lines_and_many_lines_come_whole(bench: Bench) -> None:
    backend = bench.backend("lines:5000 raw:" + "x" * 30000 + " " + "raw:" + "y" * 60000 + "\\n end:done")
    run = await backend.launch(request())
    await lines(backend, run)
    batches = [batch async for batch in backend.follow(run)]
    assert max(len(batch.lines) for batch in batches) <= 2000
    assert "x" * 30000 + "y" * 60000 in [line for batch in batches for line in batch.lines]


async def test_a_killed_worker_fails_and_its_signal_is_named(bench: Bench) -> None:
    backend = bench.backend("lines:3 kill:SIGKILL")
    run = await backend.launch(request())
    found = await lines(backend, run)
    failures = [event for event in events_of(found) if isinstance(event, FailureEvent)]
    assert len(failures) == 1
    assert failures[0].boundary == "worker"
    assert "SIGKILL" in failures[0].message
    assert failures[0].cause == "the last line of its log: [train] line 2"
    assert failures[0].hint is not None
    # The kernel has killed nobody for want of memory, so nobody is told to need less.
    assert failures[0].hint["key"] is None
    assert f"vfm resume {run.run_id}" in failures[0].hint["text"]
    after = await backend.status(run)
    assert (after.status, after.exit_code) == ("failed", 137)
    assert after.failure is not None
    assert after.failure["message"] == failures[0].message


async def test_a_worker_that_ends_without_a_word_has_failed(bench: Bench) -> None:
    backend = bench.backend("raw:ImportError:\\x20no\\x20such\\x20thing\\n exit:3")
    run = await backend.launch(request())
    state = RunState().add_all(events_of(await lines(backend, run)))
    assert state.failure is not None
    assert "code 3" in state.failure.message
    assert state.failure.cause == "the last line of its log: ImportError: no such thing"
    assert (await backend.status(run)).exit_code == 3


async def test_a_failure_that_the_worker_told_of_is_told_once(bench: Bench) -> None:
    backend = bench.backend("failure:lost exit:1")
    run = await backend.launch(request())
    found = list(events_of(await lines(backend, run)))
    assert [e.message for e in found if isinstance(e, FailureEvent)] == ["lost"]
    after = await backend.status(run)
    assert after.failure is not None
    assert (after.status, after.failure["boundary"]) == ("failed", "vllm")


@pytest.mark.parametrize("manner", ["polite", "raw:rude\\n"])
async def test_a_cancelled_run_ends_as_cancelled(bench: Bench, tmp_path: Path, manner: str) -> None:
    ready = tmp_path / "ready"
    backend = bench.backend(f"{manner} touch:{ready} wait:{tmp_path / 'never'}")
    run = await backend.launch(request())
    await until(ready.exists, "the worker")
    await bench.backend("").cancel(run)
    state = RunState().add_all(events_of(await lines(backend, run)))
    after = await backend.status(run)
    assert state.end is not None
    assert (state.end.status, after.status, after.failure) == ("cancelled", "cancelled", None)
    await backend.cancel(run)
    assert await backend.status(run) == after


async def test_a_run_that_hangs_is_ended_at_once(bench: Bench, tmp_path: Path) -> None:
    child, ready = tmp_path / "child", tmp_path / "ready"
    backend = bench.backend(f"stubborn lines:1 child:{child} touch:{ready} wait:{tmp_path / 'never'}")
    run = await backend.launch(request())
    await until(ready.exists, "the worker")
    began = time.monotonic()
    await bench.backend("").cancel(run, now=True)
    after = await backend.status(run)
    assert time.monotonic() - began < 5 * 2.5, "the grace of the bench's workers, and a slow machine"
    assert (after.status, after.failure) == ("cancelled", None)
    found = await lines(backend, run)
    assert "[train] line 0" in found
    state = RunState().add_all(events_of(found))
    assert state.end is not None
    assert state.end.status == "cancelled"
    await until(lambda: not Path(f"/proc/{child.read_text()}/cmdline").exists(), "the end of its processes")
    await backend.cancel(run, now=True)
    assert await backend.status(run) == after


async def test_a_stubborn_worker_is_killed_when_its_grace_is_over(bench: Bench, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    script = f"stubborn saved:2/8 touch:{ready} wait:{tmp_path / 'never'}"
    backend = bench.backend(script, VFM_STOP_GRACE="0.2")
    run = await backend.launch(request())
    await until(ready.exists, "the worker")
    await backend.cancel(run)
    output = "\n".join(await lines(backend, run))
    assert "did not stop in time, and was killed: the newest checkpoint is that of step 2" in output
    assert (await backend.status(run)).status == "cancelled"


@pytest.mark.parametrize("manner", ["polite", "stubborn"])
async def test_a_run_that_takes_too_long_fails_and_says_so(bench: Bench, tmp_path: Path, manner: str) -> None:
    backend = bench.backend(
        f"{manner} lines:1 wait:{tmp_path / 'never'}", VFM_TIMEOUT="0.3", VFM_STOP_GRACE="0.5"
    )
    run = await backend.launch(request(modal={"timeout": 600, "retries": 0}))
    state = RunState().add_all(events_of(await lines(backend, run)))
    assert state.failure is not None
    assert state.failure.hint is not None
    hint = state.failure.hint
    assert (hint["key"], hint["from"], hint["to"]) == ("modal.timeout", 600, 1200)
    assert state.end is not None
    assert (state.end.status, (await backend.status(run)).status) == ("failed", "failed")


async def asked_of(backend: Backend, run: RunRecord) -> LaunchRequest:
    """What the run keeps in its volume of what it was asked to do."""
    data = await backend.volumes.read(run.outputs, f"runs/{run.run_id}/{layout.REQUEST}")
    return LaunchRequest.model_validate_json(data)


async def test_a_run_that_failed_goes_on_in_its_directory(bench: Bench) -> None:
    first = "attempt:1=lines:3 attempt:1=saved:1/8 attempt:1=failure:broken attempt:1=exit:1"
    backend = bench.backend(f"{first} lines:2 end:done")
    run = await backend.launch(request())
    before = await lines(backend, run)
    failed = await backend.status(run)
    assert failed.status == "failed"
    assert failed.reached is not None
    assert (failed.reached.done, failed.reached.total, failed.reached.checkpoint) == (1, 8, 1)

    again = await backend.resume(await asked_of(backend, run))
    assert (again.run_id, again.ended_already, again.failure) == (run.run_id, False, None)
    found = await lines(backend, again)
    assert found[: len(before)] == before
    assert numbered(found) == NUMBERED[:3] + NUMBERED[:2]
    after = await backend.status(again)
    assert (after.status, [attempt.why for attempt in after.attempts]) == ("done", ["failed", "done"])
    state = RunState().add_all(events_of(found))
    assert (state.attempt, state.failure) == (2, None)
    assert [found.status for found in await bench.backend("").runs()] == ["done"]


async def test_a_run_that_goes_on_is_not_resumed(bench: Bench, tmp_path: Path) -> None:
    backend = bench.backend(f"lines:1 wait:{tmp_path / 'go'} end:done")
    run = await backend.launch(request())
    async for batch in backend.follow(run):
        if numbered(batch.lines):
            break
    with pytest.raises(ConfigError, match="still running"):
        await backend.resume(await asked_of(backend, run))
    (tmp_path / "go").touch()
    await lines(backend, run)
    assert (await backend.status(run)).status == "done"


async def test_runs_of_every_experiment_are_listed_newest_first(bench: Bench) -> None:
    backend = bench.backend("end:done")
    wanted = [await backend.launch(request(name)) for name in ("one", "two", "one")]
    assert [run.run_id for run in await backend.runs()] == [run.run_id for run in reversed(wanted)]


async def test_a_name_that_is_taken_is_refused(bench: Bench) -> None:
    backend, again = bench.backend("end:done"), request()
    run = await backend.launch(again)
    with pytest.raises(BackendError, match=again.run_id):
        await backend.launch(again)
    await lines(backend, run)
    assert (await backend.status(run)).status == "done"


async def test_volumes_and_folders_are_listed(files: Bench) -> None:
    volumes = files.backend("").volumes
    assert [info.name for info in await volumes.volumes()] == [VOLUME]
    entries = await volumes.list(VOLUME, "runs/r1")
    names = ["runs/r1/checkpoints", "runs/r1/logs", "runs/r1/record.json"]
    assert [entry.path for entry in entries] == names
    assert [entry.is_dir for entry in entries] == [True, True, False]
    assert entries[2].size == 2
    below = await volumes.list(VOLUME, recursive=True)
    assert "runs/r1/logs/stream.log" in [entry.path for entry in below]


async def test_a_range_of_a_file_is_read(files: Bench) -> None:
    volumes = files.backend("").volumes
    assert await volumes.read(VOLUME, "runs/r1/logs/stream.log", 3, 4) == b"3456"
    assert await volumes.read(VOLUME, "runs/r1/logs/stream.log", 8) == b"89"


@pytest.mark.parametrize("path", ["../other", "runs/..", "runs/r1/../../../other", "/etc/passwd"])
async def test_paths_that_leave_the_volume_are_refused(files: Bench, path: str, tmp_path: Path) -> None:
    volumes = files.backend("").volumes
    for attempt in (
        volumes.read(VOLUME, path),
        volumes.list(VOLUME, path),
        volumes.download(VOLUME, path, tmp_path),
        volumes.remove(VOLUME, path),
    ):
        with pytest.raises(ConfigError, match="leaves the volume"):
            await attempt


@pytest.mark.parametrize(("volume", "path"), [(VOLUME, "runs/none"), ("verifiers-outputs-no-one", "")])
async def test_what_is_missing_is_named(files: Bench, volume: str, path: str) -> None:
    with pytest.raises(FileNotFoundError, match=path or volume):
        await files.backend("").volumes.list(volume, path)


async def test_a_folder_is_downloaded_and_identical_files_are_skipped(files: Bench, tmp_path: Path) -> None:
    volumes, seen = files.backend("").volumes, list[tuple[int, int]]()

    def watch(transfer: Transfer) -> None:
        seen.append((transfer.done, transfer.total))

    first = await volumes.download(VOLUME, "runs/r1", tmp_path / "out", watch)
    weights = tmp_path / "out/r1/checkpoints/final/model.safetensors"
    assert weights.read_bytes() == bytes(range(256)) * 40000
    assert first.done == first.total == 10240012
    assert seen == sorted(seen)
    assert not first.skipped
    weights.unlink()
    again = await volumes.download(VOLUME, "runs/r1", tmp_path / "out")
    assert len(again.skipped) == 2
    assert weights.read_bytes() == bytes(range(256)) * 40000
    assert not list(tmp_path.rglob("*.part"))


async def test_a_download_goes_on_where_it_broke_off(files: Bench, tmp_path: Path) -> None:
    volumes, path = files.backend("").volumes, "runs/r1/checkpoints/final/model.safetensors"
    target = tmp_path / "model.safetensors"

    def break_off(transfer: Transfer) -> None:
        if transfer.done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await volumes.download(VOLUME, path, target, break_off)
    (part,) = tmp_path.glob("model.safetensors*.part")
    kept = part.stat().st_size
    assert 0 < kept < 10240000
    starts: list[int] = []
    await volumes.download(VOLUME, path, target, lambda transfer: starts.append(transfer.done))
    assert starts[0] == kept
    assert target.read_bytes() == bytes(range(256)) * 40000


async def test_a_cancelled_download_leaves_nobody_writing_and_is_resumed(
    files: Bench, tmp_path: Path
) -> None:
    volumes, path = files.backend("").volumes, "runs/r1/checkpoints/final/model.safetensors"
    target, begun = tmp_path / "model.safetensors", asyncio.Event()
    copying = asyncio.create_task(
        volumes.download(VOLUME, path, target, lambda transfer: begun.set() if transfer.done else None)
    )
    await begun.wait()
    copying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await copying
    (part,) = tmp_path.glob("model.safetensors*.part")
    kept = part.stat().st_size
    again = await volumes.download(VOLUME, path, target)
    assert again.fetched == 10240000 - kept < 10240000
    assert target.read_bytes() == bytes(range(256)) * 40000


async def test_a_file_is_uploaded_into_a_folder_of_the_volume(files: Bench, outside: Path) -> None:
    volumes = files.backend("").volumes
    done = await volumes.upload(VOLUME, outside / "big.bin", "runs/r1/new")
    assert (done.done, done.total, done.fetched) == (10240000,) * 3
    assert await volumes.read(VOLUME, "runs/r1/new/big.bin") == bytes(range(256)) * 40000


async def test_a_folder_is_uploaded_and_identical_files_are_skipped(files: Bench, outside: Path) -> None:
    volumes, seen = files.backend("").volumes, list[tuple[int, int]]()
    await volumes.upload(VOLUME, outside, "", lambda transfer: seen.append((transfer.done, transfer.total)))
    assert seen == sorted(seen)
    assert seen[-1] == (10240005, 10240005)
    there = [entry.path for entry in await volumes.list(VOLUME, "data", recursive=True) if not entry.is_dir]
    assert there == ["data/big.bin", "data/deep/[red]x"]
    (outside / "deep" / "[red]x").write_bytes(b"other")
    with pytest.raises(Occupied, match=r"data/deep/\[red\]x exists already and differs"):
        await volumes.upload(VOLUME, outside, "")
    assert await volumes.read(VOLUME, "data/deep/[red]x") == b"small"
    again = await volumes.upload(VOLUME, outside, "", force=True)
    assert (len(again.skipped), again.fetched) == (1, 5)
    assert await volumes.read(VOLUME, "data/deep/[red]x") == b"other"


async def test_an_upload_goes_on_where_it_broke_off(files: Bench, outside: Path) -> None:
    volumes = files.backend("").volumes

    def break_off(transfer: Transfer) -> None:
        if transfer.done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await volumes.upload(VOLUME, outside / "big.bin", "", break_off)
    done = await volumes.upload(VOLUME, outside / "big.bin", "")
    assert done.fetched < 10240000
    assert await volumes.read(VOLUME, "big.bin") == bytes(range(256)) * 40000


async def test_an_upload_that_leaves_the_volume_is_refused(files: Bench, outside: Path) -> None:
    volumes = files.backend("").volumes
    for path in ("../other", "/etc", "runs/../../x"):
        with pytest.raises(ConfigError, match="leaves the volume"):
            await volumes.upload(VOLUME, outside, path)
    with pytest.raises(ConfigError, match=r"there is no .*/none"):
        await volumes.upload(VOLUME, outside / "none", "")
    with pytest.raises(FileNotFoundError, match="no volume"):
        await volumes.upload("verifiers-outputs-no-one", outside, "")


async def test_files_and_folders_are_removed_but_no_whole_volume(files: Bench) -> None:
    volumes = files.backend("").volumes
    await volumes.remove(VOLUME, "runs/r1/record.json")
    await volumes.remove(VOLUME, "runs/r1/checkpoints")
    assert [entry.path for entry in await volumes.list(VOLUME, "runs/r1")] == ["runs/r1/logs"]
    with pytest.raises(ConfigError, match="whole volume"):
        await volumes.remove(VOLUME, "")
