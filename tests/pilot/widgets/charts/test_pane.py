"""Charts through real keys: which are shown, the cursor over all of them, and how they grow."""

from __future__ import annotations

import math
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from textual.app import ComposeResult
from textual.pilot import Pilot
from textual.widgets import Input, Static

from remote.contract.events import MetricsEvent
from tui.screens.app_base import AppBase
from tui.screens.frame import VfmScreen
from tui.store.charts.series import Metrics
from tui.user.ui_state import UiState
from tui.widgets.charts.chart import Chart
from tui.widgets.charts.pane import ChartsPane
from tui.widgets.charts.run_series import ChartRun

NAMES = ("reward", "eval/total", "loss", "kl", "entropy", "time/step")


def metrics_of(steps: int, scale: float = 1.0) -> Metrics:
    """`steps` steps of every name; the held-out score at the first and every tenth."""
    metrics = Metrics()
    for step in range(1, steps + 1):
        grow(metrics, step, scale)
    return metrics


def grow(metrics: Metrics, step: int, scale: float = 1.0) -> None:
    values = {name: scale * (1 + at) * step / 100 for at, name in enumerate(NAMES) if name != "eval/total"}
    if step == 1 or step % 10 == 0:
        values["eval/total"] = step / 1000
    metrics.add(MetricsEvent(step=step, values=values, t=1000.0 + step))


class ChartScreen(VfmScreen):
    """A screen with nothing but charts."""

    def __init__(self, runs: Sequence[ChartRun], state: dict[str, Any] | None) -> None:
        super().__init__()
        self.pane = ChartsPane(runs)
        self.pane.restore(state or {})

    def body(self) -> ComposeResult:
        """The pane."""
        yield self.pane

    def on_mount(self) -> None:
        """Keys go to the charts."""
        self.pane.focus()


@asynccontextmanager
async def charts(
    *runs: ChartRun, state: dict[str, Any] | None = None, size: tuple[int, int] = (120, 40)
) -> AsyncIterator[tuple[Pilot[None], ChartsPane]]:
    screen = ChartScreen(runs or [ChartRun("k3f9x-wordle", metrics_of(40))], state)
    app = AppBase(ui_state=UiState())
    async with app.run_test(size=size) as pilot:
        await app.push_screen(screen)
        await pilot.pause()
        screen.pane.focus()
        await pilot.pause()
        yield pilot, screen.pane


def names(pane: ChartsPane) -> list[str]:
    return [chart.metric for chart in pane.shown]


def title(pane: ChartsPane, metric: str) -> str:
    """What the first row of a chart says."""
    return rows(pane, metric)[0]


def rows(pane: ChartsPane, metric: str) -> list[str]:
    chart = next(chart for chart in pane.query(Chart) if chart.metric == metric)
    return [strip.text for strip in chart.render_lines(chart.outer_size.region)]


def status(pane: ChartsPane) -> str:
    return str(pane.query_one("#chart-status", Static).content)


async def test_the_reward_comes_first_and_each_chart_tells_its_latest_value() -> None:
    async with charts() as (pilot, pane):
        assert names(pane) == list(NAMES)
        assert pilot.app.focused is pane.shown[0]
        assert re.fullmatch(r"\s*reward\s+0\.4\s*", title(pane, "reward"))
        assert re.fullmatch(r"\s*loss\s+1\.2\s*", title(pane, "loss"))


async def test_without_numbers_it_says_what_will_be_here() -> None:
    metrics = Metrics()
    async with charts(ChartRun("new", metrics)) as (pilot, pane):
        assert str(pane.query_one("#chart-empty", Static).content).startswith("no numbers yet")
        grow(metrics, 1)
        pane.refresh_data()
        await pilot.pause()
        assert names(pane) == list(NAMES)
        assert not pane.query_one("#chart-empty").display


async def test_a_filter_is_typed_live_and_survives() -> None:
    async with charts() as (pilot, pane):
        await pilot.press("slash", *"rew", "|", *"loss")
        assert names(pane) == ["reward", "loss"]
        await pilot.press("enter", "down", "slash")
        assert pane.query_one(Input).value == "rew|loss"
        await pilot.press("enter")
        assert names(pane) == ["reward", "loss"]
        await pilot.press("escape")
        assert len(names(pane)) == len(NAMES)


async def test_a_wrong_pattern_is_told_in_words_and_changes_nothing() -> None:
    async with charts() as (pilot, pane):
        await pilot.press("slash", *"loss", "left_parenthesis")
        said = pane.query_one("#chart-problem", Static)
        assert "not a pattern" in str(said.content)
        assert said.display
        assert names(pane) == ["loss"]
        await pilot.press("backspace")
        assert not said.display


async def test_a_filter_that_nothing_matches_says_so_and_can_be_left() -> None:
    async with charts() as (pilot, pane):
        await pilot.press("slash", *"nothing", "enter")
        assert "no chart is named like nothing" in str(pane.query_one("#chart-empty", Static).content)
        await pilot.press("escape")
        assert len(names(pane)) == len(NAMES)


async def test_one_cursor_over_all_charts() -> None:
    async with charts() as (pilot, pane):
        await pilot.press("left", "left", "h")
        assert "cursor at step 38" in status(pane)
        assert "0.38 @ 38" in title(pane, "reward")
        assert "1.14 @ 38" in title(pane, "loss")
        assert "0.03 @ 30" in title(pane, "eval/total")
        await pilot.press("right")
        assert "@ 39" in title(pane, "kl")
        await pilot.press("shift+left")
        assert "@ 37" in title(pane, "kl")
        await pilot.press("home")
        assert "@ 1" in title(pane, "kl")
        await pilot.press("escape")
        assert "@" not in title(pane, "kl")
        assert "cursor" not in status(pane)


async def test_the_mouse_sets_the_cursor() -> None:
    async with charts() as (pilot, pane):
        chart = pane.shown[0]
        await pilot.hover(chart, offset=(chart.size.width // 2, 4))
        await pilot.pause()
        step = re.search(r"@ (\d+)", title(pane, "loss"))
        assert step is not None
        assert 15 <= int(step.group(1)) <= 26


async def test_smoothing_changes_the_line_and_not_the_value() -> None:
    wild = Metrics(MetricsEvent(step=s, values={"reward": float(s % 2)}, t=float(s)) for s in range(1, 200))
    async with charts(ChartRun("wild", wild)) as (pilot, pane):
        assert "smoothing 0.6" in status(pane)
        before = rows(pane, "reward")
        await pilot.press(*["right_square_bracket"] * 3)
        assert "smoothing 0.95" in status(pane)
        after = rows(pane, "reward")
        assert after[0] == before[0]
        assert after[1:] != before[1:]
        await pilot.press(*["left_square_bracket"] * 9)
        assert "not smoothed" in status(pane)


async def test_a_log_scale_has_powers_of_ten_and_marks_what_it_cannot_show() -> None:
    values = [10.0**-s for s in range(1, 7)] + [0.0]
    metrics = Metrics(MetricsEvent(step=s, values={"kl": v}, t=1.0) for s, v in enumerate(values, 1))
    async with charts(ChartRun("a", metrics)) as (pilot, pane):
        await pilot.press("y")
        shown = "\n".join(rows(pane, "kl"))
        assert "1e-5" in shown
        assert "× 1 not above 0" in shown
        await pilot.press("y")
        assert "not above" not in "\n".join(rows(pane, "kl"))


async def test_what_is_no_number_is_shown_as_such() -> None:
    values = [1.0, math.nan, 2.0, math.inf, 3.0]
    metrics = Metrics(MetricsEvent(step=s, values={"loss": v}, t=1.0) for s, v in enumerate(values, 1))
    async with charts(ChartRun("a", metrics)) as (_, pane):
        shown = rows(pane, "loss")
        assert "× 2 NaN or infinite" in shown[0]
        assert "\n".join(shown[1:]).count("×") == 2


async def test_zooming_and_panning() -> None:
    async with charts() as (pilot, pane):
        await pilot.press("plus")
        assert "steps 21 to 40" in status(pane)
        await pilot.press("comma")
        assert "steps 16 to 35" in status(pane)
        await pilot.press("minus")
        assert "steps" not in status(pane)
        await pilot.press("plus", "plus", "0")
        assert "steps" not in status(pane)


async def test_a_chart_is_enlarged_and_small_again() -> None:
    async with charts() as (pilot, pane):
        await pilot.press("down", "enter")
        await pilot.pause()
        assert names(pane) == ["loss"]
        assert pane.shown[0].size.height > 30
        await pilot.press("down")
        await pilot.pause()
        assert names(pane) == ["kl"]
        await pilot.press("escape")
        await pilot.pause()
        assert len(names(pane)) == len(NAMES)
        assert pilot.app.focused is pane.shown[3]


async def test_columns_follow_the_width() -> None:
    for width, columns in ((80, 1), (110, 2), (200, 3)):
        async with charts(size=(width, 40)) as (_, pane):
            tops = [chart.region.y for chart in pane.shown]
            assert tops.count(tops[0]) == columns


async def test_only_charts_that_grew_are_drawn_again() -> None:
    metrics = metrics_of(40)
    async with charts(ChartRun("a", metrics), size=(200, 60)) as (_pilot, pane):
        drawn: list[str] = []
        for chart in pane.query(Chart):
            chart.refresh = lambda *_, _name=chart.metric, **__: drawn.append(_name)  # type: ignore[method-assign, assignment]
        metrics.series["loss"].put(41, 7.0)
        pane.refresh_data()
        assert drawn == ["loss"]


async def test_what_grows_is_shown() -> None:
    metrics = metrics_of(40)
    async with charts(ChartRun("a", metrics)) as (pilot, pane):
        grow(metrics, 90)
        pane.refresh_data()
        await pilot.pause()
        assert "0.9" in title(pane, "reward")
        assert rows(pane, "reward")[-1].split() == ["25", "50", "75"]


async def test_what_is_remembered_comes_back() -> None:
    async with charts() as (pilot, pane):
        await pilot.press("slash", *"kl", "enter", "y", "right_square_bracket", "plus", "g")
        state = pane.state()
    async with charts(state=state) as (_, pane):
        assert names(pane) == ["kl"]
        assert pane.state() == state
    async with charts(state={"filter": "(", "smoothing": "much", "zoom": [3], "columns": -1, "one": 5}) as (
        _,
        pane,
    ):
        assert len(names(pane)) == len(NAMES)


async def test_several_runs_have_letters_and_a_legend() -> None:
    runs = [ChartRun("first", metrics_of(40)), ChartRun("second", metrics_of(30, 2.0))]
    async with charts(*runs) as (_, pane):
        assert re.search(r"A ━+ first\s+B ╍+ second", str(pane.query_one("#chart-legend", Static).content))
        shown = rows(pane, "reward")
        assert re.search(r"A 0\.4\s+B 0\.6", shown[0])
        ends = [row.rstrip()[-1:] for row in shown[1:-2]]
        assert "A" in ends
        assert any("B" in row for row in shown[1:-2])


async def test_a_run_that_is_taken_out_leaves_the_others_their_letters() -> None:
    first, second = ChartRun("first", metrics_of(40), 0), ChartRun("second", metrics_of(30, 2.0), 1)
    async with charts(first, second) as (pilot, pane):
        pane.set_runs([second])
        await pilot.pause()
        assert re.search(r"reward\s+B 0\.6\s*$", title(pane, "reward"))


async def test_names_from_a_run_are_shown_and_not_obeyed() -> None:
    metrics = Metrics([MetricsEvent(step=1, values={"[red]\x1b]0;x\x07": 1.0}, t=1.0)])
    async with charts(ChartRun("[b]a\x1b[2J", metrics), ChartRun("b", Metrics())) as (pilot, pane):
        assert "[red]\\x1b" in rows(pane, "[red]\x1b]0;x\x07")[0]
        assert "\x1b" not in pilot.app.export_screenshot()


async def test_escape_without_anything_to_leave_is_the_screens() -> None:
    async with charts() as (pilot, _):
        screen = pilot.app.screen
        await pilot.press("escape")
        assert pilot.app.screen is not screen
