"""Lines without an end, and streams that become other ones: read in linear time, cut short, and told of."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from remote.contract import layout
from remote.contract.errors import DiskError
from remote.contract.events import RolloutEvent, decode_line, encode_line
from remote.contract.long_lines import LONGEST, LONGEST_EVENT
from remote.contract.record import RunRecord
from remote.output import stdout_capture
from tests.backends.conftest import LocalBench, lines, request
from tests.pilot.conftest import make_run, story
from tui.backends.base import Batch
from tui.backends.local.backend import LocalBackend
from tui.client import Client
from tui.services.live_run import LiveRun
from tui.store.logs.log_file import LogFile

MEGA = 1_000_000


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalBench]:
    """Scripted runs on this machine."""
    bench = LocalBench(tmp_path)
    yield bench
    bench.close()


def _run_with(folder: Path, stream: bytes) -> tuple[LocalBackend, RunRecord]:
    run_dir = make_run(folder, "long", story(2, 2))
    with (run_dir / layout.STREAM).open("ab") as file:
        file.write(stream)
    backend = LocalBackend(folder, folder)
    return backend, asyncio.run(backend.runs())[0]


@pytest.mark.parametrize("size", [65_536, LONGEST - 1, LONGEST, LONGEST + 1, 3 * MEGA + 7])
@pytest.mark.parametrize("end", ["\n", ""])
def test_a_long_line_is_shown_from_its_begin_with_what_is_left_out(
    tmp_path: Path, size: int, end: str
) -> None:
    backend, run = _run_with(tmp_path, b"before\n" + b"y" * size + end.encode() + b"after\n" * bool(end))
    batches = asyncio.run(_batches(backend, run, 0))
    found = [line for line, _ in batches]
    *_, before, long = found[: -1 if end else None]
    assert before == "before"
    assert found[-1] == ("after" if end else long)
    if size <= LONGEST:
        assert long == "y" * size
    else:
        assert long == "y" * LONGEST + f" … {size - LONGEST:,} bytes more are left out"
    for _, position in batches:  # from each position on, what is left
        rest = [line for line, _ in asyncio.run(_batches(backend, run, position))]
        assert rest == found[len(found) - len(rest) :]


async def _batches(backend: LocalBackend, run: RunRecord, position: int) -> list[tuple[str, int]]:
    return [(line, b.position) async for b in backend.follow(run, position, live=False) for line in b.lines]


def test_a_long_event_is_whole_up_to_a_limit(tmp_path: Path) -> None:
    told = [{"role": "user", "content": "z" * (4 * MEGA)}]
    event = RolloutEvent(seq=900, t=1, step=1, task="t", messages=told, rewards={}, reward=0.5)
    endless = "\x1e" + "q" * (LONGEST_EVENT + 10)
    backend, run = _run_with(tmp_path, f"{encode_line(event)}\n{endless}\nlast\n".encode())
    *_, whole, cut, last = asyncio.run(lines(backend, run))
    assert decode_line(whole) == event
    assert len(cut) < LONGEST + 100
    assert last == "last"


def _follow(folder: Path, size: int) -> None:
    backend, run = _run_with(folder, b"y" * size + b"\n")
    asyncio.run(lines(backend, run))


def _live(folder: Path, size: int) -> None:
    backend, run = _run_with(folder, b"y" * size + b"\n")

    async def watch() -> None:
        async for _ in LiveRun(Client(None, {"local": backend}), run).updates():
            pass

    asyncio.run(watch())


def _log_file(folder: Path, size: int) -> None:
    path = folder / "stream.log"
    path.write_bytes(b"y" * size + b"\n")
    log_file = LogFile(path)
    assert log_file.refresh(over=True) == 1
    assert log_file.line(0).size == size


def _growing(folder: Path, size: int) -> None:
    """A line that grows while it is followed, and while a list of runs looks again and again."""
    backend, run = _run_with(folder, b"")
    position, pieces = 0, 256
    with (backend.run_dir(run) / layout.STREAM).open("ab", buffering=0) as file:
        for _ in range(pieces):
            file.write(b"y" * (size // pieces))
            found = asyncio.run(_positions(backend, run, position))
            position = found[-1] if found else position


async def _positions(backend: LocalBackend, run: RunRecord, position: int) -> list[int]:
    return [b.position async for b in backend.follow(run, position, live=False)]


def _pump(folder: Path, size: int) -> None:
    read, write = os.pipe()
    said: list[str] = []
    thread = threading.Thread(target=stdout_capture.pump, args=(os.fdopen(read, "rb"), said.append))
    thread.start()
    with open(write, "wb") as out:
        out.write(b"y" * size + b"\nnext\n")
    thread.join()
    assert [len(line) < LONGEST + 100 for line in said] == [True, True]
    assert said[-1] == "next"


@pytest.mark.parametrize("read", [_follow, _live, _log_file, _growing, _pump])
def test_a_long_line_is_read_in_linear_time(read: Callable[[Path, int], None], tmp_path: Path) -> None:
    """Four times as much takes about four times as long, not sixteen."""

    def seconds(size: int) -> float:
        taken = []
        for number in range(3):
            folder = tmp_path / f"{size}-{number}"
            folder.mkdir()
            began = time.process_time()
            read(folder, size)
            taken.append(time.process_time() - began)
        return min(taken)

    assert seconds(64 * MEGA) < 9 * max(seconds(16 * MEGA), 0.02)


def _cut_short(stream: Path) -> None:
    os.truncate(stream, 0)


def _replaced(stream: Path) -> None:
    other = stream.with_name("other")
    other.write_bytes(stream.read_bytes() + b"[train] another\n")
    other.replace(stream)


@pytest.mark.parametrize(
    ("change", "words"),
    [(_cut_short, "was truncated"), (_replaced, "was replaced"), (Path.unlink, "cannot read")],
)
async def test_a_followed_stream_that_becomes_another_is_told_of(
    local: LocalBench, tmp_path: Path, change: Callable[[Path], None], words: str
) -> None:
    gate = tmp_path / "gate"
    backend = local.backend(f"lines:50 wait:{gate} end:done")
    run = await backend.launch(request())
    following = backend.follow(run)
    seen: list[str] = []
    while not any("line 49" in line for line in seen):
        seen += (await anext(following)).lines
    change(local.home / "volumes" / run.outputs / layout.run_path(run.run_id) / layout.STREAM)
    with pytest.raises(DiskError, match=words):
        await asyncio.wait_for(_to_the_end(following), 20)
    gate.touch()


async def _to_the_end(following: AsyncIterator[Batch]) -> None:
    async for _ in following:
        pass


@pytest.mark.parametrize("change", [_cut_short, _replaced])
async def test_the_app_shows_what_the_stream_says_now(tmp_path: Path, change: Callable[[Path], None]) -> None:
    run_dir = make_run(tmp_path, "other", story(9, 9))
    client = Client(None, {"local": LocalBackend(tmp_path, tmp_path)})
    live = LiveRun(client, await client.find("other"))
    async for _ in live.updates():
        pass
    assert live.state.step == 9
    change(run_dir / layout.STREAM)
    make = "".join(f"{encode_line(event)}\n" for event in story(3, 9))
    (run_dir / layout.STREAM).write_text(make)
    live.over = False
    async for _ in live.updates():
        pass
    assert live.state.step == 3
    assert live.metrics.series["reward"].steps == [1, 2, 3]
