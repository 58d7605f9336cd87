"""A home with runs on disk, as the worker leaves them, and a client over it.

`make_run` writes a run directory by hand, for states that a real run would take long to reach; runs that
must live and move are launched through `LocalBackend` with `tests/backends/scripted_worker.py`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from remote.contract.errors import BackendError, Hint
from remote.contract.events import (
    CheckpointEvent,
    EndEvent,
    Event,
    MetricsEvent,
    PhaseEvent,
    ProgressEvent,
    encode_line,
)
from remote.contract.record import RunRecord
from remote.contract.spec import ExperimentSpec
from remote.output.run_dir import RunDir
from tests.backends.conftest import LocalBench
from tui.backends.base import Backend, Damaged, Volumes
from tui.backends.local.backend import LocalBackend
from tui.client import Client
from tui.settings import Settings

ROOT = Path(__file__).parents[2]
NOW = 1_800_000_000.0
"""When tests with a frozen clock take place (Unix seconds)."""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty `VFM_HOME`."""
    return tmp_path / "home"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[LocalBench]:
    """Scripted live runs in the same home; ends whatever a test leaves running."""
    bench = LocalBench(tmp_path)
    yield bench
    bench.close()


@pytest.fixture
def settings(home: Path) -> Settings:
    """Settings of that home, with this checkout as the project."""
    return Settings(project_dir=ROOT, home=home, experimenter="ann", experiment="tests")


@pytest.fixture
def client(home: Path, settings: Settings) -> Client:
    """A client over the local backend of that home."""
    return Client(settings, {"local": LocalBackend(home, ROOT, python=sys.executable)})


def story(steps: int, total: int, *, start: float = NOW - 600) -> list[Event]:
    """The events of a training so far: phases, a count of steps, and numbers for each of them."""
    events: list[Event] = [
        PhaseEvent(phase="image", status="started", t=start),
        PhaseEvent(phase="image", status="done", detail="reused", t=start + 0.1),
        PhaseEvent(phase="prepare", status="started", t=start + 0.2),
        PhaseEvent(phase="prepare", status="done", t=start + 10),
        PhaseEvent(phase="vllm", status="started", t=start + 10),
        PhaseEvent(phase="vllm", status="started", detail="loading weights", t=start + 15),
        PhaseEvent(phase="vllm", status="done", detail="loading weights", t=start + 20),
        PhaseEvent(phase="vllm", status="done", t=start + 30),
        PhaseEvent(phase="train", status="started", t=start + 30),
    ]
    for step in range(1, steps + 1):
        t = start + 30 + step * 10
        values = {"reward": step / total, "loss": 1 / step, "kl": 0.01 * step}
        events += [
            MetricsEvent(step=step, values=values, t=t),
            ProgressEvent(done=step, total=total, what="steps", t=t),
        ]
    return events


def make_run(home: Path, run_id: str, events: Sequence[Event] = (), **record: Any) -> Path:
    """Write a run's directory, and return it. `record` overrides fields of its record."""
    fields: dict[str, Any] = {
        "kind": "train",
        "backend": "local",
        "status": "done",
        "exit_code": 0,
        "created": NOW - 600,
        "started": NOW - 600,
        "ended": NOW - 60,
        "experimenter": "ann",
        "experiment": "tests",
        "environment": "vf_wordle",
        "model": "builtin/tiny-random",
        "outputs": "verifiers-outputs-ann-tests",
        **record,
    }
    made = RunRecord(run_id=run_id, **fields)
    run_dir = home / "volumes" / made.outputs / "runs" / run_id
    (run_dir / "logs").mkdir(parents=True)
    RunDir(run_dir).write_record(made)
    for event in events:
        if isinstance(event, CheckpointEvent):
            (run_dir / event.path).mkdir(parents=True, exist_ok=True)
    (run_dir / "spec.json").write_text(json.dumps({"spec": ExperimentSpec().model_dump(mode="json")}))
    last = [EndEvent(status=made.status, exit_code=made.exit_code or 0, t=NOW - 60)] if made.ended else []
    lines = [encode_line(_numbered(event, seq)) for seq, event in enumerate([*events, *last])]
    (run_dir / "logs" / "stream.log").write_text("".join(f"{line}\n" for line in lines))
    (run_dir / "events.jsonl").write_text("".join(f"{line[1:]}\n" for line in lines))
    return run_dir


class SilentBackend:
    """A backend that answers nothing for as long as the test lasts, unless it is let go."""

    name = "modal"

    def __init__(self, records: Sequence[RunRecord] = ()) -> None:
        self.volumes: Volumes = cast(Volumes, self)
        self.asked = 0
        """Questions so far."""
        self.let_go = asyncio.Event()
        """Set, it answers with its records."""
        self._records = list(records)
        self.notices: list[str] = []
        self.damaged: list[Damaged] = []

    async def fetch_prices(self) -> None:
        """See `Backend`: it has none."""

    async def runs(self) -> list[RunRecord]:
        """See `Backend`."""
        await self._question()
        return self._records

    def log_path(self, run: RunRecord) -> Path:
        """See `Backend`: nothing was brought here."""
        return Path("nothing", run.run_id)

    def trouble(self, run: RunRecord) -> str:
        """See `Backend`."""
        return ""

    async def remembered(self, run_id: str) -> RunRecord | None:
        """See `Backend`: it knows nothing that it has not been asked."""
        return None

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """Every other question of a backend, or of its volumes."""
        if name not in {*vars(Backend), *vars(Volumes)}:
            raise AttributeError(name)
        return self._stream if name in ("follow", "watch") else self._question

    async def _question(self, *_: Any, **__: Any) -> Any:
        self.asked += 1
        await self.let_go.wait()
        return []

    async def _stream(self, *_: Any, **__: Any) -> AsyncIterator[Any]:
        for item in await self._question():
            yield item


class SignedOutBackend(SilentBackend):
    """A backend that refuses everything, as Modal does without a token."""

    async def _question(self, *_: Any, **__: Any) -> Any:
        self.asked += 1
        raise BackendError("not signed in to Modal", hint=Hint("sign in: modal setup"))


def _numbered(event: Event, seq: int) -> Event:
    from dataclasses import replace

    return replace(event, seq=seq)
