"""Evaluations in the app: one key from a training to the evaluation of its checkpoint, and what one shows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from textual.widget import Widget
from textual.widgets import Static

from remote.contract.events import CheckpointEvent, Event, MetricsEvent, ProgressEvent
from tests.pilot.conftest import NOW, make_run, story
from tests.waiting import until
from tui.app import VfmApp
from tui.client import Client
from tui.screens.launch import LaunchScreen
from tui.screens.run import RunScreen
from tui.settings import Settings
from tui.widgets.common.panes import Panes
from tui.widgets.files.list import FileList
from tui.widgets.files.pane import FilesPane
from tui.widgets.launch.plan_panel import PlanPanel
from tui.widgets.runs.status_line import RunStatus
from tui.widgets.runs.table import RunTable

SIZE = (160, 44)


def trained(home: Path) -> Path:
    """A training whose first checkpoint scored best."""
    saved = [
        CheckpointEvent(step=step, path=f"checkpoints/checkpoint-{step}", score=score, best=best, t=NOW - 200)
        for step, score, best in ((2, 0.47, True), (4, 0.41, False))
    ]
    run = make_run(home, "tr41n-wordle", [*story(4, 4), *saved])
    for name in ("checkpoint-2", "checkpoint-4", "final"):
        (run / "checkpoints" / name).mkdir(parents=True, exist_ok=True)
        (run / "checkpoints" / name / "adapter_config.json").write_text("{}")
    best = {"step": 2, "path": "checkpoints/checkpoint-2", "score": 0.47}
    (run / "checkpoints" / "best.json").write_text(json.dumps(best))
    return run


def evaluated(home: Path, *, episodes: int = 31) -> Path:
    """An evaluation that is under way."""
    numbers = {"eval/total": 0.412, "eval/standard_error": 0.0314, "eval/failed": 1.0}
    values = {**numbers, "eval/solved": 0.2, "eval/episodes": float(episodes - 1)}
    events: list[Event] = [
        *story(0, 1)[:8],
        ProgressEvent(done=episodes, total=50, what="episodes", t=NOW - 300),
        MetricsEvent(step=episodes, values=values, t=NOW - 300),
    ]
    return make_run(home, "eval1-wordle", events, kind="evaluate")


@pytest.fixture
def app(client: Client, settings: Settings) -> VfmApp:
    return VfmApp(client, settings=settings, clock=lambda: NOW)


def text(widget: Widget) -> str:
    return "\n".join("".join(s.text for s in widget.render_line(y)) for y in range(widget.size.height))


async def test_one_key_leads_from_the_table_to_the_best_checkpoints_evaluation(
    home: Path, app: VfmApp
) -> None:
    trained(home)
    async with app.run_test(size=SIZE) as pilot:
        await until(lambda: bool(app.screen.query_one(RunTable).shown), "the run")
        await pilot.press("E")
        await until(lambda: isinstance(app.screen, LaunchScreen) and app.screen.is_settled, "the plan")
        form = app.screen
        assert isinstance(form, LaunchScreen)
        assert form.outlook is not None
        plan = form.outlook.plan
        assert plan is not None, form.outlook.refused
        assert (plan.request.kind, plan.request.backend) == ("evaluate", "local")
        assert plan.request.checkpoint.endswith("runs/tr41n-wordle/checkpoints/checkpoint-2")
        said = str(form.query_one(PlanPanel).query_one(Static).content)
        assert "tr41n-wordle: checkpoint-2 (★ best, 0.47)" in said


async def open_run(app: VfmApp, run_id: str) -> None:
    app.push_screen(RunScreen(run_id))

    def is_shown() -> bool:
        live = app.screen._live if isinstance(app.screen, RunScreen) else None
        return live is not None and live.over and bool(app.screen.query(Panes))

    await until(is_shown, "the run")


async def test_among_a_runs_files_the_best_is_marked_and_the_one_under_the_cursor_is_evaluated(
    home: Path, app: VfmApp
) -> None:
    trained(home)
    async with app.run_test(size=SIZE) as pilot:
        await open_run(app, "tr41n-wordle")
        await pilot.press("6", "z")
        await until(lambda: bool(app.screen.query(FilesPane)), "the files")
        pane = app.screen.query_one(FilesPane)
        folder = "runs/tr41n-wordle/checkpoints"
        await until(lambda: pane.listing.entry(folder) is not None, "the listing")
        pane.go_to(f"{folder}/checkpoint-4")
        await until(lambda: pane.listing.knows(folder), "the checkpoints")
        await pilot.pause()
        files = pane.query_one(FileList)
        await until(lambda: "★ best, 0.47" in text(files), "the mark")
        marked = [line for line in text(files).splitlines() if "★" in line]
        assert len(marked) == 1
        assert "checkpoint-2/" in marked[0]
        pane.go_to(f"{folder}/checkpoint-4")
        files.focus()
        await pilot.press("E")
        await until(lambda: isinstance(app.screen, LaunchScreen), "the form")
        request = app.screen._request  # type: ignore[attr-defined]
        assert request.values == {"evaluation.checkpoint": "tr41n-wordle:checkpoint-4"}


async def test_an_evaluation_tells_its_scores_as_they_come(home: Path, app: VfmApp) -> None:
    evaluated(home)
    async with app.run_test(size=SIZE) as pilot:
        await until(lambda: bool(app.screen.query_one(RunTable).shown), "the run")
        await until(lambda: "0.412 ± 0.031" in text(app.screen.query_one(RunTable)), "its score")
        await open_run(app, "eval1-wordle")
        await pilot.pause()
        status = text(app.screen.query_one(RunStatus)).splitlines()
        assert len(status) == 3
        assert "reward 0.412 ± 0.031 · solved 0.200" in status[2]
        assert "31 episodes, 1 failed" in status[2]
        assert "E" not in app.screen.active_bindings  # nothing was saved that could be evaluated
