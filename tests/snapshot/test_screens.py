"""Every screen at two sizes and in two themes, as it was last looked at and found right.

After a change that is meant: look at the report that pytest names, then
`.venv/bin/python -m pytest tests/snapshot --snapshot-update`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tests.snapshot.conftest import Stage
from tui.doctor import Finding
from tui.screens import requests

Compare = Callable[..., bool]
looks = [
    pytest.param(size, theme, id=f"{size[0]}x{size[1]}-{theme}")
    for size in ((80, 24), (120, 40))
    for theme in ("vfm-dark", "vfm-light")
]
pytestmark = pytest.mark.parametrize(("size", "theme"), looks)
DONE, FAILED, LIVE = "c4k7m-wordle", "e7h3n-wordle", "a2m5z-wordle"


def test_home_of_a_newcomer(snap_compare: Compare, stage: Stage, size: Any, theme: str) -> None:
    before = stage.asked(None, "demo")
    assert snap_compare(stage.app(theme), terminal_size=size, run_before=before)


@pytest.mark.usefixtures("runs")
def test_runs(snap_compare: Compare, stage: Stage, size: Any, theme: str) -> None:
    before = stage.asked(None, LIVE, FAILED, "12/32", "20/20")
    assert snap_compare(stage.app(theme), terminal_size=size, run_before=before)


@pytest.mark.usefixtures("runs")
@pytest.mark.parametrize(
    ("run", "key", "text"),
    [
        (LIVE, "1", "train"),
        (LIVE, "4", "memory"),
        (DONE, "1", "a warning"),
        (DONE, "2", "reward"),
        (DONE, "3", "Starts with C"),
        (DONE, "5", "keys differ"),
        (DONE, "6", "checkpoints"),
        (FAILED, "1", "did not start"),
    ],
)
def test_run(
    snap_compare: Compare, stage: Stage, size: Any, theme: str, run: str, key: str, text: str
) -> None:
    before = stage.asked(requests.RunRequested(run), run, keys=[key])
    again = stage.asked(None, text)

    async def both(pilot: Any) -> None:
        await before(pilot)
        await again(pilot)

    assert snap_compare(stage.app(theme), terminal_size=size, run_before=both)


@pytest.mark.usefixtures("runs")
def test_launch(snap_compare: Compare, stage: Stage, size: Any, theme: str) -> None:
    request = requests.LaunchRequested(config="configs/local_smoke.yaml", values={"training.steps": 20})
    before = stage.asked(request, "environment_args", "was 3")
    assert snap_compare(stage.app(theme), terminal_size=size, run_before=before)


@pytest.mark.usefixtures("runs")
def test_compare(snap_compare: Compare, stage: Stage, size: Any, theme: str) -> None:
    request = requests.CompareRequested([DONE, "d9x2p-wordle"])
    before = stage.asked(request, "learning_rate", "reward")
    assert snap_compare(stage.app(theme), terminal_size=size, run_before=before)


@pytest.mark.usefixtures("runs")
def test_volumes(snap_compare: Compare, stage: Stage, size: Any, theme: str) -> None:
    before = stage.asked(requests.FilesRequested(), "verifiers-outputs-ann-tests")
    assert snap_compare(stage.app(theme), terminal_size=size, run_before=before)


def test_doctor(
    snap_compare: Compare, stage: Stage, size: Any, theme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def found(_: object) -> AsyncIterator[Finding]:
        yield Finding("python", "Python", "ok", "3.11")
        yield Finding("env", ".env", "note", "there is no .env", "cp .env.example .env", "env")
        yield Finding("image", "local image", "problem", "not built", "vfm image build local", "image")

    monkeypatch.setattr("tui.screens.doctor.examine", found)
    before = stage.asked(requests.DoctorRequested(), "not built", "vfm image build")
    assert snap_compare(stage.app(theme), terminal_size=size, run_before=before)


@pytest.mark.usefixtures("runs")
def test_help(snap_compare: Compare, stage: Stage, size: Any, theme: str) -> None:
    before = stage.asked(None, LIVE, "20/20")

    async def helped(pilot: Any) -> None:
        await before(pilot)
        await pilot.press("f1")
        await stage.asked(None, "Filter")(pilot)

    assert snap_compare(stage.app(theme), terminal_size=size, run_before=helped)
