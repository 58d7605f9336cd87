"""`R`: a run that is over goes on where it is, on its own screen and from the table."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.screen import ModalScreen

from remote.contract.record import RunRecord
from tests.backends.conftest import LocalBench, lines, request
from tests.waiting import until
from tui.app import VfmApp
from tui.client import Client
from tui.screens.run import RunScreen
from tui.screens.runs import RunsScreen
from tui.services.resume import plan_resume
from tui.settings import Settings
from tui.widgets.runs.table import RunTable

SCRIPT = "attempt:1=saved:1/3 attempt:1=exit:1 lines:1 end:done"


async def failed(bench: LocalBench) -> tuple[Client, RunRecord]:
    """A run that failed after its first step."""
    backend = bench.backend(SCRIPT)
    run = await backend.launch(request())
    await lines(backend, run)
    return Client(None, {"local": backend}), await backend.status(run)


async def test_a_failed_run_goes_on_on_its_own_screen(bench: LocalBench, settings: Settings) -> None:
    client, run = await failed(bench)
    assert run.status == "failed"
    app = VfmApp(client, settings=settings)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = RunScreen(run.run_id)
        app.push_screen(screen)
        await until(lambda: screen._live is not None and screen._live.over, "the run's end")
        assert screen._live is not None
        assert screen._live.status == "failed"
        assert "run.resume" in {binding.id for _, binding, enabled, _ in screen.active_bindings.values()}
        await pilot.press("R")
        await until(lambda: screen._live is not None and screen._live.status == "done", "the second attempt")
        await until(lambda: screen._live is not None and screen._live.over, "its end")
        assert screen._live.state.attempt == 2
        assert screen._live.state.failure is None
        assert "run.resume" not in {b.id for _, b, _, _ in screen.active_bindings.values()}, "it is done"
    assert len(await client.runs_of("local")) == 1


@pytest.mark.parametrize("notices", ["shown", "focused", "R"])
async def test_a_run_that_was_resumed_elsewhere_is_followed(
    bench: LocalBench, settings: Settings, tmp_path: Path, notices: str
) -> None:
    backend = bench.backend(f"attempt:1=saved:1/3 attempt:1=exit:1 lines:1 wait:{tmp_path / 'go'} end:done")
    run = await backend.launch(request())
    await lines(backend, run)
    client = Client(None, {"local": backend})
    app = VfmApp(client, settings=settings)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = RunScreen(run.run_id)
        app.push_screen(screen)
        await until(lambda: screen._live is not None and screen._live.over, "the run's end")
        live = screen._live
        assert live is not None
        await client.resume(await plan_resume(client, settings, run.run_id))
        if notices == "shown":
            app.push_screen(ModalScreen())
            await until(lambda: app.screen is not screen, "what covers it")
            app.pop_screen()
        elif notices == "focused":
            app.app_focus = False
            await pilot.pause()
            app.app_focus = True
        else:
            await pilot.press("R")
        await until(lambda: live.status == "running" and live.state.attempt == 2, "the second attempt")
        (tmp_path / "go").touch()
        await until(lambda: live.over and live.status == "done", "its end")
    after = await client.status(run)
    assert [attempt.why for attempt in after.attempts] == ["failed", "done"]


async def test_the_table_resumes_what_is_chosen(bench: LocalBench, settings: Settings) -> None:
    client, run = await failed(bench)
    app = VfmApp(client, settings=settings)
    async with app.run_test(size=(120, 40)) as pilot:
        assert isinstance(app.screen, RunsScreen)
        table = app.screen.query_one(RunTable)
        await until(lambda: table.row is not None and table.row.status == "failed", "the run")
        await pilot.press("R")
        await until(lambda: table.row is not None and table.row.status == "done", "the second attempt")
    after = await client.status(run)
    assert [attempt.why for attempt in after.attempts] == ["failed", "done"]
