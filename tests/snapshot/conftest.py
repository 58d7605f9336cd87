"""A home that looks alike on every machine and every day, and the app over it with its clock stopped."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from textual._context import visible_screen_stack
from textual.app import App
from textual.message import Message
from textual.pilot import Pilot

from remote.contract.events import CheckpointEvent, FailureEvent, MetricsEvent, PhaseEvent, SystemEvent
from tests.pilot.conftest import NOW, ROOT, make_run, story
from tests.waiting import until
from tui.app import VfmApp
from tui.backends.base import VolumeInfo
from tui.backends.local.backend import LocalBackend
from tui.backends.local.volumes import LocalVolumes
from tui.client import Client
from tui.planning.gpu_memory import Machine
from tui.settings import Settings
from tui.user.ui_state import UiState

HINT = {
    "text": "set vllm.max_model_len = 2048",
    "key": "vllm.max_model_len",
    "from": 100000,
    "to": 2048,
}


class DatedVolumes(LocalVolumes):
    """A folder's own age is the day of the test: volumes here are all a day old."""

    async def volumes(self) -> list[VolumeInfo]:
        return [replace(info, created=NOW - 86400) for info in await super().volumes()]


@dataclass
class Stage:
    """Where a picture is taken."""

    client: Client
    settings: Settings

    def app(self, theme: str) -> VfmApp:
        """The app with nothing remembered but its theme."""
        ui_state = UiState()
        ui_state.put("theme", theme)
        return VfmApp(self.client, settings=self.settings, ui_state=ui_state, clock=lambda: NOW)

    def asked(self, message: Message | None, *texts: str, keys: Sequence[str] = ()) -> Callable[..., Any]:
        """What happens before the picture: a request to the app, keys, and the wait for what it shows."""

        async def before(pilot: Pilot[None]) -> None:
            if message is not None:
                await pilot.pause()
                pilot.app.post_message(message)
                await calm(pilot.app, *texts)
            await pilot.press(*keys)
            await calm(pilot.app, *texts)

        return before


def text_of(app: App[Any]) -> str:
    """Everything that is on the screen."""
    visible_screen_stack.set(
        app._background_screens
    )  # else a dialog's surroundings are drawn, and kept, blank
    return "\n".join("".join(part.text for part in line) for line in app.screen._compositor.render_strips())


class Threads:
    """How many calls are away in threads: what they bring is yet to be drawn, however long nothing moves."""

    away = 0

    @classmethod
    async def counted(cls, *call: Any, **named: Any) -> Any:
        """`asyncio.to_thread`, counted."""
        cls.away += 1
        try:
            return await TO_THREAD(*call, **named)
        finally:
            cls.away -= 1


TO_THREAD = asyncio.to_thread
STILL = 0.3
"""Seconds without a change after which a screen is taken for drawn."""


async def calm(app: App[Any], *texts: str) -> None:
    """The texts are on the screen, and for a while nothing has moved and no thread was at work."""
    before, since = "", time.monotonic()

    def unmoved() -> bool:
        nonlocal before, since
        now = text_of(app)
        if now != before or Threads.away or not all(text in now for text in texts):
            before, since = now, time.monotonic()
        return time.monotonic() - since > STILL

    await until(unmoved, str(texts), shows=lambda: text_of(app))


@pytest.fixture(autouse=True)
def same_everywhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """UTC, a machine of 24 GiB without a GPU, and no git: what differs from machine to machine."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr("tui.planning.preview.this_machine", lambda: Machine(24.0, False))
    monkeypatch.setattr(asyncio, "to_thread", Threads.counted)
    Threads.away = 0
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Where nothing has been yet."""
    return tmp_path / "home"


@pytest.fixture
def stage(home: Path) -> Stage:
    """The app's client and settings over that home."""
    settings = Settings(
        project_dir=ROOT, home=home, experimenter="ann", experiment="tests", secrets={"WANDB_API_KEY": "k"}
    )
    backend = LocalBackend(home, ROOT, python=sys.executable)
    backend.volumes = DatedVolumes(home)
    return Stage(Client(settings, {"local": backend}), settings)


@pytest.fixture
def runs(home: Path) -> Iterator[None]:
    """A live run, two that are done, one that failed, one that was cancelled."""
    _done(home, "c4k7m-wordle", 1.0, 3e-6)
    _done(home, "d9x2p-wordle", 0.6, 5e-5)
    _failed(home)
    make_run(
        home, "f1b8q-gsm8k", story(3, 20), status="cancelled", environment="vf_gsm8k", created=NOW - 9000
    )
    live = make_run(home, "a2m5z-wordle", _living(12), status="running", ended=None, exit_code=None)
    with (live / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _date(home)
        yield


def _living(steps: int) -> list[Any]:
    events = story(steps, 32, start=NOW - 160)
    values = {"cpu_percent": 187.0, "memory_gb": 9.5, "memory_total_gb": 25.2, "worker_rss_gb": 3.5}
    samples = [
        SystemEvent(values={**values, "cpu_percent": 150 + 9 * i % 50}, t=NOW - 100 + i * 10)
        for i in range(9)
    ]
    return [*events, *samples]


def _done(home: Path, run_id: str, share: float, rate: float) -> None:
    events = story(20, 20)
    events = [
        replace(
            e,
            values={**e.values, "reward": e.values["reward"] * share, "completions/mean_length": 90 - e.step},
        )
        if isinstance(e, MetricsEvent)
        else e
        for e in events
    ]
    events += [
        CheckpointEvent(step=20, path="checkpoints/checkpoint-20", t=NOW - 70),
        PhaseEvent(phase="train", status="done", t=NOW - 70),
        PhaseEvent(phase="save", status="started", t=NOW - 70),
        PhaseEvent(phase="save", status="done", t=NOW - 65),
    ]
    folder = make_run(home, run_id, events, created=NOW - 7200)
    _specify(folder, {"training.learning_rate": rate, "training.steps": 20})
    _fill(folder)


def _specify(folder: Path, values: dict[str, Any]) -> None:
    path = folder / "spec.json"
    document = json.loads(path.read_text())
    for key, value in values.items():
        section, name = key.split(".")
        document["spec"][section][name] = value
    document["provenance"] = {key: {"layer": "set", "where": f"--set {key}={v}"} for key, v in values.items()}
    path.write_text(json.dumps(document))


def _fill(folder: Path) -> None:
    """Text for the log, episodes, a checkpoint."""
    with (folder / "logs" / "stream.log").open("a") as log:
        log.write("[vllm] (APIServer pid=7) INFO 01-15 07:50:00 [entry.py:140] Starting vLLM server\n")
        log.write("[vllm] (EngineCore pid=8) WARNING 01-15 07:50:01 [core.py:9] a warning\n")
        log.write(
            "[train] step 20/20 reward 1.0\n[train] ERROR: 漢字 and \x1b]0;owned\x07 and \x1b[31mred\x1b[0m\n"
        )
    talk = [{"role": "system", "content": "Answer with one five-letter word."}]
    talk += [{"role": "user", "content": "Starts with C:"}, {"role": "assistant", "content": "crane"}]
    episodes = [
        {
            "step": 20, "task": word, "messages": talk, "reward": 1.0 - i / 4, "advantage": 0.5 - i / 4,
            "rewards": {"solved": 0.0, "real_word": 0.5, "first_letter": 0.5 - i / 4},
        }
        for i, word in enumerate(("crane", "caper", "cocoa"))
    ]  # fmt: skip
    (folder / "rollouts").mkdir()
    (folder / "rollouts" / "step-000020.jsonl").write_text("".join(json.dumps(e) + "\n" for e in episodes))
    (folder / "checkpoints" / "final").mkdir(parents=True)
    (folder / "checkpoints" / "final" / "adapter_config.json").write_text('{"r": 16, "lora_alpha": 32}')


def _failed(home: Path) -> None:
    cause = "ValueError: User-specified max_model_len (100000) is greater than the derived max_model_len"
    failure = FailureEvent(
        boundary="vllm",
        cause=cause,
        message="vLLM did not start: the model takes 2048",
        hint=HINT,
        t=NOW - 61,
    )
    events = [*story(0, 20)[:6], PhaseEvent(phase="vllm", status="failed", t=NOW - 61), failure]
    record = {"status": "failed", "exit_code": 1, "failure": failure.on_record(), "created": NOW - 700}
    make_run(home, "e7h3n-wordle", events, **record)


def _date(home: Path) -> None:
    for path in home.rglob("*"):
        os.utime(path, (NOW - 3600, NOW - 3600))
