"""A download that is killed half way and started again, and what a whole one costs.

100 MiB in one file beside 500 small ones, in a local volume. Measured against `cp -r` and
`shutil.copytree`, which neither verify nor resume. Run with the light client's Python:
`.venv/bin/python -m benchmarks.download`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from benchmarks.common import machine, spread

VOLUME, RUN = "verifiers-outputs-bench-download", "runs/one"
BIG = 100 * 2**20
SMALL = 500
ROUNDS = 7
_COPY = """
import asyncio, sys
from pathlib import Path
from tui.backends.local.volumes import LocalVolumes
home, volume, path, dest = sys.argv[1:]
def told(transfer): print(transfer.done, flush=True)
done = asyncio.run(LocalVolumes(Path(home)).download(volume, path, Path(dest), told))
print("fetched", done.fetched, len(done.skipped), flush=True)
"""


def main() -> None:
    """Print what was fetched again after the kill, and medians of whole copies."""
    from tui.backends.copy_files import CHUNK

    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        home, out = Path(folder) / "home", Path(folder) / "out"
        source = _fill(home / "volumes" / VOLUME / RUN)
        again, kept = _killed_and_restarted(home, out)
        assert _digests(out / "one") == _digests(source), "what arrived is not what was there"
        met = "met" if again <= CHUNK else "NOT met"
        print(
            f"killed with {kept / 2**20:.0f} MiB there and restarted: SHA-256 of all files as in the volume"
        )
        print(f"fetched again: at most {again / CHUNK:.2f} blocks of {CHUNK // 2**20} MiB (budget 1: {met})")
        print(f"restarted when all was there: {_restarted(home, out)}")
        _compare(home, source, Path(folder))


def _fill(run: Path) -> Path:
    """A run with a big checkpoint between many small files."""
    (run / "checkpoints").mkdir(parents=True)
    (run / "rollouts").mkdir()
    (run / "checkpoints" / "model.safetensors").write_bytes(os.urandom(BIG))
    for number in range(SMALL):
        (run / "rollouts" / f"step-{number:06d}.jsonl").write_bytes(os.urandom(2000 + number))
    return run


def _start(home: Path, out: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _COPY, str(home), VOLUME, RUN, str(out)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _killed_and_restarted(home: Path, out: Path) -> tuple[int, int]:
    """Bytes that two attempts asked for beyond what there is, at most; and bytes on disk after the kill."""
    from tui.backends.copy_files import CHUNK

    child = _start(home, out)
    assert child.stdout is not None
    told = 0
    for line in child.stdout:
        told = int(line)
        if told >= BIG // 2 and child.poll() is None:
            child.send_signal(signal.SIGKILL)
            break
    told = max([told, *map(int, child.stdout)])
    child.wait()
    kept, total = _bytes(out), _bytes(home / "volumes" / VOLUME / RUN)
    fetched, _ = _finish(_start(home, out))
    # After what it told of last, the first attempt had asked for one more block.
    return told + CHUNK + fetched - total, kept


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _finish(child: subprocess.Popen[str]) -> tuple[int, int]:
    assert child.stdout is not None
    last = child.stdout.read().splitlines()[-1].split()
    assert child.wait() == 0
    return int(last[1]), int(last[2])


def _restarted(home: Path, out: Path) -> str:
    fetched, skipped = _finish(_start(home, out))
    return f"{fetched} bytes fetched, {skipped} of {SMALL + 1} files found identical"


def _compare(home: Path, source: Path, folder: Path) -> None:
    """Whole copies, one after the other in turn."""
    import asyncio

    from tui.backends.local.volumes import LocalVolumes

    volumes = LocalVolumes(home)
    ways: dict[str, Callable[[Path], object]] = {
        "download (verified)": lambda to: asyncio.run(volumes.download(VOLUME, RUN, to)),
        "shutil.copytree": lambda to: shutil.copytree(source, to / "one"),
        "cp -r": lambda to: subprocess.run(["cp", "-r", str(source), str(to)], check=True),
        "copytree, then sha256": lambda to: _digests(Path(shutil.copytree(source, to / "one"))),
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, copy in ways.items():
            taken[name].append(_seconds(copy, folder / "whole"))
    for name, times in taken.items():
        print(f"{name}: {spread(times)}")
    ours = median(taken["download (verified)"])
    for name in list(ways)[1:]:
        print(f"download / {name}: {ours / median(taken[name]):.2f}")


def _seconds(copy: Callable[[Path], object], to: Path) -> float:
    to.mkdir()
    os.sync()
    began = time.perf_counter()
    copy(to)
    took = time.perf_counter() - began
    shutil.rmtree(to)
    return took


def _digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


if __name__ == "__main__":
    main()
