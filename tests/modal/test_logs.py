"""A run's journal here is, byte for byte, what the run wrote there, whatever becomes of its logs."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from remote.contract import layout
from remote.contract.record import RunRecord
from remote.modal_app import container
from tests.backends.conftest import PROJECT, ModalBench, lines, request
from tests.modal.cloud.faults import Faults
from tests.waiting import until
from tui.backends.modal.backend import ModalBackend
from tui.backends.modal.runs import app_logs, calls, watch

FOLLOWER = PROJECT / "tests/modal/follower.py"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[ModalBench]:
    """A cloud, and a backend over it."""
    bench = ModalBench(tmp_path)
    yield bench
    bench.close()


class Told:
    """A run whose worker says some lines, waits for a word, says some more, waits again, and ends."""

    def __init__(self, bench: ModalBench, folder: Path) -> None:
        self.bench, self._folder = bench, folder
        names = [f"wait:{folder / name}" for name in ("more", "end")]
        self.backend = bench.backend(f"lines:300 {names[0]} lines:300 pause:0.3 lines:5 {names[1]} end:done")
        self.run: RunRecord

    async def launch(self) -> None:
        """Until its first lines are here."""
        self.run = await self.backend.launch(request())

    def say(self, name: str) -> None:
        """Let the worker go on: `more`, `end`."""
        (self._folder / name).touch()

    @property
    def there(self) -> bytes:
        """What the run has written."""
        path = self.bench.cloud.volumes_dir / self.run.outputs / layout.run_path(self.run.run_id)
        return (path / layout.STREAM).read_bytes()

    def here(self, backend: ModalBackend | None = None) -> bytes:
        """What is in the journal."""
        path = (backend or self.backend).log_path(self.run)
        return path.read_bytes() if path.exists() else b""


@pytest.fixture
def told(bench: ModalBench, tmp_path: Path) -> Told:
    """Such a run, not launched yet."""
    return Told(bench, tmp_path)


@asynccontextmanager
async def watching(backend: ModalBackend, run: RunRecord) -> AsyncIterator[asyncio.Task[None]]:
    """Somebody watches the run, for as long as the body lasts."""

    async def look() -> None:
        async with aclosing(backend.watch(run)) as sizes:  # type: ignore[type-var]
            async for _ in sizes:
                pass

    task = asyncio.create_task(look())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def has(told: Told, last: bytes, times: int = 1) -> Callable[[], bool]:
    """Whether a line is in the journal so many times."""
    return lambda: told.here().count(last) == times


def disturb(faults: Faults) -> None:
    faults.duplicate_logs = faults.reorder_logs = True
    faults.log_pieces = 700


def drop(faults: Faults) -> None:
    faults.log_pieces, faults.drop_logs = 900, 3


def drop_everything(faults: Faults) -> None:
    drop(faults)
    faults.drop_logs = 30  # all that is said now: nothing that came says that something is missing


def drop_for_ever(faults: Faults) -> None:
    drop(faults)
    faults.forget_logs = True


@pytest.mark.parametrize("fault", [disturb, drop, drop_everything, drop_for_ever])
async def test_no_line_is_lost_and_none_doubled(
    told: Told, fault: Callable[[Faults], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "REFRESH", 1.0)
    await told.launch()
    async with watching(told.backend, told.run) as looking:
        await until(has(told, b"line 299\n"), "the first lines")
        fault(told.bench.cloud.faults)
        told.say("more")
        await until(has(told, b"line 4\n", 3), "the last lines, while the run goes on")
        told.say("end")
        await asyncio.wait_for(looking, 20)
    assert told.here() == told.there
    assert b"missing" not in told.there


def test_bytes_are_called_lost_only_once_their_volume_was_committed() -> None:
    pauses = [min(watch.HEAL * 2**tried, watch.HEAL_MOST) for tried in range(watch.HEALINGS)]
    assert sum(pauses) > container.COMMIT_EVERY + watch.HEAL_MOST


@pytest.mark.parametrize("cut", ["reset", "refuse", "stall", "silent end"])
async def test_a_run_that_ends_while_it_cannot_be_heard_is_complete(
    told: Told, cut: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("STREAM", "OUTCOME"):
        monkeypatch.setattr(watch, name, 0.5)
    for module in (app_logs, calls):
        monkeypatch.setattr(module, "CALL_SECONDS", 2.0)
    faults = told.bench.cloud.faults
    await told.launch()
    async with watching(told.backend, told.run) as looking:
        await until(has(told, b"line 299\n"), "the first lines")
        if cut == "reset":
            faults.reset()
        elif cut == "silent end":
            faults.silent_end = True
        else:
            faults.network = "refuse" if cut == "refuse" else "stall"
        told.say("more")
        told.say("end")
        await until(
            lambda: all(not call.unfinished for call in told.bench.cloud.calls.values()), "the run's end"
        )
        faults.network = "open"
        await asyncio.wait_for(looking, 30)
    assert told.here() == told.there
    assert (await told.backend.status(told.run)).status == "done"


async def test_a_watcher_that_is_killed_leaves_a_journal_that_another_goes_on_with(told: Told) -> None:
    told.bench.cloud.faults.log_pieces = 300
    await told.launch()
    for last in (b"line 40\n", b"line 299\n"):
        follower = await started(told)
        await until(lambda last=last: last in told.here(), "the other program's journal")
        follower.send_signal(signal.SIGKILL)
        await follower.wait()
    follower = await started(told)
    told.say("more")
    told.say("end")
    await asyncio.gather(lines(told.backend, told.run), asyncio.wait_for(follower.wait(), 20))
    assert follower.returncode == 0
    assert told.here() == told.there


async def started(told: Told) -> asyncio.subprocess.Process:
    """Another program that watches the run, into the same journal."""
    words = (told.bench.home, told.bench.env_file, told.run.outputs, told.run.run_id)
    return await asyncio.create_subprocess_exec(
        sys.executable,
        str(FOLLOWER),
        *map(str, words),
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
    )


async def test_another_machine_has_all_of_a_run_that_goes_on(told: Told, tmp_path: Path) -> None:
    await told.launch()
    async with watching(told.backend, told.run):
        await until(has(told, b"line 299\n"), "the first lines")
    other = ModalBackend(tmp_path / "other", PROJECT, {}, told.bench.env_file)
    [run] = await other.runs()
    assert (run.run_id, run.status) == (told.run.run_id, "running")
    async with watching(other, run) as looking, watching(told.backend, told.run) as also:
        await until(lambda: b"line 299\n" in told.here(other), "the first lines, there")
        told.say("more")
        told.say("end")
        await asyncio.wait_for(asyncio.gather(looking, also), 20)
    assert told.here(other) == told.here() == told.there
    assert [found.status for found in await other.runs()] == ["done"]
