"""A draft: what was typed, what is wrong with it, and where every value comes from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from remote.contract.errors import EnvironmentMissing
from tui.config.problems import ConfigProblems
from tui.planning.draft import Draft, Field, blamed
from tui.settings import Settings

TEXT = """\
model:
  base_model: builtin/tiny-random
  overrides:
    wordle: builtin/smollm2-135m
training:
  environment: other
  environment_args: {turns: 2, reply: plain}
  steps: 5
  batch_size: 8
  gradient_accumulation_steps: 1
  num_generations: 4
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with one environment and one config."""
    for name in ("vf_wordle", "vf_other"):
        (tmp_path / "environments" / name).mkdir(parents=True)
        (tmp_path / "environments" / name / "pyproject.toml").touch()
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "x.yaml").write_text(TEXT)
    return tmp_path


@pytest.fixture
def draft(project: Path) -> Draft:
    """A draft over that config."""
    return Draft.load("configs/x.yaml", project)


def row(draft: Draft, key: str) -> Field:
    """One field of the form."""
    return next(field for field in draft.fields() if field.key == key)


def test_every_value_says_where_it_comes_from(draft: Draft) -> None:
    draft.put("training.seed", "7")
    draft.put_value("training.steps", 9, by="hint")
    said = {
        key: (row(draft, key).source, row(draft, key).where) for key in ("training.seed", "training.steps")
    }
    assert said == {"training.seed": ("you", ""), "training.steps": ("hint", "")}
    assert (row(draft, "training.batch_size").source, row(draft, "training.batch_size").where) == (
        "file",
        "configs/x.yaml:9",
    )
    assert row(draft, "training.save_steps").source == "default"


def test_an_environment_brings_its_model(draft: Draft) -> None:
    assert row(draft, "model.base_model").text == "builtin/tiny-random"
    draft.put("training.environment", "vf-wordle")
    found = row(draft, "model.base_model")
    assert (found.text, found.source, found.where) == (
        "builtin/smollm2-135m",
        "override",
        "configs/x.yaml:4",
    )
    draft.put("model.base_model", "builtin/tiny-random")
    assert (row(draft, "model.base_model").text, row(draft, "model.base_model").source) == (
        "builtin/tiny-random",
        "you",
    )


def test_typing_what_is_there_already_is_typing_nothing(draft: Draft) -> None:
    draft.put("training.steps", "6")
    assert row(draft, "training.steps").differs
    draft.put("training.steps", "5")
    draft.put("training.save_steps", "50")
    assert draft.typed == {}
    assert not row(draft, "training.steps").differs


def test_reset_takes_back_one_field_or_all(draft: Draft) -> None:
    draft.put("training.steps", "6")
    draft.put("training.seed", "6")
    draft.reset("training.steps")
    assert (row(draft, "training.steps").text, row(draft, "training.seed").text) == ("5", "6")
    draft.reset_all()
    assert draft.typed == {}
    assert row(draft, "training.seed").text == "42"


@pytest.mark.parametrize(
    ("key", "text", "words"),
    [
        ("training.steps", "many", "should be a whole number of at least 1"),
        ("training.steps", "", "should be a whole number of at least 1"),
        ("training.learning_rate", "2", "should be a number above 0 and at most 1"),
        ("model.dtype", "bfloat", "should be one of float32, bfloat16, float16; did you mean bfloat16?"),
        ("training.environment_args", "{turns", "cannot be read: write name: value"),
        ("training.environment_args", "turns", "should be"),
        ("model.overrides", "a: 3", "should be text"),
        ("training.batch_size", "7", "is no multiple of num_generations"),
        ("wandb.project", "team/project", "cannot contain /"),
        ("wandb.enabled", "perhaps", "should be true or false"),
    ],
)
def test_a_problem_stands_beside_its_field(draft: Draft, key: str, text: str, words: str) -> None:
    draft.put(key, text)
    assert words in draft.problems[key]
    assert not draft.problems[key].startswith(key)
    assert row(draft, key).problem == draft.problems[key]
    assert row(draft, key).text == text
    assert not draft.is_sound
    assert draft.general == []


def test_what_does_not_fit_together_is_told_where_it_was_typed(draft: Draft) -> None:
    draft.put("vllm.max_model_len", "100")
    draft.put("training.max_completion_length", "200")
    assert list(draft.problems) == ["training.max_completion_length"]


def test_other_fields_keep_their_values_while_one_is_wrong(draft: Draft) -> None:
    draft.put("training.steps", "many")
    found = row(draft, "training.batch_size")
    assert (found.text, found.source, found.where) == ("8", "file", "configs/x.yaml:9")
    assert row(draft, "training.environment_args").text == '{"turns": 2, "reply": "plain"}'
    assert row(draft, "training.save_steps").text == "50"


def test_an_unset_field_is_empty_and_emptying_one_unsets_it(draft: Draft) -> None:
    assert row(draft, "training.max_turns").text == ""
    draft.put("training.max_turns", "3")
    draft.put("training.max_turns", "")
    assert draft.typed == {}
    draft.put("model.base_model", "")
    assert draft.typed["model.base_model"].value is None
    assert draft.is_sound


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("training.environment_args", "turns: 3, reply: plain", {"turns": 3, "reply": "plain"}),
        ("training.environment_args", '{"turns": 3}', {"turns": 3}),
        ("wandb.project", "007", "007"),
        ("vllm.tool_call_parser", "a: b", "a: b"),
        ("vllm.block_size", "32", 32),
        ("training.learning_rate", "1e-4", 1e-4),
        ("wandb.enabled", "false", False),
    ],
)
def test_a_field_takes_what_people_type(draft: Draft, key: str, text: str, value: Any) -> None:
    draft.put(key, text)
    assert draft.is_sound, draft.problems
    assert draft.resolved is not None
    assert draft.typed[key].value == value


def test_a_value_inside_a_mapping_belongs_to_the_mappings_field(draft: Draft) -> None:
    draft.put_value("training.environment_args.turns", 6, by="hint")
    found = row(draft, "training.environment_args")
    assert (found.value, found.source) == ({"turns": 6, "reply": "plain"}, "hint")
    draft.put("training.environment_args", "turns: 1")
    assert list(draft.typed) == ["training.environment_args"]


def test_a_plan_has_the_command_that_launches_the_same(draft: Draft, project: Path) -> None:
    draft.put("training.steps", "6")
    draft.put_value("model.overrides.gsm8k", "builtin/tiny-random")
    draft.kind = "evaluate"
    plan = draft.plan(Settings(project_dir=project, home=project / "home"))
    assert set(plan.diff) == {
        ("training.steps", 5, 6),
        ("model.overrides.gsm8k", None, "builtin/tiny-random"),
    }
    assert plan.command.startswith("vfm launch configs/x.yaml --backend local --kind evaluate --set")
    assert plan.request.config_path == "configs/x.yaml"


def test_a_draft_without_a_config_is_the_defaults(project: Path) -> None:
    draft = Draft.load(None, project)
    assert {field.source for field in draft.fields()} == {"default"}
    plan = draft.plan(Settings(project_dir=project, home=project / "home"))
    assert plan.command == "vfm launch --backend local"


def test_a_draft_with_problems_has_no_plan(draft: Draft, project: Path) -> None:
    draft.put("training.steps", "many")
    with pytest.raises(ConfigProblems, match="whole number"):
        draft.plan(Settings(project_dir=project, home=project / "home"))


def test_what_a_plan_refuses_is_blamed_on_a_field(draft: Draft, project: Path) -> None:
    draft.put("training.environment", "wordel")
    with pytest.raises(EnvironmentMissing) as refused:
        draft.plan(Settings(project_dir=project, home=project / "home"))
    key, words = blamed(refused.value)
    assert key == "training.environment"
    assert "did you mean vf-wordle?" in words


def test_a_config_with_problems_can_be_mended_by_typing(project: Path) -> None:
    (project / "bad.yaml").write_text("training:\n  steps: none\n  sed: 4\n")
    draft = Draft.load("bad.yaml", project)
    assert "training.steps" in draft.problems
    assert "unknown key training.sed" in draft.general[0]
    draft.put("training.steps", "3")
    assert "training.steps" not in draft.problems
