"""Jobs over real files in a real local volume: order, states, breaking off and going on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from remote.contract.errors import BackendError, ConfigError
from remote.contract.record import RunRecord, Status
from tui.backends.base import Transfer
from tui.backends.copy_files import CHUNK
from tui.backends.local.backend import LocalBackend
from tui.client import Client, Listing
from tui.services.transfers import AT_ONCE, Job, Removal, Transfers, removal, to_remove

VOLUME = "verifiers-outputs-ann-files"
BIG = b"0123456789abcdef" * (CHUNK // 4)
"""Four chunks."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The volume's folder, with a run in it."""
    root = tmp_path / "home" / "volumes" / VOLUME
    (root / "runs" / "r1" / "logs").mkdir(parents=True)
    (root / "runs" / "r1" / "weights").write_bytes(BIG)
    (root / "runs" / "r1" / "logs" / "stream.log").write_bytes(b"hello")
    return root


@pytest.fixture
def client(root: Path, tmp_path: Path) -> Client:
    return Client(None, {"local": LocalBackend(tmp_path / "home", tmp_path)})


class Gate:
    """Stands between a client and its copies: holds one where a test wants it held."""

    def __init__(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached, self.open, self._get = asyncio.Event(), asyncio.Event(), client.get
        self.asked = 0
        monkeypatch.setattr(client, "get", self.get)

    async def get(self, *args: Any, **options: Any) -> Transfer:
        """Wait before the copy begins."""
        self.reached.set()
        self.asked += 1
        await self.open.wait()
        return await self._get(*args, **options)


async def over(transfers: Transfers, *jobs: Job) -> None:
    """Until the jobs have ended."""
    await until(transfers, lambda: all(job.over for job in jobs))


async def until(transfers: Transfers, condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        async for _ in transfers.updates():
            if condition():
                return


async def test_a_folder_comes_down_and_goes_up(client: Client, root: Path, tmp_path: Path) -> None:
    ended: list[Job] = []
    transfers = Transfers(client, ended=ended.append)
    down = transfers.start_download("local", VOLUME, "runs/r1", tmp_path / "new" / "out")
    assert (down.state, transfers.active) == ("waiting", 1)
    await over(transfers, down)
    assert (tmp_path / "new/out/r1/weights").read_bytes() == BIG
    assert (down.state, down.done, down.total) == ("done", len(BIG) + 5, len(BIG) + 5)
    assert (down.name, down.what, down.where) == ("r1", f"{VOLUME}:runs/r1", str(tmp_path / "new/out"))
    up = transfers.start_upload("local", VOLUME, tmp_path / "new/out/r1", "copies")
    await over(transfers, up)
    assert (root / "copies/r1/logs/stream.log").read_bytes() == b"hello"
    assert (up.name, up.what, up.where) == ("r1", str(tmp_path / "new/out/r1"), f"{VOLUME}:copies")
    assert (ended, transfers.active) == ([down, up], 0)
    transfers.clear()
    assert transfers.jobs == []


async def test_a_single_file_comes_into_the_folder(client: Client, tmp_path: Path) -> None:
    transfers = Transfers(client)
    job = transfers.start_download("local", VOLUME, "runs/r1/logs/stream.log", tmp_path / "out")
    await over(transfers, job)
    assert (tmp_path / "out" / "stream.log").read_bytes() == b"hello"


async def test_a_paused_job_goes_on_where_it_broke_off(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    transfers, chunk = Transfers(client), asyncio.Event()
    take = Job.take

    def look(job: Job, transfer: Transfer) -> None:
        take(job, transfer)
        if transfer.fetched:
            chunk.set()

    monkeypatch.setattr(Job, "take", look)
    job = transfers.start_download("local", VOLUME, "runs/r1/weights", tmp_path / "out")
    await chunk.wait()
    await transfers.pause(job)
    (part,) = (tmp_path / "out").glob("weights*.part")
    kept = part.stat().st_size
    assert (job.state, job.speed, transfers.active) == ("paused", None, 0)
    assert 0 < kept < len(BIG)
    await transfers.pause(job)
    transfers.resume(job)
    await over(transfers, job)
    assert (job.state, job.fetched) == ("done", len(BIG) - kept)
    assert (tmp_path / "out" / "weights").read_bytes() == BIG


async def test_a_cancelled_job_can_be_begun_again(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, transfers = Gate(client, monkeypatch), Transfers(client)
    job = transfers.start_download("local", VOLUME, "runs/r1", tmp_path / "out")
    await gate.reached.wait()
    await transfers.cancel(job)
    assert (job.state, job.over) == ("cancelled", True)
    await transfers.cancel(job)
    gate.open.set()
    transfers.resume(job)
    await over(transfers, job)
    assert job.state == "done"


async def test_jobs_wait_their_turn_and_a_waiting_one_can_be_cancelled(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, transfers = Gate(client, monkeypatch), Transfers(client)
    jobs = [
        transfers.start_download("local", VOLUME, "runs/r1", tmp_path / str(n)) for n in range(AT_ONCE + 2)
    ]
    await until(transfers, lambda: sum(job.state == "running" for job in jobs) == AT_ONCE)
    assert [job.state for job in jobs[AT_ONCE:]] == ["waiting", "waiting"]
    await transfers.cancel(jobs[-1])
    gate.open.set()
    await over(transfers, *jobs)
    assert [job.state for job in jobs] == ["done"] * (AT_ONCE + 1) + ["cancelled"]
    assert not (tmp_path / str(AT_ONCE + 1)).exists()


async def test_all_are_broken_off_and_go_on_another_time(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, transfers = Gate(client, monkeypatch), Transfers(client)
    gate.open.set()
    ready = transfers.start_download("local", VOLUME, "runs/r1", tmp_path / "ready")
    await over(transfers, ready)
    gate.open.clear()
    gate.asked = 0
    jobs = [
        transfers.start_download("local", VOLUME, "runs/r1", tmp_path / str(n)) for n in range(AT_ONCE + 2)
    ]
    await until(transfers, lambda: gate.asked == AT_ONCE)
    assert await transfers.stop_all() == jobs
    assert (transfers.active, gate.asked) == (0, AT_ONCE)
    gate.open.set()
    for job in jobs:
        transfers.resume(job)
    await over(transfers, *jobs)
    assert {job.state for job in jobs} == {"done"}
    assert await transfers.stop_all() == []


async def test_the_same_copy_is_not_begun_twice(client: Client, tmp_path: Path) -> None:
    transfers = Transfers(client)
    one = transfers.start_download("local", VOLUME, "runs/r1", tmp_path)
    assert transfers.start_download("local", VOLUME, "runs/r1", tmp_path) is one
    await over(transfers, one)
    again = transfers.start_download("local", VOLUME, "runs/r1", tmp_path)
    await over(transfers, again)
    assert (again is one, again.skipped, again.fetched, again.done) == (False, 2, 0, len(BIG) + 5)


async def test_a_failure_is_kept_with_its_hint_and_can_be_tried_again(
    client: Client, root: Path, tmp_path: Path
) -> None:
    transfers = Transfers(client)
    (tmp_path / "file").write_text("")
    job = transfers.start_download("local", VOLUME, "runs/r1", tmp_path / "file" / "out")
    gone = transfers.start_download("local", VOLUME, "runs/none", tmp_path)
    await over(transfers, job, gone)
    for failed, said in ((job, "cannot create the folder"), (gone, "runs/none")):
        assert failed.state == "failed"
        assert failed.error is not None
        assert said in failed.error.message
        assert failed.error.hint is not None
    (tmp_path / "file").unlink()
    transfers.resume(job)
    await over(transfers, job)
    assert (job.state, job.error) == ("done", None)


@pytest.mark.parametrize("error", [BackendError("signed out"), RuntimeError("unforeseen")])
async def test_whatever_a_backend_raises_ends_in_the_job(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async def fail(*args: Any, **options: Any) -> Transfer:
        raise error

    monkeypatch.setattr(client, "get", fail)
    transfers = Transfers(client)
    job = transfers.start_download("local", VOLUME, "runs/r1", tmp_path)
    await over(transfers, job)
    assert job.error is not None
    assert str(error) in job.error.message


async def test_speed_and_time_left_come_from_what_was_carried_over_of_late(tmp_path: Path) -> None:
    now = [100.0]
    job = Job("download", "local", VOLUME, "x", tmp_path, state="running", clock=lambda: now[0])
    assert (job.speed, job.eta, job.fraction) == (None, None, 0.0)
    for second, fetched in enumerate((0, 100, 200, 300)):
        now[0] = 100.0 + second
        job.take(Transfer(done=fetched + 700, total=2000, fetched=fetched))
    assert (job.speed, job.eta, job.fraction) == (100.0, 10.0, 0.5)
    now[0] = 106.0
    assert job.speed == 50.0, "a stalled copy gets slower"
    job.take(Transfer(done=1000, total=2000, fetched=300))
    now[0] = 120.0
    job.take(Transfer(done=1000, total=2000, fetched=300))
    assert (job.speed, job.eta) == (0.0, None)


async def test_updates_come_at_once_and_then_with_changes(client: Client, tmp_path: Path) -> None:
    transfers = Transfers(client)
    updates = transfers.updates()
    await anext(updates)
    following: Awaitable[None] = asyncio.ensure_future(anext(updates))
    job = transfers.start_download("local", VOLUME, "runs/r1", tmp_path)
    async with asyncio.timeout(20):
        await following
    await over(transfers, job)


def record(status: Status) -> RunRecord:
    return RunRecord(
        run_id="r1",
        kind="train",
        backend="local",
        status=status,
        created=1.0,
        experimenter="ann",
        experiment="files",
        environment="vf_wordle",
        model="m",
        outputs=VOLUME,
    )


async def test_what_a_removal_takes_away_is_counted(client: Client, root: Path) -> None:
    assert await removal(client, record("done")) == Removal(2, len(BIG) + 5)
    assert await to_remove(client, VOLUME, "runs/r1/logs") == Removal(1, 5)
    (root / ".hidden").write_bytes(b"four")
    (root / "runs" / "link").symlink_to("r1")
    assert await to_remove(client, VOLUME, ".hidden") == Removal(1, 4)
    assert await to_remove(client, VOLUME, "./runs//link") == Removal(1, 0, is_link=True)
    assert await to_remove(client, VOLUME, "runs") == Removal(3, len(BIG) + 5)
    assert await to_remove(client, VOLUME, "") == Removal(4, len(BIG) + 9)


async def test_what_a_live_run_writes_is_not_removed(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    async def runs() -> Listing[RunRecord]:
        return Listing([record("running")])

    monkeypatch.setattr(client, "runs", runs)
    for path in ("", "runs", "runs/r1", "runs/r1/weights"):
        with pytest.raises(ConfigError, match="in use by the run r1"):
            await to_remove(client, VOLUME, path)
