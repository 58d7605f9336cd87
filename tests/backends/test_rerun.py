"""A run once more: launched again as it was, or as a draft to change first."""

from __future__ import annotations

from pathlib import Path

import pytest

from remote.contract import layout
from remote.contract.errors import ConfigError, RunNotFound
from remote.contract.record import RunRecord
from tests.backends.conftest import PROJECT, Bench
from tests.waiting import until
from tui.client import Client
from tui.planning.draft import Draft
from tui.services.rerun import draft_of, plan_again
from tui.settings import Settings

TEXT = """\
model:
  base_model: builtin/tiny-random
  overrides:
    other: builtin/smollm2-135m
training:
  environment: wordle
  environment_args: {turns: 2}
  steps: 5
"""


@pytest.fixture
def client(bench: Bench) -> Client:
    """A client over a backend whose runs end at once."""
    backend = bench.backend("end:done")
    return Client(None, {backend.name: backend})


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A project with a config of its own, and this checkout's environments."""
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "environments").symlink_to(PROJECT / "environments")
    (tmp_path / "project" / "x.yaml").write_text(TEXT)
    named = frozenset({"EXPERIMENTER"})
    return Settings(tmp_path / "project", tmp_path / "home", experimenter="ann", env_file_names=named)


async def launched(client: Client, settings: Settings, **typed: str) -> RunRecord:
    """A run that was launched from the config with these keys typed over it."""
    draft = Draft.load("x.yaml", settings.project_dir, backend=next(iter(client.backends)))
    for key, text in typed.items():
        draft.put(key, text)
    return await client.launch(draft.plan(settings))


def typed(draft: Draft) -> dict[str, tuple[object, str]]:
    """Key → value and who typed it."""
    return {key: (one.value, one.by) for key, one in draft.typed.items()}


async def test_a_run_becomes_its_config_and_what_was_typed(client: Client, settings: Settings) -> None:
    run = await launched(client, settings, **{"training.steps": "7", "training.environment_args": "turns: 3"})
    draft = await draft_of(client, settings, run.run_id)
    assert (draft.config, draft.kind, draft.backend) == ("x.yaml", "train", run.backend)
    assert typed(draft) == {
        "training.steps": (7, "you"),
        "training.environment_args.turns": (3, "you"),
    }


async def test_what_the_file_says_otherwise_today_is_typed_by_the_run(
    client: Client, settings: Settings
) -> None:
    run = await launched(client, settings, **{"training.seed": "7"})
    changed = TEXT.replace("steps: 5", "steps: 9\n  beta: 0.5").replace("turns: 2", "reply: plain")
    (settings.project_dir / "x.yaml").write_text(changed)
    draft = await draft_of(client, settings, run.run_id)
    assert typed(draft) == {
        "training.seed": (7, "you"),
        "training.steps": (5, "run"),
        "training.beta": (0.0, "run"),
        "training.environment_args": ({"turns": 2}, "run"),
    }


@pytest.mark.parametrize("text", [None, "training: 3\n", "nonsense: 4\n", "{"])
async def test_where_the_file_is_no_use_the_run_typed_everything(
    client: Client, settings: Settings, text: str | None
) -> None:
    run = await launched(client, settings, **{"training.steps": "7"})
    config = settings.project_dir / "x.yaml"
    config.unlink() if text is None else config.write_text(text)
    draft = await draft_of(client, settings, run.run_id)
    assert draft.config is None
    assert typed(draft) == {
        "model.base_model": ("builtin/tiny-random", "run"),
        "model.overrides": ({"other": "builtin/smollm2-135m"}, "run"),
        "training.environment": ("wordle", "run"),
        "training.environment_args": ({"turns": 2}, "run"),
        "training.steps": (7, "run"),
    }
    assert draft.plan(settings).request.model == "builtin/tiny-random"


async def test_running_again_is_another_run_of_the_same_spec(client: Client, settings: Settings) -> None:
    run = await launched(
        client, settings, **{"training.steps": "7", "model.base_model": "builtin/smollm2-135m"}
    )
    again = await client.launch(await plan_again(client, settings, run.run_id))
    assert again.run_id != run.run_id
    assert (again.kind, again.backend, again.model, again.outputs) == (
        run.kind,
        run.backend,
        "builtin/smollm2-135m",
        run.outputs,
    )
    one, other = [await draft_of(client, settings, r.run_id) for r in (run, again)]
    assert one.resolved is not None
    assert other.resolved is not None
    assert one.resolved.spec == other.resolved.spec

    async def over() -> bool:
        return all([(await client.status(r)).status == "done" for r in (run, again)])

    await until(over, "both runs to end")


@pytest.mark.parametrize(("ends", "goes_on"), [("end:failed", True), ("end:done", False)])
async def test_an_evaluation_that_broke_off_is_gone_on_with(
    bench: Bench, settings: Settings, ends: str, goes_on: bool
) -> None:
    backend = bench.backend(ends)
    client = Client(None, {backend.name: backend})
    draft = Draft.load("x.yaml", settings.project_dir, kind="evaluate", backend=backend.name)
    run = await client.launch(draft.plan(settings))

    async def over() -> bool:
        return (await client.status(run)).ended_already

    await until(over, "the run to end")
    plan = await plan_again(client, settings, run.run_id)
    there = plan.request.resume.endswith(f"/runs/{run.run_id}")
    assert there == any("not played again" in notice for notice in plan.notices) == goes_on
    assert there or plan.request.resume == ""
    if there and backend.name == "local":
        assert (Path(plan.request.resume) / layout.REQUEST).is_file()


async def test_a_run_that_does_not_say_what_it_was_is_told_of(
    bench: Bench, client: Client, settings: Settings
) -> None:
    run = await launched(client, settings)
    bench.write(run.outputs, f"runs/{run.run_id}/spec.json", b'{"spec": {"training": 3}}')
    with pytest.raises(ConfigError, match="is damaged"):
        await draft_of(client, settings, run.run_id)


async def test_there_is_no_such_run(client: Client, settings: Settings) -> None:
    with pytest.raises(RunNotFound):
        await plan_again(client, settings, "zzzzz-nothing")
