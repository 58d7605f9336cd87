"""F1 and the line of keys: what works where you are."""

from __future__ import annotations

from typing import ClassVar

import pytest
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widget import Widget
from textual.widgets import Input, Markdown, Static

from tests.waiting import until
from tui.app import VfmApp
from tui.client import Client
from tui.screens.frame import VfmScreen
from tui.screens.help import HelpScreen
from tui.settings import Settings
from tui.widgets.common.footer import VfmFooter


class Dial(Widget, can_focus=True):
    """A widget with keys of its own."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("plus,ctrl+up", "turn(1)", "Turn up", id="dial.up"),
        Binding("z", "nothing", "Cannot now", id="dial.never"),
    ]
    turned = 0

    def action_turn(self, by: int) -> None:
        self.turned += by

    def action_nothing(self) -> None:
        raise AssertionError("it was not offered")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return None if action == "nothing" else True


class Workshop(VfmScreen):
    """A screen with words, keys, an input and a widget."""

    TITLE = "workshop"
    HELP = "Where things are **made**."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(key, f"make({number})", f"Make number {number}", id=f"workshop.{key}")
        for number, key in enumerate("abcdefgh")
    ]

    def __init__(self) -> None:
        super().__init__()
        self.made: list[int] = []

    def body(self) -> ComposeResult:
        yield Dial()
        yield Input()

    def action_make(self, number: int) -> None:
        self.made.append(number)


@pytest.fixture
def app(client: Client, settings: Settings) -> VfmApp:
    return VfmApp(client, settings=settings)


def words(app: VfmApp) -> str:
    return str(app.screen.query_one("#keys", Static).render())


def bar(app: VfmApp) -> str:
    return str(app.screen.query_one(VfmFooter).render())


async def test_help_has_words_and_every_key_by_place(app: VfmApp) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await app.push_screen(Workshop())
        app.screen.query_one(Dial).focus()
        await pilot.press("f1")
        assert isinstance(app.screen, HelpScreen)
        assert app.screen.query_one(Markdown).source.strip() == "Where things are **made**."
        told = words(app).splitlines()
        places = [line for line in told if line and not line.startswith(" ")]
        assert places[:1] == ["Dial"]
        assert "This screen" in places
        assert places[-1] == "Everywhere"
        assert any(line.split() == ["+", "^↑", "Turn", "up"] for line in told)
        assert any(line.split() == ["a", "Make", "number", "0"] for line in told)
        assert any(line.split() == ["f1", "?", "Help"] for line in told)
        await pilot.press("escape")
        assert app.screen.title == "workshop"


@pytest.mark.parametrize("key", ["f1", "question_mark", "q", "escape"])
async def test_the_same_key_closes_it(app: VfmApp, key: str) -> None:
    async with app.run_test() as pilot:
        await app.push_screen(Workshop())
        await pilot.press("f1")
        assert isinstance(app.screen, HelpScreen)
        await pilot.press(key)
        assert app.screen.title == "workshop"


async def test_a_question_mark_is_text_in_an_input_and_help_elsewhere(app: VfmApp) -> None:
    async with app.run_test() as pilot:
        await app.push_screen(Workshop())
        field = app.screen.query_one(Input)
        field.focus()
        await pilot.press("question_mark")
        assert field.value == "?"
        app.screen.query_one(Dial).focus()
        await pilot.press("question_mark")
        assert isinstance(app.screen, HelpScreen)


async def test_help_fits_a_small_terminal_and_scrolls(app: VfmApp) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await app.push_screen(Workshop())
        await pilot.press("f1")
        box = app.screen.query_one("#help")
        assert box.region.bottom <= 24
        assert box.region.right <= 80
        assert box.max_scroll_y > 0
        await pilot.press("end")
        await until(lambda: box.scroll_y == box.max_scroll_y, "the end of it")


async def test_the_bar_follows_the_focus_and_always_shows_the_way_to_more(app: VfmApp) -> None:
    async with app.run_test(size=(120, 24)) as pilot:
        await app.push_screen(Workshop())
        app.screen.query_one(Dial).focus()
        await pilot.pause()
        assert bar(app).lstrip().startswith("+ Turn up")
        app.screen.query_one(Input).focus()
        await pilot.pause()
        assert "Turn up" not in bar(app)
        assert "Make number" not in bar(app)  # a letter is text in an input
        assert bar(app).endswith("f1 Help  ^p Commands")


async def test_what_does_not_fit_is_left_out_whole(app: VfmApp) -> None:
    async with app.run_test(size=(60, 24)) as pilot:
        await app.push_screen(Workshop())
        app.screen.query_one(Dial).focus()
        await pilot.pause()
        line = bar(app)
        assert len(line) <= 58
        assert "+ Turn up  z Cannot now …" in line
        assert "Make" not in line


async def test_a_click_presses_the_key(app: VfmApp) -> None:
    async with app.run_test(size=(120, 24)) as pilot:
        screen = Workshop()
        await app.push_screen(screen)
        dial = screen.query_one(Dial)
        dial.focus()
        await pilot.pause()
        await pilot.click(VfmFooter, offset=(bar(app).index("Turn up") + 2, 0))
        await pilot.click(VfmFooter, offset=(bar(app).index("Make number 0") + 2, 0))
        await until(lambda: (dial.turned, screen.made) == (1, [0]), "both keys")


async def test_the_title_says_whose_work_this_is(app: VfmApp) -> None:
    async with app.run_test() as pilot:
        await app.push_screen(Workshop())
        await pilot.pause()
        await until(lambda: app.experiment_label == "ann · tests", "the names")
        await until(lambda: "ann · tests" in str(app.screen.query_one("VfmHeader").render()), "the title")
