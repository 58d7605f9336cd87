"""The runs table by itself: what moves, and what is painted when."""

from __future__ import annotations

from dataclasses import replace

from textual.app import App, ComposeResult
from textual.events import MouseScrollDown, MouseScrollUp
from textual.pilot import Pilot
from textual.strip import Strip

from tui.store.runs.filter import parse_filter
from tui.store.runs.row import RunRow
from tui.widgets.runs.table import RunTable

NOW = 1_000_000.0
HEIGHT = 11
"""A header and ten lines."""


class Counting(RunTable):
    """Writes down which lines are painted."""

    painted: set[int]

    def render_line(self, y: int) -> Strip:
        self.painted = getattr(self, "painted", set()) | {y}
        return super().render_line(y)


class Alone(App[None]):
    """A table and nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = NOW

    def compose(self) -> ComposeResult:
        yield Counting(lambda: self.clock)

    @property
    def table(self) -> Counting:
        return self.query_one(Counting)

    @property
    def here(self) -> str:
        """The run under the cursor."""
        assert self.table.row is not None
        return self.table.row.run_id


def made(count: int) -> list[RunRow]:
    """Done runs, the newest first."""
    return [
        RunRow(
            f"r{n:04d}", status="done", created=NOW - 3600 - n, started=NOW - 3600 - n, ended=NOW - 3000 - n
        )
        for n in range(count)
    ]


async def painted_by(pilot: Pilot[None], table: Counting) -> set[int]:
    """The lines that were painted since."""
    await pilot.pause()
    found, table.painted = table.painted, set()
    return found


async def test_keys_move_the_cursor_and_the_view() -> None:
    app = Alone()
    async with app.run_test(size=(120, HEIGHT)) as pilot:
        app.table.show(made(100))
        await pilot.press("j", "down", "k")
        assert app.here == "r0001"
        await pilot.press("pagedown")
        assert app.here == "r0010"
        assert app.table.scroll_offset.y == 1
        await pilot.press("end")
        assert (app.here, app.table.scroll_offset.y) == ("r0099", 90)
        await pilot.press("pageup", "up")
        assert app.here == "r0089"
        await pilot.press("G", "j", "home")
        assert (app.here, app.table.scroll_offset.y) == ("r0000", 0)
        await pilot.press("k")
        assert app.here == "r0000"


async def test_the_wheel_moves_the_view_and_the_cursor_stays_in_it() -> None:
    app = Alone()
    async with app.run_test(size=(120, HEIGHT)) as pilot:
        app.table.show(made(100))
        await pilot.pause()

        def wheel(kind: type[MouseScrollDown] | type[MouseScrollUp]) -> None:
            app.table.post_message(kind(app.table, 5, 5, 0, 0, 0, False, False, False))

        for _ in range(4):
            wheel(MouseScrollDown)
        await pilot.pause()
        assert (app.table.scroll_offset.y, app.here) == (12, "r0012")
        wheel(MouseScrollUp)
        await pilot.pause()
        assert (app.table.scroll_offset.y, app.here) == (9, "r0012")


async def test_news_of_one_run_repaints_its_line_alone() -> None:
    app = Alone()
    async with app.run_test(size=(120, HEIGHT)) as pilot:
        rows = made(100)
        app.table.show(rows)
        assert await painted_by(pilot, app.table) == set(range(HEIGHT))
        app.table.show(list(rows))
        assert await painted_by(pilot, app.table) == set()
        rows[3] = replace(rows[3], reward=0.5)
        app.table.show(rows)
        assert await painted_by(pilot, app.table) == {4}
        rows[50] = replace(rows[50], reward=0.5)
        app.table.show(rows)
        assert await painted_by(pilot, app.table) == set()


async def test_time_repaints_only_where_it_shows() -> None:
    app = Alone()
    async with app.run_test(size=(120, HEIGHT)) as pilot:
        young = RunRow("young", status="running", created=NOW - 5, started=NOW - 4)
        app.table.show([young, *made(20)])
        await painted_by(pilot, app.table)
        app.table.tick()
        assert await painted_by(pilot, app.table) == set()
        app.clock += 1
        app.table.tick()
        assert await painted_by(pilot, app.table) == {1}


async def test_new_runs_above_leave_the_reader_where_he_is() -> None:
    app = Alone()
    async with app.run_test(size=(120, HEIGHT)) as pilot:
        app.table.show(made(100))
        await pilot.press(*["pagedown"] * 4, *["up"] * 4)
        here, line = app.here, app.table.cursor - app.table.scroll_offset.y
        app.table.show([RunRow("new1", created=NOW), RunRow("new2", created=NOW), *made(100)])
        await pilot.pause()
        assert (app.here, app.table.cursor - app.table.scroll_offset.y) == (here, line)


async def test_a_run_that_goes_leaves_the_cursor_on_its_neighbour_and_takes_its_mark() -> None:
    app = Alone()
    async with app.run_test(size=(120, HEIGHT)) as pilot:
        rows = made(5)
        app.table.show(rows)
        await pilot.press("end", "m", "up", "m")
        assert len(app.table.marked) == 2
        app.table.show(rows[:4])
        assert [row.run_id for row in app.table.marked] == ["r0003"]
        app.table.show(rows[:2])
        assert (app.here, app.table.marked) == ("r0001", [])
        app.table.show([])
        assert (app.table.row, app.table.marked) == (None, [])
        await pilot.press("j", "enter", "m", "M", "s", "S", "end", "pageup")
        assert app.table.row is None


async def test_the_cursor_is_seen_where_the_terminal_chooses_the_colours() -> None:
    app = Alone()
    async with app.run_test(size=(120, HEIGHT)) as pilot:
        app.table.show([RunRow("a", status="running"), RunRow("b", status="running")])
        app.theme = "ansi-dark"
        app.table.focus()
        await pilot.pause()
        on, off = app.table.render_line(1), app.table.render_line(2)
        assert all(segment.style and segment.style.reverse for segment in on)
        assert len({segment.style.color for segment in on if segment.style}) == 1
        assert not any(segment.style and segment.style.reverse for segment in off)


async def test_no_room_is_no_failure() -> None:
    app = Alone()
    async with app.run_test(size=(120, HEIGHT)) as pilot:
        app.table.show(made(100))
        for size in ((10, 3), (1, 1), (200, 60), (80, 24)):
            await pilot.resize_terminal(*size)
            await pilot.press("down", "end", "home", "s")
        app.table.filter_by(parse_filter("r0042"))
        assert app.here == "r0042"
