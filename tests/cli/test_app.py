"""`vfm-tui` over real runs: the table, and following one."""

from __future__ import annotations

from textual.widgets import DataTable, Log

from tests.cli.conftest import ROOT, Vfm
from tui.app import VfmApp
from tui.backends.local import LocalBackend
from tui.client import Client


async def test_runs_are_listed_and_enter_follows_one(used: Vfm) -> None:
    client = Client(None, {"local": LocalBackend(used.home, ROOT)})
    app = VfmApp(client)
    async with app.run_test() as pilot:
        await app.workers.wait_for_complete()
        table = app.query_one(DataTable)
        assert table.row_count == 1
        assert [str(cell) for cell in table.get_row_at(0)][1:4] == ["done", "train", "vf_wordle"]
        await pilot.press("enter")
        await pilot.pause()
        await app.workers.wait_for_complete()
        await pilot.pause()
        lines = list(app.screen.query_one(Log).lines)
        assert "[train] line 0" in lines
        assert "[vllm] \\x1b]0;owned\\x07red" in lines
        assert app.screen.sub_title is not None
        assert app.screen.sub_title.endswith(": done")
        await pilot.press("escape")
        assert app.screen.query_one(DataTable).row_count == 1


async def test_a_home_without_runs_is_an_empty_table(vfm: Vfm) -> None:
    app = VfmApp(Client(None, {"local": LocalBackend(vfm.home, ROOT)}))
    async with app.run_test():
        await app.workers.wait_for_complete()
        assert app.query_one(DataTable).row_count == 0
