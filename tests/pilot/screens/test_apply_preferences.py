"""`settings.toml` at work in the app: what it sets, and how its mistakes are told."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest
from textual.binding import Binding, BindingType
from textual.widgets import Input

from tests.waiting import until
from tui.app import VfmApp
from tui.client import Client
from tui.screens.frame import VfmScreen
from tui.settings import Settings
from tui.text.format import PLAIN_SIGNS, STATUS_SIGNS
from tui.user.preferences import Preferences


class Deck(VfmScreen):
    """A screen with two keys."""

    TITLE = "deck"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("o", "note('open')", "Open", id="deck.open"),
        Binding("n", "note('new')", "New", id="deck.new"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.noted: list[str] = []

    def action_note(self, word: str) -> None:
        self.noted.append(word)


def write(settings: Settings, text: str) -> None:
    settings.config_dir.mkdir(parents=True, exist_ok=True)
    (settings.config_dir / "settings.toml").write_text(text)


def toasts(app: VfmApp) -> list[str]:
    return [toast.message for toast in app._notifications]


async def test_keys_and_theme_are_the_users(client: Client, settings: Settings) -> None:
    write(settings, 'theme = "vfm-light"\n[keys]\n"deck.open" = "ctrl+o,a"\n')
    app, deck = VfmApp(client, settings=settings), Deck()
    async with app.run_test() as pilot:
        assert app.theme == "vfm-light"
        await app.push_screen(deck)
        await pilot.press("o", "a", "ctrl+o", "n")
    assert deck.noted == ["open", "open", "new"]


async def test_the_theme_in_the_file_beats_the_remembered_one(client: Client, settings: Settings) -> None:
    app = VfmApp(client, settings=settings)
    async with app.run_test():
        app.theme = "nord"
    again = VfmApp(client, settings=settings)
    async with again.run_test():
        assert again.theme == "nord"
    write(settings, 'theme = "vfm-light"\n')
    third = VfmApp(client, settings=settings)
    async with third.run_test():
        assert third.theme == "vfm-light"
    (settings.config_dir / "settings.toml").unlink()
    fourth = VfmApp(client, settings=settings)
    async with fourth.run_test():
        assert fourth.theme == "nord"  # what the file asked for went with it


@pytest.mark.parametrize("names", [("app.quit",), ("app.help", "app.palette"), ("deck.open",)])
async def test_a_letter_that_is_bound_is_typed_where_somebody_types(
    client: Client, settings: Settings, names: tuple[str, ...]
) -> None:
    write(
        settings,
        "[keys]\n"
        + "".join(
            f'"{name}" = "ctrl+f{at + 5},{key}"\n'
            for at, (name, key) in enumerate(zip(names, "qz", strict=False))
        ),
    )
    app, deck = VfmApp(client, settings=settings), Deck()
    async with app.run_test() as pilot:
        await app.push_screen(deck)
        line = Input()
        await deck.mount(line)
        line.focus()
        await pilot.press(*"wordleqz")
        assert (line.value, app.screen, app.is_running) == ("wordleqz", deck, True)


async def test_taking_another_theme_than_the_files_is_said_to_be_for_now(
    client: Client, settings: Settings
) -> None:
    write(settings, 'theme = "vfm-light"\n')
    app = VfmApp(client, settings=settings)
    async with app.run_test() as pilot:
        await pilot.pause()
        assert toasts(app) == []
        app.theme = "nord"
        await until(lambda: bool(toasts(app)), "a word on it")
        assert toasts(app) == ["settings.toml names vfm-light: it is used again from the next start on"]


async def test_a_remembered_theme_that_is_gone_is_no_crash(client: Client, settings: Settings) -> None:
    app = VfmApp(client, settings=settings)
    app.ui_state.put("theme", "of-yesterday")
    async with app.run_test():
        assert app.theme == "vfm-dark"


async def test_mistakes_are_told_and_the_rest_applies(client: Client, settings: Settings) -> None:
    write(settings, 'theme = "vfm-lihgt"\ncolour = 1\n[keys]\n"scren.back" = "b"\n"screen.back" = "ctrl+b"\n')
    app, deck = VfmApp(client, settings=settings), Deck()
    async with app.run_test() as pilot:
        await app.push_screen(deck)
        await pilot.press("ctrl+b")
        assert app.screen is not deck
        await until(lambda: len(toasts(app)) >= 3, "three toasts")
        told = "\n".join(toasts(app))
    assert "settings.toml:2: there is no setting 'colour'" in told
    assert "settings.toml:4: there is no key binding 'scren.back' · did you mean screen.back?" in told
    assert "settings.toml:1: there is no theme 'vfm-lihgt' · did you mean vfm-light?" in told


async def test_a_file_without_mistakes_is_not_talked_about(client: Client, settings: Settings) -> None:
    write(settings, 'theme = "nord"\n[keys]\n"app.quit" = "ctrl+q"\n')
    app = VfmApp(client, settings=settings)
    async with app.run_test() as pilot:
        await pilot.pause()
        await until(lambda: not [w for w in app.workers if w.group == "actions"], "the reading to be over")
        assert toasts(app) == []


async def test_one_key_for_two_things_is_told(client: Client, settings: Settings) -> None:
    write(settings, '[keys]\n"screen.back" = "ctrl+q"\n')
    app = VfmApp(client, settings=settings)
    async with app.run_test():
        await until(lambda: bool(toasts(app)), "a toast")
        assert toasts(app) == [
            "settings.toml:2: ctrl+q is now both “Back” (screen.back) and “Quit” (app.quit)"
            " · only one of them gets it"
        ]


class Nameless(Deck):
    """A screen with a key that nobody can change."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("x", "note('nameless')", "Nameless")]


async def test_a_key_taken_from_a_binding_without_a_name_is_told_once(
    client: Client, settings: Settings
) -> None:
    write(settings, '[keys]\n"deck.new" = "x"\n')
    app, deck = VfmApp(client, settings=settings), Nameless()
    async with app.run_test() as pilot:
        await app.push_screen(deck)
        await pilot.press("x", "x")
        told = [toast for toast in toasts(app) if "lost it" in toast]
    assert deck.noted == ["new", "new"]
    assert told == ["settings.toml gives x to something else: “Nameless” lost it"]


async def test_plain_signs(client: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for status, sign in STATUS_SIGNS.items():
        monkeypatch.setitem(STATUS_SIGNS, status, sign)  # restored after the test
    write(settings, "plain_signs = true\n")
    async with VfmApp(client, settings=settings).run_test():
        assert STATUS_SIGNS == PLAIN_SIGNS
    assert all(sign.isascii() for sign in PLAIN_SIGNS.values())


async def test_the_written_file_changes_nothing_and_names_every_key(
    client: Client, settings: Settings
) -> None:
    app = VfmApp(client, settings=settings)
    path = app.app_preferences.write()
    assert path == settings.config_dir / "settings.toml"
    read = Preferences.read(settings.config_dir)
    assert (read.keys, read.theme, read.mistakes) == ({}, None, ())
    assert '# "app.quit" = "ctrl+q"' in path.read_text()
    # With every line taken up it says what already holds, without a mistake.
    (settings.config_dir / "settings.toml").write_text(_taken_up(path.read_text()))
    read = Preferences.read(settings.config_dir)
    assert read.mistakes == ()
    assert read.keys["screen.back"] == "escape"


def test_a_file_that_is_there_is_never_written_over(client: Client, settings: Settings) -> None:
    write(settings, 'theme = "nord"\n')
    path = VfmApp(client, settings=settings).app_preferences.write()
    assert path.name == "settings.example.toml"
    assert (settings.config_dir / "settings.toml").read_text() == 'theme = "nord"\n'
    assert '\ntheme = "nord"\n' in path.read_text()


def test_downloads_go_where_the_file_says(client: Client, settings: Settings) -> None:
    app = VfmApp(client, settings=settings)
    assert app.download_dir == "downloads"
    app.ui_state.put("download_dir", "last")
    assert app.download_dir == "last"
    write(settings, f'download_dir = "{Path("/elsewhere")}"\n')
    assert VfmApp(client, settings=settings).download_dir == "/elsewhere"


def _taken_up(text: str) -> str:
    lines = (line.removeprefix("# ") if " = " in line else line for line in text.splitlines())
    return "\n".join(lines)
