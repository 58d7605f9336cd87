"""What every list with a cursor does: it moves, stays in sight, is clicked, and can be read in each theme."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import pytest
from rich.segment import Segment
from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.color import Color
from textual.geometry import Size
from textual.strip import Strip

from tui.themes import DARK, LIGHT, legible
from tui.widgets.common.row_list import RowList, moving

HEIGHT = 6
"""A header and five rows."""


class Numbers(RowList):
    """Twenty numbers, quietly, under a header; writes down what happens to it."""

    BINDINGS: ClassVar[list[BindingType]] = moving("numbers", "number")

    def __init__(self) -> None:
        super().__init__()
        self.virtual_size = Size(0, self.count + self.HEADER)
        self.heard: list[object] = []
        self.painted: set[int] = set()

    @property
    def count(self) -> int:
        return 20

    def draw_row(self, at: int, width: int) -> Sequence[Segment]:
        return [Segment(str(at), self.look("quiet")), Segment("x", self.look("unheard of"))]

    def draw_header(self, width: int) -> Sequence[Segment]:
        return [Segment("head")]

    def arrived(self, moved: bool) -> None:
        self.heard.append((self.cursor, moved))

    def clicked(self, x: int, twice: bool) -> None:
        self.heard.append((x, twice))

    def header_clicked(self, x: int) -> None:
        self.heard.append(x)

    def render_line(self, y: int) -> Strip:
        self.painted.add(y)
        return super().render_line(y)


class Alone(App[None]):
    """The list and nothing else."""

    def get_css_variables(self) -> dict[str, str]:
        return legible(super().get_css_variables())

    def compose(self) -> ComposeResult:
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        yield Numbers()

    @property
    def rows(self) -> Numbers:
        return self.query_one(Numbers)

    @property
    def text(self) -> list[str]:
        return [self.rows.render_line(y).text.rstrip() for y in range(self.rows.size.height)]


async def test_keys_move_the_cursor_and_it_stays_in_sight() -> None:
    app = Alone()
    async with app.run_test(size=(20, HEIGHT)) as pilot:
        await pilot.press("j", "down", "k", "up", "up")
        assert app.rows.heard == [(1, True), (2, True), (1, True), (0, True), (0, False)]
        await pilot.press("pagedown", "pagedown")
        assert (app.rows.cursor, app.text) == (8, ["head", "4x", "5x", "6x", "7x", "8x"])
        await pilot.press("ctrl+b", "up")
        assert (app.rows.cursor, app.text[1]) == (3, "3x")
        await pilot.press("end", "down")
        assert (app.rows.cursor, app.text[-1]) == (19, "19x")
        await pilot.press("g")
        assert (app.rows.cursor, app.text[1]) == (0, "0x")


async def test_a_key_brings_a_cursor_that_was_scrolled_away_back() -> None:
    app = Alone()
    async with app.run_test(size=(20, HEIGHT)) as pilot:
        app.rows.scroll_to(y=10, animate=False, immediate=True)
        await pilot.press("up")
        assert app.text[1] == "0x"


async def test_a_smaller_terminal_still_shows_the_cursor() -> None:
    app = Alone()
    async with app.run_test(size=(20, 15)) as pilot:
        await pilot.press(*["down"] * 12)
        await pilot.resize_terminal(20, HEIGHT)
        await pilot.pause()
        assert app.text == ["head", "8x", "9x", "10x", "11x", "12x"]
        await pilot.resize_terminal(20, 1)
        await pilot.press("down")
        await pilot.resize_terminal(20, HEIGHT)
        await pilot.pause()
        assert "13x" in app.text


async def test_moving_repaints_two_lines() -> None:
    app = Alone()
    async with app.run_test(size=(20, HEIGHT)) as pilot:
        app.rows.painted.clear()
        await pilot.press("down")
        await pilot.pause()
        assert app.rows.painted == {1, 2}


async def test_clicks_go_to_a_row_or_to_the_header() -> None:
    app = Alone()
    async with app.run_test(size=(20, 30)) as pilot:
        await pilot.click(Numbers, offset=(5, 0))
        await pilot.click(Numbers, offset=(3, 4))
        await pilot.double_click(Numbers, offset=(2, 2))
        await pilot.click(Numbers, offset=(3, 25))  # below the last row
        once = [(3, True), (3, False)]
        twice = [(1, True), (2, False), (1, False), (2, True)]
        assert app.rows.heard == [5, *once, *twice]


@pytest.mark.parametrize("theme", [DARK.name, LIGHT.name])
async def test_quiet_text_can_be_read(theme: str) -> None:
    app = Alone()
    async with app.run_test(size=(20, HEIGHT)) as pilot:
        app.theme = theme
        await pilot.pause()
        for y in (1, 2):  # under the cursor, and not
            style = next(iter(app.rows.render_line(y))).style
            assert style is not None
            assert style.color is not None
            assert style.bgcolor is not None
            front, ground = Color.from_rich_color(style.color), Color.from_rich_color(style.bgcolor)
            assert abs(front.brightness - ground.brightness) > 0.3


async def test_the_line_under_the_cursor_has_one_colour_where_the_terminal_chooses() -> None:
    app = Alone()
    async with app.run_test(size=(20, HEIGHT)) as pilot:
        app.theme = "ansi-dark"
        app.rows.focus()
        await pilot.pause()
        on, off = app.rows.render_line(1), app.rows.render_line(2)
        assert all(segment.style and segment.style.reverse for segment in on)
        assert len({segment.style.color for segment in on if segment.style}) == 1
        assert not any(segment.style and segment.style.reverse for segment in off)
