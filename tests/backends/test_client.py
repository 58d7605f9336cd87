"""The client over real local runs, and over a backend that cannot be reached."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import cast

import pytest

from remote.contract.errors import BackendError, ConfigError, RunNotFound
from remote.contract.record import RunRecord
from tests.backends.conftest import LocalBench, lines, request
from tui.backends.base import Backend
from tui.client import Client, LazyBackends


class Unreachable:
    """A backend that nobody is signed in to."""

    name = "far"

    @property
    def volumes(self) -> Unreachable:
        return self

    async def runs(self) -> list[RunRecord]:
        raise BackendError("not signed in")

    async def remembered(self, run_id: str) -> RunRecord | None:
        record = RunRecord(
            run_id="far-run", kind="train", backend="far", status="done", environment="e", model="m",
            outputs="o",
        )  # fmt: skip
        return record if run_id == record.run_id else None


def client(local: LocalBench, script: str = "lines:1 steps:2 end:done") -> Client:
    return Client(None, {"local": local.backend(script)})


async def launch(client: Client, run_id: str) -> RunRecord:
    backend = client.backend("local")
    run = await backend.launch(request().model_copy(update={"run_id": run_id}))
    await lines(backend, run)
    return run


async def test_a_run_is_found_by_name_prefix_or_as_the_last(local: LocalBench) -> None:
    vfm = client(local)
    for name in ("abc", "abcde", "xyz"):
        await launch(vfm, name)
    assert (await vfm.find("abc")).run_id == "abc"
    assert (await vfm.find("abcd")).run_id == "abcde"
    assert (await vfm.find("last")).run_id == "xyz"
    with pytest.raises(RunNotFound, match="matches 2 runs") as several:
        await vfm.find("ab")
    assert "abcde" in str(several.value)
    with pytest.raises(RunNotFound, match="nearest runs: xyz"):
        await vfm.find("xyy")
    with pytest.raises(RunNotFound):
        await vfm.find("")


async def test_where_there_is_no_run_it_says_how_to_start_one(local: LocalBench) -> None:
    with pytest.raises(RunNotFound, match="vfm launch"):
        await client(local).find("last")


async def test_state_metrics_and_events_are_read_from_the_stream(local: LocalBench) -> None:
    vfm = client(local)
    run = await launch(vfm, "abc")
    assert await vfm.metrics(run) == [
        {"step": 1, "values": {"reward": 0.1}},
        {"step": 2, "values": {"reward": 0.2}},
    ]
    state = await vfm.state(run)
    assert (state.step, len(state.checkpoints)) == (2, 1)
    events = [event async for event in vfm.events(run)]
    assert [event.seq for event in events] == list(range(len(events)))
    assert (await vfm.status(run)).status == "done"


async def test_a_backend_that_fails_leaves_the_others_alone(local: LocalBench) -> None:
    vfm = client(local)
    vfm.backends = {**vfm.backends, "far": cast(Backend, Unreachable())}
    run = await launch(vfm, "abc")
    listing = await vfm.runs()
    assert [found.run_id for found in listing.rows] == [run.run_id]
    assert listing.errors["far"].message == "not signed in"
    with pytest.raises(RunNotFound, match="far cannot be reached: not signed in"):
        await vfm.find("zzz")
    assert (await vfm.find("far-run")).backend == "far"


class Silent(Unreachable):
    """A backend that does not answer."""

    async def runs(self) -> list[RunRecord]:
        await asyncio.Event().wait()
        return []


async def test_a_whole_name_does_not_wait_for_a_backend_that_hangs(local: LocalBench) -> None:
    vfm = client(local)
    run = await launch(vfm, "abc")
    vfm.backends = {"far": cast(Backend, Silent()), **vfm.backends}
    async with asyncio.timeout(30):
        assert (await vfm.find("abc")).run_id == run.run_id
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await vfm.find("ab")  # the other backend may have a run of that beginning


async def test_backends_are_made_when_they_are_asked_for(local: LocalBench) -> None:
    made: list[str] = []

    def make() -> Backend:
        made.append("local")
        return local.backend()

    vfm = Client(None, LazyBackends({"local": make}))
    with pytest.raises(BackendError, match="there are: local"):
        vfm.backend("nowhere")
    assert made == []
    await vfm.runs()
    await vfm.volumes()
    assert made == ["local"]


async def test_volumes_are_browsed_and_downloaded(local: LocalBench, tmp_path: Path) -> None:
    volume = "verifiers-outputs-ann-x"
    local.write(volume, "runs/r/file", b"content")
    vfm = client(local)
    assert [(info.name, info.backend) for info in (await vfm.volumes()).rows] == [(volume, "local")]
    assert [entry.path for entry in await vfm.ls(volume, "runs/r")] == ["runs/r/file"]
    assert await vfm.read(volume, "runs/r/file", backend="local") == b"content"
    await vfm.get(volume, "runs/r", tmp_path)
    assert (tmp_path / "r/file").read_bytes() == b"content"
    with pytest.raises(ConfigError, match="nearest volumes: verifiers-outputs-ann-x"):
        await vfm.ls("verifiers-outputs-ann-y")
    with pytest.raises(ConfigError, match="runs/none"):
        await vfm.ls(volume, "runs/none")
