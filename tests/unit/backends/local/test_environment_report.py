"""An environment looked at in the local image: what the program there says, answers, or dies of."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from remote.contract.errors import EnvironmentMissing, ImageError, VfmError
from remote.contract.record import LaunchRequest
from remote.contract.spec import ExperimentSpec
from tui.backends.local.environment_report import image_python, report
from tui.settings import Settings

Look = Callable[..., dict[str, Any]]
QUESTION = "def asked(): return json.load(os.fdopen(int(sys.argv[-1])))"


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: list[str]) -> Look:
    """Asks a program of a few lines, which stands where the image's Python is."""

    def ask(program: str, *, check: bool = False) -> dict[str, Any]:
        python = tmp_path / "python"
        python.write_text(f"#!{sys.executable}\nimport json, os, sys\n{QUESTION}\n{program}\n")
        python.chmod(0o755)
        monkeypatch.setenv("VFM_IMAGE_PYTHON", str(python))
        monkeypatch.setenv("MY_TOKEN", "a-secret-of-the-shell")
        spec = {"training": {"environment_secrets": ["MY_TOKEN"]}}
        request = LaunchRequest(
            run_id="r",
            spec=ExperimentSpec.model_validate(spec),
            model="m",
            environment="vf_wordle",
            outputs="o",
            cache="c",
        )
        settings = Settings(
            project_dir=tmp_path,
            home=tmp_path / "home",
            experimenter="ann",
            secrets={"WANDB_API_KEY": "kkkk1234"},
        )
        return report(request, settings, check=check, say=said.append)

    return ask


def test_what_it_says_is_passed_on_and_what_it_answers_returned(look: Look, said: list[str]) -> None:
    program = """
question = asked()
print(json.dumps({"say": "loading"}))
print(json.dumps({"say": " ".join(sys.argv[1:-1])}))
print(json.dumps({"report": question}))
print("what comes after the answer")
"""
    answer = look(program, check=True)
    assert said == ["loading", "-P -m remote.evaluation.environment_check"]
    assert answer["check"] is True
    assert answer["env"] == {"WANDB_API_KEY": "kkkk1234", "MY_TOKEN": "a-secret-of-the-shell"}
    assert answer["request"]["cache_dir"].endswith("home/volumes/verifiers-cache-ann-default")
    assert look("print(json.dumps({'report': asked()}))")["check"] is False


def test_its_error_is_raised_as_it_was(look: Look) -> None:
    error = EnvironmentMissing("there is no vf_wordle", cause="because")
    program = f"asked()\nprint(json.dumps({{'error': json.loads({json.dumps(error.to_dict())!r})}}))"
    with pytest.raises(VfmError, match="there is no vf_wordle") as raised:
        look(program)
    assert (raised.value.boundary, raised.value.cause) == (error.boundary, "because")


@pytest.mark.parametrize("reads", ["asked()", "os.close(int(sys.argv[-1]))"])
def test_a_death_is_told_with_its_last_lines_and_without_secrets(look: Look, reads: str) -> None:
    lines = [*(f"line {number}" for number in range(20)), "Error: a-secret-of-the-shell is wrong"]
    program = f"{reads}\nsys.stderr.write({chr(10).join(lines)!r} + chr(10))\nsys.exit(7)"
    with pytest.raises(VfmError, match="ended from within, with exit code 7") as raised:
        look(program)
    first, *_, last = raised.value.cause.splitlines()
    assert (first, last) == ("line 9", "Error: [redacted: MY_TOKEN] is wrong")


def test_a_death_without_a_word_says_so(look: Look) -> None:
    with pytest.raises(VfmError, match="ended from within, with exit code 3") as raised:
        look("sys.exit(3)")
    assert raised.value.cause == ""


@pytest.mark.parametrize(
    ("version", "command"),
    [(None, "vfm image build local"), ("3.11", "vfm image build local --python 3.11")],
)
def test_an_image_that_is_not_built_is_told_with_the_command_that_builds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str | None, command: str
) -> None:
    monkeypatch.delenv("VFM_IMAGE_PYTHON", raising=False)
    settings = Settings(project_dir=Path(__file__).parents[4], home=tmp_path)
    with pytest.raises(ImageError, match="there is no image") as raised:
        image_python(settings, "there is no image", version)
    assert raised.value.hint is not None
    assert raised.value.hint.text == f"build it: {command}"
