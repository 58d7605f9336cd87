"""What only copies on this machine meet: links, very long names, a source that changes under the copy."""

from __future__ import annotations

import asyncio
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from remote.contract.errors import ConfigError, DiskError
from tests.backends.conftest import LocalBench
from tui.backends.base import Transfer
from tui.backends.copy_files import CHUNK, Copy, copy_all
from tui.backends.destination import open_part, part_of
from tui.backends.file_tree import tree

VOLUME = "verifiers-outputs-ann-copies"


async def test_an_upload_does_not_follow_a_link_out_of_the_volume(local: LocalBench, tmp_path: Path) -> None:
    local.write(VOLUME, "data/file", b"")
    (local.home / "volumes" / VOLUME / "data" / "deep").symlink_to(tmp_path)
    source = tmp_path / "source" / "data"
    (source / "deep").mkdir(parents=True)
    (source / "deep" / "planted").write_bytes(b"x")
    with pytest.raises(ConfigError, match="leaves the volume"):
        await local.backend().volumes.upload(VOLUME, source, "")
    assert not (tmp_path / "planted").exists()


async def test_the_longest_name_is_copied(local: LocalBench, tmp_path: Path) -> None:
    name = "é" * 127
    local.write(VOLUME, name, b"0123")
    await local.backend().volumes.download(VOLUME, name, tmp_path / "out" / name)
    assert [path.name for path in (tmp_path / "out").iterdir()] == [name]


async def test_a_log_may_grow_while_it_is_copied(tmp_path: Path) -> None:
    source, target = tmp_path / "log", tmp_path / "copy"
    source.write_bytes(b"a" * (CHUNK + 1))

    def grow(transfer: Transfer) -> None:
        with source.open("ab") as file:
            file.write(b"more")

    await copy_all([Copy.of(source, target)], Transfer(), grow)
    assert target.read_bytes() == b"a" * (CHUNK + 1)


async def test_two_copies_of_a_file_do_not_write_one_part_file(tmp_path: Path) -> None:
    for size in (5, 2 * CHUNK):
        source, target = tmp_path / "weights", tmp_path / str(size) / "weights"
        source.write_bytes(os.urandom(size))
        copy = Copy.of(source, target)
        with (
            open_part(part_of(target, str(source))),  # as another copy has it
            pytest.raises(DiskError, match="another copy is writing it"),
        ):
            await copy_all([copy], Transfer(), lambda _: None)
        refused: list[BaseException | None] = []

        def second(
            transfer: Transfer, copy: Copy = copy, found: list[BaseException | None] = refused
        ) -> None:
            with ThreadPoolExecutor(1) as pool:
                again = pool.submit(asyncio.run, copy_all([copy], Transfer(), lambda _: None))
                found.append(again.exception())

        await copy_all([copy], Transfer(), second)
        assert target.read_bytes() == source.read_bytes()
        assert list(target.parent.iterdir()) == [target]
        assert isinstance(refused[0], DiskError) is (size > CHUNK)  # small ones are copied in one go


async def test_a_file_that_is_replaced_under_the_copy_is_not_taken(tmp_path: Path) -> None:
    source, target = tmp_path / "weights", tmp_path / "copy"
    source.write_bytes(b"a" * (CHUNK + 1))

    def replace(transfer: Transfer) -> None:
        (tmp_path / "new").write_bytes(b"b" * (CHUNK + 1))
        os.replace(tmp_path / "new", source)

    with pytest.raises(DiskError, match="differs from its source"):
        await copy_all([Copy.of(source, target)], Transfer(), replace)
    assert not target.exists()


def test_what_vanishes_while_it_is_listed_is_passed_over(tmp_path: Path) -> None:
    for name in ("a/1", "a/2", "b/deep/1", "c/1"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    found = []
    for entry in tree(tmp_path):
        found.append(entry.path)
        if entry.path == "a/1":
            (tmp_path / "a/2").unlink()
        if entry.path == "b":
            shutil.rmtree(tmp_path / "b")
    assert found == ["a", "a/1", "b", "c", "c/1"]
    with pytest.raises(FileNotFoundError):
        list(tree(tmp_path / "b"))


async def test_links_that_lead_to_one_another_come_to_an_end(local: LocalBench, tmp_path: Path) -> None:
    """Twelve folders with a link to each other one: half a billion ways through them."""
    names = [f"d{number}" for number in range(12)]
    for name in names:
        local.write(VOLUME, f"maze/{name}/file", b"1")
        for other in names:
            (local.folder(VOLUME) / "maze" / name / other).symlink_to(f"../{other}")
    async with asyncio.timeout(30):
        done = await local.backend().volumes.download(VOLUME, "maze", tmp_path / "out")
    assert all((tmp_path / "out/maze" / name / "file").is_file() for name in names)
    assert any("many other links lead to" in one.why for one in done.left_out)
