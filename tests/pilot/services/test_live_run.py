"""A watched run: everything that it says is taken in, once, while it grows and when it is over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from remote.contract.errors import BackendError
from remote.contract.events import MetricsEvent, PhaseEvent, SystemEvent, encode_line
from remote.contract.record import RunRecord
from tests.backends.conftest import LocalBench, request
from tests.pilot.conftest import make_run, story
from tui.client import Client
from tui.services.live_run import SLICE, LiveRun


async def live_run_of(client: Client, run_id: str) -> LiveRun:
    return LiveRun(client, await client.find(run_id))


async def watched(live: LiveRun) -> int:
    """See a run to its end; returns the number of updates."""
    return len([None async for _ in live.updates()])


async def test_a_run_that_is_over_updates_once(home: Path, client: Client) -> None:
    make_run(home, "ended", story(5, 5))
    live = await live_run_of(client, "ended")
    assert await watched(live) == 1
    assert live.over
    assert live.state.step == 5
    assert live.metrics.series["reward"].values == [0.2, 0.4, 0.6, 0.8, 1.0]


async def test_every_step_arrives_once_while_the_run_goes_on(bench: LocalBench, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    backend = bench.backend(f"steps:3 lines:5 wait:{gate} lines:2000 steps:9 end:done")
    client = Client(None, {"local": backend})
    live = LiveRun(client, await backend.launch(request()))
    seen: list[int | None] = []
    async for _ in live.updates():
        seen.append(live.state.step)
        if live.state.step == 3:
            gate.touch()
    assert seen[-1] == 9
    assert 3 in seen
    assert live.metrics.series["reward"].steps == list(range(1, 10))
    assert live.folded == live.log_file.size()
    assert live.record.status == "done"


async def test_a_run_that_speaks_is_running_and_its_record_follows(bench: LocalBench, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    backend = bench.backend(f"steps:1 wait:{gate} end:done")
    record = await backend.launch(request())
    live = LiveRun(Client(None, {"local": backend}), record.model_copy(update={"status": "pending"}))
    assert live.status == "pending"
    async for _ in live.updates():
        if live.state.step == 1 and not gate.exists():
            assert live.status == "running"
            gate.touch()
    assert live.status == "done"


async def test_a_torn_last_line_counts_once_the_run_is_over(home: Path, client: Client) -> None:
    run_dir = make_run(home, "torn", [], ended=None, status="done")
    stream = run_dir / "logs" / "stream.log"
    torn = encode_line(MetricsEvent(seq=0, step=7, values={"reward": 1.0}))
    stream.write_bytes(b"text\n" + torn.encode())
    live = await live_run_of(client, "torn")
    await watched(live)
    assert live.state.step == 7
    assert live.folded == stream.stat().st_size


async def test_half_a_line_waits_for_its_rest(
    home: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_dir = make_run(home, "halves", [], ended=None, status="done")
    stream = run_dir / "logs" / "stream.log"
    whole = encode_line(MetricsEvent(seq=0, step=7, values={"reward": 1.0})).encode() + b"\n"
    stream.write_bytes(b"text\n" + whole[:20])
    live, asked = await live_run_of(client, "halves"), asyncio.Event()

    async def watch(run: RunRecord) -> AsyncIterator[int]:
        yield 1
        await asked.wait()
        stream.write_bytes(b"text\n" + whole)
        yield 2

    monkeypatch.setattr(client.backends["local"], "watch", watch)
    steps = []
    async for _ in live.updates():
        steps.append(live.state.step)
        asked.set()
    assert (steps[0], steps[-1]) == (None, 7)
    assert live.folded == 5 + len(whole)


async def test_a_line_longer_than_a_slice(home: Path, client: Client) -> None:
    run_dir = make_run(home, "long", [], ended=None, status="done")
    last = encode_line(MetricsEvent(seq=0, step=7, values={"reward": 1.0}))
    (run_dir / "logs" / "stream.log").write_text("x" * (3 * SLICE + 17) + f"\n{last}\n")
    live = await live_run_of(client, "long")
    await watched(live)
    assert live.state.step == 7


async def test_a_long_past_is_told_of_as_it_is_read_and_holds_nobody_up(home: Path, client: Client) -> None:
    run_dir = make_run(home, "past", [], ended=None, status="done")
    values = {f"metric/{n}": float(n) for n in range(20)}
    with (run_dir / "logs" / "stream.log").open("w") as file:
        for step in range(100_000):
            file.write(
                f"[train] step {step}\n{encode_line(MetricsEvent(seq=step, step=step, values=values))}\n"
            )
    live, beats, ended = await live_run_of(client, "past"), 0, False

    async def beat() -> None:
        nonlocal beats
        while not ended:
            await asyncio.sleep(0.001)
            beats += 1

    beating = asyncio.create_task(beat())
    steps = [live.state.step async for _ in live.updates()]
    ended = True
    await beating
    assert steps[-1] == 99_999
    assert len(steps) > 3, "a long past was shown only when all of it was read"
    assert steps == sorted(steps, key=lambda step: step or 0)
    assert len(live.metrics.series["metric/3"].steps) == 100_000
    assert beats > 50, "the event loop stood still while it was read"


async def test_samples_of_the_machine_are_kept_with_their_time(home: Path, client: Client) -> None:
    make_run(home, "samples", [SystemEvent(t=5.0, values={"cpu_percent": 50.0})])
    live = await live_run_of(client, "samples")
    await watched(live)
    assert live.system == [(5.0, {"cpu_percent": 50.0})]


async def test_a_backend_that_fails_is_told_of_and_watching_goes_on_from_there(
    home: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(home, "cut", [PhaseEvent(phase="train", status="started"), *story(4, 4)])
    live, real = await live_run_of(client, "cut"), client.backends["local"].watch

    async def cut(run: RunRecord) -> AsyncIterator[int]:
        yield 1
        await asyncio.sleep(0)
        raise BackendError("the line is dead")

    monkeypatch.setattr(client.backends["local"], "watch", cut)
    with pytest.raises(BackendError, match="the line is dead"):
        await watched(live)
    assert not live.over
    assert live.state.step == 4  # what was there is in
    monkeypatch.setattr(client.backends["local"], "watch", real)
    assert await watched(live) == 1
    assert live.over
    assert live.metrics.series["reward"].steps == [1, 2, 3, 4]


async def test_who_stops_listening_leaves_nothing_running(bench: LocalBench, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    backend = bench.backend(f"steps:1 wait:{gate} end:done")
    live = LiveRun(Client(None, {"local": backend}), await backend.launch(request()))
    before = asyncio.all_tasks()
    updates = live.updates()
    await anext(updates)
    await updates.aclose()  # type: ignore[attr-defined]
    assert asyncio.all_tasks() == before
    gate.touch()
