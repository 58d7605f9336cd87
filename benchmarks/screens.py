"""Pictures of every screen over real runs: `make pictures` writes docs/screens/*.svg.

Launches what it needs on this machine (the demo, a shorter one that is pictured while it trains, one that
fails for a value that its hint mends) unless `VFM_HOME` holds such runs, and drives the app headless.

    python -m benchmarks.screens [--only NAME]
"""

from __future__ import annotations

import argparse
import asyncio
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from textual._context import visible_screen_stack
from textual.message import Message
from textual.pilot import Pilot

from benchmarks.common import PROJECT
from remote.contract.record import RunRecord
from tui.app import VfmApp
from tui.client import Client
from tui.config.resolve import resolve
from tui.planning.plan import make_plan
from tui.screens import requests
from tui.settings import Settings
from tui.user.ui_state import UiState

FOLDER = PROJECT / "docs" / "screens"
DEMO, SMOKE = "configs/local_demo.yaml", "configs/local_smoke.yaml"
SHORTER = ("training.steps=16", "training.learning_rate=2e-4")
TOO_LONG = ("vllm.max_model_len=100000",)
DEADLINE = 1800.0
_FONTS = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)  # fetched from outside; any monospaced font will do
NORMAL, SMALL, LARGE = (120, 36), (80, 24), (180, 50)


@dataclass(frozen=True)
class Picture:
    """One file: what the app is asked for, the keys after that, and what must be on the screen then."""

    name: str
    asked: Message | None
    keys: Sequence[str] = ()
    text: str = ""
    size: tuple[int, int] = NORMAL
    theme: str = "vfm-dark"


@dataclass(frozen=True)
class Runs:
    """The runs that are pictured."""

    demo: str
    other: str
    failed: str
    outputs: str
    """The demo's outputs volume."""


async def find_or_launch(client: Client, config: str, sets: Sequence[str], wanted: str) -> RunRecord:
    """The newest run of a config with these values that stands as wanted, or one that is launched now."""
    assert client.settings is not None
    resolved = resolve(config, sets, project_dir=PROJECT)
    plan = make_plan(resolved, client.settings, config_path=config)
    typed = sorted(override.argument for override in resolved.typed)
    for run in (await client.runs()).rows:
        if run.config_path == config and run.status == wanted and await _typed(client, run) == typed:
            return run
    print(f"launching {plan.command}")
    return await client.launch(plan)


async def _typed(client: Client, run: RunRecord) -> list[str]:
    """What was typed over a run's config, as `KEY=VALUE`."""
    from remote.contract.record import LaunchRequest

    request = LaunchRequest.model_validate_json(
        await client.read(run.outputs, f"runs/{run.run_id}/request.json", backend=run.backend)
    )
    words = (source.where for source in request.provenance.values() if source.layer == "set")
    return sorted({where.removeprefix("--set ") for where in words})


async def until_over(client: Client, run: RunRecord) -> None:
    """Wait for a run's end."""
    async for _ in client.of(run).watch(run):
        pass


def pictures(runs: Runs) -> list[Picture]:
    """Every picture of runs that are over."""
    demo = f"runs/{runs.demo}"
    return [
        Picture("runs", None, (), runs.demo),
        Picture("runs-small", None, (), runs.demo, SMALL, "vfm-light"),
        Picture("launch", requests.LaunchRequested(DEMO, {"training.steps": 64}), (), "Launch"),
        Picture("run", requests.RunRequested(runs.demo), ("1", "S"), "following", LARGE),
        Picture("charts", requests.RunRequested(runs.demo), ("2",), "reward"),
        Picture("charts-light", requests.RunRequested(runs.demo), ("2",), "reward", SMALL, "vfm-light"),
        Picture("rollouts", requests.RunRequested(runs.demo), ("3",), "assistant"),
        Picture("system", requests.RunRequested(runs.demo), ("4",), "memory"),
        Picture("config", requests.RunRequested(runs.demo), ("5",), "training"),
        Picture("files", requests.RunRequested(runs.demo), ("6",), "checkpoints"),
        Picture("failed", requests.RunRequested(runs.failed), ("1",), "max_model_len"),
        Picture("compare", requests.CompareRequested([runs.demo, runs.other]), (), "learning_rate"),
        Picture("volumes", requests.FilesRequested("local", runs.outputs, demo), (), "checkpoints"),
        Picture("doctor", requests.DoctorRequested(), (), "local image"),
        Picture("palette", None, ("ctrl+p", *"le"), "le"),
        Picture("help", requests.RunRequested(runs.demo), ("f1",), "Help"),
    ]  # fmt: skip


async def take(picture: Picture, client: Client) -> None:
    """Draw one picture into its file."""
    ui_state = UiState()
    ui_state.put("theme", picture.theme)
    app = VfmApp(client, settings=client.settings, ui_state=ui_state)
    async with app.run_test(size=picture.size) as pilot:
        await _calm(pilot)
        if picture.asked is not None:
            app.post_message(picture.asked)
            await _calm(pilot)
        for key in picture.keys:
            await pilot.press(key)
        await _calm(pilot, picture.text)
        svg = _FONTS.sub("", app.export_screenshot(title=f"vfm-tui · {picture.name}"))
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"{picture.name}.svg").write_text(svg)
    print(f"docs/screens/{picture.name}.svg")


async def _calm(pilot: Pilot[None], text: str = "", still: float = 0.6) -> None:
    """Wait until a text is on the screen and what is there has stopped to change, or moves for good."""
    deadline, since, before = time.monotonic() + 20, time.monotonic(), ""
    while time.monotonic() < deadline:
        now = _text(pilot.app)
        if now != before:
            since, before = time.monotonic(), now
        if text in now and time.monotonic() - since > still:
            return
        await asyncio.sleep(0.05)
    if text not in before:
        raise SystemExit(f"{text!r} did not come up on:\n{before}")


def _text(app: Any) -> str:
    visible_screen_stack.set(
        app._background_screens
    )  # else a dialog's surroundings are drawn, and kept, blank
    return "\n".join("".join(part.text for part in line) for line in app.screen._compositor.render_strips())


async def live(client: Client, run: RunRecord, step: int) -> None:
    """Picture a run while it trains: once its step has come, or not at all where it is over."""
    if run.ended_already:
        return
    async for _ in client.of(run).watch(run):
        if ((await client.state(run)).step or 0) >= step:
            await take(
                Picture("live", requests.RunRequested(run.run_id), ("1", "S"), "running", LARGE), client
            )
            return


async def main(only: str | None) -> None:
    """Have the runs, then take the pictures."""
    client = Client.default(Settings.load(PROJECT))
    demo = await find_or_launch(client, DEMO, (), "done")
    await until_over(client, demo)
    other = await find_or_launch(client, DEMO, SHORTER, "done")
    await live(client, other, 9)
    await until_over(client, other)
    failed = await find_or_launch(client, SMOKE, TOO_LONG, "failed")
    await until_over(client, failed)
    for picture in pictures(Runs(demo.run_id, other.run_id, failed.run_id, demo.outputs)):
        if only in (None, picture.name):
            await take(picture, client)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", help="one picture's name")
    asyncio.run(asyncio.wait_for(main(parser.parse_args().only), DEADLINE))
