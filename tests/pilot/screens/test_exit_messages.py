"""Leaving: runs go on and it is said so; news of runs meanwhile; errors that nobody foresaw."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.drivers.headless_driver import HeadlessDriver
from textual.message import Message
from textual.pilot import Pilot
from textual.widget import Widget

from remote.contract.errors import ConfigError
from tests.backends.conftest import LocalBench, request
from tests.cli.terminal import Terminal
from tests.pilot.conftest import ROOT
from tests.waiting import until
from tui.app import VfmApp
from tui.client import Client
from tui.screens import requests
from tui.screens.exit_messages import broken_transfers_message, live_runs_message
from tui.screens.frame import VfmScreen
from tui.services.transfers import Direction, Job
from tui.settings import Settings
from tui.store.runs.row import RunRow


def test_the_exit_message_names_the_runs_that_go_on() -> None:
    done, one, two = (
        RunRow("k1", status="done"),
        RunRow("k2", status="running"),
        RunRow("k3", status="pending"),
    )
    again = "vfm-tui or vfm logs RUN --follow joins"
    assert live_runs_message([done]) == ""
    assert live_runs_message([done, one]) == f"1 run goes on: k2 · {again} it again"
    assert live_runs_message([one, done, two]) == f"2 runs go on: k2, k3 · {again} them again"
    many = [RunRow(f"k{number}", status="running") for number in range(5)]
    assert live_runs_message(many).startswith("5 runs go on: k0, k1, k2 and 2 more ·")


def test_the_exit_message_names_the_transfers_that_ended_with_the_app() -> None:
    def job(name: str, direction: Direction = "download") -> Job:
        return Job(direction, "local", "volume", f"runs/{name}", Path(name))

    one, up = job("weights"), job("data", "upload")
    assert broken_transfers_message([]) == ""
    assert broken_transfers_message([one]) == (
        "1 download was interrupted: weights · start it again, and it goes on from there"
    )
    assert broken_transfers_message([one, up]) == (
        "2 transfers were interrupted: weights, data · start them again, and they go on from there"
    )
    many = [job(f"d{number}") for number in range(5)]
    assert broken_transfers_message(many).startswith("5 downloads were interrupted: d0, d1, d2 and 2 more ·")


async def test_quitting_says_which_transfers_were_interrupted(
    home: Path,
    client: Client,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    reached, broken_off = asyncio.Event(), asyncio.Event()

    async def hangs(*_: Any, **__: Any) -> None:
        reached.set()
        try:
            await asyncio.Event().wait()
        finally:
            broken_off.set()

    monkeypatch.setattr(client, "get", hangs)
    app = VfmApp(client, settings=settings)
    app.driver_class = HeadlessDriver

    async def leave_in_mid_download(_: Pilot[Any]) -> None:
        (await app.transfers()).start_download("local", "v", "runs/k1\x1b[2J", tmp_path)
        await reached.wait()
        app.exit()

    # Without a terminal the driver and the app make up different sizes, and resize one another for ever.
    await app.run_async(size=(80, 24), auto_pilot=leave_in_mid_download)
    assert broken_off.is_set()
    assert "1 download was interrupted: k1\\x1b[2J · start it again" in capsys.readouterr().out


def toasts(app: VfmApp) -> list[str]:
    return [toast.message for toast in app._notifications]


class Elsewhere(VfmScreen):
    """A screen that is not the runs'."""

    TITLE = "elsewhere"


def live(bench: LocalBench, settings: Settings, script: str) -> Client:
    return Client(settings, {"local": bench.backend(script)})


@pytest.mark.parametrize(
    ("ending", "words", "severity"), [("end:done", "✓ done", "information"), ("exit:3", "✗ failed", "error")]
)
async def test_the_end_of_a_run_is_told_on_another_screen(
    bench: LocalBench, settings: Settings, tmp_path: Path, ending: str, words: str, severity: str
) -> None:
    go = tmp_path / "go"
    client = live(bench, settings, f"steps:2 wait:{go} {ending}")
    run = await client.backend("local").launch(request())
    app = VfmApp(client, settings=settings)
    async with app.run_test() as pilot:
        await until(lambda: any(row.status == "running" for row in app.rows), "the run in the list")
        await app.push_screen(Elsewhere())
        go.touch()
        await until(lambda: any(run.run_id in text for text in toasts(app)), "the news")
        told = next(toast for toast in app._notifications if run.run_id in toast.message)
        assert (told.message, told.severity) == (f"{run.run_id} {words}", severity)
        await pilot.press("escape")
        assert isinstance(app.rows[0], RunRow)


async def test_news_that_comes_while_the_app_closes_is_nobodys(
    bench: LocalBench, settings: Settings, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    client = live(bench, settings, f"steps:2 wait:{go} end:done")
    await client.backend("local").launch(request())
    app = VfmApp(client, settings=settings)
    async with app.run_test():
        await until(lambda: any(row.status == "running" for row in app.rows), "the run in the list")
    ended = [replace(row, status="done") for row in app.rows]
    app.on_runs_listed(requests.RunsListed(ended))  # as the last listing does, when no screen is left
    assert app.rows == ended
    go.touch()


class Breaks(Widget, can_focus=True):
    """A widget whose handler breaks."""

    class Asked(Message):
        """Break now."""

    def on_breaks_asked(self) -> None:
        raise KeyError("in a widget")


class Fragile(VfmScreen):
    """A screen that breaks in every way."""

    TITLE = "fragile"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "break", "Break", id="fragile.break"),
        Binding("w", "work", "Break in a worker", id="fragile.work"),
        Binding("e", "err", "A user's mistake in a worker", id="fragile.err"),
    ]

    def body(self) -> ComposeResult:
        yield Breaks()

    def action_break(self) -> None:
        raise ValueError("in an action")

    def action_work(self) -> None:
        async def work() -> None:
            raise LookupError("in a worker")

        self.run_worker(work(), description="look it up", exit_on_error=False)

    def action_err(self) -> None:
        async def work() -> None:
            raise ConfigError("a user's mistake")

        self.run_worker(work(), exit_on_error=False)


async def test_the_app_survives_what_nobody_foresaw(client: Client, settings: Settings) -> None:
    app = VfmApp(client, settings=settings)
    async with app.run_test() as pilot:
        app.survives_headless = True
        await app.push_screen(Fragile())
        await pilot.press("a", "a", "w", "e")
        app.screen.query_one(Breaks).post_message(Breaks.Asked())
        await until(lambda: len(toasts(app)) >= 3, "three toasts")
        await pilot.press("escape")
        assert app.screen.title == "runs"
        told = "\n".join(toasts(app))
    assert app.crash is None
    assert "ValueError: in an action" in told
    assert "(look it up): LookupError: in a worker" in told
    assert "KeyError: 'in a widget'" in told
    assert "a user's mistake" not in told
    report = settings.home / "app" / "crash.txt"
    assert str(report) in told
    text = report.read_text()
    assert text.count("ValueError: in an action") == 1
    assert "test_exit_messages.py" in text


async def test_tests_see_an_error_that_nobody_foresaw(client: Client, settings: Settings) -> None:
    app = VfmApp(client, settings=settings)

    async def run() -> None:
        async with app.run_test() as pilot:
            await app.push_screen(Fragile())
            await pilot.press("a")

    with pytest.raises(ValueError, match="in an action"):
        await run()


def app_in(home: Path) -> Terminal:
    """The real program in a terminal."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    more = {"VFM_HOME": str(home), "VFM_CONFIG_DIR": str(home / "config"), "VFM_PROJECT": str(ROOT)}
    return Terminal([sys.executable, "-m", "tui"], ROOT, {**kept, **more})


def farewell_of(terminal: Terminal) -> bytes:
    """What is said after the terminal has been given back."""
    assert terminal.wait_end() == 0
    return terminal.written.rpartition(b"\x1b[?1049l")[2]


@pytest.fixture
def terminals() -> Iterator[list[Terminal]]:
    """Programs that are ended, whatever a test does."""
    started: list[Terminal] = []
    yield started
    for terminal in started:
        terminal.close()


async def test_quitting_says_which_runs_go_on(
    bench: LocalBench, tmp_path: Path, terminals: list[Terminal]
) -> None:
    run = await bench.backend(f"wait:{tmp_path / 'go'} end:done").launch(request())
    terminals.append(terminal := app_in(bench.home))
    terminal.wait_for(run.run_id.encode())
    terminal.type(b"\x11")
    said = farewell_of(terminal)
    assert f"1 run goes on: {run.run_id} · vfm-tui or vfm logs RUN --follow joins it again".encode() in said
    (tmp_path / "go").touch()


def test_quitting_with_nothing_under_way_says_nothing(home: Path, terminals: list[Terminal]) -> None:
    terminals.append(terminal := app_in(home))
    terminal.wait_for(b"runs")
    terminal.type(b"\x11")
    assert b"goes on" not in farewell_of(terminal)
