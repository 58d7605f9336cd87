"""What a run was made from, with real keys: sources, differences, filter, help, copying."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from textual.app import App, ComposeResult

from remote.contract.record import RunRecord
from tests.pilot.conftest import NOW, ROOT, make_run
from tests.waiting import until
from tui.client import Client
from tui.config.resolve import resolve
from tui.services.run_config import RunConfigLoader
from tui.widgets.runs.config_pane import ConfigPane, FactList


class Holder(App[None]):
    """The pane alone."""

    def __init__(self, client: Client, record: RunRecord) -> None:
        super().__init__()
        self._given = (RunConfigLoader(client), record)
        self.copied: list[str] = []

    def compose(self) -> ComposeResult:
        yield ConfigPane(*self._given)

    def on_mount(self) -> None:
        self.query_one(FactList).focus()

    def copy_to_clipboard(self, text: str) -> None:
        self.copied.append(text)


def shown(app: Holder, selector: str) -> str:
    found = app.query_one(selector)
    lines = [found.render_line(y) for y in range(found.size.height)]
    return "\n".join("".join(segment.text for segment in line).rstrip() for line in lines)


def rows(app: Holder) -> list[str]:
    return [str(option.prompt) for option in app.query_one(FactList).options]


def row(app: Holder, name: str) -> str:
    """The row of a key, its columns one space apart."""
    return next(" ".join(line.split()) for line in rows(app) if name in line.split())


@pytest.fixture
async def record(home: Path, client: Client) -> RunRecord:
    """A run of the demo with one value typed."""
    run_dir = make_run(
        home,
        "x",
        config_path="configs/local_demo.yaml",
        git={"revision": "abc123", "dirty": True},
        versions={"torch": "2.13.0"},
        identifiers={"pid": "77"},
    )
    resolved = resolve("configs/local_demo.yaml", ["training.learning_rate=1e-5"], project_dir=ROOT)
    provenance = {key: source.model_dump() for key, source in resolved.provenance.items()}
    spec = {"spec": resolved.spec.model_dump(mode="json"), "provenance": provenance}
    (run_dir / "spec.json").write_text(json.dumps(spec))
    return await client.find("x")


async def test_values_say_where_they_come_from_and_what_differs(client: Client, record: RunRecord) -> None:
    async with (app := Holder(client, record)).run_test(size=(120, 40)):
        await until(lambda: any("learning_rate" in line for line in rows(app)), "the config")
        assert row(app, "learning_rate").startswith("✎ learning_rate 1e-05 you: ")
        assert row(app, "learning_rate").endswith("default 3e-06")
        assert row(app, "steps").startswith("≠ steps 32 configs/local_demo.yaml:")
        assert row(app, "top_p") == "top_p 1.0 default"
        assert row(app, "torch") == "torch 2.13.0"
        assert row(app, "revision") == "git revision abc123 with changes"
        assert row(app, "pid") == "pid 77"
        assert row(app, "outputs") == "outputs verifiers-outputs-ann-tests"
        head = shown(app, "#config-head")
        assert head.strip().startswith("configs/local_demo.yaml · ")
        assert "keys differ from the defaults" in head


async def test_only_what_differs(client: Client, record: RunRecord) -> None:
    async with (app := Holder(client, record)).run_test(size=(120, 40)) as pilot:
        await until(lambda: any("learning_rate" in line for line in rows(app)), "the config")
        everything = len(rows(app))
        await pilot.press("o")
        assert len(rows(app)) < everything
        assert all(line.split()[0] in "≠✎" for line in rows(app) if len(line.split()) > 1)
        assert app.query_one(ConfigPane).state() == {"only": True}
        await pilot.press("o")
        assert len(rows(app)) == everything


async def test_a_filter_finds_keys_values_and_sources(client: Client, record: RunRecord) -> None:
    async with (app := Holder(client, record)).run_test(size=(120, 40)) as pilot:
        await until(lambda: any("learning_rate" in line for line in rows(app)), "the config")
        everything = rows(app)
        await pilot.press("slash", *"training rate")
        await until(lambda: len(rows(app)) == 2, "one row under its section")
        assert rows(app)[0] == "training"
        await pilot.press("enter")
        assert app.query_one(FactList).has_focus
        await pilot.press("y")
        assert app.copied == ["training.learning_rate=1e-05"]
        assert "Learning rate of AdamW" in shown(app, "#config-help")
        await pilot.press("escape")
        await until(lambda: rows(app) == everything, "all rows")


async def test_more_is_on_record_later(client: Client, record: RunRecord) -> None:
    async with (app := Holder(client, record)).run_test(size=(120, 40)) as pilot:
        await until(lambda: any("learning_rate" in line for line in rows(app)), "the config")
        await pilot.press("j", "j")
        before = app.query_one(FactList).highlighted
        app.query_one(ConfigPane).show_record(
            record.model_copy(update={"versions": {"trl": "9.9"}, "ended": NOW})
        )
        assert row(app, "trl") == "trl 9.9"
        assert app.query_one(FactList).highlighted == before


@pytest.mark.parametrize(("text", "words"), [(None, "the config cannot be read"), ("{", "is damaged")])
async def test_a_config_that_is_gone_or_damaged(
    client: Client, record: RunRecord, home: Path, text: str | None, words: str
) -> None:
    (file,) = home.glob("volumes/*/runs/x/spec.json")
    file.unlink() if text is None else file.write_text(text)
    async with (app := Holder(client, record)).run_test(size=(120, 40)):
        await until(lambda: words in shown(app, "#config-head"), "words")
        assert row(app, "id") == "id x"  # the record is still told


async def test_names_are_shown_and_never_obeyed(client: Client, record: RunRecord, home: Path) -> None:
    (file,) = home.glob("volumes/*/runs/x/spec.json")
    args: dict[str, Any] = {"[red]key": "\x1b[2J"}
    file.write_text(json.dumps({"spec": {"training": {"environment_args": args}}}))
    async with (app := Holder(client, record)).run_test(size=(120, 40)):
        await until(lambda: any("[red]key" in line for line in rows(app)), "the row")
        assert r"\x1b[2J" in row(app, "environment_args.[red]key")
