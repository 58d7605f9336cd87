"""Transfers over a network that fails, from servers that lie, and by a `vfm get` that is killed.

`tests/backends/test_every_backend.py` has what holds for every backend's volumes.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import modal
import pytest
from modal_proto import api_pb2 as pb

from remote.contract.errors import BackendError, DiskError, VfmError
from tests.backends.conftest import PROJECT
from tests.modal.cloud import Cloud
from tests.waiting import until
from tui.backends.base import Transfer
from tui.backends.destination import Occupied, part_of
from tui.backends.modal.session import Session
from tui.backends.modal.volumes import blocks
from tui.backends.modal.volumes.part_file import BLOCK, digests_of
from tui.backends.modal.volumes.volumes import ModalVolumes

VOLUME = "verifiers-outputs-ann-modal"
LONG_AGO = 1_700_000_000
BIG = 3 * BLOCK + 1000


def write(cloud: Cloud, path: str, data: bytes, when: int = LONG_AGO) -> bytes:
    """Put a file into the volume, changed at that time."""
    file = cloud.volumes_dir / VOLUME / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    os.utime(file, (when, when))
    return data


def served(cloud: Cloud) -> int:
    """Bytes of blocks that the server has sent so far."""
    return sum(size for _, size in cloud.state.served)


@pytest.fixture
def big(cloud: Cloud) -> bytes:
    """A file of four blocks, no two of which are the same."""
    return write(cloud, "runs/r1/weights", os.urandom(BIG))


@pytest.fixture
def volumes(cloud: Cloud) -> ModalVolumes:
    """The volumes; a connection without a byte for half a second is given up."""
    return ModalVolumes(Session(), silence=0.5)


@pytest.fixture(params=[False, True], ids=["no digests", "digests"])
def digests(request: pytest.FixtureRequest, cloud: Cloud) -> bool:
    """Whether the server names the digests of blocks: Modal's protocol leaves that open."""
    named: bool = request.param
    cloud.faults.block_digests = named
    return named


@pytest.mark.parametrize("fault", ["truncate_blocks", "stall_blocks", "damage_blocks"])
async def test_a_block_that_comes_badly_is_fetched_again(
    cloud: Cloud, volumes: ModalVolumes, big: bytes, tmp_path: Path, fault: str
) -> None:
    cloud.faults.block_digests = True
    setattr(cloud.faults, fault, 2)
    done = await volumes.download(VOLUME, "runs/r1/weights", tmp_path / "weights")
    assert (tmp_path / "weights").read_bytes() == big
    assert done.done == done.fetched == BIG
    assert getattr(cloud.faults, fault) == 0


@pytest.mark.parametrize(
    ("fault", "kind"),
    [("truncate_blocks", BackendError), ("stall_blocks", BackendError), ("damage_blocks", DiskError)],
)
async def test_one_that_never_comes_well_is_refused_and_the_rest_is_kept(
    cloud: Cloud, volumes: ModalVolumes, big: bytes, tmp_path: Path, fault: str, kind: type[VfmError]
) -> None:
    cloud.faults.block_digests = True

    def break_down(transfer: Transfer) -> None:
        if transfer.done:
            setattr(cloud.faults, fault, 1000)

    # The block after the first ones comes when the fault is there.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tui.backends.modal.volumes.blocks.AT_ONCE", 1)
        with pytest.raises(kind, match="runs/r1/weights") as error:
            async with asyncio.timeout(15):
                await volumes.download(VOLUME, "runs/r1/weights", tmp_path / "weights", break_down)
    assert error.value.hint is not None
    assert "goes on where it broke off" in error.value.hint.text
    assert not (tmp_path / "weights").exists()
    (part,) = tmp_path.glob("weights*.part")
    kept = part.stat().st_size
    setattr(cloud.faults, fault, 0)
    again = await volumes.download(VOLUME, "runs/r1/weights", tmp_path / "weights")
    assert again.fetched == BIG - kept < BIG
    assert (tmp_path / "weights").read_bytes() == big


async def test_a_cut_network_is_not_noticed_and_a_dead_one_is_told_in_time(
    cloud: Cloud, volumes: ModalVolumes, big: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await volumes.download(VOLUME, "runs/r1", tmp_path / "cut", lambda _: cloud.faults.reset())
    assert (tmp_path / "cut/r1/weights").read_bytes() == big
    monkeypatch.setattr(blocks, "CALL_SECONDS", 0.5)

    def die(transfer: Transfer) -> None:
        cloud.faults.network = "stall"

    with pytest.raises(BackendError, match="Modal") as error:
        async with asyncio.timeout(15):
            await volumes.download(VOLUME, "runs/r1", tmp_path / "dead", die)
    assert error.value.hint is not None
    assert "goes on where it broke off" in error.value.hint.text


async def test_files_and_blocks_come_side_by_side(
    cloud: Cloud, volumes: ModalVolumes, big: bytes, tmp_path: Path
) -> None:
    """One after the other they would take twenty seconds."""
    for number in range(60):
        write(cloud, f"runs/r1/small-{number}", b"x" * number)
    cloud.faults.block_delay = 0.3
    async with asyncio.timeout(10):
        done = await volumes.download(VOLUME, "runs/r1", tmp_path)
    assert done.fetched == done.total == BIG + sum(range(60))
    assert (tmp_path / "r1/small-59").read_bytes() == b"x" * 59


async def test_what_is_here_is_known_by_its_time_or_its_contents(
    cloud: Cloud, volumes: ModalVolumes, big: bytes, tmp_path: Path, digests: bool
) -> None:
    write(cloud, "runs/r1/small", b"small")
    write(cloud, "runs/r1/empty", b"")
    await volumes.download(VOLUME, "runs/r1", tmp_path)
    before, asked = served(cloud), cloud.service.asked.count("VolumeGetFile2")
    again = await volumes.download(VOLUME, "runs/r1", tmp_path)
    assert (len(again.skipped), again.done, again.fetched) == (3, again.total, 0)
    assert (served(cloud), cloud.service.asked.count("VolumeGetFile2")) == (before, asked)
    for path in (tmp_path / "r1").iterdir():
        path.touch()
    again = await volumes.download(VOLUME, "runs/r1", tmp_path)
    assert (len(again.skipped), again.fetched) == (3, 0)


async def test_a_file_of_the_same_size_that_is_another_one_is_replaced(
    cloud: Cloud, volumes: ModalVolumes, big: bytes, tmp_path: Path, digests: bool
) -> None:
    write(cloud, "runs/r1/small", b"small")
    (tmp_path / "r1").mkdir()
    (tmp_path / "r1/small").write_bytes(b"SMALL")
    (tmp_path / "r1/weights").write_bytes(big[:-1] + b"?")
    with pytest.raises(Occupied, match="already and differ"):
        await volumes.download(VOLUME, "runs/r1", tmp_path)
    done = await volumes.download(VOLUME, "runs/r1", tmp_path, force=True)
    assert done.skipped == []
    assert (tmp_path / "r1/small").read_bytes() == b"small"
    assert (tmp_path / "r1/weights").read_bytes() == big


async def test_zeros_at_the_end_of_a_block_come_back(
    cloud: Cloud, volumes: ModalVolumes, tmp_path: Path, digests: bool
) -> None:
    data = b"a" + bytes(BLOCK) + b"b" + bytes(BLOCK)
    for version in (pb.VOLUME_FS_VERSION_V1, pb.VOLUME_FS_VERSION_V2):
        name = f"verifiers-cache-v{version}"
        await modal.Volume.objects.create.aio(name, version=version)
        (tmp_path / "zeros").write_bytes(data)
        await volumes.upload(name, tmp_path / "zeros", "deep")
        await volumes.download(name, "deep/zeros", tmp_path / name)
        assert (tmp_path / name).read_bytes() == await volumes.read(name, "deep/zeros") == data


async def test_a_file_that_is_replaced_meanwhile_is_not_taken(
    cloud: Cloud, volumes: ModalVolumes, big: bytes, tmp_path: Path
) -> None:
    def replace(transfer: Transfer) -> None:
        if transfer.done:
            write(cloud, "runs/r1/weights", os.urandom(BIG), LONG_AGO + 5)

    with pytest.raises(DiskError, match="became another file"):
        await volumes.download(VOLUME, "runs/r1/weights", tmp_path / "weights", replace)
    assert list(tmp_path.glob("weights*")) == []


async def test_a_file_that_is_gone_at_the_last_look_is_left_out(
    cloud: Cloud, volumes: ModalVolumes, big: bytes, tmp_path: Path
) -> None:
    write(cloud, "runs/r1/small", b"small")

    def slow_down(transfer: Transfer) -> None:
        cloud.faults.delays["VolumeListFiles2"] = 1.0  # the last look waits for what goes meanwhile

    download = asyncio.create_task(volumes.download(VOLUME, "runs/r1", tmp_path, slow_down))
    await until(lambda: served(cloud) >= BIG, "every block")
    (cloud.volumes_dir / VOLUME / "runs/r1/weights").unlink()
    done = await download
    assert [(one.path, one.why) for one in done.left_out] == [("runs/r1/weights", "no longer in the volume")]
    assert done.done == done.total == len(b"small")
    assert list((tmp_path / "r1").iterdir()) == [tmp_path / "r1/small"]


@pytest.mark.parametrize("named", ["../evil", "runs/r1/../../evil", "/evil", "runs/r1/a\0b"])
async def test_no_name_of_the_servers_leads_out_of_the_folder(
    cloud: Cloud,
    volumes: ModalVolumes,
    big: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    named: str,
) -> None:
    evil = pb.FileEntry(path=named, type=pb.FileEntry.FILE, size=5)
    monkeypatch.setattr("tests.modal.cloud.volumes._entry", lambda *_: evil)
    with pytest.raises(DiskError, match="which does not lie in"):
        await volumes.download(VOLUME, "runs/r1", tmp_path / "out")
    assert not (tmp_path / "out").exists()


async def test_a_volume_that_was_made_anew_is_found_again(cloud: Cloud, volumes: ModalVolumes) -> None:
    write(cloud, "a", b"old")
    assert await volumes.read(VOLUME, "a") == b"old"
    await modal.Volume.objects.delete.aio(VOLUME)
    with pytest.raises(FileNotFoundError, match="no volume"):
        await volumes.read(VOLUME, "a")
    write(cloud, "a", b"new")
    assert await volumes.read(VOLUME, "a") == b"new"


async def test_blocks_that_an_upload_has_sent_are_not_sent_again(
    cloud: Cloud, volumes: ModalVolumes, tmp_path: Path
) -> None:
    cloud.state.volume_version = pb.VOLUME_FS_VERSION_V2
    write(cloud, "other", b"")
    data = os.urandom(8 * BLOCK)
    (tmp_path / "weights").write_bytes(data)

    def break_off(transfer: Transfer) -> None:
        if transfer.done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await volumes.upload(VOLUME, tmp_path / "weights", "", break_off)
    again = await volumes.upload(VOLUME, tmp_path / "weights", "")
    assert 0 < again.fetched < again.total == len(data)
    assert (cloud.volumes_dir / VOLUME / "weights").read_bytes() == data


def get(cloud: Cloud, home: Path, to: Path) -> subprocess.Popen[bytes]:
    """The real `vfm get`, as a process."""
    env = {**os.environ, "VFM_HOME": str(home)}
    command = [sys.executable, "-m", "tui.cli", "get", f"{VOLUME}:runs/r1", str(to)]
    return subprocess.Popen(command, cwd=PROJECT, env=env, stderr=subprocess.PIPE)


async def test_a_download_that_was_killed_fetches_only_what_is_missing(cloud: Cloud, tmp_path: Path) -> None:
    big = write(cloud, "runs/r1/weights", os.urandom(12 * BLOCK))
    for number in range(100):
        write(cloud, f"runs/r1/small-{number}", b"x" * number)
    to = tmp_path / "out"
    part = part_of(to / "r1/weights", f"{VOLUME}:runs/r1/weights")
    cloud.faults.block_delay = 0.1
    child = get(cloud, tmp_path / "home", to)
    await until(lambda: part.exists() and part.stat().st_size >= 5 * BLOCK, "half of it")
    assert child.poll() is None
    child.send_signal(signal.SIGKILL)
    child.communicate()
    cloud.faults.block_delay = 0
    await until(lambda: cloud.state.serving == 0, "the server to notice")
    sums = digests_of(part).read_text().count("\n") - 1
    kept = min(part.stat().st_size // BLOCK, sums) * BLOCK
    missing = [f for f in range(100) if not (to / f"r1/small-{f}").exists()]
    before = served(cloud)
    child = get(cloud, tmp_path / "home", to)
    await asyncio.to_thread(child.communicate)
    assert child.returncode == 0
    assert served(cloud) - before == len(big) - kept + sum(missing)
    assert (to / "r1/weights").read_bytes() == big
    assert all((to / f"r1/small-{n}").read_bytes() == b"x" * n for n in range(100))
