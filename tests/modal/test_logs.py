"""The copy of a run's output is, byte for byte, what the run wrote, whatever happens to its logs."""

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


class ScriptedRun:
    """A run whose worker prints lines, waits for `go_on`, prints more, waits again, and ends."""

    def __init__(self, bench: ModalBench, folder: Path) -> None:
        self.bench, self._folder = bench, folder
        names = [f"wait:{folder / name}" for name in ("more", "end")]
        self.backend = bench.backend(f"lines:300 {names[0]} lines:300 pause:0.3 lines:5 {names[1]} end:done")
        self.record: RunRecord

    async def launch(self) -> None:
        """Launch it."""
        self.record = await self.backend.launch(request())

    def go_on(self, name: str) -> None:
        """Let the worker go on to `more` or `end`."""
        (self._folder / name).touch()

    @property
    def written(self) -> bytes:
        """The run's output, in its volume."""
        path = self.bench.cloud.volumes_dir / self.record.outputs / layout.run_path(self.record.run_id)
        return (path / layout.STREAM).read_bytes()

    def copied(self, backend: ModalBackend | None = None) -> bytes:
        """The copy of it on this machine."""
        path = (backend or self.backend).log_path(self.record)
        return path.read_bytes() if path.exists() else b""


@pytest.fixture
def run(bench: ModalBench, tmp_path: Path) -> ScriptedRun:
    """Such a run, not launched yet."""
    return ScriptedRun(bench, tmp_path)


@asynccontextmanager
async def watching(backend: ModalBackend, run: RunRecord) -> AsyncIterator[asyncio.Task[None]]:
    """Watch the run while the body lasts."""

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


def has(run: ScriptedRun, last: bytes, times: int = 1) -> Callable[[], bool]:
    """A condition: a line is in the copy so many times."""
    return lambda: run.copied().count(last) == times


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
    run: ScriptedRun, fault: Callable[[Faults], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "REFRESH", 1.0)
    await run.launch()
    async with watching(run.backend, run.record) as looking:
        await until(has(run, b"line 299\n"), "the first lines")
        fault(run.bench.cloud.faults)
        run.go_on("more")
        await until(has(run, b"line 4\n", 3), "the last lines, while the run goes on")
        run.go_on("end")
        await asyncio.wait_for(looking, 20)
    assert run.copied() == run.written
    assert b"missing" not in run.written


def test_bytes_are_called_lost_only_once_their_volume_was_committed() -> None:
    pauses = [min(watch.HEAL * 2**tried, watch.HEAL_MOST) for tried in range(watch.HEALINGS)]
    assert sum(pauses) > container.COMMIT_EVERY + watch.HEAL_MOST


@pytest.mark.parametrize("cut", ["reset", "refuse", "stall", "silent end"])
async def test_a_run_that_ends_while_it_cannot_be_heard_is_complete(
    run: ScriptedRun, cut: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("STREAM", "OUTCOME"):
        monkeypatch.setattr(watch, name, 0.5)
    for module in (app_logs, calls):
        monkeypatch.setattr(module, "CALL_SECONDS", 2.0)
    faults = run.bench.cloud.faults
    await run.launch()
    async with watching(run.backend, run.record) as looking:
        await until(has(run, b"line 299\n"), "the first lines")
        if cut == "reset":
            faults.reset()
        elif cut == "silent end":
            faults.silent_end = True
        else:
            faults.network = "refuse" if cut == "refuse" else "stall"
        run.go_on("more")
        run.go_on("end")
        await until(
            lambda: all(not call.unfinished for call in run.bench.cloud.calls.values()), "the run's end"
        )
        faults.network = "open"
        await asyncio.wait_for(looking, 30)
    assert run.copied() == run.written
    assert (await run.backend.status(run.record)).status == "done"


async def test_a_watcher_that_is_killed_leaves_a_copy_that_another_continues(run: ScriptedRun) -> None:
    run.bench.cloud.faults.log_pieces = 300
    await run.launch()
    for last in (b"line 40\n", b"line 299\n"):
        follower = await started(run)
        await until(lambda last=last: last in run.copied(), "the other program's copy")
        follower.send_signal(signal.SIGKILL)
        await follower.wait()
    follower = await started(run)
    run.go_on("more")
    run.go_on("end")
    await asyncio.gather(lines(run.backend, run.record), asyncio.wait_for(follower.wait(), 20))
    assert follower.returncode == 0
    assert run.copied() == run.written


async def started(run: ScriptedRun) -> asyncio.subprocess.Process:
    """Start another program that watches the run, into the same copy."""
    words = (run.bench.home, run.bench.env_file, run.record.outputs, run.record.run_id)
    return await asyncio.create_subprocess_exec(
        sys.executable,
        str(FOLLOWER),
        *map(str, words),
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
    )


async def test_another_machine_has_all_of_a_run_that_goes_on(run: ScriptedRun, tmp_path: Path) -> None:
    await run.launch()
    async with watching(run.backend, run.record):
        await until(has(run, b"line 299\n"), "the first lines")
    other = ModalBackend(tmp_path / "other", PROJECT, {}, run.bench.env_file)
    [found] = await other.runs()
    assert (found.run_id, found.status) == (run.record.run_id, "running")
    async with watching(other, found) as looking, watching(run.backend, run.record) as also:
        await until(lambda: b"line 299\n" in run.copied(other), "the first lines, there")
        run.go_on("more")
        run.go_on("end")
        await asyncio.wait_for(asyncio.gather(looking, also), 20)
    assert run.copied(other) == run.copied() == run.written
    assert [again.status for again in await other.runs()] == ["done"]
