"""What a user gets wrong: a clear message on stderr, the right exit code, nothing launched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Vfm


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ((), "Usage"),
        (("launch",), "Missing argument"),
        (("launch", "x.yaml", "--backend", "moon"), "'moon' is not one of"),
        (("nosuch",), "No such command"),
        (("metrics", "last", "--json", "--csv"), "not both"),
        (("logs", "last", "--events", "--source", "vllm"), "choose one"),
        (("completion", "tcsh"), "'tcsh' is not one of"),
    ],
)
def test_bad_usage(used: Vfm, args: tuple[str, ...], said: str) -> None:
    done = used(*args)
    assert done.returncode == 2
    assert said in done.stderr


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("training.stepps=3", "did you mean training.steps?"),
        ("training.steps=many", "should be a whole number"),
        ("training.steps", "KEY=VALUE"),
        ("training.environment=wordel", "did you mean"),
        ("model.base_model=./nosuch", "does not exist"),
    ],
)
def test_a_bad_override_launches_nothing(vfm: Vfm, typed: str, said: str) -> None:
    done = vfm.launch("--set", typed, script="end:done")
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert not list(vfm.home.glob("volumes/*"))


def test_two_problems_are_both_shown_with_their_lines(vfm: Vfm) -> None:
    vfm.config.write_text("training:\n  stepps: 3\n  batch_size: 0\n")
    done = vfm("config", "check", str(vfm.config))
    assert done.returncode == 2
    assert "small.yaml:2: " in done.stderr
    assert "small.yaml:3: " in done.stderr


def test_config_check_judges_every_config(vfm: Vfm) -> None:
    assert vfm("config", "check", str(vfm.config)).stdout == f"{vfm.config}: good\n"
    done = vfm("config", "check", "nosuch.yaml", str(vfm.config))
    assert done.returncode == 2
    assert done.stdout == f"{vfm.config}: good\n"
    assert "nosuch.yaml" in done.stderr


def test_an_experimenter_that_no_volume_can_hold(vfm: Vfm) -> None:
    child = vfm("launch", str(vfm.config), EXPERIMENTER="ada & co")
    assert child.returncode == 2
    assert "EXPERIMENTER" in child.stderr


def test_an_unreadable_env_file(vfm: Vfm) -> None:
    (vfm.project / ".env").mkdir()
    for args in (("runs",), ("launch", str(vfm.config))):
        done = vfm(*args)
        assert done.returncode == 2
        assert ".env" in done.stderr


def test_a_missing_env_file_is_a_note(vfm: Vfm) -> None:
    done = vfm.launch(script="end:done")
    assert done.returncode == 0
    assert "note: there is no " in done.stderr


def test_config_show_gives_each_value_and_its_source(vfm: Vfm) -> None:
    done = vfm("config", "show", str(vfm.config), "--set", "training.learning_rate=3e-6", "--json")
    shown = json.loads(done.stdout)
    assert shown["spec"]["training"]["learning_rate"] == 3e-6
    assert shown["provenance"]["training.steps"]["layer"] == "file"
    assert shown["provenance"]["training.steps"]["where"].endswith("small.yaml:6")
    assert shown["provenance"]["training.seed"]["layer"] == "default"
    table = vfm("config", "show", str(vfm.config)).stdout
    assert "training.steps" in table
    assert "small.yaml:6" in table


def test_config_schema_tells_every_key(vfm: Vfm) -> None:
    rows = json.loads(vfm("config", "schema", "--json").stdout)
    steps = next(row for row in rows if row["key"] == "training.steps")
    assert (steps["default"], steps["type"]) == (200, "whole number")
    assert "training.steps: a whole number of at least 1 (default 200)" in vfm("config", "schema").stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_ask_the_program(vfm: Vfm, shell: str) -> None:
    done = vfm("completion", shell)
    assert done.returncode == 0
    assert f"_VFM_COMPLETE={shell}_complete" in done.stdout


def test_tab_offers_commands_keys_and_runs(used: Vfm) -> None:
    def offered(words: str, count: int) -> str:
        env = {"_VFM_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(count)}
        return used(**env).stdout

    assert "plain,launch" in offered("vfm la", 1)
    assert "plain,training.seed=" in offered("vfm launch c.yaml --set training.se", 4)
    assert "plain,last" in offered("vfm show ", 2)
    assert json.loads(used("runs", "--json").stdout)[0]["run_id"] in offered("vfm show ", 2)


@pytest.mark.parametrize(
    ("machine", "said"),
    [
        ("sys.platform = 'win32'", "on Windows, run it in WSL"),
        ("sys.version_info = (3, 13, 2)", "Python 3.11 and 3.12, and this is 3.13: uv venv -p 3.12"),
    ],
)
@pytest.mark.parametrize("door", ["tui.cli", "tui.__main__"])
def test_a_machine_that_it_does_not_run_on_is_told_in_a_sentence(machine: str, said: str, door: str) -> None:
    code = f"import sys\nfrom {door} import main\n{machine}\nmain()"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert child.returncode == 2
    assert said in child.stderr
    assert len(child.stderr.splitlines()) == 1


def test_a_home_that_is_a_file_is_told_of_by_every_command(vfm: Vfm) -> None:
    (vfm.folder / "file").touch()
    for command in (("runs",), ("volumes",), ("ls", "x"), ("logs", "last")):
        done = vfm(*command, VFM_HOME=str(vfm.folder / "file"))
        assert done.returncode == 2
        assert "VFM_HOME is" in done.stderr
        assert "which is a file" in done.stderr


def test_something_else_where_the_volumes_should_be_is_no_empty_list(vfm: Vfm) -> None:
    vfm.home.mkdir()
    (vfm.home / "volumes").touch()
    for command in (("runs",), ("volumes",)):
        done = vfm(*command)
        assert done.returncode == 1
        assert "cannot list" in done.stderr
        assert "Not a directory" in done.stderr
    launched = vfm.launch(script="end:done")
    assert launched.returncode == 1
    assert "a file stands where a folder is needed" in launched.stderr
    assert "free some space" not in launched.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("training: {environment: nowhere}", "no environment 'nowhere'"),
        ("model: {base_model: /nowhere/model}", "the model path /nowhere/model does not exist"),
        ("training: {script: nowhere.py}", "the training script nowhere.py does not exist"),
        ("vllm: {tool_call_parser: nowhere}", "is none of vLLM's"),
        ("model: {base_model: builtin/nowhere}", "there is no 'builtin/nowhere'"),
    ],
)
def test_a_check_says_what_a_launch_would(vfm: Vfm, text: str, said: str) -> None:
    vfm.config.write_text(f"{text}\n")
    checked, launched = (vfm(*words, str(vfm.config)) for words in (("config", "check"), ("launch",)))
    assert (checked.returncode, launched.returncode) == (2, 2)
    assert said in checked.stderr
    assert checked.stderr == launched.stderr
    assert "good" not in checked.stdout


@pytest.mark.parametrize("kind", ["fifo", "deep"])
def test_what_is_no_config_is_refused_at_once(vfm: Vfm, kind: str) -> None:
    """A pipe that nobody writes into, and nesting that nobody could walk."""
    path = vfm.folder / "odd.yaml"
    if kind == "fifo":
        os.mkfifo(path)
    else:
        path.write_text("a: " + "[" * 100_000)
    done = vfm("config", "check", str(path))
    assert done.returncode == 2
    assert ("a pipe that nobody writes into" if kind == "fifo" else "nested more than 40 deep") in done.stderr


def test_configs_are_checked_as_json(vfm: Vfm, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("training:\n  stepz: 3\n")
    done = vfm("config", "check", str(vfm.config), str(bad), "--json")
    good, wrong = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (2, "")
    assert (good["config"], good["problem"]) == (str(vfm.config), None)
    assert "stepz" in wrong["problem"]["message"]
    assert f"{bad}:2" in wrong["problem"]["message"]
