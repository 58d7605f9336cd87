"""A bad network: runs on the tests' Modal cloud, watched while connections are cut, stalled and refused.

What the cloud keeps of a run and what a watching machine has of it at the end must be the same bytes.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import aclosing, suppress
from pathlib import Path

from remote.contract import layout
from remote.contract.errors import VfmError
from remote.contract.record import RunRecord
from tests.backends.conftest import ModalBench, request
from tests.modal.cloud.faults import Faults
from tests.storm.report import Report
from tests.waiting import until
from tui.backends.modal.backend import ModalBackend
from tui.backends.modal.runs import watch

PATIENCE = 120.0  # seconds that a run has to be here whole, once the network is back
BURST = 2000  # lines between two pauses of the worker


async def storm(rng: random.Random, deadline: float, home: Path, report: Report) -> None:
    """Run after run until the deadline (`time.monotonic`)."""
    before, watch.REFRESH = watch.REFRESH, 1.0
    home.mkdir(parents=True, exist_ok=True)
    bench = ModalBench(home)
    try:
        while time.monotonic() < deadline:
            try:
                await _run(rng, bench, report)
            except (VfmError, OSError, TimeoutError) as error:
                report.violate("unforeseen errors", f"{type(error).__name__}: {error}")
    finally:
        watch.REFRESH = before
        await asyncio.to_thread(bench.close)


async def _run(rng: random.Random, bench: ModalBench, report: Report) -> None:
    bursts = rng.randrange(2, 6)
    words = " ".join(f"lines:{BURST} pause:{rng.random():.2f}" for _ in range(bursts))
    backend = bench.backend(f"{words} steps:3 end:done")
    run = await backend.launch(request())
    report.add("runs")
    watching = asyncio.create_task(_watch(backend, run))
    await _under_way(backend, run)
    faults = asyncio.create_task(_disturb(rng, bench.cloud.faults, report))
    try:
        await asyncio.wait({watching}, timeout=rng.uniform(3, 12))
    finally:
        faults.cancel()
        with suppress(asyncio.CancelledError):
            await faults
        await asyncio.to_thread(_calm, bench.cloud.faults)
    await asyncio.wait_for(watching, PATIENCE)
    there = (bench.cloud.volumes_dir / run.outputs / layout.run_path(run.run_id) / layout.STREAM).read_bytes()
    here = backend.log_path(run).read_bytes()
    report.add("lines followed", here.count(b"\n"))
    _compare(run.run_id, there, here, report)
    record = await backend.status(run)
    if record.status != "done":
        report.violate("records untrue", f"{run.run_id}: {record.status} ({record.failure})")


async def _under_way(backend: ModalBackend, run: RunRecord) -> None:
    """Until the worker has said something: a launch that cannot reach Modal fails, and says so."""
    log = backend.log_path(run)
    await until(lambda: log.exists() and b"[train] line" in log.read_bytes(), "the worker", seconds=PATIENCE)


async def _watch(backend: ModalBackend, run: RunRecord) -> None:
    async with aclosing(backend.watch(run)) as sizes:  # type: ignore[type-var]
        async for _ in sizes:
            pass


async def _disturb(rng: random.Random, faults: Faults, report: Report) -> None:
    """One fault after another."""
    while True:
        await asyncio.sleep(rng.expovariate(3))
        await asyncio.to_thread(rng.choice(FAULTS), faults, rng)
        report.add("network faults")


def _cut(faults: Faults, _: random.Random) -> None:
    faults.reset()


def _stall(faults: Faults, _: random.Random) -> None:
    faults.network = "stall"


def _refuse(faults: Faults, _: random.Random) -> None:
    faults.network = "refuse"


def _open(faults: Faults, _: random.Random) -> None:
    faults.network = "open"


def _drop(faults: Faults, rng: random.Random) -> None:
    faults.log_pieces, faults.drop_logs = rng.randrange(300, 2000), rng.randrange(1, 20)


def _truncate(faults: Faults, rng: random.Random) -> None:
    faults.truncate_blocks = rng.randrange(1, 4)


def _duplicate(faults: Faults, rng: random.Random) -> None:
    faults.duplicate_logs, faults.log_pieces = not faults.duplicate_logs, rng.randrange(300, 2000)


def _reorder(faults: Faults, _: random.Random) -> None:
    faults.reorder_logs = not faults.reorder_logs


def _fall_silent(faults: Faults, _: random.Random) -> None:
    faults.silent_end = not faults.silent_end


FAULTS: tuple[Callable[[Faults, random.Random], None], ...] = (
    *(_cut, _open, _open, _stall, _refuse, _drop, _truncate, _duplicate, _reorder, _fall_silent),
)


def _calm(faults: Faults) -> None:
    faults.network = "open"
    faults.duplicate_logs = faults.reorder_logs = faults.silent_end = False
    faults.drop_logs = faults.truncate_blocks = faults.log_pieces = 0


def _compare(run_id: str, there: bytes, here: bytes, report: Report) -> None:
    if there == here:
        return
    lost = there.count(b"\n") - here.count(b"\n")
    what = "lines lost" if lost >= 0 else "lines doubled"
    pairs = enumerate(zip(there, here, strict=False))
    at = next((n for n, (a, b) in pairs if a != b), min(len(there), len(here)))
    where = f"{run_id}: {len(here)} bytes of {len(there)}, other ones from {at} on"
    report.violate(what, where, max(1, abs(lost)))
