"""The command palette: everything by name, chosen with real keys."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, ClassVar

import pytest
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.command import CommandInput, CommandList
from textual.message import Message
from textual.pilot import Pilot
from textual.widgets import Input

from tests.pilot.conftest import make_run, story
from tests.waiting import until
from tui.app import VfmApp
from tui.client import Client
from tui.screens import palette, requests
from tui.screens.frame import VfmScreen
from tui.screens.palette import Palette
from tui.settings import Settings


class Bench(VfmScreen):
    """A screen with an action that cannot be done now."""

    TITLE = "bench"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("k", "polish", "Polish the lens", id="bench.polish"),
        Binding("down", "lower", "Lower it", id="bench.lower"),
        Binding("x", "never", "Polish never", id="bench.never"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.polished = 0

    def body(self) -> ComposeResult:
        yield Input()

    def action_polish(self) -> None:
        self.polished += 1

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return action != "never"


@pytest.fixture
def app(client: Client, settings: Settings, home: Path) -> VfmApp:
    for name in ("k3f9x-wordle", "k[b]7-wordle"):
        make_run(home, name, story(2, 4))
    return VfmApp(client, settings=settings)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Message]:
    """What is asked of the app, instead of the screens that answer."""
    found: list[Message] = []
    for handler in ("on_run_requested", "on_launch_requested", "on_files_requested", "on_doctor_requested"):
        monkeypatch.setattr(VfmApp, handler, lambda self, message: found.append(message))
    return found


def lines(app: VfmApp) -> list[str]:
    return [str(option.prompt) for option in app.screen.query_one(CommandList).options]


async def search(app: VfmApp, pilot: Pilot[Any], words: str, expected: str) -> None:
    """Type into the palette and wait for a line; it is the first one."""
    app.screen.query_one(CommandInput).value = words
    await until(lambda: bool(lines(app)) and expected in lines(app)[0], expected)


async def test_actions_that_work_now_are_offered_with_their_keys(app: VfmApp) -> None:
    async with app.run_test() as pilot:
        screen = Bench()
        await app.push_screen(screen)
        screen.set_focus(None)
        await pilot.press("ctrl+p")
        await until(lambda: isinstance(app.screen, Palette) and bool(lines(app)), "the list")
        assert lines(app)[0].split() == ["k", "Polish", "the", "lens"]
        assert not [line for line in lines(app) if "never" in line or "Lower" in line]
        await search(app, pilot, "lens", "Polish the lens")
        await pilot.press("enter")
        await until(lambda: screen.polished == 1, "the action")


async def test_a_colon_opens_it_unless_it_is_text(app: VfmApp) -> None:
    async with app.run_test() as pilot:
        screen = Bench()
        await app.push_screen(screen)
        field = screen.query_one(Input)
        field.focus()
        await pilot.press("colon")
        assert field.value == ":"
        screen.set_focus(None)
        await pilot.press("colon")
        assert isinstance(app.screen, Palette)
        await pilot.press("escape")
        assert app.screen.title == "bench"


async def test_a_run_is_opened_by_a_part_of_its_name(app: VfmApp, asked: list[Message]) -> None:
    async with app.run_test() as pilot:
        await until(lambda: len(app.rows) == 2, "the runs")
        await pilot.press("ctrl+p")
        await search(app, pilot, "3f9", "k3f9x-wordle")
        await pilot.press("enter")
        await until(lambda: bool(asked), "the request")
        assert [getattr(message, "run_id", "") for message in asked] == ["k3f9x-wordle"]


async def test_enter_in_a_hurry_takes_what_was_typed(
    app: VfmApp, asked: list[Message], monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, best = threading.Event(), palette._best
    monkeypatch.setattr(palette, "_best", lambda *args: best(*args) if gate.wait(20) else [])
    async with app.run_test() as pilot:
        await until(lambda: len(app.rows) == 2, "the runs")
        await pilot.press("ctrl+p")
        await until(lambda: isinstance(app.screen, Palette) and bool(lines(app)), "the list")
        await pilot.press(*"3f9", "enter")
        assert isinstance(app.screen, Palette)
        assert asked == []
        gate.set()
        await until(lambda: bool(asked), "the request")
        assert [getattr(message, "run_id", "") for message in asked] == ["k3f9x-wordle"]


async def test_names_are_text_never_markup(app: VfmApp) -> None:
    async with app.run_test() as pilot:
        await until(lambda: len(app.rows) == 2, "the runs")
        await pilot.press("ctrl+p")
        await search(app, pilot, "k[b", "k[b]7-wordle")


async def test_a_config_opens_the_form(app: VfmApp, asked: list[Message]) -> None:
    async with app.run_test() as pilot:
        await pilot.press("ctrl+p")
        await search(app, pilot, "smoke.yaml", "local_smoke.yaml")
        await pilot.press("enter")
        await until(lambda: bool(asked), "the request")
        assert isinstance(asked[0], requests.LaunchRequested)
        assert str(asked[0].config).endswith("configs/local_smoke.yaml")


async def test_a_field_opens_the_form_at_it(app: VfmApp, asked: list[Message]) -> None:
    async with app.run_test() as pilot:
        await pilot.press("ctrl+p")
        await search(app, pilot, "training.learning_rate", "training.learning_rate")
        await pilot.press("enter")
        await until(lambda: bool(asked), "the request")
        assert isinstance(asked[0], requests.LaunchRequested)
        assert asked[0].field == "training.learning_rate"


async def test_a_volume_is_opened(app: VfmApp, asked: list[Message]) -> None:
    async with app.run_test() as pilot:
        await pilot.press("ctrl+p")
        await search(app, pilot, "outputs-ann", "verifiers-outputs-ann-tests")
        await pilot.press("enter")
        await until(lambda: bool(asked), "the request")
        assert isinstance(asked[0], requests.FilesRequested)
        assert asked[0].volume == "verifiers-outputs-ann-tests"


async def test_a_theme_is_taken_at_once(app: VfmApp) -> None:
    async with app.run_test() as pilot:
        await pilot.press("ctrl+p")
        await search(app, pilot, "vfm-light", "vfm-light")
        await pilot.press("enter")
        await until(lambda: app.theme == "vfm-light", "the theme")
    assert app.ui_state.get("theme") == "vfm-light"


async def test_settings_are_written_from_the_palette(app: VfmApp, settings: Settings) -> None:
    async with app.run_test() as pilot:
        await pilot.press("ctrl+p")
        await search(app, pilot, "settings.toml", "Write settings.toml")
        await pilot.press("enter")
        await until(lambda: (settings.config_dir / "settings.toml").exists(), "the file")


async def test_a_backend_that_hangs_leaves_the_rest_usable(
    app: VfmApp, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncio

    async def hang() -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(client, "volumes", hang)
    async with app.run_test() as pilot:
        await pilot.press("ctrl+p")
        await search(app, pilot, "learning_rate", "training.learning_rate")
        await pilot.press("escape")
        assert not isinstance(app.screen, Palette)
