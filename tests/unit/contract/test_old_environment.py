"""Environments written for verifiers before 0.4: told by their source when a launch is planned."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest

from remote.contract.errors import EnvironmentMissing
from remote.environments import resolve as environments
from tests.unit.environments.test_resolve import offline, package, wheel
from tui.config.resolve import resolve
from tui.planning.plan import Plan, make_plan
from tui.settings import Settings

__all__ = ["offline"]
ROOT = Path(__file__).parents[3]
BEFORE = ROOT / "examples" / "porting" / "before"
TOLD = "so it was written for verifiers before 0.4"


def plan(project: Path, environment: str | Path) -> Plan:
    words = [f"training.environment={environment}", "wandb.enabled=false"]
    return make_plan(resolve(None, words), Settings.load(project, {}))


@pytest.mark.parametrize(
    ("code", "sign"),
    [
        (BEFORE / "sums.py", "has `load_environment` ("),
        (BEFORE / "higher.py", "has `load_environment` ("),
        (BEFORE / "cities.py", "has `load_environment` ("),
        ("import verifiers as vf\n", "imports verifiers ("),
        ("from verifiers.rubrics import Rubric\n", "imports from verifiers.rubrics ("),
        ("def f():\n    from verifiers import SingleTurnEnv\n", "imports from verifiers ("),
        ("async def load_environment():\n    pass\n", "has `load_environment` ("),
    ],
)
def test_it_is_said_in_one_sentence_at_plan_time(tmp_path: Path, code: Path | str, sign: str) -> None:
    text = code.read_text() if isinstance(code, Path) else code
    mine = package(tmp_path / "elsewhere", "vf_mine", text)
    package(tmp_path / "environments", "vf_ours", text)
    for name in (mine, "ours"):
        with pytest.raises(EnvironmentMissing) as caught:
            plan(tmp_path, name)
        assert sign in caught.value.message
        assert "__init__.py:" in caught.value.message
        assert TOLD in caught.value.message
        assert "\n" not in caught.value.message
        assert caught.value.hint is not None
        assert "docs/porting_environments.md" in caught.value.hint.text
        assert (ROOT / "docs" / "porting_environments.md").is_file()


def test_a_wheel_is_looked_into_too(tmp_path: Path) -> None:
    wheel(tmp_path / "dist", "vf_mine", "1.0")
    path = tmp_path / "dist" / "vf_mine-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("vf_mine/__init__.py", "def load_environment():\n    pass\n")
    with pytest.raises(EnvironmentMissing, match=TOLD):
        plan(tmp_path, path)


@pytest.mark.parametrize(
    "code",
    [
        "import verifiers.v1 as vf\n",
        "from verifiers import v1 as vf\n",
        "from verifiers.v1 import Taskset\n",
        "import verifiers.v1 as vf\n\ndef load_environment():\n    '''For those of before, too.'''\n",
        "def load_environment(:\n",
        "class Mine:\n    def load_environment(self):\n        pass\n",
        "VALUE = 1\n",
    ],
)
def test_nothing_else_is_taken_for_old(tmp_path: Path, code: str) -> None:
    mine = package(tmp_path, "vf_mine", code)
    (mine / "tests").mkdir()
    (mine / "tests" / "test_old.py").write_text("from verifiers import Rubric\n")
    assert plan(tmp_path, mine).request.environment == "vf_mine"


def test_ours_and_the_ported_ones_are_new(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "environments", tmp_path / "environments")
    for name in ("wordle", "bfcl-single-turn", "gsm8k", "tool-test"):
        plan(tmp_path, name)
    for folder in sorted((ROOT / "examples" / "porting").glob("vf_*")):
        plan(tmp_path, folder)


def test_one_of_an_index_is_told_by_what_was_installed(tmp_path: Path, offline: Path) -> None:
    wheel(offline, "vf_mine", "1.0")
    with zipfile.ZipFile(offline / "vf_mine-1.0-py3-none-any.whl", "a") as file:
        file.writestr("vf_mine/__init__.py", (BEFORE / "sums.py").read_text())
    where = environments.Place("vf_mine", "vf-mine==1.0", tmp_path, tmp_path / "cache")
    with pytest.raises(EnvironmentMissing, match=TOLD):
        environments.provide(where, lambda line: None)
