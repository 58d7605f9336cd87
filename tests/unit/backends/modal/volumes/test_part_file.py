"""What Modal's downloads rest on: paths that stay inside, part files that survive, answers in order."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing
from functools import partial
from pathlib import Path

import pytest

from remote.contract.errors import ConfigError, DiskError
from tui.backends.modal.in_order import each, in_order
from tui.backends.modal.volumes.part_file import (
    BLOCK,
    Part,
    RemoteFile,
    block_digest,
    digests_of,
    write_whole,
)
from tui.backends.modal.volumes.paths import below, inside

GO = threading.Event()


@pytest.mark.parametrize("path", ["/etc", "..", "a/../b", "a/\0b"])
def test_a_typed_path_that_leaves_is_refused(path: str) -> None:
    with pytest.raises(ConfigError, match="leaves the volume"):
        inside("verifiers-x", path)


def test_a_typed_path_is_tidied() -> None:
    assert [inside("verifiers-x", path) for path in ("", ".", "a//b/", "./a")] == ["", "", "a/b", "a"]


@pytest.mark.parametrize("named", ["/runs/r1/a", "runs/r1/../../a", "runs/r2/a", "runs/r1/a\0", "..", "a"])
def test_a_name_of_the_servers_stays_in_its_folder(named: str) -> None:
    assert str(below("runs/r1", "runs/r1/deep/a")) == "deep/a"
    with pytest.raises(DiskError, match="does not lie in"):
        below("runs/r1", named)


def filled(folder: Path, size: int = 2 * BLOCK + 5) -> tuple[RemoteFile, list[bytes]]:
    """A part file with all of its blocks."""
    wanted = RemoteFile("verifiers-x", "a", size, 1000.0, folder / "a")
    blocks = [bytes([65 + number]) * length for number, length in enumerate((BLOCK, BLOCK, size - 2 * BLOCK))]
    part = Part(wanted)
    part.open(GO)
    for block in blocks:
        part.append(block, block_digest(block))
    part.close()
    return wanted, blocks


def test_a_part_file_keeps_what_has_come_and_gets_its_name(tmp_path: Path) -> None:
    wanted, blocks = filled(tmp_path)
    part = Part(wanted)
    assert part.open(GO) == wanted.size
    part.finish(force=False)
    assert (tmp_path / "a").read_bytes() == b"".join(blocks)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert wanted.is_marked()


def cut(path: Path, size: int) -> None:
    """What a process leaves that was killed while it wrote."""
    os.truncate(path, size)


def damage(path: Path, at: int) -> None:
    """A byte that is another one."""
    with path.open("r+b") as file:
        file.seek(at)
        file.write(b"?")


@pytest.mark.parametrize(
    ("harm", "kept"),
    [
        (lambda part: cut(part, BLOCK + 7), BLOCK),
        (lambda part: damage(part, BLOCK + 7), BLOCK),
        (lambda part: damage(part, 0), 0),
        (lambda part: cut(digests_of(part), digests_of(part).stat().st_size - 66), BLOCK),
        (lambda part: digests_of(part).unlink(), 0),
        (lambda part: part.unlink(), 0),
    ],
)
def test_only_whole_blocks_as_they_came_are_kept(
    tmp_path: Path, harm: Callable[[Path], None], kept: int
) -> None:
    wanted, blocks = filled(tmp_path)
    harm(wanted.part)
    part = Part(wanted)
    assert part.open(GO) == kept
    for block in blocks[kept // BLOCK :]:
        part.append(block, block_digest(block))
    part.finish(force=False)
    assert wanted.target.read_bytes() == b"".join(blocks)


def test_another_files_part_is_not_continued(tmp_path: Path) -> None:
    wanted, _ = filled(tmp_path)
    later = RemoteFile(wanted.volume, wanted.path, wanted.size, 2000.0, wanted.target)
    part = Part(later)
    assert part.open(GO) == 0
    part.close()


def test_two_downloads_of_a_file_do_not_write_one_part_file(tmp_path: Path) -> None:
    wanted, blocks = filled(tmp_path)
    first = Part(wanted)
    assert first.open(GO) == wanted.size
    for write in (lambda: Part(wanted).open(GO), lambda: write_whole(wanted, b"1", force=False)):
        with pytest.raises(BlockingIOError, match="another copy is writing it"):
            write()
    first.finish(force=False)
    assert wanted.target.read_bytes() == b"".join(blocks)


def test_the_longest_names_have_part_files(tmp_path: Path) -> None:
    for length in (255, 250, 245):
        wanted = RemoteFile("verifiers-x", "a", 1, 1000.0, tmp_path / ("n" * length))
        part = Part(wanted)
        part.open(GO)
        part.close()
        write_whole(wanted, b"1", force=False)
        assert wanted.target.read_bytes() == b"1"


class Asked:
    """Questions that are answered when the test says so."""

    def __init__(self, sizes: list[int]) -> None:
        self.sizes, self.begun, self.ended = sizes, list[int](), list[int]()
        self.answers = [asyncio.get_running_loop().create_future() for _ in sizes]

    def requests(self) -> Iterator[tuple[int, Callable[[], Awaitable[str]]]]:
        return ((size, partial(self.ask, number)) for number, size in enumerate(self.sizes))

    async def ask(self, number: int) -> str:
        self.begun.append(number)
        try:
            return str(await self.answers[number])
        finally:
            self.ended.append(number)


async def test_answers_come_in_the_order_of_their_questions() -> None:
    asked = Asked([1, 1, 1])
    for number in (2, 1, 0):
        asked.answers[number].set_result(f"{number}!")
    async with aclosing(in_order(asked.requests(), 3, 100)) as found:
        assert [answer async for answer in found] == ["0!", "1!", "2!"]


async def test_no_more_is_under_way_than_may_be() -> None:
    few, small = Asked([1] * 5), Asked([40] * 5)
    for asked, at_once in ((few, 2), (small, 5)):
        async with aclosing(in_order(asked.requests(), at_once, 100)) as found:
            first = asyncio.ensure_future(anext(found))
            for _ in range(20):
                await asyncio.sleep(0)
            assert asked.begun == [0, 1]
            asked.answers[0].set_result("")
            await first


async def test_one_that_fails_ends_the_others_before_it_is_told() -> None:
    asked = Asked([1] * 3)
    asked.answers[0].set_exception(OSError("no"))
    with pytest.raises(OSError, match="no"):
        async with aclosing(in_order(asked.requests(), 3, 100)) as found:
            await anext(found)
    assert sorted(asked.ended) == sorted(asked.begun)


async def test_answers_about_all_of_some_things_are_in_their_order() -> None:
    async def twice(number: int) -> int:
        await asyncio.sleep(0)
        return 2 * number

    assert await each(range(5), twice, 2) == [0, 2, 4, 6, 8]
