"""`vfm env`, and runs of environments that are no folder of the project, through the real `vfm`."""

from __future__ import annotations

import json
import shlex
import sys
import zipfile
from pathlib import Path

from remote.environments.pin import VERIFIERS
from remote.processes import guardian
from tests.backends.package_index import recording_index
from tests.cli.conftest import Vfm


def index(folder: Path) -> dict[str, str]:
    """Variables under which an index of one environment is all that uv sees."""
    folder.mkdir()
    needs = {"verifiers": (VERIFIERS.partition("==")[2], []), "some_env": ("1.5", ["verifiers>=0.4"])}
    for name, (version, wants) in needs.items():
        info = f"{name}-{version}.dist-info"
        lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
        with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as file:
            file.writestr(
                f"{info}/METADATA", "\n".join([*lines, *(f"Requires-Dist: {w}" for w in wants), ""])
            )
            file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            file.writestr(f"{info}/RECORD", "")
    nowhere = (folder / "no-index").as_uri()
    return {
        "UV_DEFAULT_INDEX": nowhere,
        "UV_FIND_LINKS": str(folder),
        "UV_CACHE_DIR": str(folder / "cache"),
    }


def test_the_list_says_what_each_environment_is(vfm: Vfm) -> None:
    rows = {row["name"]: row for row in json.loads(vfm("env", "list", "--json").stdout)}
    wordle = rows["vf-wordle"]
    assert (wordle["from"], wordle["model"]) == ("environments/", "Qwen/Qwen2.5-0.5B-Instruct")
    assert wordle["source"] == str(vfm.project / "environments" / "vf_wordle")
    assert "Wordle" in wordle["summary"]
    assert rows["textarena"]["from"] == "verifiers"
    told = vfm("env", "list")
    assert all(name in told.stdout for name in rows)


def test_nothing_can_be_loaded_without_an_image(vfm: Vfm) -> None:
    for command in ("show", "check"):
        done = vfm("env", command, "wordle", VFM_IMAGE_PYTHON="")
        assert done.returncode == 1
        assert "vfm image build local" in done.stderr
    done = vfm("env", "show", "wordel")
    assert done.returncode == 2
    assert "did you mean vf-wordle?" in done.stderr


REPORT: dict[str, object] = {
    "module": "vf_wordle",
    "version": "1.0",
    "where": "/overlay/vf_wordle",
    "summary": "",
    "readme": "# Title\n\nA game\x1b[2J of words.\n\n## Options\n\nnone\n\n## Reward\n\nfor the word\n",
    "options": [{"name": "turns", "type": "int", "default": "6", "help": "Replies."}],
    "rewards": [],
    "train": 3,
    "held_out": 1,
    "held_out_from": "split eval",
    "counted_to": 100_000,
    "problems": [],
    "warnings": [],
    "prompt": [{"role": "user", "content": "Guess\nnow."}],
}


def episode(error: str | None) -> dict[str, object]:
    call = {"function": {"name": "look", "arguments": '{"at": 1}'}}
    messages = [{"role": "user", "content": "Guess."}, {"role": "assistant", "tool_calls": [call]}]
    rewards = {"solved": 0.0, "format": 0.25}
    return {
        "task": "crane",
        "messages": messages,
        "rewards": rewards,
        "reward": 0.25,
        "metrics": {},
        "not_finite": {"odd": "nan"},
        "error": error,
    }


def stand_in(folder: Path, *answers: dict[str, object], code: int = 0, before: str = "") -> str:
    """A program in place of the image's Python: it reads the question, and says what it is told to."""
    said = "".join(f"printf '%s\\n' {shlex.quote(json.dumps(answer))}\n" for answer in answers)
    path = folder / "python"
    reads = f"for fd; do :; done; cat /dev/fd/$fd > {folder}/question.json"
    path.write_text(f"#!/bin/sh\n{reads}\n{before}\n{said}echo oh no >&2\nexit {code}\n")
    path.chmod(0o755)
    return str(path)


def test_a_check_shows_each_reward_part_and_fails_with_an_episode(vfm: Vfm) -> None:
    good, bad = episode(None), episode("ZeroDivisionError: here")
    python = stand_in(vfm.folder, {"say": "installing"}, {"report": {**REPORT, "episodes": [good] * 3}})
    done = vfm(
        "env", "check", "wordle", "--set", "training.environment_args.turns=2", VFM_IMAGE_PYTHON=python
    )
    assert done.returncode == 0
    assert "[env] installing" in done.stderr
    assert "assistant: → look({" in done.stdout
    assert "reward:    0.25 = solved 0  format 0.25" in done.stdout
    assert "odd nan (left out of means)" in done.stdout
    assert "3 to train on, 1 held out (split eval)" in done.stdout
    assert "say nothing about how hard the tasks are" in done.stdout
    request = json.loads((vfm.folder / "question.json").read_text())["request"]
    assert request["environment"] == "vf_wordle"
    assert request["spec"]["training"]["environment_args"] == {"turns": 2}
    assert request["cache_dir"] == str(vfm.home / "volumes" / "verifiers-cache-ada-cli")
    python = stand_in(vfm.folder, {"report": {**REPORT, "episodes": [good, bad, good]}})
    failed = vfm("env", "check", "wordle", VFM_IMAGE_PYTHON=python)
    assert failed.returncode == 1
    assert "✗ ZeroDivisionError: here" in failed.stdout
    assert "✗ 1 of 3 episodes failed" in failed.stdout


def test_a_check_of_what_cannot_teach_fails_and_tasks_are_counted_honestly(vfm: Vfm) -> None:
    changes = {"held_out": 0, "held_out_from": "", "train": 100_000}
    remarks = {"problems": ["there is no reward"], "warnings": ["all rewards are 1"]}
    report = {**REPORT, **changes, **remarks, "episodes": [episode(None)]}
    python = stand_in(vfm.folder, {"report": report})
    done = vfm("env", "check", "wordle", VFM_IMAGE_PYTHON=python)
    assert done.returncode == 1
    assert "✗ there is no reward" in done.stdout
    assert "⚠ all rewards are 1" in done.stdout
    assert "at least 100000 to train on, none held out" in done.stdout


def test_show_has_the_readmes_opening_options_rewards_and_a_prompt(vfm: Vfm) -> None:
    python = stand_in(vfm.folder, {"report": {**REPORT, "episodes": []}})
    told = vfm("env", "show", "wordle", VFM_IMAGE_PYTHON=python).stdout
    assert "A game\\x1b[2J of words." in told  # shown, not obeyed
    assert "turns   int   6        Replies." in told
    assert "Reward parts:\n  for the word\n" in told
    assert "  user:      Guess\n             now." in told
    as_json = json.loads(vfm("env", "show", "wordle", "--json", VFM_IMAGE_PYTHON=python).stdout)
    assert (as_json["name"], as_json["held_out"]) == ("vf-wordle", 1)


def test_what_keeps_an_environment_from_loading_is_told(vfm: Vfm) -> None:
    failure = {"boundary": "environment", "message": "it cannot be loaded", "cause": "x.py:3", "hint": None}
    refused = vfm("env", "check", "wordle", VFM_IMAGE_PYTHON=stand_in(vfm.folder, {"error": failure}, code=1))
    assert refused.returncode == 2
    assert "error: it cannot be loaded\n  cause: x.py:3" in refused.stderr
    died = vfm("env", "check", "wordle", VFM_IMAGE_PYTHON=stand_in(vfm.folder, code=9))
    assert died.returncode == 1
    assert "was ended from within, with exit code 9" in died.stderr
    assert "oh no" in died.stderr


def test_a_check_leaves_no_process_of_the_environment_behind(vfm: Vfm) -> None:
    """One that its reward started, whether it answered or was ended."""
    report = {"report": {**REPORT, "episodes": [episode(None)]}}
    for answers, code in (((report,), 0), ((), 9)):
        pid = vfm.folder / f"pid-{code}"
        before = f"sleep 300 > /dev/null 2>&1 & echo $! > {pid}"
        python = stand_in(vfm.folder, *answers, code=code, before=before)
        assert (vfm("env", "check", "wordle", VFM_IMAGE_PYTHON=python).returncode == 0) is (code == 0)
        assert int(pid.read_text()) not in guardian.processes()


def test_a_crash_in_an_environments_code_names_its_line(vfm: Vfm) -> None:
    code = "import faulthandler, os; faulthandler.enable(); "
    code += "exec(compile('os.abort()', '/c/environments/x.py', 'exec'))"
    python = stand_in(
        vfm.folder,
        {"say": "playing 3 episodes"},
        before=f"trap 'exit 134' 0\n{shlex.quote(sys.executable)} -c {shlex.quote(code)}",
    )
    died = vfm("env", "check", "wordle", VFM_IMAGE_PYTHON=python)
    assert died.returncode == 1
    assert "was ended from within, by SIGABRT" in died.stderr
    assert 'File "/c/environments/x.py", line 1' in died.stderr.partition("cause:")[0]


def test_a_package_of_the_index_is_pinned_when_it_is_launched(vfm: Vfm) -> None:
    about, more = ("--set", "training.environment=index:some-env"), index(vfm.folder / "index")
    plan = vfm("launch", str(vfm.config), *about, "--dry-run", **more)
    assert "environment: some_env\n" in plan.stdout
    assert "some-env comes from the package index" in plan.stdout
    done = vfm("launch", str(vfm.config), *about, script="steps:1 end:done", **more)
    assert done.returncode == 0, done.stderr
    [request] = vfm.home.glob("volumes/*/runs/*-some-env/request.json")
    assert json.loads(request.read_text())["environment_source"] == "some-env==1.5"


def test_a_package_that_is_nowhere_starts_nothing(vfm: Vfm) -> None:
    about, more = ("--set", "training.environment=index:nowhere-env"), index(vfm.folder / "index")
    done = vfm("launch", str(vfm.config), *about, **more)
    assert done.returncode == 2
    assert "the package index has no package 'nowhere-env'" in done.stderr
    assert "vf-wordle" in done.stderr
    assert not list(vfm.home.glob("volumes/*/runs/*"))


def test_our_own_names_never_reach_an_index(vfm: Vfm) -> None:
    """Whoever claims one of them there would run code with this user's keys."""
    (vfm.project / "environments").unlink()
    with recording_index() as (variables, asked):
        for name in ("wordle", "vf-bfcl-single-turn", "index:vf-gsm8k", "vf-tool-test==1.0"):
            launched = vfm("launch", "--set", f"training.environment={name}", **variables)
            assert (launched.returncode, "environment" in launched.stderr) == (2, True)
        assert vfm("launch", **variables).returncode == 2  # the default is one of them
        assert vfm("env", "check", "vf-wordle", **variables).returncode == 2
        assert asked == []
        assert vfm("launch", "--set", "training.environment=index:nowhere-env", **variables).returncode == 2
        assert set(asked) == {"nowhere-env"}
