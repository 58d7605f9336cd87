"""Secrets of a launch: named in the config, set elsewhere, and repeated nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from remote.contract.errors import ConfigError, VfmError
from remote.contract.redaction import HIDDEN
from tests.unit.planning.test_plan import plan, project  # noqa: F401 - a fixture
from tui.config.problems import ConfigProblems
from tui.config.resolve import resolve

SECRET = "sk-0123456789abcdef"
ADDRESS = f"https://ann:{SECRET}@example.com/v1"


def test_a_secret_that_is_named_and_not_set_is_a_problem(project: Path) -> None:  # noqa: F811
    with pytest.raises(ConfigError, match="names SEARCH_KEY, which neither") as caught:
        plan(project, "training.environment_secrets=SEARCH_KEY")
    assert "SEARCH_KEY=…" in str(caught.value)


def test_it_is_found_in_the_env_file_and_in_the_shell(
    project: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (project / ".env").write_text(f"SEARCH_KEY={SECRET}\n")
    monkeypatch.setenv("OTHER_KEY", SECRET)
    made = plan(project, "training.environment_secrets=[SEARCH_KEY, OTHER_KEY]")
    assert made.request.spec.training.environment_secrets == ["SEARCH_KEY", "OTHER_KEY"]
    assert SECRET not in f"{made}{made.request.model_dump_json()}"


def test_the_value_of_a_secret_is_no_option(project: Path) -> None:  # noqa: F811
    (project / ".env").write_text(f"SEARCH_KEY={SECRET}\n")
    with pytest.raises(ConfigError, match="holds the value of SEARCH_KEY") as caught:
        plan(project, f"training.environment_args.where=https://x/?q={SECRET}")
    assert SECRET not in str(caught.value)
    assert "training.environment_secrets" in str(caught.value)


def test_a_value_of_the_env_file_is_no_option_that_is_named_as_a_secret(project: Path) -> None:  # noqa: F811
    (project / ".env").write_text("MY_CANARY=canary-7f3a9b2c41\n")
    with pytest.raises(ConfigError, match="holds the value of MY_CANARY"):
        plan(project, "training.environment_args.api_key=canary-7f3a9b2c41")
    plan(project, "training.environment_args.data=canary-7f3a9b2c41")  # neither is called a secret


def test_an_option_that_is_named_as_a_secret_is_noticed_and_hidden(project: Path) -> None:  # noqa: F811
    made = plan(project, f"training.environment_args={{api_key: {SECRET}, deep: {{password: {SECRET}}}}}")
    noticed = [notice for notice in made.notices if "looks like a secret" in notice]
    assert len(noticed) == 2
    assert SECRET not in f"{made.diff}{made.command}{made.notices}{made.request.provenance}"
    named = plan(project, "training.environment_args.api_key_var=SEARCH_KEY")
    assert not [notice for notice in named.notices if "looks like a secret" in notice]


@pytest.mark.parametrize(
    "typed",
    [
        f"evaluation.endpoint={ADDRESS}",
        f"evaluation.endpoint_key={SECRET}",
        f"training.environment_secrets={SECRET}",
        f"training.environment_secrets=[GOOD, {SECRET}]",
        f"model.lora.api_key={SECRET}",
        f"training.steps={ADDRESS}",
        f"vllm.port={ADDRESS}",
        f"db_password={SECRET}",
    ],
)
def test_a_problem_repeats_no_secret(typed: str) -> None:
    with pytest.raises(ConfigProblems) as caught:
        resolve(None, [typed])
    told = f"{caught.value}{caught.value.cause}{[str(problem) for problem in caught.value.problems]}"
    assert SECRET not in told
    assert typed.partition("=")[0] in told


@pytest.mark.parametrize("key", ["model.base_model", "training.environment", "training.script"])
def test_an_address_that_is_none_is_refused_without_its_password(
    project: Path,  # noqa: F811
    key: str,
) -> None:
    with pytest.raises(VfmError) as caught:
        plan(project, f"{key}={ADDRESS}")
    assert SECRET not in f"{caught.value}{caught.value.cause}{caught.value.hint}"


def test_the_name_of_a_variable_is_shown() -> None:
    resolved = resolve(None, ["evaluation.endpoint_key=MY_KEY", "training.environment_secrets=MY_KEY"])
    assert resolved.provenance["evaluation.endpoint_key"].where.endswith("=MY_KEY")
    assert HIDDEN not in resolved.provenance["training.environment_secrets"].where
