"""Episodes as conversations, with real keys: steps, order, growth, and files that are large or damaged."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.app import App, ComposeResult
from textual.pilot import Pilot

from tests.waiting import until
from tui.client import Client
from tui.services import episode_files
from tui.services.episode_files import EpisodeLoader
from tui.services.volume_files import VolumeFiles
from tui.widgets.episodes.pane import EpisodeList, RolloutsPane
from tui.widgets.episodes.view import EpisodeView

VOLUME = "verifiers-outputs-ann-tests"


class Holder(App[None]):
    """The pane alone."""

    def __init__(self, client: Client) -> None:
        super().__init__()
        self._client_ = client
        self.copied: list[str] = []

    def compose(self) -> ComposeResult:
        yield RolloutsPane(EpisodeLoader(VolumeFiles(self._client_, "local", VOLUME), "runs/x"))

    def on_mount(self) -> None:
        self.pane.query_one(EpisodeList).focus()

    @property
    def pane(self) -> RolloutsPane:
        return self.query_one(RolloutsPane)

    def copy_to_clipboard(self, text: str) -> None:
        self.copied.append(text)


Write = Callable[..., Path]


@pytest.fixture
def write(home: Path) -> Write:
    """Write a step's episodes with these rewards; None is one that failed."""

    def write(name: str, rewards: list[float | None], *, torn: str = "", **more: Any) -> Path:
        file = home / "volumes" / VOLUME / "runs" / "x" / "rollouts" / f"{name}.jsonl"
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a") as out:
            for number, reward in enumerate(rewards):
                out.write(json.dumps(episode(name, number, reward, **more)) + "\n")
            out.write(torn)
        return file

    return write


def episode(name: str, number: int, reward: float | None, **more: Any) -> dict[str, Any]:
    return {
        "step": 1,
        "task": f"task{number}",
        "messages": [
            {"role": "user", "content": f"[bold]ask {number}[/bold]\x1b[2J"},
            {"role": "assistant", "content": f"say {name} {number}"},
        ],
        "rewards": {"solved": reward or 0.0, "format": 0.25},
        "reward": reward or 0.0,
        "metrics": {},
        "error": "it broke\n  line 7" if reward is None else None,
        **more,
    }


def shown(app: Holder, selector: str) -> str:
    found = app.query_one(selector)
    lines = [found.render_line(y) for y in range(found.size.height)]
    return "\n".join("".join(segment.text for segment in line).rstrip() for line in lines)


def listed(app: Holder) -> list[str]:
    """Tasks in their order."""
    options = app.query_one(EpisodeList).options
    return [word for option in options for word in str(option.prompt).split() if word.startswith("task")]


async def opened(app: Holder, pilot: Pilot[None], task: str) -> None:
    """An episode is shown."""
    view = app.query_one(EpisodeView)
    await until(lambda: view.episode is not None and view.episode.task == task, f"the episode of {task}")
    await pilot.pause()


async def test_the_newest_step_is_shown_best_first(client: Client, write: Write) -> None:
    write("step-000001", [0.1])
    write("step-000002", [0.5, None, 1.5, 0.0])
    async with (app := Holder(client)).run_test(size=(120, 40)) as pilot:
        await opened(app, pilot, "task2")
        assert listed(app) == ["task2", "task0", "task3", "task1"]
        assert shown(app, "#rollouts-head").strip() == (
            "‹ step 2 ›  4 episodes · mean 0.6667, 0 to 1.5 · ✗ 1 failed · best first"
        )
        assert "reward 1.5000" in shown(app, "#episode-worth")
        assert "solved   1.5000 ■■■■■■" in shown(app, "#episode-worth")
        assert r"[bold]ask 2[/bold]\x1b[2J" in shown(app, "#episode-said")
        assert "say step-000002 2" in shown(app, "#episode-said")


async def test_keys_go_through_steps_order_and_episodes(client: Client, write: Write) -> None:
    write("step-000001", [0.1])
    write("held-out-000001", [0.2, 0.3])
    write("step-000002", [0.5, None, 1.5])
    async with (app := Holder(client)).run_test(size=(120, 40)) as pilot:
        await opened(app, pilot, "task2")
        await pilot.press("o")
        await opened(app, pilot, "task0")
        assert listed(app) == ["task0", "task2", "task1"]
        await pilot.press("j", "down")
        await opened(app, pilot, "task1")
        assert "✗ it broke" in shown(app, "#episode-worth")
        assert "line 7" in shown(app, "#episode-worth")
        await pilot.press("left_square_bracket")
        await until(lambda: "‹ held-out, step 1 ›" in shown(app, "#rollouts-head"), "the step before")
        await until(lambda: listed(app) == ["task0", "task1"], "its episodes")
        assert "1 newer: }" in shown(app, "#rollouts-head")
        await pilot.press("left_square_bracket", "left_square_bracket", "left_square_bracket")
        await until(lambda: "‹ step 1 ›" in shown(app, "#rollouts-head"), "the first step")
        await pilot.press("right_square_bracket")
        await until(lambda: "‹ held-out, step 1 ›" in shown(app, "#rollouts-head"), "the next step")
        await pilot.press("right_curly_bracket")
        await until(lambda: "‹ step 2 ›" in shown(app, "#rollouts-head"), "the newest step")
        assert app.pane.state() == {"best_first": False}


async def test_new_steps_are_shown_until_somebody_reads(client: Client, write: Write) -> None:
    async with (app := Holder(client)).run_test(size=(120, 40)) as pilot:
        await until(lambda: "no episodes yet" in shown(app, "#rollouts-message"), "words")
        write("step-000001", [0.1, 0.2])
        app.pane.look()
        await opened(app, pilot, "task1")
        write("step-000002", [0.3])
        app.pane.look()
        await until(lambda: "‹ step 2 ›" in shown(app, "#rollouts-head"), "the next step")
        write("step-000002", [0.4])  # more of the same step
        app.pane.look()
        await until(lambda: "2 episodes" in shown(app, "#rollouts-head"), "more episodes")
        await pilot.press("down")
        write("step-000003", [0.5])
        app.pane.look()
        await until(lambda: "1 newer: }" in shown(app, "#rollouts-head"), "word of a newer step")
        assert "‹ step 2 ›" in shown(app, "#rollouts-head")


async def test_large_files_come_in_pieces(
    client: Client, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(episode_files, "PIECE", 1000)
    asked: list[int] = []
    real = client.read

    async def read(volume: str, path: str, offset: int = 0, size: int = -1, **options: Any) -> bytes:
        asked.append(size)
        return await real(volume, path, offset, size, **options)

    monkeypatch.setattr(client, "read", read)
    write("step-000001", [float(n) for n in range(50)], torn='{"half": ')
    async with (app := Holder(client)).run_test(size=(120, 40)) as pilot:
        await until(lambda: "50 episodes" in shown(app, "#rollouts-head"), "all of them")
        await opened(app, pilot, "task49")
        assert len(asked) > 10
        assert max(asked) == 1000


async def test_a_line_longer_than_a_piece(
    client: Client, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(episode_files, "PIECE", 64)
    write("step-000001", [1.0, 2.0], metrics={f"metric{n}": 1.0 for n in range(200)})
    async with (app := Holder(client)).run_test(size=(120, 40)) as pilot:
        await opened(app, pilot, "task1")
        assert listed(app) == ["task1", "task0"]


async def test_damaged_lines_are_listed_as_such(client: Client, write: Write) -> None:
    write("step-000001", [1.0], torn="not json\n")
    async with (app := Holder(client)).run_test(size=(120, 40)) as pilot:
        await opened(app, pilot, "task0")
        await pilot.press("j")
        await until(lambda: "this line is damaged" in shown(app, "#episode-worth"), "words")


async def test_the_conversation_scrolls_and_is_copied_whole(client: Client, write: Write) -> None:
    long = [{"role": "assistant", "content": "\n".join(f"line {n}" for n in range(300))}]
    write("step-000001", [1.0, 2.0], messages=long)
    async with (app := Holder(client)).run_test(size=(120, 40)) as pilot:
        await opened(app, pilot, "task1")
        view = app.query_one(EpisodeView)
        await pilot.press("J", "J")
        assert view.scroll_y == 6
        assert app.query_one(EpisodeList).has_focus
        await pilot.press("enter", "G")
        await pilot.pause()
        assert view.has_focus
        assert view.scroll_y == view.max_scroll_y > 200
        await pilot.press("y")
        assert app.copied[0].startswith("task task1   reward 2.0")
        assert "line 299" in app.copied[0]
        await pilot.press("left")
        assert app.query_one(EpisodeList).has_focus


async def test_narrow_panes_have_the_list_above(client: Client, write: Write) -> None:
    write("step-000001", [1.0, 2.0])
    async with (app := Holder(client)).run_test(size=(60, 30)) as pilot:
        await opened(app, pilot, "task1")
        assert app.query_one(EpisodeList).region.bottom <= app.query_one(EpisodeView).region.y
        await pilot.resize_terminal(120, 40)
        await pilot.pause()
        assert app.query_one(EpisodeList).region.right <= app.query_one(EpisodeView).region.x


async def test_a_backend_that_fails_is_told_of(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    from remote.contract.errors import BackendError

    async def fail(*_: Any, **__: Any) -> Any:
        raise BackendError("the line is dead")

    monkeypatch.setattr(client, "ls", fail)
    async with (app := Holder(client)).run_test(size=(120, 40)):
        await until(lambda: "the line is dead" in shown(app, "#rollouts-message"), "words")
