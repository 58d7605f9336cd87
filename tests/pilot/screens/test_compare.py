"""Runs over one another, through real keys."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from textual.pilot import Pilot
from textual.widgets import Static

from remote.contract.events import Event, MetricsEvent
from tests.backends.conftest import LocalBench
from tests.backends.conftest import request as request_for
from tests.pilot.conftest import NOW, make_run, story
from tests.waiting import until
from tui.client import Client
from tui.screens.app_base import AppBase
from tui.screens.compare import CompareScreen
from tui.screens.requests import RunRequested
from tui.settings import Settings
from tui.user.ui_state import UiState
from tui.widgets.charts.chart import Chart
from tui.widgets.charts.pane import ChartsPane
from tui.widgets.runs.compare_table import CompareTable


class Compared(AppBase):
    """An app that holds nothing but the comparison, and notes what it asks for."""

    def __init__(self, client: Client, settings: Settings, run_ids: Sequence[str], ui_state: UiState) -> None:
        super().__init__(client, settings=settings, ui_state=ui_state, clock=lambda: NOW)
        self.compare = CompareScreen(run_ids)
        self.asked: list[str] = []

    def on_mount(self) -> None:
        """The comparison at once."""
        self.push_screen(self.compare)

    def on_run_requested(self, message: RunRequested) -> None:
        """Note it."""
        self.asked.append(message.run_id)


@asynccontextmanager
async def compared(
    client: Client,
    settings: Settings,
    *run_ids: str,
    ui_state: UiState | None = None,
    size: tuple[int, int] = (120, 40),
) -> AsyncIterator[tuple[Pilot[None], CompareScreen, Compared]]:
    app = Compared(client, settings, run_ids, ui_state or UiState())
    async with app.run_test(size=size) as pilot:
        await until(lambda: "…" not in line_of(app.compare, "status"), "the runs' records")
        await app.workers.wait_for_complete()
        await until(lambda: not app.compare._grew, "what they told")
        await pilot.pause()
        yield pilot, app.compare, app


def lines(screen: CompareScreen) -> list[str]:
    table = screen.query_one(CompareTable)
    return [strip.text.rstrip() for strip in table.render_lines(table.outer_size.region)]


def line_of(screen: CompareScreen, label: str) -> str:
    """A row of the table; `…` while it is not there."""
    found = [line for line in (lines(screen) if screen.is_mounted else []) if line.startswith(label)]
    return found[0] if found else "…"


def two_runs(home: Path, **second: Any) -> None:
    make_run(home, "a1111-wordle", scored(0.2))
    run_dir = make_run(home, "b2222-wordle", scored(0.4), **second)
    change(run_dir, "training", "learning_rate", 1e-4)


def scored(reward: float) -> list[Event]:
    return [
        *story(0, 3)[:9],
        MetricsEvent(step=0, values={"eval/total": reward / 2}, t=NOW - 500),
        *(
            MetricsEvent(step=s, values={"reward": reward * s, "kl": 0.1}, t=NOW - 500 + 60 * s)
            for s in (1, 2, 3)
        ),
        MetricsEvent(step=3, values={"eval/total": reward}, t=NOW - 300),
    ]


def change(run_dir: Path, section: str, key: str, value: object) -> None:
    path = run_dir / "spec.json"
    data = json.loads(path.read_text())
    data["spec"][section][key] = value
    path.write_text(json.dumps(data))


def title(screen: CompareScreen, metric: str) -> str:
    chart = next(chart for chart in screen.query(Chart) if chart.metric == metric)
    return chart.render_lines(chart.outer_size.region)[0].text


async def test_differences_come_first_and_only_they(home: Path, client: Client, settings: Settings) -> None:
    two_runs(home, git={"revision": "abc"})
    async with compared(client, settings, "a1111-wordle", "b2222-wordle") as (_, screen, _app):
        told = lines(screen)
        assert told[1] == "differences"
        assert line_of(screen, "training.learning_rate").split() == [
            "training.learning_rate",
            "3e-6",
            "▸",
            "0.0001",
        ]
        assert line_of(screen, "git revision").split()[-2:] == ["▸", "abc"]
        assert not any(line.startswith("training.steps") for line in told)
        assert line_of(screen, "status").split() == ["status", "✓", "done", "✓", "done"]
        assert "▸ 1.2" in line_of(screen, "reward, last")
        assert "0.1 → 0.2" in line_of(screen, "held-out score")


async def test_charts_lie_over_one_another(home: Path, client: Client, settings: Settings) -> None:
    two_runs(home)
    async with compared(client, settings, "a1111-wordle", "b2222-wordle") as (pilot, screen, _):
        assert "A 0.6  B 1.2" in title(screen, "reward")
        await pilot.press("tab", "left", "left")
        assert "A 0.4  B 0.8" in title(screen, "reward")
        await pilot.press("escape", "tab")
        assert isinstance(pilot.app.focused, CompareTable)


async def test_a_dropped_run_goes_and_the_other_keeps_its_letter(
    home: Path, client: Client, settings: Settings
) -> None:
    two_runs(home)
    async with compared(client, settings, "a1111-wordle", "b2222-wordle") as (pilot, screen, _):
        await pilot.press("x")
        await pilot.pause()
        assert screen.sub_title == "1 run"
        assert lines(screen)[0].split() == ["B", "╍╍╍", "b2222-wordle"]
        assert "B 1.2" in title(screen, "reward")
        assert "A" not in title(screen, "reward")
        await pilot.press("x")
        assert screen.sub_title == "1 run"


async def test_the_chosen_run_opens(home: Path, client: Client, settings: Settings) -> None:
    two_runs(home)
    async with compared(client, settings, "a1111-wordle", "b2222-wordle") as (pilot, _, app):
        await pilot.press("right", "enter")
        await until(lambda: app.asked == ["b2222-wordle"], "the second run")
        await pilot.press("left", "tab", "o")
        await until(lambda: app.asked[1:] == ["a1111-wordle"], "the first run")


async def test_by_time_since_the_first_numbers(home: Path, client: Client, settings: Settings) -> None:
    two_runs(home)
    ui_state = UiState()
    async with compared(client, settings, "a1111-wordle", "b2222-wordle", ui_state=ui_state) as (
        pilot,
        screen,
        _,
    ):
        await pilot.press("t", "tab", "left")
        status = str(screen.query_one("#chart-status", Static).content)
        assert "cursor at 3m" in status
    assert ui_state.get("compare.charts")["by_time"] is True


async def test_a_run_without_a_readable_config_says_so_and_the_others_stand(
    home: Path, client: Client, settings: Settings
) -> None:
    two_runs(home)
    broken = make_run(home, "c3333-wordle", scored(0.1))
    (broken / "spec.json").write_text("{")
    (make_run(home, "d4444-wordle", scored(0.1)) / "spec.json").unlink()
    ids = ("a1111-wordle", "b2222-wordle", "c3333-wordle", "d4444-wordle", "nowhere")
    async with compared(client, settings, *ids, size=(160, 50)) as (_, screen, _app):
        told = "\n".join(lines(screen))
        assert "c3333-wordle: its config cannot be read: runs/c3333-wordle/spec.json is damaged" in told
        assert "d4444-wordle: its config cannot be read" in told
        assert "nowhere: there is no such run" in told
        rate = line_of(screen, "training.learning_rate").split()
        assert rate == ["training.learning_rate", "3e-6", "▸", "0.0001", "?", "?", "?"]
        assert "C 0.3" in title(screen, "reward")


async def test_a_live_run_is_followed(
    bench: LocalBench, settings: Settings, home: Path, tmp_path: Path
) -> None:
    backend = bench.backend(f"steps:2 wait:{tmp_path}/go steps:5 end:done")
    client = Client(settings, {"local": backend})
    live = await backend.launch(request_for())
    make_run(home, "a1111-wordle", scored(0.2))
    app = Compared(client, settings, [live.run_id, "a1111-wordle"], UiState())
    async with app.run_test(size=(120, 40)):
        await until(lambda: "0.2" in line_of(app.compare, "reward, last"), "the live run's numbers")
        assert "● running" in line_of(app.compare, "status")
        (tmp_path / "go").touch()
        await until(lambda: line_of(app.compare, "status").count("✓ done") == 2, "its end")
        assert "0.5" in line_of(app.compare, "reward, last")


async def test_narrow_and_wide(home: Path, client: Client, settings: Settings) -> None:
    two_runs(home, model="some/model-with-a-name-that-is-much-too-long-for-the-room-that-there-is-here")
    for size in ((80, 24), (200, 60)):
        async with compared(client, settings, "a1111-wordle", "b2222-wordle", size=size) as (
            pilot,
            screen,
            _,
        ):
            await pilot.press("right")
            await pilot.pause()
            assert screen.query_one(ChartsPane).size.height >= 10
            assert "b2222-wordle" in lines(screen)[0]
            assert all(len(line) <= size[0] for line in lines(screen))


async def test_evaluations_of_the_same_tasks_are_compared_task_by_task(
    home: Path, client: Client, settings: Settings
) -> None:
    solved = {"a1111-wordle": [0] * 15 + [1] * 5, "b2222-wordle": [0] * 9 + [1] * 11}
    for run_id, scores in solved.items():
        run_dir = make_run(home, run_id, kind="evaluate")
        (run_dir / "evaluation").mkdir()
        lines = [{"task": str(n), "rewards": {"solved": s}, "reward": s} for n, s in enumerate(scores)]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (run_dir / "evaluation" / "rollouts.jsonl").write_text(text)
    make_run(home, "c3333-wordle", scored(0.2))  # a training without held-out episodes has nothing to pair
    async with compared(client, settings, *solved, "c3333-wordle") as (_, screen, _app):
        await until(lambda: line_of(screen, "task by task") != "…", "the comparison")
        # Six tasks more are solved, and none less: of the 2^6 flips of signs, two are as far from none.
        assert "▸ +0.30 ± 0.11  p = 0.031" in line_of(screen, "solved")
        assert "6 / 14 / 0  of 20" in line_of(screen, "better / same / worse")
