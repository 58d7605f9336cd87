"""Runs that cost money once more: the price is asked about first, and nothing starts without a yes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from remote.contract.record import LaunchRequest, RunRecord
from tests.pilot.conftest import NOW, ROOT, make_run, story
from tests.waiting import until
from tui.app import VfmApp
from tui.backends.local.backend import LocalBackend
from tui.client import Client
from tui.screens import requests
from tui.screens.dialogs import Confirm
from tui.settings import Settings


class Far(LocalBackend):
    """Modal, where launches are only written down."""

    name = "modal"

    def __init__(self, home: Path) -> None:
        super().__init__(home, ROOT)
        self.launched: list[LaunchRequest] = []

    async def launch(self, request: LaunchRequest) -> RunRecord:
        """See `Backend`."""
        self.launched.append(request)
        return RunRecord.of(request)


def seen(app: VfmApp) -> str:
    """The screen as text."""
    lines = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in line) for line in lines)


@pytest.mark.parametrize("answer", ["y", "escape"])
async def test_several_runs_are_asked_about_together(home: Path, settings: Settings, answer: str) -> None:
    both = ["a1111-wordle", "b2222-wordle"]
    for run_id in both:
        make_run(home, run_id, story(4, 4), backend="modal")
    settings, far = replace(settings, env_file_names=frozenset({"X"})), Far(home)
    app = VfmApp(Client(settings, {"modal": far}), settings=settings, clock=lambda: NOW)
    async with app.run_test(size=(120, 40)) as pilot:
        app.post_message(requests.RerunRequested(both))
        await until(lambda: isinstance(app.screen, Confirm), "the question")
        await until(lambda: "Launch 2 runs on modal?" in seen(app), "its words")
        assert seen(app).count("vf_wordle  $2.73 an hour, at most $43.71") == 2
        await pilot.press(answer)
        await until(lambda: not isinstance(app.screen, Confirm), "the answer")
        await until(lambda: not any("run again" in worker.description for worker in app.workers), "the end")
        assert len(far.launched) == (2 if answer == "y" else 0)
        assert {round(request.usd_per_hour or 0, 2) for request in far.launched} <= {2.73}
