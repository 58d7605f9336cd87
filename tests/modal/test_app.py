"""The app with runs on Modal, by real keys: whole stories with every fault of the cloud in them.

Nothing hangs, nothing is lost, and every failure is shown with what to do about it.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from remote.contract import layout
from remote.contract.record import RunRecord
from tests.backends.conftest import PROJECT, LocalBench, ModalBench, request
from tests.modal.cloud.faults import Faults
from tests.waiting import until
from tui.app import VfmApp
from tui.backends.base import Backend
from tui.backends.modal.runs import app_logs, calls, watch
from tui.client import Client
from tui.screens import requests
from tui.screens.dialogs import AskPath, Confirm
from tui.screens.launch import LaunchScreen
from tui.screens.run import RunScreen
from tui.screens.runs import RunsScreen
from tui.screens.volumes import VolumesScreen
from tui.settings import Settings
from tui.user.ui_state import UiState
from tui.widgets.files.pane import FilesPane
from tui.widgets.logs.pane import LogPane
from tui.widgets.runs.failure_panel import FailurePanel

CONFIG = "configs/local_smoke.yaml"
WIDE, NARROW = (120, 40), (80, 24)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[ModalBench]:
    """A cloud, and a backend over it."""
    bench = ModalBench(tmp_path)
    yield bench
    bench.close()


class Desk:
    """Sessions of the app, one after another, with the same home and cloud."""

    def __init__(self, bench: ModalBench, folder: Path) -> None:
        self.bench, self.folder = bench, folder
        self.local = LocalBench(folder)
        self.faults = bench.cloud.faults

    @asynccontextmanager
    async def session(
        self, script: str = "end:done", size: tuple[int, int] = WIDE, **options: Any
    ) -> AsyncIterator[Shown]:
        """The app, whose runs follow the script."""
        names = frozenset({"EXPERIMENTER"})
        settings = Settings(
            project_dir=PROJECT, home=self.bench.home, experimenter="ann", experiment="tests",
            env_file=self.bench.env_file, env_file_exists=True, env_file_names=names,
        )  # fmt: skip
        backends: dict[str, Backend] = {
            "local": self.local.backend("lines:1 end:done"),
            "modal": self.bench.backend(script),
        }
        ui_state = UiState(self.bench.home / "app")
        app = VfmApp(Client(settings, backends), settings=settings, ui_state=ui_state, **options)
        async with app.run_test(size=size) as pilot:
            yield Shown(app, pilot, self)

    def there(self, run: RunRecord) -> bytes:
        """A run's output, in its volume."""
        path = self.bench.cloud.volumes_dir / run.outputs / layout.run_path(run.run_id)
        return (path / layout.STREAM).read_bytes()

    @property
    def finished(self) -> bool:
        """Whether the cloud has no unfinished inputs."""
        return all(not call.unfinished for call in self.bench.cloud.calls.values())


class Shown:
    """A session: the screen, and a user's keys."""

    def __init__(self, app: VfmApp, pilot: Pilot[None], desk: Desk) -> None:
        self.app, self.pilot, self.desk = app, pilot, desk
        self.press = pilot.press

    @property
    def picture(self) -> str:
        """Everything on the screen, as text."""
        strips = self.app.screen._compositor.render_strips()
        return "\n".join(strip.text for strip in strips)

    @property
    def words(self) -> str:
        """The screen's text in one line, so that wrapped text is found."""
        return " ".join(self.picture.split())

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for a condition; fails with a picture of the screen."""
        await until(condition, what, shows=lambda: self.picture)
        await self.pilot.pause()

    async def sees(self, *words: str) -> None:
        """Wait until all of these texts are on the screen."""
        await self.until(lambda: all(word in self.words for word in words), str(words))

    async def on(self, kind: type[Any]) -> Any:
        """Wait for a screen."""
        await self.until(lambda: isinstance(self.app.screen, kind), kind.__name__)
        return self.app.screen

    async def launch(self, **spec: Any) -> RunRecord:
        """Launch a run on Modal and open its screen."""
        client = await self.app.connect()
        run = await client.backend("modal").launch(request(**spec))
        await self.open(run)
        return run

    async def open(self, run: RunRecord) -> None:
        """Open a run's screen."""
        self.app.post_message(requests.RunRequested(run.run_id))
        await self.on(RunScreen)
        await self.sees("1 logs")

    def no_trouble(self) -> bool:
        """Whether no fault keeps Modal from answering."""
        return "! modal" not in self.words

    @property
    def log(self) -> list[str]:
        """Every line that the log pane can be scrolled to."""
        rows = self.app.screen.query_one(LogPane).view.rows
        return [line.text for line in rows.read(0, len(rows))]

    async def ends(self, status: str) -> RunRecord:
        """Wait until the watched run is over; returns its record."""
        screen = self.app.screen
        assert isinstance(screen, RunScreen)
        live = screen._live
        assert live is not None
        await self.until(lambda: live.over, "the end")
        await self.sees(status)
        return live.record


@pytest.fixture
def desk(bench: ModalBench, tmp_path: Path) -> Iterator[Desk]:
    """Sessions over the cloud; local runs of theirs are ended."""
    desk = Desk(bench, tmp_path)
    yield desk
    desk.local.close()


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the deadlines: a dead connection is noticed within a second."""
    for name in ("STREAM", "OUTCOME"):
        monkeypatch.setattr(watch, name, 0.5)
    for module in (app_logs, calls):
        monkeypatch.setattr(module, "CALL_SECONDS", 1.0)


async def test_from_the_form_to_the_files_with_every_line_once(
    desk: Desk, tmp_path: Path, hasty: None
) -> None:
    faults, gates = desk.faults, [tmp_path / name for name in ("more", "last", "end")]
    faults.build_lines, faults.build_delay = ["Collecting torch", "Installed 212 packages"], 0.05
    script = f"lines:300 steps:3 wait:{gates[0]} lines:200 wait:{gates[1]} lines:100 wait:{gates[2]} end:done"
    async with desk.session(script) as shown:
        shown.app.post_message(requests.LaunchRequested(CONFIG, backend="modal"))
        await shown.on(LaunchScreen)
        await shown.sees("Train vf_wordle on modal", "an hour", "budget: none")
        await shown.press("ctrl+l")
        await shown.on(Confirm)
        await shown.sees("Launch this run on modal?", "A100-40GB", "$2.73 an hour, at most $")
        await shown.press("y")
        await shown.on(RunScreen)
        await shown.sees("Collecting torch", "● image", "● running")
        await shown.sees("● running waiting for a machine")
        await shown.sees("3/3", "reward 0.3", "est. $")
        faults.reset()
        gates[0].touch()
        await shown.until(lambda: "[train] line 199" in shown.log[-4:], "lines after the reset")
        run = shown.app.screen._live.record  # type: ignore[attr-defined]
        await shown.press("ctrl+q")
    faults.build_delay = 0.0
    async with desk.session(run=run.run_id[:6], size=NARROW) as shown:
        await shown.on(RunScreen)
        await shown.sees("3/3", "[train] line 199")
        faults.network = "stall"
        gates[1].touch()
        await shown.sees("! cannot reach Modal", "still trying")
        faults.silent_end = True
        gates[2].touch()
        await shown.until(lambda: desk.finished, "the run's end")
        faults.network = "open"
        assert (await shown.ends("✓ done")).exit_code == 0
        assert "cannot reach" not in shown.words
        numbers = [line.split()[-1] for line in shown.log if line.startswith("[train] line")]
        assert numbers == [str(n) for count in (300, 200, 100) for n in range(count)]
        assert desk.bench.backend().log_path(run).read_bytes() == desk.there(run)
        await files_of(shown, run, tmp_path / "out")


async def files_of(shown: Shown, run: RunRecord, out: Path) -> None:
    """Look at the run's files and download one, from a slow volume that truncates blocks."""
    faults, path = shown.desk.faults, f"{layout.run_path(run.run_id)}/{layout.STREAM}"
    faults.block_delay, faults.truncate_blocks = 0.2, 1
    shown.app.post_message(requests.FilesRequested("modal", run.outputs, path))
    screen = await shown.on(VolumesScreen)
    await shown.until(
        lambda: (
            bool(screen.query(FilesPane))
            and (row := screen.query_one(FilesPane).files.row) is not None
            and row.entry.path == path
        ),
        "the file",
    )
    await shown.press("enter")
    await shown.sees("[image]")
    await shown.press("escape")
    faults.truncate_blocks = 2
    await shown.press("d")
    await shown.on(AskPath)
    shown.app.screen.query_one(Input).value = str(out)
    await shown.press("enter")
    there = out / Path(path).name
    await shown.until(lambda: there.exists() and there.read_bytes() == shown.desk.there(run), "the download")
    await shown.sees("✓")
    assert faults.truncate_blocks == 0


async def test_without_modal_the_rows_are_there_and_this_machine_goes_on(desk: Desk, tmp_path: Path) -> None:
    async with desk.session("lines:3 steps:2 end:done") as shown:
        run = await shown.launch()
        await shown.ends("✓ done")
        await shown.press("escape")
        await shown.on(RunsScreen)
        await shown.sees(run.run_id, "✓ 1 done", "0.2")
        await shown.press("ctrl+q")
    sayings = {
        "refuse": ("cannot reach Modal", "is this machine online?"),
        "wrong token": ("not signed in to Modal", "modal setup"),
        "stall": ("cannot reach Modal", "is this machine online?"),
    }
    for fault, said in sayings.items():
        desk.faults.wrong_token = fault == "wrong token"
        desk.faults.network = fault if fault in ("refuse", "stall") else "open"  # type: ignore[assignment]
        async with desk.session(size=NARROW) as shown:
            began = time.monotonic()
            assert run.run_id in shown.picture  # in the first frame
            here = await (await shown.app.connect()).backend("local").launch(request())
            if fault == "refuse":
                await refused(shown)
            await shown.sees("! modal", *said)
            assert time.monotonic() - began < 12  # eight for the answer, the rest for this machine
            await shown.sees(run.run_id, here.run_id, "✓ done")
            await shown.open(run)
            await shown.sees("✓ done", "[train] line 2", "2/2")
            if fault == "refuse":
                desk.faults.network = "open"
                await shown.press("escape")
                await shown.until(shown.no_trouble, "that it answers again")
    desk.faults.network = "open"


async def refused(shown: Shown) -> None:
    """Try to launch while Modal cannot be reached."""
    shown.app.post_message(requests.LaunchRequested(CONFIG, backend="modal"))
    form = await shown.on(LaunchScreen)
    await shown.until(lambda: form.is_settled, "the plan")
    await shown.press("ctrl+l")
    await shown.on(Confirm)
    await shown.press("y")
    await shown.sees("✗ cannot reach Modal", "is this machine online?")
    await shown.press("escape")
    await shown.on(RunsScreen)


Fault = Callable[[Faults], None]
DEATHS: dict[str, tuple[Fault, tuple[str, ...]]] = {
    "crash": (Faults.crash, ("✗ worker", "its container was lost", "→ go on from its newest checkpoint")),
    "exit": (Faults.exit, ("✗ worker", "ended with code 3 without saying why", "→ its log says more")),
    "memory": (
        Faults.out_of_memory,
        ("ran out of memory (modal.memory = 32768 MiB)", "→ give it more", "modal.memory", "65536"),
    ),
    "timeout": (
        Faults.time_out,
        ("took longer than modal.timeout = 14400 s", "→ allow more time", "modal.timeout", "28800"),
    ),
}


async def test_every_death_says_what_happened_and_what_to_do(desk: Desk, tmp_path: Path) -> None:
    async with desk.session(f"lines:2 wait:{tmp_path / 'never'} end:done") as shown:
        desk.faults.build_failure = "ERROR: No matching distribution found for torch==9"
        await shown.launch()
        await shown.ends("✗ failed")
        await shown.sees("✗ image", "Modal could not build the image", "run_modal.py", "No matching")
        assert not shown.app.screen.query_one(FailurePanel).has_class("-hidden")
        await shown.press("escape")
        desk.faults.build_failure = ""
        for name, (fault, said) in DEATHS.items():
            await shown.launch(modal={"retries": 0})
            await shown.sees("[train] line 1")
            fault(desk.faults)
            record = await shown.ends("✗ failed")
            await shown.sees(*said, "show it in the log")
            assert shown.log.count("[train] line 0") == shown.log.count("[train] line 1") == 1, name
            assert record.exit_code == {"exit": 3, "memory": 137}.get(name, record.exit_code)
            if name == "memory":
                await shown.press("p")
                form = await shown.on(LaunchScreen)
                await shown.until(partial(is_read, form), "the form")
                assert form.draft.typed["modal.memory"].text == "65536"
                await shown.press("escape")
                await shown.on(RunScreen)
            await shown.press("escape")
        await shown.on(RunsScreen)
        await shown.sees("✗ 5 failed")


async def test_another_attempt_is_told_of_and_runs_are_stopped_at_any_stage(
    desk: Desk, tmp_path: Path
) -> None:
    script = f"polite: lines:2 steps:2 wait:{tmp_path / 'never'} end:done"
    async with desk.session(script) as shown:
        desk.faults.build_lines, desk.faults.build_delay = ["Collecting torch"] * 200, 0.5
        building = await shown.launch()
        await shown.sees("Collecting torch")
        await stop(shown)
        await shown.ends("■ cancelled")
        assert b"Collecting torch" in desk.there(building)
        await shown.press("escape")
        desk.faults.build_delay = 0.0  # Modal goes on with it for whoever asks next
        run = await shown.launch()
        await shown.sees("2/2", "[train] line 1")
        desk.faults.preempt()
        await shown.sees("attempt 2", "● running")
        await shown.until(lambda: shown.log.count("[train] line 1") == 2, "the second attempt's lines")
        await stop(shown)
        record = await shown.ends("■ cancelled")
        assert [attempt.why for attempt in record.attempts][-1] == "cancelled"
        assert desk.bench.backend().log_path(run).read_bytes() == desk.there(run)
        assert "[worker] saved" in shown.log
        await shown.press("escape")
        await shown.sees("■ 2 cancelled")


def is_read(form: LaunchScreen) -> bool:
    """Whether the form has a config in it."""
    return form.draft is not None


async def stop(shown: Shown) -> None:
    """Stop the run that is on the screen."""
    await shown.press("c")
    await shown.on(Confirm)
    await shown.sees("What is trained so far is saved")
    await shown.press("y")
    await shown.on(RunScreen)
