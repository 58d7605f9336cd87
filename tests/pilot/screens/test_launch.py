"""The launch form through real keys: pick, change, see, mend, save, launch once."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.events import Key, Paste
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Button, Static

from remote.contract.record import RunRecord
from tests.backends.conftest import LocalBench
from tests.pilot.conftest import NOW, ROOT
from tests.waiting import until
from tui.app import VfmApp
from tui.client import Client
from tui.planning.plan import Plan
from tui.screens import launch_editor, requests
from tui.screens.dialogs import Confirm
from tui.screens.launch import LaunchScreen
from tui.screens.run import RunScreen
from tui.screens.runs import RunsScreen
from tui.settings import Settings
from tui.widgets.launch.config_list import ConfigList
from tui.widgets.launch.fields import FormFields
from tui.widgets.launch.form import FieldInput, Form, SearchInput
from tui.widgets.launch.plan_panel import PlanPanel

CONFIG = """\
# One of two.
training:
  environment: wordle
  steps: 5         # few
  batch_size: 8
  gradient_accumulation_steps: 1
  num_generations: 4
model:
  base_model: "builtin/tiny-random"
"""
OTHER = "training:\n  environment: wordle\n  steps: 9\n"

App = Pilot[Any]
Opened = Callable[..., AbstractAsyncContextManager[tuple[App, LaunchScreen]]]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of two configs, with one of this checkout's environments."""
    folder = tmp_path / "project"
    (folder / "configs").mkdir(parents=True)
    (folder / "environments").mkdir()
    (folder / "environments" / "vf_wordle").symlink_to(ROOT / "environments" / "vf_wordle")
    (folder / "configs" / "one.yaml").write_text(CONFIG)
    (folder / "configs" / "two.yaml").write_text(OTHER)
    return folder


@pytest.fixture
def mine(settings: Settings, project: Path) -> Settings:
    """Settings of that project."""
    names = frozenset({"WANDB_API_KEY"})
    return replace(settings, project_dir=project, env_file_names=names, secrets={"WANDB_API_KEY": "x"})


class Landing(Screen[None]):
    """What stands in for a run's screen: which run was opened is all that is asked here."""

    def __init__(self, run_id: str) -> None:
        super().__init__()
        self.run_id = run_id


@pytest.fixture
def opened(bench: LocalBench, mine: Settings, monkeypatch: pytest.MonkeyPatch) -> Opened:
    """Opens the form in an app over scripted runs that end at once."""
    monkeypatch.setattr(
        VfmApp, "on_run_requested", lambda app, message: app.push_screen(Landing(message.run_id))
    )

    @asynccontextmanager
    async def opening(
        size: tuple[int, int] = (140, 45),
        *,
        script: str = "end:done",
        readonly: bool = False,
        settings: Settings = mine,
        **request: Any,
    ) -> AsyncIterator[tuple[App, LaunchScreen]]:
        client = Client(settings, {"local": bench.backend(script)})
        app = VfmApp(client, settings=settings, clock=lambda: NOW, readonly=readonly)
        async with app.run_test(size=size) as pilot:
            app.post_message(requests.LaunchRequested(**request))
            await until(lambda: isinstance(app.screen, LaunchScreen), "the form")
            screen = app.screen
            assert isinstance(screen, LaunchScreen)
            await until(lambda: is_there(screen), "the fields")
            await settled(pilot, screen)
            yield pilot, screen

    return opening


def is_there(screen: LaunchScreen) -> bool:
    """Whether the form has its fields."""
    return bool(screen.query(FormFields)) and len(form(screen).fields.lines) > 1


def form(screen: LaunchScreen) -> Form:
    """The form of the screen."""
    return screen.query_one(Form)


async def settled(pilot: App, screen: LaunchScreen) -> None:
    """Wait until the plan shows what is typed, or that something is wrong."""
    await pilot.pause()

    def shown() -> bool:
        panel, draft = screen.query_one(PlanPanel), screen.draft
        if draft is None or not draft.is_sound:
            return draft is None or panel.outlook is None
        return panel.outlook is not None and screen.is_settled

    await until(shown, "the plan")
    await pilot.pause()


async def type_in(pilot: App, screen: LaunchScreen, key: str, text: str) -> None:
    """Go to a field by searching for its name, and type into it."""
    form(screen).fields.focus()
    await pilot.press("slash", *key.rpartition(".")[2])
    await pilot.press("enter")
    while here(screen) != key:
        await pilot.press("down")
    await pilot.press("enter", "ctrl+u", *text, "enter", "escape")
    await settled(pilot, screen)


def seen(pilot: App) -> str:
    """The screen as text."""
    lines = pilot.app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in line) for line in lines)


def planned(screen: LaunchScreen) -> str:
    """What the plan says, unwrapped."""
    return str(screen.query_one(PlanPanel).query_one(Static).content)


def config_of(screen: LaunchScreen) -> str | None:
    """The config that is looked at; None while it is read."""
    return screen.draft.config if screen.draft else None


def here(screen: LaunchScreen) -> str:
    """The key of the field under the cursor."""
    field = form(screen).fields.field
    return field.key if field else ""


def problem_lines(screen: LaunchScreen) -> dict[str, str]:
    """Key → what is said below its field."""
    said: dict[str, str] = {}
    for line in form(screen).fields.lines:
        if line.kind == "problem":
            said[line.key] = f"{said.get(line.key, '')} {line.text.strip()}".strip().removeprefix("✗ ")
    return said


def launched(mine: Settings) -> list[dict[str, Any]]:
    """The requests of every run on disk."""
    return [json.loads(path.read_bytes()) for path in mine.home.glob("volumes/*/runs/*/request.json")]


async def test_it_opens_on_the_first_config_with_its_plan(opened: Opened) -> None:
    async with opened() as (pilot, screen):
        said = seen(pilot)
        for words in ("# One of two.", "batch_size", "≡ file", "Train vf_wordle on local"):
            assert words in said
        assert "builtin/tiny-random" in said
        assert "free: it runs on this machine" in said
        assert pilot.app.screen.focused is form(screen).fields


async def test_another_config_is_taken_by_walking_to_it(opened: Opened) -> None:
    async with opened() as (pilot, screen):
        await pilot.press("f2", "down")
        await until(lambda: config_of(screen) == "configs/two.yaml", "the config")
        await settled(pilot, screen)
        assert "vfm launch configs/two.yaml --backend local" in planned(screen)
        await pilot.press("enter")
        assert screen.focused is form(screen).fields


async def test_what_is_typed_shows_its_source_the_difference_and_the_command(opened: Opened) -> None:
    async with opened() as (pilot, screen):
        await type_in(pilot, screen, "training.steps", "7")
        said = seen(pilot)
        assert "✎ you" in said
        assert "7  was 5" in said
        assert "training.steps 5 → 7" in planned(screen)
        assert "--set training.steps=7" in planned(screen)
        assert "• 1 changed" in said
        assert "one •1" in said


async def test_a_wrong_value_says_so_beside_its_field_and_keeps_from_launching(
    opened: Opened, mine: Settings
) -> None:
    async with opened() as (pilot, screen):
        await type_in(pilot, screen, "training.steps", "many")
        assert problem_lines(screen) == {"training.steps": "should be a whole number of at least 1"}
        assert "1 field needs mending" in seen(pilot)
        await pilot.press("home", "ctrl+l")
        await pilot.pause()
        assert here(screen) == "training.steps"
        assert pilot.app.screen is screen
        assert launched(mine) == []
        await pilot.press("ctrl+r")
        await settled(pilot, screen)
        assert problem_lines(screen) == {}
        assert screen.query_one(PlanPanel).outlook is not None


async def test_the_message_comes_while_typing_and_escape_takes_it_all_back(opened: Opened) -> None:
    async with opened() as (pilot, screen):
        form(screen).go_to("training.steps")
        await pilot.press("7", "x")
        await pilot.pause()
        assert problem_lines(screen) == {"training.steps": "should be a whole number of at least 1"}
        assert form(screen).query_one(FieldInput).display
        await pilot.press("escape")
        await settled(pilot, screen)
        assert problem_lines(screen) == {}
        assert screen.draft is not None
        assert screen.draft.typed == {}
        assert screen.focused is form(screen).fields


async def test_keys_that_come_in_one_burst_act_in_their_order(opened: Opened) -> None:
    async with opened() as (pilot, screen):
        form(screen).go_to("training.batch_size")
        await pilot.pause()
        for key in ("up", "4", "2", "7"):
            pilot.app.post_message(Key(key, key if len(key) == 1 else None))
        await until(lambda: bool(screen.draft and screen.draft.typed.get("training.steps")), "the typing")
        await pilot.pause()
        await pilot.press("enter")
        for char in "/seed":
            pilot.app.post_message(Key("slash" if char == "/" else char, char))
        await pilot.pause()
        await settled(pilot, screen)
        assert screen.draft is not None
        assert {key: one.value for key, one in screen.draft.typed.items()} == {"training.steps": 427}
        assert form(screen).query_text == "seed"
        assert screen.query_one(SearchInput).has_focus


BLOCKS = {
    "turns: 2\nreply: plain\nfirst_letter_hint: true\n": {
        "turns": 2,
        "reply": "plain",
        "first_letter_hint": True,
    },
    '{\n  "turns": 2,\n  "weights": {\n    "a": 1\n  }\n}\n': {"turns": 2, "weights": {"a": 1}},
    "weights:\r\n  a: 1\r\n  b: [1, 2]\r\n": {"weights": {"a": 1, "b": [1, 2]}},
}


@pytest.mark.parametrize("block", BLOCKS)
async def test_a_mapping_pasted_on_several_lines_comes_whole(opened: Opened, block: str) -> None:
    async with opened() as (pilot, screen):
        form(screen).go_to("training.environment_args")
        await pilot.pause()
        await pilot.press("enter", "ctrl+u")
        pilot.app.post_message(Paste(block))
        await pilot.pause()
        await pilot.press("enter")
        await settled(pilot, screen)
        assert screen.draft is not None
        assert screen.draft.typed["training.environment_args"].value == BLOCKS[block]


async def test_lines_that_are_no_mapping_are_shown_with_what_is_wrong(opened: Opened) -> None:
    async with opened() as (pilot, screen):
        form(screen).go_to("training.environment_args")
        await pilot.pause()
        await pilot.press("enter", "ctrl+u")
        pilot.app.post_message(Paste("turns: [2\nreply"))
        await pilot.pause()
        await pilot.press("enter")
        await settled(pilot, screen)
        assert "training.environment_args" in problem_lines(screen)
        await pilot.press("slash", "ctrl+u")
        pilot.app.post_message(Paste("two\n\nwords\n"))
        await pilot.pause()
        assert form(screen).query_text == "two words"


async def test_an_environment_that_is_not_there_is_told_beside_its_field(opened: Opened) -> None:
    async with opened() as (pilot, screen):
        await type_in(pilot, screen, "training.environment", "wordel")
        assert "did you mean vf-wordle?" in problem_lines(screen)["training.environment"]


async def test_choices_are_stepped_through(opened: Opened) -> None:
    async with opened() as (pilot, screen):
        form(screen).go_to("modal.gpu.type")
        await pilot.press("right")
        form(screen).go_to("wandb.enabled")
        await pilot.press("space")
        form(screen).go_to("training.environment")
        await pilot.press("right")
        await settled(pilot, screen)
        assert screen.draft is not None
        typed = {key: one.value for key, one in screen.draft.typed.items()}
        assert typed == {
            "modal.gpu.type": "A100-80GB",
            "wandb.enabled": False,
            "training.environment": "vf-wordle",
        }


async def test_reset_takes_back_a_field_or_all_and_brings_it_back(opened: Opened) -> None:
    async with opened() as (pilot, screen):
        await type_in(pilot, screen, "training.steps", "7")
        await type_in(pilot, screen, "training.seed", "8")
        form(screen).go_to("training.seed")
        await pilot.press("ctrl+r")
        assert screen.draft is not None
        assert list(screen.draft.typed) == ["training.steps"]
        form(screen).go_to("training.steps")
        await pilot.press("f4", "ctrl+r")  # no field is in sight of the keyboard
        assert list(screen.draft.typed) == ["training.steps"]
        await pilot.press("R")
        assert screen.draft.typed == {}
        await pilot.press("R")
        assert list(screen.draft.typed) == ["training.steps"]


async def test_search_looks_at_keys_and_help_and_escape_clears_it(opened: Opened) -> None:
    async with opened() as (pilot, screen):
        every = len(form(screen).fields.field_rows())
        await pilot.press("slash", *"optimiser", "enter")
        keys = {line.key for line in form(screen).fields.lines if line.kind == "field"}
        assert keys == {"training.steps", "training.gradient_accumulation_steps"}
        await pilot.press("escape")
        assert len(form(screen).fields.field_rows()) == every
        assert pilot.app.screen is screen
        await pilot.press("slash", *"zzz", "enter")
        assert "no field has 'zzz'" in seen(pilot)
        await pilot.press("c")
        assert "no changed field has 'zzz'" in seen(pilot)
        assert f"0 of {every} fields: changed only" in seen(pilot)


async def test_only_what_is_changed_can_be_shown(opened: Opened) -> None:
    async with opened() as (pilot, screen):
        await type_in(pilot, screen, "training.steps", "7")
        await pilot.press("c")
        assert [line.key for line in form(screen).fields.lines if line.kind == "field"] == ["training.steps"]
        await pilot.press("c")
        assert len(form(screen).fields.field_rows()) > 50


async def test_saving_keeps_the_comments_and_goes_on_with_the_new_config(
    opened: Opened, project: Path
) -> None:
    async with opened() as (pilot, screen):
        await type_in(pilot, screen, "training.steps", "12345")
        await pilot.press("ctrl+s")
        await until(lambda: pilot.app.screen is not screen, "the question")
        await pilot.pause()
        await pilot.press("ctrl+u", *"two", "enter")
        await until(lambda: any("already" in n.message for n in pilot.app._notifications), "the refusal")
        await until(lambda: pilot.app.screen is not screen, "the question again")
        await pilot.pause()
        await pilot.press("ctrl+u", *"three", "enter")
        await until(lambda: (project / "configs" / "three.yaml").exists(), "the file")
        await until(lambda: config_of(screen) == "configs/three.yaml", "the form")
        await settled(pilot, screen)
        assert screen.draft is not None
        assert screen.draft.typed == {}
    saved = (project / "configs" / "three.yaml").read_text()
    assert saved == CONFIG.replace("steps: 5         # few", "steps: 12345     # few")
    assert (project / "configs" / "one.yaml").read_text() == CONFIG
    assert (project / "configs" / "two.yaml").read_text() == OTHER


async def test_a_double_press_launches_once_and_the_run_opens(opened: Opened, mine: Settings) -> None:
    async with opened() as (pilot, screen):
        await type_in(pilot, screen, "training.steps", "7")
        await pilot.press("ctrl+l", "ctrl+l", "ctrl+l")
        await until(lambda: isinstance(pilot.app.screen, Landing), "the run's screen")
        (request,) = launched(mine)
        assert request["spec"]["training"]["steps"] == 7
        assert (request["config_path"], request["kind"]) == ("configs/one.yaml", "train")
        assert getattr(pilot.app.screen, "run_id", None) == request["run_id"]
        assert not any(isinstance(other, LaunchScreen) for other in pilot.app.screen_stack)


async def test_evaluating_is_one_key_away(opened: Opened, mine: Settings) -> None:
    async with opened() as (pilot, screen):
        await pilot.press("f5")
        await settled(pilot, screen)
        assert "Evaluate vf_wordle on local" in seen(pilot)
        await pilot.click("#launch")
        await until(lambda: isinstance(pilot.app.screen, Landing), "the run's screen")
        assert [request["kind"] for request in launched(mine)] == ["evaluate"]


async def test_a_backend_that_is_not_there_is_told_of_in_place(opened: Opened, mine: Settings) -> None:
    async with opened() as (pilot, screen):
        await pilot.press("f6")
        await settled(pilot, screen)
        assert "an hour" in seen(pilot)
        assert "of 40.0 GiB" in seen(pilot)
        assert "bytes" not in planned(screen)
        await pilot.press("e")
        assert "16 bytes: float32" in planned(screen)
        await pilot.press("ctrl+l")
        await until(lambda: isinstance(pilot.app.screen, Confirm), "the question about its price")
        assert "$2.73 an hour, at most $43.71, in 4 attempts of 4 h 00 min" in seen(pilot)
        await pilot.press("y")
        await until(lambda: "there is no backend 'modal'" in seen(pilot), "the error")
        assert pilot.app.screen is screen
        assert not screen.query_one("#launch", Button).disabled
        assert launched(mine) == []


async def test_nothing_that_costs_money_starts_without_a_yes(opened: Opened, mine: Settings) -> None:
    async with opened() as (pilot, screen):
        await type_in(pilot, screen, "budget.max_usd", "5")
        await pilot.press("f6", "ctrl+l")
        await until(lambda: isinstance(pilot.app.screen, Confirm), "the question about its price")
        assert "at most $5.00, by its budget" in seen(pilot)
        await pilot.press("enter")  # the button that has the focus is no
        await until(lambda: pilot.app.screen is screen, "the form")
        assert not screen.query_one("#launch", Button).disabled
        assert "there is no backend" not in seen(pilot)


async def test_what_keeps_a_run_from_modal_is_told_where_it_is_seen(opened: Opened, mine: Settings) -> None:
    async with opened(settings=replace(mine, env_file_names=frozenset()), size=(80, 24)) as (pilot, screen):
        await pilot.press("f6")
        await settled(pilot, screen)
        await pilot.press("ctrl+l")
        trouble = screen.query_one("#launch-error", Static)
        await until(lambda: not trouble.has_class("-hidden"), "what is wrong")
        assert "cp .env.example .env" in str(trouble.content)
        assert pilot.app.screen is screen


async def test_read_only_launches_nothing(opened: Opened, mine: Settings) -> None:
    async with opened(readonly=True) as (pilot, screen):
        await pilot.press("ctrl+l")
        await pilot.pause()
        assert pilot.app.screen is screen
        assert any("read-only" in n.message for n in pilot.app._notifications)
    assert launched(mine) == []


async def test_what_was_typed_is_there_the_next_time(opened: Opened) -> None:
    async with opened() as (pilot, screen):
        await type_in(pilot, screen, "training.seed", "3")
        await pilot.press("f2", "down")
        await until(lambda: config_of(screen) == "configs/two.yaml", "the config")
        await type_in(pilot, screen, "training.steps", "many")
        await pilot.press("f5", "escape")
        await until(lambda: pilot.app.screen is not screen, "home")
    async with opened() as (pilot, screen):
        assert screen.draft is not None
        assert (screen.draft.config, screen.draft.kind) == ("configs/two.yaml", "evaluate")
        assert {k: (t.text, t.by) for k, t in screen.draft.typed.items()} == {
            "training.steps": ("many", "you")
        }
        await pilot.press("f2", "up")
        await until(lambda: config_of(screen) == "configs/one.yaml", "the config")
        assert {k: t.value for k, t in screen.draft.typed.items()} == {"training.seed": 3}


async def test_what_was_launched_is_not_typed_the_next_time(opened: Opened) -> None:
    async with opened() as (pilot, screen):
        await pilot.press("f2", "down")
        await until(lambda: config_of(screen) == "configs/two.yaml", "the config")
        form(screen).go_to("training.steps")
        await pilot.press("6", "enter")
        await settled(pilot, screen)
        await pilot.press("ctrl+l")
        await until(lambda: isinstance(pilot.app.screen, Landing), "the run's screen")
    async with opened() as (pilot, screen):
        assert config_of(screen) == "configs/two.yaml"
        assert screen.draft is not None
        assert screen.draft.typed == {}
        assert seen(pilot).index("two") < seen(pilot).index("one")  # the one used last comes first


async def test_a_click_on_a_value_edits_it_and_one_elsewhere_keeps_it(opened: Opened) -> None:
    async with opened() as (pilot, screen):
        form(screen).go_to("training.steps")
        await pilot.pause()
        fields = form(screen).fields
        for key in ("training.environment", "training.steps"):
            row = next(n for n, line in enumerate(fields.lines) if line.key == key)
            region = fields.value_region(row)
            await pilot.click(FormFields, offset=(region.x + 1, region.y))
            await pilot.pause()
            assert here(screen) == key
            assert form(screen).query_one(FieldInput).display
            await pilot.press("ctrl+u", *("9" if key == "training.steps" else "vf-wordle"))
            # While nothing stands in a field, what is wrong stands below it, and the lines after it move.
            await settled(pilot, screen)
        row = next(n for n, line in enumerate(fields.lines) if line.key == "training.batch_size")
        await pilot.click(FormFields, offset=(4, fields.value_region(row).y))
        await pilot.pause()
        assert not form(screen).query_one(FieldInput).display
        assert here(screen) == "training.batch_size"
        assert screen.draft is not None
        assert {k: t.value for k, t in screen.draft.typed.items()} == {
            "training.steps": 9,
            "training.environment": "vf-wordle",
        }


async def test_a_hints_proposal_comes_filled_in(opened: Opened) -> None:
    async with opened(config="configs/two.yaml", values={"vllm.max_model_len": 8192}) as (pilot, screen):
        assert here(screen) == "vllm.max_model_len"
        assert "✦ hint" in seen(pilot)
        assert "vllm.max_model_len 4096 → 8192" in planned(screen)


async def test_a_run_is_edited_and_run_again(opened: Opened, mine: Settings) -> None:
    async with opened() as (pilot, screen):
        await type_in(pilot, screen, "training.steps", "7")
        await pilot.press("ctrl+l")
        await until(lambda: isinstance(pilot.app.screen, Landing), "the run's screen")
    (first,) = launched(mine)
    async with opened(run_id=first["run_id"], values={"training.seed": 3}) as (pilot, screen):
        assert screen.draft is not None
        assert {k: (t.value, t.by) for k, t in screen.draft.typed.items()} == {
            "training.steps": (7, "you"),
            "training.seed": (3, "hint"),
        }
        await pilot.press("ctrl+l")
        await until(lambda: len(launched(mine)) == 2, "the second run")
        await until(lambda: isinstance(pilot.app.screen, Landing), "the run's screen")
    again = next(request for request in launched(mine) if request["run_id"] != first["run_id"])
    assert (again["spec"]["training"]["steps"], again["spec"]["training"]["seed"]) == (7, 3)


async def test_the_command_is_copied(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened() as (pilot, screen):
        await pilot.press("y")
        await until(lambda: bool(pilot.app.clipboard), "the clipboard")
        assert pilot.app.clipboard == "vfm launch configs/one.yaml --backend local"
        monkeypatch.setattr(launch_editor, "SETTLE", 3600)  # the plan that is shown stays that of before
        form(screen).go_to("training.steps")
        await pilot.press("7", "enter", "y")
        await until(lambda: pilot.app.clipboard.endswith(" --set training.steps=7"), "the clipboard")


async def test_it_opens_at_the_field_that_somebody_looked_for(opened: Opened) -> None:
    async with opened(field="vllm.max_model_len") as (_, screen):
        assert here(screen) == "vllm.max_model_len"
        assert screen.focused is form(screen).fields
        assert screen.draft is not None
        assert screen.draft.typed == {}


async def test_the_next_problem_is_found_behind_a_search(opened: Opened) -> None:
    async with opened() as (pilot, screen):
        await type_in(pilot, screen, "training.steps", "many")
        await pilot.press("slash", *"seed", "enter")
        assert here(screen) == "training.seed"
        await pilot.press("n")
        await pilot.pause()
        assert here(screen) == "training.steps"


async def test_a_launch_that_has_begun_goes_on_when_the_form_is_left(
    opened: Opened, mine: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on, launch = asyncio.Event(), asyncio.Event(), Client.launch

    async def slow(client: Client, plan: Plan) -> RunRecord:
        begun.set()
        await go_on.wait()
        return await launch(client, plan)

    monkeypatch.setattr(Client, "launch", slow)
    async with opened() as (pilot, screen):
        await pilot.press("ctrl+l")
        await begun.wait()
        await pilot.press("escape")
        await until(lambda: not screen.is_attached, "home")
        go_on.set()
        await until(lambda: any(" started" in n.message for n in pilot.app._notifications), "the word")
        assert len(launched(mine)) == 1
        assert not isinstance(pilot.app.screen, Landing)


async def test_a_narrow_terminal_turns_panes_into_pages(opened: Opened) -> None:
    async with opened((80, 24)) as (pilot, screen):
        assert "Launch  ^l" in seen(pilot)
        assert "gradient_accumulation_steps" not in seen(pilot)  # further down
        assert not screen.query_one(PlanPanel).display
        await pilot.press("f4")
        assert "Train vf_wordle on local" in seen(pilot)
        assert "Launch  ^l" in seen(pilot)
        await pilot.press("tab")
        assert screen.query_one(ConfigList).display
        assert not form(screen).display
        assert "# One of two." in seen(pilot)
        await pilot.press("f3")
        assert screen.focused is form(screen).fields


async def test_pages_and_launch_take_clicks_in_a_narrow_terminal(opened: Opened, mine: Settings) -> None:
    async with opened((80, 24)) as (pilot, screen):
        for word, page in (("plan", PlanPanel), ("configs", ConfigList), ("form", Form)):
            at = seen(pilot).splitlines()[2].index(word)
            await pilot.click(offset=(at + 1, 2))
            await pilot.pause()
            assert screen.query_one(page).display
            shown = [pane for pane in (PlanPanel, ConfigList, Form) if screen.query_one(pane).display]
            assert shown == [page]
        at = seen(pilot).splitlines()[1].index("Launch")
        await pilot.click(offset=(at, 1))
        await until(lambda: isinstance(pilot.app.screen, Landing), "the run's screen")
    assert len(launched(mine)) == 1


@pytest.mark.parametrize("where", ["runs", "run"])
async def test_a_failures_hint_leads_to_a_run_with_the_change(
    bench: LocalBench, mine: Settings, where: str
) -> None:
    client = Client(mine, {"local": bench.backend("hint:vllm.max_model_len=4096>2048 exit:1")})
    app = VfmApp(client, settings=mine, clock=lambda: NOW)
    async with app.run_test(size=(140, 45)) as pilot:
        app.post_message(requests.LaunchRequested(config="configs/two.yaml", values={"training.seed": 5}))
        await until(lambda: isinstance(app.screen, LaunchScreen) and is_there(app.screen), "the form")
        await pilot.press("ctrl+l")
        await until(lambda: isinstance(app.screen, RunScreen), "the run")
        await until(lambda: "out of memory" in seen(pilot), "the failure")
        if where == "runs":
            await pilot.press("escape")
            await until(lambda: isinstance(app.screen, RunsScreen), "home")
            await until(lambda: "use less of it" in seen(pilot), "the hint")
        await pilot.press("p")
        await until(lambda: isinstance(app.screen, LaunchScreen) and is_there(app.screen), "the form")
        screen = app.screen
        assert isinstance(screen, LaunchScreen)
        await settled(pilot, screen)
        assert here(screen) == "vllm.max_model_len"
        assert "✦ hint" in seen(pilot)
        assert "vllm.max_model_len 4096 → 2048" in planned(screen)
        await pilot.press("ctrl+l")
        await until(lambda: len(launched(mine)) == 2, "the second run")
        await until(lambda: isinstance(app.screen, RunScreen), "its screen")
    specs = [one["spec"] for one in launched(mine)]
    assert sorted(spec["vllm"]["max_model_len"] for spec in specs) == [2048, 4096]
    assert [spec["training"]["seed"] for spec in specs] == [5, 5]


async def test_a_broken_config_says_what_is_wrong_and_the_next_one_works(
    opened: Opened, project: Path
) -> None:
    (project / "configs" / "three.yaml").write_text("training: [1\x1b]0;evil\x07")
    async with opened() as (pilot, screen):
        await pilot.press("f2", "down")
        await until(lambda: "not YAML" in seen(pilot), "the problem")
        assert "\x1b]0" not in seen(pilot)
        await pilot.press("ctrl+l")
        assert pilot.app.screen is screen
        await pilot.press("up")
        await until(lambda: screen.draft is not None, "the config")
        await settled(pilot, screen)
        assert "Train vf_wordle" in seen(pilot)


async def test_a_project_without_configs_has_the_defaults(opened: Opened, project: Path) -> None:
    shutil.rmtree(project / "configs")
    async with opened() as (_, screen):
        assert screen.draft is not None
        assert screen.draft.config is None
        assert "vfm launch --backend local" in planned(screen)
