"""Which training script is planned, what is refused before a launch, and what is said of one that fails."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from remote.contract.errors import ConfigError, DiskError, ScriptError
from remote.contract.record import LaunchRequest, RunRecord
from remote.training.script import Script
from tui.config.resolve import resolve
from tui.planning.plan import Plan, make_plan
from tui.settings import Settings

ROOT = Path(__file__).parents[3]
GRPO = Path("examples", "grpo")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project as it is checked out: the environments' names, the mapping, the scripts."""
    for name in ("vf_wordle", "vf_bfcl_single_turn", "vf_tool_test", "gsm8k"):
        (tmp_path / "environments" / name).mkdir(parents=True)
        (tmp_path / "environments" / name / "pyproject.toml").touch()
    shutil.copytree(ROOT / GRPO, tmp_path / GRPO)
    shutil.copy(ROOT / "run_modal.py", tmp_path)
    (tmp_path / ".env").write_text("EXPERIMENTER=\n")
    return tmp_path


def plan(project: Path, *sets: str, **how: str) -> Plan:
    return make_plan(resolve(None, sets), Settings.load(project, {}), **how)  # type: ignore[arg-type]


def mapped(project: Path, text: str) -> None:
    """Write the mapping anew."""
    (project / "run_modal.py").write_text(text)


def test_the_mapping_stands_where_the_guide_says() -> None:
    lines = (ROOT / "run_modal.py").read_text().splitlines()
    assert lines[44] == "TRAINING_SCRIPTS = {"
    assert lines[48] == "}"


@pytest.mark.parametrize(
    ("environment", "script", "line"),
    [
        ("wordle", "train_wordle.py", 46),
        ("VF_Wordle", "train_wordle.py", 46),
        ("vf-bfcl-single-turn", "train_bfcl.py", 47),
        ("vf-tool-test", "train_bfcl.py", 48),
    ],
)
def test_the_mapping_decides_by_any_spelling(project: Path, environment: str, script: str, line: int) -> None:
    made = plan(project, f"training.environment={environment}")
    path = GRPO / script
    assert made.request.script == str(path)
    assert made.request.script_text == (project / path).read_text()
    assert made.reasons["script"].startswith("TRAINING_SCRIPTS names it for vf-")
    assert made.reasons["script"].endswith(f"(run_modal.py:{line})")
    assert RunRecord.of(made.request).script == str(path)
    assert LaunchRequest.model_validate_json(made.request.model_dump_json()) == made.request


def test_what_has_no_script_has_the_built_in_training(project: Path) -> None:
    made = plan(project, "training.environment=gsm8k")
    assert (made.request.script, made.request.script_text) == ("", "")
    assert made.reasons["script"] == "neither training.script nor TRAINING_SCRIPTS names one"
    (project / "run_modal.py").unlink()
    assert plan(project).request.script == ""


def test_an_evaluation_has_no_script(project: Path) -> None:
    mapped(project, "TRAINING_SCRIPTS = [")
    made = plan(project, kind="evaluate")
    assert (made.request.script, made.reasons["script"]) == ("", "")


def test_the_config_comes_first_and_may_name_any_file(project: Path, tmp_path: Path) -> None:
    made = plan(project, "training.script=examples/grpo/train_bfcl.py")
    assert made.request.script == "examples/grpo/train_bfcl.py"
    assert made.reasons["script"] == (
        "training.script names it (--set training.script=examples/grpo/train_bfcl.py)"
    )
    (project / "mine.py").write_bytes(
        "# -*- coding: latin-1 -*-\nfrom x import train  # é\n".encode("latin-1")
    )
    for spelling in ("mine.py", "./mine.py", str(project / "mine.py")):
        assert plan(project, f"training.script={spelling}").request.script == "mine.py"
    assert "é" in plan(project, "training.script=mine.py").request.script_text


@pytest.mark.parametrize(
    ("path", "words"), [("/dev/zero", "is no file"), ("examples", "is a folder"), ("x.py", "does not exist")]
)
def test_what_is_no_file_is_no_script(project: Path, path: str, words: str) -> None:
    with pytest.raises(ConfigError, match=f"the training script {path} {words}"):
        plan(project, f"training.script={path}")


REFUSED = {
    "TRAINING_SCRIPTS = {\n 'wordle': 'examples/grpo/train_wordel.py'}": (
        "run_modal.py:2: the training script examples/grpo/train_wordel.py does not exist",
        "did you mean examples/grpo/train_wordle.py?",
    ),
    "TRAINING_SCRIPTS = {'vf-wrodle': 'examples/grpo/train_wordle.py'}": (
        "run_modal.py:1: TRAINING_SCRIPTS names 'vf-wrodle', which is not an environment",
        "did you mean 'vf-wordle'?",
    ),
    "A = 'x'\nTRAINING_SCRIPTS = {'wordle': A}": ("run_modal.py:2: TRAINING_SCRIPTS must be", "write each"),
    "TRAINING_SCRIPTS: dict = dict()": ("run_modal.py:1: TRAINING_SCRIPTS must be a plain dict", "write"),
    "\nTRAINING_SCRIPTS = {": ("run_modal.py:2: SyntaxError: '{' was never closed", "fix"),
}


@pytest.mark.parametrize("text", REFUSED)
def test_a_mapping_that_cannot_be_meant_is_refused_by_its_line(project: Path, text: str) -> None:
    mapped(project, text)
    with pytest.raises(ConfigError) as refused:
        plan(project)
    message, hint = REFUSED[text]
    assert message in refused.value.message
    assert refused.value.hint is not None
    assert hint in refused.value.hint.text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def train(run):\n    retrun 1\n", "mine.py:2: SyntaxError: invalid syntax"),
        ("class A:\n    def train(self): ...\n", "mine.py has no function train(run)"),
        ("def other(train):\n    train = 1\n", "mine.py has no function train(run)"),
        ("", "mine.py has no function train(run)"),
        ("\0", "null bytes"),
        ("async def train(run):\n    pass\n", "mine.py: train(run) must not be asynchronous"),
        ("def train():\n    pass\n", "mine.py: train must take one argument, run"),
        ("def train(run, model):\n    pass\n", "mine.py: train must take one argument, run"),
        ("def train(run, *, model):\n    pass\n", "mine.py: train must take one argument, run"),
    ],
)
def test_a_script_that_is_none_is_refused_before_a_machine_is_paid(
    project: Path, text: str, message: str
) -> None:
    (project / "mine.py").write_text(text)
    with pytest.raises(ConfigError) as refused:
        plan(project, "training.script=mine.py")
    assert message in refused.value.message


@pytest.mark.parametrize("script", sorted((ROOT / GRPO).glob("*.py")), ids=lambda path: path.name)
def test_a_script_that_is_run_by_itself_says_how_it_is_run(script: Path) -> None:
    done = subprocess.run([sys.executable, "-I", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith("A training needs a run and its server: vfm launch")
    assert len(script.read_text().splitlines()) <= 60


# --- on the far side ---------------------------------------------------------------------------------


def trained(project: Path, text: str, run: Any = None) -> list[str]:
    """Load a script and train by it; returns what is said of it."""
    said: list[str] = []
    path = str(GRPO / "train_mine.py")
    try:
        Script(path, text, project, said.append).load()(run)
    except ScriptError as error:
        return [*said, error.message, error.cause, error.hint.text if error.hint else ""]
    finally:
        sys.path.remove(str(project / GRPO))
    return said


def test_a_script_gets_the_run_and_finds_its_neighbours(project: Path) -> None:
    (project / GRPO / "neighbour.py").write_text("def note(run):\n    run.append(__name__)\n")
    text = "from neighbour import note\ndef train(run):\n    note(run)\n    run.append(__file__)\n"
    run: list[str] = []
    try:
        assert trained(project, text, run) == []
    finally:
        del sys.modules["neighbour"]
    assert run == ["neighbour", str(project / GRPO / "train_mine.py")]


def test_a_script_that_raises_shows_its_own_lines_and_none_of_ours(project: Path) -> None:
    """The text of the request counts: the file itself is long another."""
    (project / GRPO / "train_mine.py").write_text("something else\n")
    (project / GRPO / "helper.py").write_text("def third(n):\n    return 3 / n\n")
    text = (
        "import json\nfrom helper import third\n\ndef train(run):\n    try:\n        json.loads('{')\n"
        "    except ValueError:\n        third(0)\n"
    )
    try:
        *log, message, cause, hint = trained(project, text)
    finally:
        del sys.modules["helper"]
    assert message == (
        "the training script examples/grpo/train_mine.py failed: ZeroDivisionError: division by zero"
    )
    assert cause == "examples/grpo/helper.py:2: ZeroDivisionError: division by zero"
    assert hint == "mend examples/grpo/helper.py:2; the log has the traceback"
    files = [line.strip().partition(", in ")[0] for line in log if line.startswith('  File "')]
    script = 'File "examples/grpo/train_mine.py", line'
    assert files[0] == f"{script} 6"
    assert "json" in files[1]
    assert files[-2:] == [f"{script} 8", 'File "examples/grpo/helper.py", line 2']
    assert "    third(0)" in log
    assert log[-1] == "ZeroDivisionError: division by zero"
    assert not [line for line in log if "training_script" in line]


def test_frames_of_ours_are_left_out_wherever_they_stand(project: Path) -> None:
    text = "from remote.contract.json_text import from_json\ndef train(run):\n    from_json('{')\n"
    *log, _, cause, _ = trained(project, text, project)
    assert cause.startswith("examples/grpo/train_mine.py:3: JSONDecodeError: ")
    files = [line for line in log if line.startswith('  File "')]
    assert files[0] == '  File "examples/grpo/train_mine.py", line 3, in train'
    assert len(files) > 1
    assert not [line for line in files if "json_text.py" in line]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import no_such_module\n", "train_mine.py:1: ModuleNotFoundError: No module named 'no_such_module'"),
        ("def train(:\n", "train_mine.py:1: SyntaxError: invalid syntax"),
        ("train = 3\n", "train_mine.py has no function train(run)"),
        ("def train():\n    pass\n", "train_mine.py: train takes other arguments than run"),
        ("async def train(run):\n    pass\n", "train_mine.py: train(run) is asynchronous"),
        ("def train(run):\n    exit(0)\n", "train_mine.py:2: it called sys.exit(0)"),
        ("raise SystemExit('no')\n", "train_mine.py:1: it called sys.exit('no')"),
    ],
)
def test_whatever_keeps_a_script_from_training_has_its_line(project: Path, text: str, told: str) -> None:
    assert any(told in line for line in trained(project, text))


def test_what_is_known_by_another_name_keeps_it(project: Path) -> None:
    text = (
        "from remote.contract.errors import DiskError\n"
        "def train(run):\n    try:\n        raise DiskError('the disk is full')\n"
        "    except DiskError as error:\n        raise RuntimeError('callback') from error\n"
    )
    with pytest.raises(RuntimeError) as raised:
        trained(project, text)
    assert isinstance(raised.value.__cause__, DiskError)
