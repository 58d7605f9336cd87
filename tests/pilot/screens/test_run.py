"""One run on the screen, with real keys: live, over, failed, gone; and what is remembered of the layout."""

from __future__ import annotations

import json
import math
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from textual.events import Key
from textual.message import Message
from textual.pilot import Pilot
from textual.widgets import Input, Static

from remote.contract.errors import BackendError
from remote.contract.events import (
    AttemptEvent,
    Event,
    FailureEvent,
    MetricsEvent,
    PhaseEvent,
    ProgressEvent,
    SystemEvent,
    encode_line,
)
from remote.contract.record import Attempt, RunRecord
from tests.backends.conftest import LocalBench, request
from tests.pilot.conftest import NOW, ROOT, SilentBackend, make_run, story
from tests.waiting import until
from tui.app import VfmApp
from tui.backends.local.backend import LocalBackend
from tui.client import Client
from tui.screens import requests
from tui.screens.dialogs import AskPath, Confirm
from tui.screens.run import RunScreen
from tui.screens.runs import RunsScreen
from tui.settings import Settings
from tui.user.ui_state import UiState
from tui.widgets.common.filter_input import FilterInput
from tui.widgets.common.panes import Panes
from tui.widgets.logs.pane import LogPane
from tui.widgets.runs.config_pane import FactList
from tui.widgets.runs.failure_panel import FailurePanel
from tui.widgets.runs.status_line import RunStatus
from tui.widgets.runs.timeline import Timeline

WIDE, NORMAL, NARROW = (200, 60), (120, 40), (80, 24)
HINT = {"text": "raise the limit", "key": "vllm.max_model_len", "from": 16, "to": 2048}


class App(VfmApp):
    """The app, with one run for its home, that writes down what it is asked for."""

    def __init__(self, run_id: str, client: Client, settings: Settings, **options: Any) -> None:
        super().__init__(client, settings=settings, **{"clock": lambda: NOW, **options})
        self.asked: list[Any] = []
        self._run_id = run_id

    def get_default_screen(self) -> RunScreen:
        return RunScreen(self._run_id)

    def _write_down(self, message: Message) -> None:
        message.prevent_default()  # nobody answers
        self.asked.append(message)

    on_launch_requested = on_rerun_requested = on_cancel_requested = _write_down
    on_delete_requested = on_download_requested = _write_down


@pytest.fixture
def app(client: Client, settings: Settings) -> Any:
    """Makes the app of a run."""

    def make(run_id: str, client: Client = client, **options: Any) -> App:
        return App(run_id, client, settings, **options)

    return make


def shown(app: App, widget: type | str) -> str:
    """What a widget shows, as text."""
    found = app.screen.query_one(widget)
    lines = [found.render_line(y) for y in range(found.size.height)]
    return "\n".join("".join(segment.text for segment in line).rstrip() for line in lines)


def facts(app: App) -> str:
    """What the config pane lists, a line each; nothing while it is not there."""
    return "\n".join(str(option.prompt) for found in app.screen.query(FactList) for option in found.options)


def ready(app: App, *, over: bool = True) -> Any:
    """Whether all that a run has said is on the screen."""

    def is_ready() -> bool:
        screen = app.screen
        live = screen._live if isinstance(screen, RunScreen) else None
        return live is not None and (live.over or not over) and bool(screen.query(Panes))

    return is_ready


async def settled(app: App, pilot: Pilot[None]) -> None:
    """The run is over, and the screen shows it."""
    await until(ready(app), "the run")
    await pilot.pause()


def failed_run(home: Path, run_id: str = "broken", hint: dict[str, Any] | None = HINT) -> Path:
    """A run that failed while vLLM started."""
    events: list[Event] = [
        *story(0, 1)[:6],
        PhaseEvent(phase="vllm", status="failed", detail="loading weights", t=NOW - 580),
        PhaseEvent(phase="vllm", status="failed", t=NOW - 580),
        FailureEvent(
            boundary="vllm",
            cause="Traceback (most recent call last)\n  File x\nValueError: 16 is too [b]short[/b]\x1b[2J",
            message="the server does not take prompts of 17 tokens",
            hint=hint,
            t=NOW - 579,
        ),
    ]
    run_dir = make_run(home, run_id, events, status="failed", exit_code=1)
    log = "".join(f"[vllm] line {n}\n" for n in range(200))
    with (run_dir / "logs" / "stream.log").open("a") as file:
        file.write(log + "[vllm] ValueError: 16 is too short\n" + log)
    return run_dir


# --- how it stands -----------------------------------------------------------------------------------


async def test_a_run_of_the_past_shows_how_it_went(home: Path, app: Any) -> None:
    make_run(home, "ended", story(5, 5))
    async with (here := app("ended")).run_test(size=NORMAL) as pilot:
        await settled(here, pilot)
        status = shown(here, RunStatus)
        assert "✓ done" in status
        assert "5/5" in status
        assert "reward 1" in status
        assert "9 min 00 s" in status
        timeline = shown(here, Timeline).splitlines()
        assert [line.split()[:2] for line in timeline[:4]] == [
            ["✓", "image"], ["✓", "prepare"], ["✓", "vllm"], ["✓", "train"],
        ]  # fmt: skip
        assert here.screen.sub_title == "ended"
        assert not here.screen.query_one(FailurePanel).display


async def test_modals_page_of_a_run_is_opened_and_its_address_told(
    home: Path, app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, opened = "https://modal.com/id/ap-x", list[str]()
    monkeypatch.setattr(VfmApp, "open_url", lambda _, url, **__: opened.append(url))
    make_run(home, "far", story(5, 5), identifiers={"app": "ap-x", "page": page})
    make_run(home, "near", story(5, 5))
    async with (here := app("far")).run_test(size=NORMAL) as pilot:
        await settled(here, pilot)
        await pilot.press("M")
        assert opened == [page]
        assert any(page in n.message for n in here._notifications)
    async with (here := app("near")).run_test(size=NORMAL) as pilot:
        await settled(here, pilot)
        await pilot.press("M")
        assert opened == [page]


async def test_the_prefix_of_a_name_is_enough(home: Path, app: Any) -> None:
    make_run(home, "abcde-wordle", story(1, 5))
    async with (here := app("abc")).run_test() as pilot:
        await settled(here, pilot)
        assert here.screen.run_id == here.screen.sub_title == "abcde-wordle"


async def test_a_narrow_terminal_has_the_timeline_on_one_line(home: Path, app: Any) -> None:
    make_run(home, "ended", story(5, 5))
    async with (here := app("ended")).run_test(size=NARROW) as pilot:
        await settled(here, pilot)
        assert shown(here, Timeline).strip().startswith("✓ image 0.1s  ✓ prepare 9.8s  ✓ vllm 20s  ✓ train")
        await pilot.resize_terminal(*NORMAL)
        await pilot.pause()
        assert here.screen.query_one(Timeline).size.height > 4
        await pilot.press("T")
        await pilot.pause()
        assert here.screen.query_one(Timeline).size.height == 1


async def test_a_live_run_is_followed_to_its_end(bench: LocalBench, app: Any, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    events = [
        PhaseEvent(phase="vllm", status="started"),
        PhaseEvent(phase="vllm", status="started", detail="loading weights"),
        ProgressEvent(done=186, total=186, what="packages"),
    ]
    raw = "".join(f"{encode_line(event)}\\n" for event in events)
    raw = raw.replace("\x1e", "\\x1e").replace(" ", "\\x20")
    script = f"lines:3 raw:{raw} wait:{gate} end:done"
    backend = bench.backend(script)
    record = await backend.launch(request())
    client = Client(None, {"local": backend})
    async with (here := app(record.run_id, client, clock=time.time)).run_test(size=NORMAL) as pilot:
        now = "● running  vllm · loading weights · 186/186 packages"
        await until(lambda: now in shown(here, RunStatus), "the phase")
        await until(lambda: "● vllm" in shown(here, Timeline), "its line in the timeline")
        await until(lambda: "line 2" in shown(here, "LogView"), "the log")
        gate.touch()
        await settled(here, pilot)
        assert "✓ done" in shown(here, RunStatus)
        assert not list(here._notifications)  # the status line says it


async def test_steps_arrive_while_it_trains(bench: LocalBench, app: Any, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    backend = bench.backend(f"steps:4 wait:{gate} lines:30 end:done")
    record = await backend.launch(request())
    async with (here := app(record.run_id, Client(None, {"local": backend}), clock=time.time)).run_test(
        size=NORMAL
    ) as pilot:
        await until(lambda: "4/4" in shown(here, RunStatus), "the steps")
        assert "● running" in shown(here, RunStatus)
        for size in (NARROW, WIDE, NORMAL):  # in mid-stream
            await pilot.resize_terminal(*size)
        gate.touch()
        await settled(here, pilot)
        await until(lambda: "line 29" in shown(here, "LogView"), "the last line")


async def test_an_evaluation_counts_episodes(home: Path, app: Any) -> None:
    events: list[Event] = [
        *story(0, 1)[:8],
        PhaseEvent(phase="evaluate", status="started", t=NOW - 500),
        ProgressEvent(done=12, total=50, what="episodes", t=NOW - 400),
        MetricsEvent(step=0, values={"eval/total": 0.75}, t=NOW - 300),
    ]
    make_run(home, "scored", events, kind="evaluate")
    async with (here := app("scored")).run_test(size=NORMAL) as pilot:
        await settled(here, pilot)
        assert "12/50" in shown(here, RunStatus)
        assert "reward 0.75" in shown(here, RunStatus)
        assert "✓ evaluate" in shown(here, Timeline)
        assert "train" not in shown(here, Timeline)


class Far(LocalBackend):
    """Modal, as far as a run that was interrupted once is concerned."""

    name = "modal"
    bill: float | BackendError | None = 0.41

    async def billed(self, run: RunRecord) -> float | None:
        """See `Backend`."""
        if isinstance(self.bill, BackendError):
            raise self.bill
        return self.bill


@pytest.mark.parametrize(
    ("bill", "words"), [(0.41, "Modal billed $0.41"), (BackendError("no answer"), "unknown: no answer")]
)
async def test_an_interrupted_run_says_its_attempt_and_what_it_cost(
    home: Path, app: Any, client: Client, bill: Any, words: str
) -> None:
    client.backends = {"modal": (far := Far(home, ROOT))}
    far.bill = bill
    attempts = [
        Attempt(started=NOW - 3600, ended=NOW - 2700, why="preempted"),
        Attempt(started=NOW - 1800, ended=NOW - 900, why="done"),
    ]
    again = AttemptEvent(number=2, why="preempted", t=NOW - 1800)
    events = [*story(3, 5, start=NOW - 3600), again, *story(5, 5, start=NOW - 1800)[2:]]
    times = {"created": NOW - 3700, "started": NOW - 3600, "ended": NOW - 900}
    make_run(home, "ended", events, backend="modal", attempts=attempts, usd_per_hour=2.0, **times)
    async with (here := app("ended")).run_test(size=(120, 44)) as pilot:
        await settled(here, pilot)
        await until(lambda: "45 min 00 s · est. $1.00" in shown(here, RunStatus), "the cost")
        assert "✓ done  15m ago · attempt 2 (the machine was preempted)" in shown(here, RunStatus)
        assert "↻ attempt 2" in shown(here, Timeline)
        await pilot.press("5")
        await until(lambda: words in facts(here), "the bill")
        assert "15 min 00 s · the machine was preempted" in facts(here)


# --- failures ----------------------------------------------------------------------------------------


async def test_a_failed_run_says_first_what_to_do(home: Path, app: Any) -> None:
    failed_run(home)
    async with (here := app("broken")).run_test(size=NORMAL) as pilot:
        await settled(here, pilot)
        told = shown(here, "#failure-message")
        assert "✗ vllm  the server does not take prompts of 17 tokens" in told
        assert r"ValueError: 16 is too [b]short[/b]\x1b[2J" in told
        assert "Traceback" not in told
        next_ = shown(here, "#failure-next")
        assert "→ raise the limit" in next_
        assert "vllm.max_model_len  16 → 2048" in next_
        assert "✗ vllm" in shown(here, Timeline)
        assert "✗ loading weights" in shown(here, Timeline)


@pytest.mark.parametrize("keys", [["p"], ["shift+tab", "enter"]])
async def test_the_proposed_change_goes_into_the_form(home: Path, app: Any, keys: list[str]) -> None:
    failed_run(home)
    async with (here := app("broken")).run_test(size=NORMAL) as pilot:
        await settled(here, pilot)
        if keys[-1] == "enter":
            here.screen.query_one("#failure-what").focus()
            keys = ["enter"]
        await pilot.press(*keys)
        await until(lambda: bool(here.asked), "the request")
        message = here.asked[0]
        assert isinstance(message, requests.LaunchRequested)
        assert (message.run_id, message.values) == ("broken", {"vllm.max_model_len": 2048})
        assert (message.kind, message.backend) == ("train", "local")


async def test_without_a_proposal_there_is_nothing_to_apply(home: Path, app: Any) -> None:
    failed_run(home, hint={"text": "look at the log", "key": None, "from": None, "to": None})
    async with (here := app("broken")).run_test(size=NORMAL) as pilot:
        await settled(here, pilot)
        assert "p" not in here.screen.active_bindings
        await pilot.press("p", "e")
        await until(lambda: bool(here.asked), "the request")
        assert [message.values for message in here.asked] == [{}]


async def test_a_key_goes_to_the_error_in_the_log(home: Path, app: Any) -> None:
    failed_run(home)
    async with (here := app("broken")).run_test(size=NORMAL) as pilot:
        await settled(here, pilot)
        await pilot.press("5")  # another pane than the log
        await pilot.press("exclamation_mark")
        assert here.screen.query_one(Panes).current == "logs"
        view = here.screen.query_one(LogPane).view
        seen: list[bytes] = []
        while not seen or b"ValueError" not in seen[-1]:
            await until(lambda: view.line is not None and view.line.raw not in seen[-1:], "an error")
            seen.append(view.line.raw)
            await pilot.press("exclamation_mark")
        assert not any(b"] line " in raw for raw in seen[1:])  # errors only, wherever it stood before


async def test_what_only_the_record_knows_is_told_too(home: Path, app: Any) -> None:
    failure = {"boundary": "worker", "cause": "", "message": "it was killed (SIGKILL)", "hint": None}
    make_run(home, "killed", story(2, 5), status="failed", exit_code=1, failure=failure)
    async with (here := app("killed")).run_test(size=NORMAL) as pilot:
        await settled(here, pilot)
        assert "✗ worker  it was killed (SIGKILL)" in shown(here, "#failure-message")


@pytest.mark.parametrize("size", [NORMAL, WIDE])
async def test_a_run_that_failed_before_its_first_step_opens_on_its_log(
    home: Path, app: Any, tmp_path: Path, size: tuple[int, int]
) -> None:
    failed_run(home)
    make_run(home, "later", story(2, 5), status="failed", exit_code=1)
    ui_state = UiState(tmp_path / "app")
    chosen = {"places": ["rollouts", "charts", "system"], "active": 0, "split": None}
    ui_state.put("run.layout", chosen)
    async with (here := app("broken", ui_state=ui_state)).run_test(size=size) as pilot:
        await settled(here, pilot)
        panes = here.screen.query_one(Panes)
        await until(lambda: panes.current == "logs", "the log")
        await pilot.pause()
        assert panes.built["logs"].has_focus_within
        assert ui_state.get("run.layout") == chosen  # nobody chose this one
        await pilot.press("5")
        await pilot.pause()
        assert "config" in ui_state.get("run.layout")["places"]
    ui_state.put("run.layout", chosen)
    async with (here := app("later", ui_state=ui_state)).run_test(size=size) as pilot:
        await settled(here, pilot)
        assert here.screen.query_one(Panes).current == "rollouts"


# --- gone --------------------------------------------------------------------------------------------


async def test_an_unknown_run_is_told_of_in_words(home: Path, app: Any) -> None:
    make_run(home, "other", story(1, 5))
    async with (here := app("othre")).run_test(size=NORMAL) as pilot:
        said = here.screen.query_one("#run-notice", Static)
        await until(lambda: said.display and said.size.height > 0, "words")
        await pilot.pause()
        text = shown(here, "#run-notice")
        assert "there is no run 'othre'" in text
        assert "the nearest runs: other" in text
        await pilot.press("p", "c", "1", "z", "r", "T")  # nothing that could be done
        assert not here.asked
        make_run(home, "othre", story(5, 5))
        await pilot.press("f5")
        await settled(here, pilot)
        assert "✓ done" in shown(here, RunStatus)


async def test_a_run_that_is_removed_while_it_is_shown(bench: LocalBench, app: Any, tmp_path: Path) -> None:
    backend = bench.backend(f"steps:2 wait:{tmp_path / 'gate'} end:done")
    record = await backend.launch(request())
    async with (here := app(record.run_id, Client(None, {"local": backend}), clock=time.time)).run_test(
        size=NORMAL
    ) as pilot:
        await until(lambda: "2/2" in shown(here, RunStatus), "the steps")
        hidden = tmp_path / "elsewhere"
        shutil.move(bench.run_dir(record), hidden)
        said = here.screen.query_one("#run-notice", Static)
        await until(lambda: bool(said.display and said.size.height), "words")
        await pilot.pause()
        assert "there is no record at" in shown(here, "#run-notice")
        assert "2/2" in shown(here, RunStatus)  # what was known stays
        for key in "123456":
            await pilot.press(key)
        await pilot.pause()
        shutil.move(hidden, bench.run_dir(record))


async def test_the_screen_of_a_run_that_was_deleted_goes(
    home: Path, client: Client, settings: Settings
) -> None:
    run_dir = make_run(home, "ended", story(5, 5))
    here = VfmApp(client, settings=settings, clock=lambda: NOW, run="ended")
    async with here.run_test(size=NORMAL) as pilot:
        await until(lambda: isinstance(here.screen, RunScreen), "the run's screen")
        await until(lambda: bool(here.screen.query(Panes)), "its panes")
        await pilot.press("x")
        await until(lambda: isinstance(here.screen, Confirm), "the question")
        await pilot.press("n")
        await until(lambda: isinstance(here.screen, RunScreen), "the run's screen")
        await pilot.press("x")
        await until(lambda: isinstance(here.screen, Confirm), "the question")
        await pilot.press("y")
        await until(lambda: isinstance(here.screen, RunsScreen), "home")
        assert not run_dir.exists()


async def test_keys_that_come_before_the_run_is_found_leave_the_others_alone(
    home: Path, client: Client, settings: Settings
) -> None:
    make_run(home, "ended", story(5, 5))
    slow = SilentBackend([await client.find("ended")])
    late = Client(settings, {"modal": slow, "local": client.backend("local")})
    here = VfmApp(late, settings=settings, clock=lambda: NOW, run="end")
    async with here.run_test(size=NORMAL) as pilot:
        await until(lambda: slow.asked > 0, "the question")
        await pilot.press(*"2/rex")
        assert isinstance(here.screen, RunsScreen)
        assert here.screen.query_one(FilterInput).text == ""
        slow._records = []
        slow.let_go.set()
        await until(lambda: isinstance(here.screen, RunScreen), "the run's screen")
        await until(lambda: bool(here.screen.query(Panes)), "its panes")
        await pilot.press("2")
        assert here.screen.query_one(Panes).current == "charts"


# --- panes and layout --------------------------------------------------------------------------------


async def test_panes_are_built_when_they_are_first_seen(home: Path, app: Any) -> None:
    make_run(home, "ended", [*story(5, 5), SystemEvent(t=NOW, values={"cpu_percent": 5.0})])
    async with (here := app("ended")).run_test(size=NORMAL) as pilot:
        await settled(here, pilot)
        panes = here.screen.query_one(Panes)
        assert list(panes.built) == panes.seen == ["logs"]
        for number, name in enumerate(panes.names, 1):
            await pilot.press(str(number))
            await pilot.pause()
            assert panes.seen == [name]
            assert here.focused is not None
            assert panes.built[name] in here.focused.ancestors_with_self
        assert list(panes.built) == panes.names
        await pilot.press("9", "8", "7")  # there is none
        assert panes.seen == [panes.names[-1]]


async def test_a_wide_terminal_shows_several_at_once(home: Path, app: Any) -> None:
    make_run(home, "ended", story(5, 5))
    async with (here := app("ended")).run_test(size=WIDE) as pilot:
        await settled(here, pilot)
        panes = here.screen.query_one(Panes)
        assert panes.seen == ["logs", "charts", "rollouts"]
        regions = [panes.built[name].region for name in panes.seen]
        assert regions[0].right <= regions[1].x  # beside one another
        assert regions[1].bottom <= regions[2].y  # above one another
        await pilot.press("2")
        assert panes.current == "charts"
        assert panes.seen == ["logs", "charts", "rollouts"]
        await pilot.press("5")  # takes the place of the active one
        assert panes.seen == ["logs", "config", "rollouts"]
        await pilot.press("z")
        await pilot.pause()
        assert panes.seen == ["config"]
        assert panes.built["config"].region.width > 190
        await pilot.press("z")
        assert panes.seen == ["logs", "config", "rollouts"]
        await pilot.press("vertical_line")
        assert panes.seen == ["config"]


async def test_the_mouse_chooses_panes_too(home: Path, app: Any) -> None:
    make_run(home, "ended", story(5, 5))
    async with (here := app("ended")).run_test(size=NORMAL) as pilot:
        await settled(here, pilot)
        tabs = shown(here, "PaneTabs")
        await pilot.click("PaneTabs", offset=(tabs.index("config") + 1, 0))
        await pilot.pause()
        assert here.screen.query_one(Panes).seen == ["config"]


async def test_a_split_on_a_narrow_terminal_lies_above_one_another(home: Path, app: Any) -> None:
    make_run(home, "ended", story(5, 5))
    async with (here := app("ended")).run_test(size=(80, 40)) as pilot:
        await settled(here, pilot)
        panes = here.screen.query_one(Panes)
        await pilot.press("vertical_line")
        await pilot.pause()
        assert panes.seen == ["logs", "charts"]
        assert panes.built["logs"].region.bottom <= panes.built["charts"].region.y
        await pilot.resize_terminal(80, 24)
        await pilot.pause()
        assert panes.seen == ["logs"]
        await pilot.press("vertical_line")
        assert any("too small" in n.message for n in here._notifications)


async def test_charts_that_were_seen_last_have_the_keys_as_soon_as_there_are_any(
    home: Path, app: Any, tmp_path: Path
) -> None:
    make_run(home, "ended", story(5, 5))
    ui_state = UiState(tmp_path / "app")
    ui_state.put("run.layout", {"places": ["charts"], "active": 0, "split": None})
    async with (here := app("ended", ui_state=ui_state)).run_test(size=NORMAL) as pilot:
        await settled(here, pilot)
        await until(lambda: getattr(here.focused, "metric", "") == "reward", "the first chart")


async def test_the_layout_is_remembered(home: Path, app: Any, tmp_path: Path) -> None:
    make_run(home, "ended", story(5, 5))
    make_run(home, "another", story(2, 5))
    async with (here := app("ended", ui_state=UiState(tmp_path / "app"))).run_test(size=WIDE) as pilot:
        await settled(here, pilot)
        await pilot.press("2", "5", "o", "1", "w")  # config for charts, only what differs; wrapped logs
        await pilot.press("slash", *"step", "enter")
        await pilot.press("ctrl+q")
    async with (here := app("another", ui_state=UiState(tmp_path / "app"))).run_test(size=WIDE) as pilot:
        await settled(here, pilot)
        panes = here.screen.query_one(Panes)
        assert panes.seen == ["logs", "config", "rollouts"]
        await until(lambda: here.screen.query_one(LogPane).view.wrap, "wrapping")
        assert here.screen.query_one(LogPane).state()["filter"] == "step"
        assert panes.built["config"].only


async def test_keys_and_sizes_in_a_hurry(home: Path, app: Any) -> None:
    make_run(home, "ended", story(5, 5))
    async with (here := app("ended")).run_test(size=WIDE) as pilot:
        await until(lambda: bool(here.screen.query(Panes)), "panes")
        screen = here.screen
        for number, size in enumerate((NARROW, WIDE, NORMAL, WIDE, NARROW, WIDE), 1):
            here.call_later(screen.action_pane, number)
            here.call_later(screen.action_zoom)
            await pilot.resize_terminal(*size)
        await settled(here, pilot)
        panes = screen.query_one(Panes)
        await until(lambda: panes.current == "files" and len(panes.built) >= 4, "all of it")


# --- keys that come in one burst, as over a slow line -------------------------------------------------

_NAMES = {"/": "slash", "]": "right_square_bracket", "[": "left_square_bracket", "!": "exclamation_mark"}


def burst(app: App, keys: str) -> None:
    """All of these keys at once, before anything heard of the first."""
    for char in keys:
        app.post_message(Key(_NAMES.get(char, char), char))


@pytest.mark.parametrize("size", [NORMAL, WIDE])
@pytest.mark.parametrize("pane", "125")
async def test_what_is_typed_after_a_slash_is_words_in_the_pane_that_was_chosen(
    home: Path, app: Any, pane: str, size: tuple[int, int]
) -> None:
    make_run(home, "ended", story(5, 5))
    async with (here := app("ended")).run_test(size=size) as pilot:
        await settled(here, pilot)
        burst(here, f"3{pane}/rexzc12p")
        panes = here.screen.query_one(Panes)
        await until(lambda: isinstance(here.focused, Input) and here.focused.value == "rexzc12p", "words")
        assert here.focused is not None
        assert panes.built[panes.current] in here.focused.ancestors
        assert panes.current == panes.names[int(pane) - 1]
        assert not here.asked


async def test_each_key_of_a_burst_finds_what_the_one_before_it_chose(home: Path, app: Any) -> None:
    run_dir = make_run(home, "ended", story(5, 5))
    (run_dir / "rollouts").mkdir()
    for step in (1, 2, 3):
        episode = {"episode_id": f"e{step}", "reward": {"total": 1.0}, "messages": []}
        (run_dir / "rollouts" / f"step-{step:06d}.jsonl").write_text(json.dumps(episode) + "\n")
    async with (here := app("ended")).run_test(size=NORMAL) as pilot:
        await settled(here, pilot)
        burst(here, "325o1w2y")
        panes = here.screen.query_one(Panes)
        await until(lambda: len(panes.built) == 4, "all of them")
        await pilot.pause()
        assert panes.built["config"].only
        assert panes.built["logs"].view.wrap
        assert panes.built["charts"].state()["log"]
        assert panes.current == "charts"
        await until(lambda: bool(panes.built["rollouts"].query("EpisodeList")), "episodes")
        burst(here, "3[[1")
        await until(lambda: panes.current == "logs", "the last key")
        await until(
            lambda: "step 1" in str(panes.built["rollouts"].query_one("#rollouts-head", Static).content), ""
        )


# --- numbers that make no sense ------------------------------------------------------------------------


def absurd_story(many: int) -> list[Event]:
    """A stream with every number that arithmetic stumbles over, and many metrics."""
    inf, nan = math.inf, math.nan
    odd = [inf, -inf, nan, 1e300, -1e300, 1e308, -1e308, 5e-324, 0.0, -0.0, 10**400]
    events: list[Event] = story(3, 5)
    t = NOW - 500
    for step in (4, 1, 10**18, -7, 2, 3, 10**400):  # backwards, too
        values = {f"odd/{n}": value for n, value in enumerate(odd)} | {"reward": odd[step % len(odd)]}
        events.append(MetricsEvent(step=step, values=values, t=t))
    events.append(MetricsEvent(step=5, values={f"many/{n}": float(n) for n in range(many)}, t=t))
    for value in odd:
        events += [
            ProgressEvent(done=value, total=0, what="steps", t=t),
            ProgressEvent(done=-5, total=value, what="steps", t=t),
            ProgressEvent(done=value, total=value, what="packages", t=t),
            SystemEvent(values={"cpu_percent": value, "memory_gb": value, "memory_total_gb": 0.0}, t=t),
            PhaseEvent(phase="save", status="started", t=value),
            PhaseEvent(phase="save", status="done", detail="at no time", t=value),
        ]
    return events


@pytest.mark.parametrize(
    ("kind", "many", "last"),
    [
        ("train", 10_000, ProgressEvent(done=-3, total=1e15, what="steps", t=NOW - 400)),
        ("train", 100, MetricsEvent(step=6, values={"reward": math.inf, "eval/total": math.nan}, t=-1e10)),
        ("evaluate", 100, ProgressEvent(done=1e15, total=1e-300, what="episodes", t=1.0)),
    ],
)
async def test_no_number_of_a_stream_breaks_anything(
    home: Path, app: Any, kind: str, many: int, last: Event
) -> None:
    make_run(home, "odd", [*absurd_story(many), last], kind=kind)
    async with (here := app("odd")).run_test(size=NORMAL) as pilot:
        await settled(here, pilot)
        await pilot.press("T", "T", *"12", "y", "home", "plus", "0", "enter", "enter", "end", "escape")
        panes = here.screen.query_one(Panes)
        status = str(panes.built["charts"].query_one("#chart-status", Static).content)
        assert many < 10_000 or "of 10,0" in status
        await pilot.press("slash", *f"many/{many - 1}", "enter")
        assert [chart.metric for chart in panes.built["charts"].shown] == [f"many/{many - 1}"]
        await pilot.press("escape", *"3456")
        await pilot.resize_terminal(*WIDE)
        await pilot.press(*"241")
        await pilot.pause()
        assert shown(here, RunStatus)
        assert here.crash is None
        assert [n.message for n in here._notifications if n.severity == "error"] == []


async def test_a_metric_without_a_name_is_a_chart_like_others(home: Path, app: Any) -> None:
    values = {"": 1.0, "reward": 0.5, "zeta": 2.0}
    make_run(home, "nameless", [*story(1, 1), MetricsEvent(step=2, values=values, t=NOW)])
    async with (here := app("nameless")).run_test(size=NORMAL) as pilot:
        await settled(here, pilot)
        await pilot.press("2")
        charts = here.screen.query_one(Panes).built["charts"]
        await until(lambda: "" in {chart.metric for chart in charts.shown}, "the charts")
        nameless = next(chart for chart in charts.shown if chart.metric == "")
        assert "(no name)" in "".join(segment.text for segment in nameless.render_line(0))
        here.screen.set_focus(nameless)
        await pilot.press("enter")
        await until(lambda: charts.shown == [nameless], "it alone")
        await pilot.press("enter")
        await until(lambda: len(charts.shown) > 3, "all of them")


# --- asking ------------------------------------------------------------------------------------------


async def test_keys_ask_for_what_can_be_done(home: Path, app: Any) -> None:
    make_run(home, "ended", story(5, 5), kind="train")
    async with (here := app("ended")).run_test(size=NORMAL) as pilot:
        await settled(here, pilot)
        await pilot.press("c", "r", "e", "d", "x")
        await until(lambda: len(here.asked) == 4, "requests")
        assert [type(message) for message in here.asked] == [
            requests.RerunRequested,
            requests.LaunchRequested,
            requests.DownloadRequested,
            requests.DeleteRequested,
        ]
        assert here.asked[1].run_id == "ended"
        assert here.asked[2].paths == ["runs/ended"]


async def test_a_live_run_can_be_cancelled_and_not_deleted(
    bench: LocalBench, app: Any, tmp_path: Path
) -> None:
    backend = bench.backend(f"polite: steps:2 wait:{tmp_path / 'gate'} end:done")
    record = await backend.launch(request())
    client = Client(None, {"local": backend})
    async with (here := app(record.run_id, client, clock=time.time)).run_test(size=NORMAL) as pilot:
        await until(lambda: "2/2" in shown(here, RunStatus), "the steps")
        await pilot.press("x", "c")
        await until(lambda: bool(here.asked), "a request")
        assert [type(message) for message in here.asked] == [requests.CancelRequested]
        await backend.cancel(record)
        await settled(here, pilot)
        assert "■ cancelled" in shown(here, RunStatus)


async def save_log(here: Any, pilot: Any) -> None:
    """Ask for it, and take what is suggested."""
    await pilot.press("ctrl+s")
    await until(lambda: isinstance(here.screen, AskPath), "the question")
    await pilot.pause()
    await pilot.press("enter")


async def test_what_the_log_shows_goes_into_a_file(home: Path, app: Any, tmp_path: Path) -> None:
    failed_run(home)
    ui_state = UiState(None)
    ui_state.put("download_dir", str(tmp_path / "not/there/yet"))
    saved = tmp_path / "not/there/yet/broken-all.log"
    async with (here := app("broken", ui_state=ui_state)).run_test(size=NORMAL) as pilot:
        await settled(here, pilot)
        await save_log(here, pilot)
        await until(lambda: any("lines in" in n.message for n in here._notifications), "the file")
        assert "ValueError: 16 is too short" in saved.read_text()
        for answer, is_replaced in (("n", False), ("y", True)):
            saved.write_text("mine")
            await save_log(here, pilot)
            await until(lambda: isinstance(here.screen, Confirm), "whether to replace it")
            assert saved.read_text() == "mine"
            await pilot.press(answer)
            await until(lambda: isinstance(here.screen, RunScreen), "no question")
            await pilot.pause()
            await until(lambda then=is_replaced: (saved.read_text() != "mine") is then, "the file")
        assert list(saved.parent.iterdir()) == [saved]
        await save_log(here, pilot)
        await until(lambda: isinstance(here.screen, RunScreen), "that nobody is asked of the same lines")


async def test_a_file_that_cannot_be_written_is_told_of(home: Path, app: Any, tmp_path: Path) -> None:
    failed_run(home)
    ui_state = UiState(None)
    ui_state.put("download_dir", str(tmp_path / "file"))
    (tmp_path / "file").touch()
    async with (here := app("broken", ui_state=ui_state)).run_test(size=NORMAL) as pilot:
        await settled(here, pilot)
        await pilot.press("ctrl+s")
        await until(lambda: not isinstance(here.screen, RunScreen), "the question")
        await pilot.pause()
        await pilot.press("enter")
        await until(lambda: any("cannot save" in n.message for n in here._notifications), "words")
