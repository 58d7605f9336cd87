"""Benches: each stands for a backend, ready to launch scripted workers.

A backend joins the one test body of `test_every_backend.py` by adding its bench to `BENCHES`.
"""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import pytest

from remote.contract.record import LaunchRequest, RunRecord, new_run_id
from remote.contract.spec import ExperimentSpec
from tests.waiting import DEADLINE
from tui.backends.base import Backend
from tui.backends.local.backend import LocalBackend
from tui.backends.modal.backend import ModalBackend

PROJECT = Path(__file__).parents[2]
WORKER = Path(__file__).parent / "scripted_worker.py"
VOLUME = "verifiers-outputs-ann-files"


def request(experiment: str = "tests", **spec: dict[str, object]) -> LaunchRequest:
    """A request for a run of a scripted worker."""
    return LaunchRequest(
        run_id=new_run_id("vf_wordle"),
        spec=ExperimentSpec.model_validate(spec),
        model="builtin/tiny-random",
        environment="vf_wordle",
        experimenter="ann",
        experiment=experiment,
        outputs=f"verifiers-outputs-ann-{experiment}",
        cache=f"verifiers-cache-ann-{experiment}",
    )


async def lines(backend: Backend, run: RunRecord, position: int = 0, *, live: bool = True) -> list[str]:
    """Every line that following gives."""
    async with asyncio.timeout(DEADLINE):
        return [line async for batch in backend.follow(run, position, live=live) for line in batch.lines]


class Bench(Protocol):
    """A backend under test."""

    name: str

    def backend(self, script: str, **env: str) -> Backend:
        """A backend whose workers follow the script."""
        ...

    def write(self, volume: str, path: str, data: bytes) -> None:
        """Put a file into a volume."""
        ...

    def folder(self, volume: str) -> Path:
        """Where a volume's files lie on this machine."""
        ...

    def close(self) -> None:
        """End whatever a failed test left running."""
        ...


class LocalBench:
    """The local backend in a home of its own."""

    name = "local"

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"

    def backend(self, script: str = "end:done", **env: str) -> LocalBackend:
        """See `Bench`; every backend of a bench has the same home, as another process would."""
        given = {"VFM_SCRIPT": script, "VFM_IMAGE_PYTHON": sys.executable, "VFM_STOP_GRACE": "5", **env}
        return LocalBackend(self.home, PROJECT, given, worker=[sys.executable, str(WORKER)])

    def run_dir(self, run: RunRecord) -> Path:
        """A run's directory."""
        return self.home / "volumes" / run.outputs / "runs" / run.run_id

    def write(self, volume: str, path: str, data: bytes) -> None:
        """See `Bench`."""
        file = self.folder(volume) / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)

    def folder(self, volume: str) -> Path:
        """See `Bench`."""
        return self.home / "volumes" / volume

    def close(self) -> None:
        """End whatever a failed test left running."""
        for path in self.home.glob("volumes/*/runs/*/record.json"):
            with suppress(ValueError, AttributeError, KeyError, TypeError):  # a record may be hostile
                self._end(json.loads(path.read_bytes()).get("identifiers", {}))

    def _end(self, who: dict[str, str]) -> None:
        for pid, started in (("pid", "started"), ("worker_pid", "worker_started")):
            number = int(who.get(pid, 0))
            if number and _started(number) == who[started]:
                with suppress(ProcessLookupError):
                    os.killpg(number, signal.SIGKILL)


def _started(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


class ModalBench:
    """The Modal backend with a home and a cloud of its own."""

    name = "modal"

    def __init__(self, folder: Path) -> None:
        from modal_proto import api_pb2 as pb  # after it

        from tests.modal.cloud import Cloud  # imports Modal's library

        self.home, self.env_file = folder / "home", folder / "project.env"
        self.env_file.write_text("EXPERIMENTER=ann\n")
        self.cloud = Cloud(folder / "cloud")
        # Uploads to volumes of the first version go on file by file, not block by block.
        self.cloud.state.volume_version = pb.VOLUME_FS_VERSION_V2
        self.cloud.start()
        self._before = {name: os.environ.get(name) for name in self.cloud.env}
        os.environ.update(self.cloud.env)

    def backend(self, script: str = "end:done", **env: str) -> ModalBackend:
        """See `Bench`; every backend of a bench has the same home, as another process would."""
        worker = shlex.join([sys.executable, str(WORKER)])
        given = {"VFM_SCRIPT": script, "VFM_IMAGE_PYTHON": sys.executable, "VFM_STOP_GRACE": "5"}
        return ModalBackend(self.home, PROJECT, {**given, "VFM_WORKER": worker, **env}, self.env_file)

    def write(self, volume: str, path: str, data: bytes) -> None:
        """See `Bench`."""
        file = self.folder(volume) / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)

    def folder(self, volume: str) -> Path:
        """See `Bench`."""
        return self.cloud.volumes_dir / volume

    def close(self) -> None:
        """End every container, and let go of the environment."""
        self.cloud.stop()
        for name, value in self._before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


BENCHES: dict[str, Callable[[Path], Bench]] = {"local": LocalBench, "modal": ModalBench}


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalBench]:
    """The local bench."""
    bench = LocalBench(tmp_path)
    yield bench
    bench.close()


@pytest.fixture(params=BENCHES)
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """Every bench in turn."""
    bench = BENCHES[request.param](tmp_path)
    yield bench
    bench.close()


@pytest.fixture
def files(bench: Bench) -> Bench:
    """A volume with a few files."""
    bench.write(VOLUME, "runs/r1/record.json", b"{}")
    bench.write(VOLUME, "runs/r1/logs/stream.log", b"0123456789")
    bench.write(VOLUME, "runs/r1/checkpoints/final/model.safetensors", bytes(range(256)) * 40000)
    return bench


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder of this machine, to be uploaded."""
    folder = tmp_path / "outside" / "data"
    (folder / "deep").mkdir(parents=True)
    (folder / "big.bin").write_bytes(bytes(range(256)) * 40000)
    (folder / "deep" / "[red]x").write_bytes(b"small")
    return folder
