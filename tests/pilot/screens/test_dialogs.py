"""Questions over a screen: which keys answer, what is named, and that nothing typed or shown is obeyed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from textual.app import App, ComposeResult
from textual.pilot import Pilot
from textual.widgets import Button, Input, OptionList, Static

from tests.waiting import until
from tui.screens.dialogs import AskPath, AskText, Confirm, ConfirmStop, Dialog
from tui.widgets.common.path_input import Role

NOTHING = object()


class Asker(App[None]):
    """An app that asks one question."""

    def __init__(self, dialog: Dialog[Any]) -> None:
        super().__init__()
        self.dialog, self.answer = dialog, NOTHING

    def compose(self) -> ComposeResult:
        yield Static("beneath")

    def on_mount(self) -> None:
        self.push_screen(self.dialog, self._answered)

    def _answered(self, answer: Any) -> None:
        self.answer = answer


def text_of(app: App[None], selector: str) -> str:
    return str(app.screen.query_one(selector, Static).render())


@pytest.mark.parametrize(
    ("keys", "answer"),
    [
        (["y"], True),
        (["n"], False),
        (["escape"], False),
        (["enter"], False),
        (["tab", "enter"], True),
        (["right", "enter"], True),
        (["right", "left", "enter"], False),
    ],
)
async def test_keys_that_answer_yes_or_no(keys: list[str], answer: bool) -> None:
    app = Asker(Confirm("Delete it?", ["a"], yes="Delete"))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press(*keys)
        await until(lambda: app.answer is not NOTHING, "an answer")
        assert app.answer is answer


async def test_no_has_the_focus_and_the_mouse_answers() -> None:
    app = Asker(Confirm("Delete it?", ["a"], yes="Delete"))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert app.focused is app.screen.query_one("#no")
        await pilot.click("#yes")
        assert app.answer is True


async def test_a_long_list_is_cut_and_counted_and_fits_the_smallest_screen() -> None:
    what = [f"run-{n} \x1b]0;owned\x07[red]x[/]" for n in range(14)]
    app = Asker(Confirm("Delete " + "x" * 300 + "?", what))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        shown = text_of(app, "#what").splitlines()
        assert shown[-1] == "… and 4 more"
        assert len(shown) == 11
        assert shown[0] == "run-0 \\x1b]0;owned\\x07[red]x[/]"
        for button in app.screen.query(Button):
            assert app.screen.region.contains_region(button.region)


async def test_text_is_given_back_and_an_empty_line_is_no_answer() -> None:
    app = Asker(AskText("Name?", "one"))
    async with app.run_test() as pilot:
        await pilot.press(*["backspace"] * 3, "enter")
        assert app.answer is NOTHING
        await pilot.press("t", "w", "o", "enter")
        assert app.answer == "two"


async def test_escape_from_a_line_of_text_is_no_answer() -> None:
    app = Asker(AskText("Name?", "one"))
    async with app.run_test() as pilot:
        await pilot.press("escape")
        assert app.answer is None


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Folders and a file to complete."""
    for name in ("runs-one", "runs-two", "other", "[red]x", ".hidden"):
        (tmp_path / name).mkdir()
    (tmp_path / "runs-file").write_text("")
    return tmp_path


async def typed(pilot: Pilot[None], text: str) -> Input:
    asked = pilot.app.screen.query_one(Input)
    asked.value = text
    asked.cursor_position = len(text)
    await pilot.press("tab")
    await pilot.app.workers.wait_for_complete()
    await pilot.pause()
    return asked


async def test_tab_completes_folders_as_far_as_there_is_one_way(folders: Path) -> None:
    app = Asker(AskPath("Where?", "x"))
    async with app.run_test() as pilot:
        asked = await typed(pilot, f"{folders}/ot")
        assert asked.value == f"{folders}/other/"
        asked = await typed(pilot, f"{folders}/r")
        assert asked.value == f"{folders}/runs-"
        offers = app.screen.query_one(OptionList)
        assert [option.id for option in offers.options] == [f"{folders}/runs-one/", f"{folders}/runs-two/"]
        await pilot.press("down", "down", "enter")
        assert asked.value == f"{folders}/runs-two/"
        assert asked.has_focus
        await pilot.press("enter")
        assert app.answer == str(folders / "runs-two")


async def test_files_are_offered_where_they_are_wanted(folders: Path) -> None:
    app = Asker(AskPath("What?", "x", role="from"))
    async with app.run_test() as pilot:
        assert (await typed(pilot, f"{folders}/runs-f")).value == f"{folders}/runs-file"
        assert (await typed(pilot, f"{folders}/.h")).value == f"{folders}/.hidden/"
        await typed(pilot, f"{folders}/")
        names = [str(option.id) for option in app.screen.query_one(OptionList).options]
        assert f"{folders}/[red]x/" in names
        assert not any(".hidden" in name for name in names)


@pytest.mark.parametrize(
    ("role", "of_a_file", "of_nothing", "of_a_folder"),
    [
        ("into", "a file: name a folder", "it will be created", "an empty folder"),
        ("from", "a file", "no such file or folder", "an empty folder"),
        ("save", "you are asked before", "it will be created", "an empty folder: name a file"),
    ],
)
async def test_what_is_at_a_path_is_said_and_what_becomes_of_it(
    folders: Path, role: Role, of_a_file: str, of_nothing: str, of_a_folder: str
) -> None:
    app = Asker(AskPath("Where?", str(folders / "other"), role=role))
    async with app.run_test() as pilot:
        for path, said in (
            ("other", of_a_folder),
            ("", "a folder with 6 things"),
            ("runs-file", of_a_file),
            ("none", of_nothing),
            ("runs-file/x", of_nothing),
        ):
            app.screen.query_one(Input).value = f"{folders}/{path}"

            def told(said: str = said) -> bool:
                return said in text_of(app, "#note")

            await until(told, said)
        app.screen.query_one(Input).value = "x" * 300
        await until(lambda: "File name too long" in text_of(app, "#note"), "what is wrong")
        await pilot.pause()


async def test_a_tilde_is_the_home_folder(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folders))
    app = Asker(AskPath("Where?", "~/ot"))
    async with app.run_test() as pilot:
        assert (await typed(pilot, "~/ot")).value == "~/other/"
        await pilot.press("enter")
        assert app.answer == str(folders / "other")


async def test_a_tab_that_completes_nothing_goes_on_to_the_buttons(folders: Path) -> None:
    app = Asker(AskPath("Where?", f"{folders}/none"))
    async with app.run_test() as pilot:
        await typed(pilot, f"{folders}/none")
        assert isinstance(app.focused, Button)


@pytest.mark.parametrize(("how", "now"), [("y", False), ("k", True), ("click", True)])
async def test_a_run_that_hangs_may_be_stopped_at_once(how: str, now: bool) -> None:
    question = ConfirmStop("Stop it?", ["k3f9x"])
    async with Asker(question).run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await (pilot.click("#now") if how == "click" else pilot.press(how))
        await pilot.pause()
        app = pilot.app
        assert isinstance(app, Asker)
        assert (app.answer, question.now) == (True, now)
