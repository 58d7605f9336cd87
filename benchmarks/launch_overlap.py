"""Launch to the first training step, against the same phases one after another.

Both ways are the real worker on `configs/local_demo.yaml`: as it is, and with everything that it does at the
same time done in turn. Each measurement is a process of its own, alternating; the model is made beforehand.
Run with the image's Python: `make bench-launch`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.common import PROJECT, machine, spread, verdict
from remote.contract import layout
from remote.contract.record import LaunchRequest
from remote.output.emitter import Emitter
from remote.output.run_dir import RunDir
from remote.workers.training import Training

ROUNDS = 3


class InTurn:
    """An executor that does what it is given at once."""

    def submit(self, work: Callable[..., Any], *args: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(work(*args))
        return done

    def shutdown(self, **_: Any) -> None: ...


class OneAfterAnother(Training):
    """The worker with nothing overlapping."""

    def __init__(self, request: LaunchRequest, emitter: Emitter) -> None:
        super().__init__(request, emitter)
        self._pool = InTurn()  # type: ignore[assignment]

    def _start_server(self, model: Any, fixed: Any = None) -> Any:
        server = super()._start_server(model, fixed)
        server.wait_ready()
        return server


def request(folder: Path) -> LaunchRequest:
    """A run of one step with nothing scored before it, its environment not installed yet."""
    import yaml

    data = yaml.safe_load((PROJECT / "configs" / "local_demo.yaml").read_text())
    data["training"] |= {"steps": 1, "eval_examples": 0, "save_steps": 1000}
    names = {"experimenter": "bench", "experiment": "launch", "outputs": "o", "cache": "c"}
    return LaunchRequest.model_validate(
        {
            "run_id": folder.name,
            "spec": data,
            "model": data["model"]["base_model"],
            "environment": "vf_wordle",
            "run_dir": str(folder / "run"),
            "cache_dir": str(folder / "cache"),
            "project_dir": str(PROJECT),
            **names,
        }
    )


def to_first_step(way: str, models: Path) -> float:
    """Seconds from the start of the worker's process to its first training step."""
    with tempfile.TemporaryDirectory() as name:
        asked = request(Path(name))
        run_dir = RunDir(Path(asked.run_dir))
        run_dir.write_record(run_dir.create(asked).moved("running"))
        (Path(name) / "cache").mkdir()
        (Path(name) / "cache" / "models").symlink_to(models, target_is_directory=True)
        began = time.time()
        command = [sys.executable, "-m", "benchmarks.launch_overlap", way, str(run_dir.path / layout.REQUEST)]
        subprocess.run(command, check=True, cwd=PROJECT, stdout=subprocess.DEVNULL)
        events = [json.loads(line) for line in (run_dir.path / layout.EVENTS).read_text().splitlines()]
        return float(next(e["t"] for e in events if e["type"] == "progress" and e["what"] == "steps") - began)


def work(way: str, path: str) -> None:
    """What the measured process does."""
    from remote import worker
    from remote.workers import training

    if way == "in-turn":
        training.Training = OneAfterAnother  # type: ignore[misc]
    code = worker.main([path])
    os._exit(code)


def main() -> None:
    """Alternate both ways and print medians."""
    from remote.models.load import prepare_model

    if len(sys.argv) > 1:
        work(*sys.argv[1:])
    cache = Path(tempfile.gettempdir()) / "vfm-bench"
    prepare_model("builtin/smollm2-135m", cache, lambda line: print(line, file=sys.stderr))
    taken: dict[str, list[float]] = {"overlapping": [], "in-turn": []}
    for _ in range(ROUNDS):
        for way, times in taken.items():
            times.append(to_first_step(way, cache / "models"))
            print(f"{way}: {times[-1]:.1f} s", file=sys.stderr)
    print(machine())
    for way, times in taken.items():
        print(f"{way}: {spread(times)}")
    print(verdict("overlapping / in turn", median(taken["overlapping"]) / median(taken["in-turn"]), 0.75))


if __name__ == "__main__":
    main()
