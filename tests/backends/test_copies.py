"""Copies into and out of any backend's volumes: what is in the way, what is odd, and what is left alone."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from remote.contract.errors import ConfigError, VfmError
from tests.backends.conftest import VOLUME, Bench
from tui.backends.base import Transfer
from tui.backends.destination import Occupied


@pytest.mark.parametrize("path", ["runs/r1/logs/stream.log", "runs/r1/checkpoints/final/model.safetensors"])
async def test_another_programs_part_file_is_neither_taken_up_nor_touched(
    files: Bench, tmp_path: Path, path: str
) -> None:
    target = tmp_path / "out" / Path(path).name
    theirs = target.with_name(target.name + ".part")
    theirs.parent.mkdir()
    theirs.write_bytes(b"0123")
    await files.backend("").volumes.download(VOLUME, path, target)
    assert theirs.read_bytes() == b"0123"
    assert sorted(target.parent.iterdir()) == [target, theirs]


async def test_what_is_planted_under_the_name_of_our_part_file_is_not_written_through(
    files: Bench, tmp_path: Path
) -> None:
    volumes, path = files.backend("").volumes, "runs/r1/checkpoints/final/model.safetensors"
    target, victim = tmp_path / "out/weights", tmp_path / "victim"
    victim.write_bytes(b"precious")

    def break_off(transfer: Transfer) -> None:
        if transfer.done:
            raise KeyboardInterrupt

    for plant in (lambda part: part.symlink_to(victim), lambda part: part.hardlink_to(victim), os.mkfifo):
        with pytest.raises(KeyboardInterrupt):
            await volumes.download(VOLUME, path, target, break_off)
        (part,) = target.parent.glob("*.part")
        part.unlink()
        plant(part)
        await volumes.download(VOLUME, path, target)
        assert target.read_bytes() == bytes(range(256)) * 40000
        assert victim.read_bytes() == b"precious"
        target.unlink()


async def test_a_file_that_differs_is_replaced_with_force_alone(files: Bench, tmp_path: Path) -> None:
    volumes, log = files.backend("").volumes, tmp_path / "out/r1/logs/stream.log"
    weights = tmp_path / "out/r1/checkpoints/final/model.safetensors"
    await volumes.download(VOLUME, "runs/r1", tmp_path / "out")
    whole = weights.read_bytes()
    for path, data in ((log, b"mine"), (weights, whole[:-1] + b"?"), (tmp_path / "log", b"9876543210")):
        path.write_bytes(data)
    (tmp_path / "out/r1/record.json").unlink()
    with pytest.raises(Occupied) as refused:
        await volumes.download(VOLUME, "runs/r1", tmp_path / "out")
    assert refused.value.paths == [str(weights), str(log)] or refused.value.paths == [str(log), str(weights)]
    with pytest.raises(Occupied, match=r"log exists already and differs"):
        await volumes.download(VOLUME, "runs/r1/logs/stream.log", tmp_path / "log")
    assert (log.read_bytes(), (tmp_path / "log").read_bytes()) == (b"mine", b"9876543210")
    assert not (tmp_path / "out/r1/record.json").exists()
    await volumes.download(VOLUME, "runs/r1", tmp_path / "out", force=True)
    assert (log.read_bytes(), weights.read_bytes()) == (b"0123456789", whole)
    assert not list(tmp_path.rglob("*.part"))


async def test_links_and_folders_are_never_replaced(files: Bench, tmp_path: Path) -> None:
    volumes, path = files.backend("").volumes, "runs/r1/logs/stream.log"
    (tmp_path / "real").write_bytes(b"mine")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "lost").symlink_to("nothing")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "out/r1/logs/stream.log").mkdir(parents=True)
    for name in ("lost", "pipe"):
        with pytest.raises(ConfigError, match="no file can be written there"):
            await volumes.download(VOLUME, path, tmp_path / name, force=True)
    with pytest.raises(ConfigError, match=r"stream.log is a folder"):
        await volumes.download(VOLUME, "runs/r1", tmp_path / "out", force=True)
    with pytest.raises(Occupied):
        await volumes.download(VOLUME, path, tmp_path / "link")
    await volumes.download(VOLUME, path, tmp_path / "link", force=True)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"0123456789"
    assert (tmp_path / "lost").is_symlink()


async def test_what_is_in_a_folders_way_is_named(files: Bench, tmp_path: Path) -> None:
    volumes = files.backend("").volumes
    (tmp_path / "r1").write_bytes(b"mine")
    (tmp_path / "lost").symlink_to("nothing")
    for path, dest, what in (
        ("runs/r1", "", "r1"),
        ("runs/r1", "lost", "lost"),
        ("runs/r1/logs", "r1", "r1"),
    ):
        for force in (False, True):
            with pytest.raises(ConfigError, match=f"{tmp_path}/{what} is not a folder") as refused:
                await volumes.download(VOLUME, path, tmp_path / dest, force=force)
            assert refused.value.hint is not None
    assert (tmp_path / "r1").read_bytes() == b"mine"


async def test_a_runs_lock_stays_where_it_is(files: Bench, tmp_path: Path) -> None:
    files.write(VOLUME, "runs/r1/.lock", b"")
    files.write(VOLUME, "runs/r1/checkpoints/.lock", b"somebody's")
    for path, name in (("runs/r1", "r1"), ("runs", "runs/r1"), ("", f"{VOLUME}/runs/r1")):
        await files.backend("").volumes.download(VOLUME, path, tmp_path)
        assert not (tmp_path / name / ".lock").exists()
        assert (tmp_path / name / "checkpoints/.lock").exists()


async def test_what_is_no_file_is_left_out_and_named(
    files: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """wandb plants such a link into every run."""
    run, outside = files.folder(VOLUME) / "runs/r1", tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    wandb = run / "wandb/run-1/logs"
    wandb.mkdir(parents=True)
    (wandb / "debug-core.log").symlink_to(outside / "secret")
    (wandb / "folder").symlink_to(outside)
    (wandb / "nowhere").symlink_to("nothing")
    (wandb / "self").symlink_to("self")
    (wandb / "up").symlink_to("../..")
    os.mkfifo(run / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        monkeypatch.chdir(run)
        listener.bind("socket")  # a socket's path has to be short
    (run / "empty/deep").mkdir(parents=True)
    done = await files.backend("").volumes.download(VOLUME, "runs/r1", tmp_path / "out")
    names = ["pipe", "socket", *(f"wandb/run-1/logs/{n}" for n in ("debug-core.log", "folder", "nowhere"))]
    names += ["wandb/run-1/logs/self", "wandb/run-1/logs/up"]
    assert sorted(one.path for one in done.left_out) == [f"runs/r1/{name}" for name in names]
    assert all(one.why for one in done.left_out)
    arrived = {str(path.relative_to(tmp_path / "out/r1")) for path in (tmp_path / "out/r1").rglob("*")}
    assert {"record.json", "logs/stream.log", "empty/deep", "wandb/run-1/logs"} <= arrived
    assert not arrived & set(names)
    assert done.done == done.total == 10240012
    again = await files.backend("").volumes.download(VOLUME, "runs/r1", tmp_path / "out")
    assert (len(again.skipped), len(again.left_out)) == (3, 7)


async def test_what_is_no_file_is_not_downloaded_by_name(files: Bench, tmp_path: Path) -> None:
    os.mkfifo(files.folder(VOLUME) / "runs/r1/pipe")
    volumes = files.backend("").volumes
    with pytest.raises(ConfigError, match="is a pipe"):
        await volumes.download(VOLUME, "runs/r1/pipe", tmp_path / "out")
    assert not (tmp_path / "out").exists()


async def test_a_link_is_removed_as_itself(files: Bench, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_bytes(b"kept")
    run, volumes = files.folder(VOLUME) / "runs/r1", files.backend("").volumes
    for name, leads_to in (("out", outside), ("in", "logs"), ("file", "record.json"), ("nowhere", "nothing")):
        (run / name).symlink_to(leads_to)
        entry = next(e for e in await volumes.list(VOLUME, "runs/r1") if e.path == f"runs/r1/{name}")
        assert entry.is_link
        await volumes.remove(VOLUME, f"runs/r1/{name}")
        assert not os.path.lexists(run / name)
    assert (outside / "kept").exists()
    assert (run / "logs/stream.log").exists()
    assert (run / "record.json").exists()


async def test_an_upload_follows_links_and_names_what_it_leaves_out(files: Bench, outside: Path) -> None:
    (outside / "checkpoint-1").mkdir()
    (outside / "checkpoint-1/weights").write_bytes(b"w")
    (outside / "latest").symlink_to("checkpoint-1")
    (outside / "linked").symlink_to("deep/[red]x")
    (outside / "nowhere").symlink_to("nothing")
    (outside / "up").symlink_to("..")
    os.mkfifo(outside / "pipe")
    script = outside / "run.sh"
    script.write_bytes(b"#!/bin/sh")
    script.chmod(0o755)
    done = await files.backend("").volumes.upload(VOLUME, outside, "")
    there = files.folder(VOLUME) / "data"
    assert (there / "latest/weights").read_bytes() == b"w"
    assert (there / "linked").read_bytes() == b"small"
    assert os.access(there / "run.sh", os.X_OK)
    names = ["nowhere", "pipe", "up"]
    assert sorted(one.path for one in done.left_out) == [f"{outside}/{name}" for name in names]
    assert done.followed == []


async def test_an_upload_names_the_links_that_led_out(files: Bench, outside: Path) -> None:
    (outside.parent / "private/deep").mkdir(parents=True)
    (outside.parent / "private/deep/key").write_bytes(b"k")
    (outside / "latest").symlink_to("deep")
    (outside / "model").symlink_to(outside.parent / "private")
    (outside / "key").symlink_to("../private/deep/key")
    done = await files.backend("").volumes.upload(VOLUME, outside, "")
    assert sorted(done.followed) == [f"{outside}/key", f"{outside}/model"]
    assert (files.folder(VOLUME) / "data/model/deep/key").read_bytes() == b"k"


async def test_an_upload_of_nothing_is_refused(files: Bench, tmp_path: Path) -> None:
    volumes = files.backend("").volumes
    (tmp_path / "empty/deep").mkdir(parents=True)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "only").mkdir()
    (tmp_path / "only/nowhere").symlink_to("nothing")
    for source in ("empty", "pipe", "only", "only/nowhere"):
        with pytest.raises(ConfigError, match=r"copy|broken link"):
            await volumes.upload(VOLUME, tmp_path / source, "new")
    assert not (files.folder(VOLUME) / "new").exists()


async def test_an_upload_onto_a_folder_or_below_a_file_is_refused(files: Bench, tmp_path: Path) -> None:
    volumes = files.backend("").volumes
    (tmp_path / "logs").write_bytes(b"a file")
    (tmp_path / "record.json").mkdir()
    (tmp_path / "record.json/deep").write_bytes(b"a folder")
    for name in ("logs", "record.json"):
        with pytest.raises(VfmError, match=name):
            await volumes.upload(VOLUME, tmp_path / name, "runs/r1", force=True)
    assert await volumes.read(VOLUME, "runs/r1/record.json") == b"{}"
