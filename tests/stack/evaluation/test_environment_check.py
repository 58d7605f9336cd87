"""`vfm env show` and `check` with real verifiers: the document's example, and a package of an index."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from remote.contract.record import LaunchRequest
from remote.contract.spec import ExperimentSpec
from remote.evaluation.scripted_model import ScriptedModel, call_of, plausible, value_of

pytestmark = pytest.mark.stack
ROOT = Path(__file__).parents[3]


WITH_TOOLS = """
import verifiers.v1 as vf

class ClockTools(vf.Toolset[vf.ToolsetConfig]):
    TOOL_PREFIX = "clock"

    @vf.tool
    def hour(self, city: str) -> str:
        return f"nine in {city}"

class ClockTaskConfig(vf.TaskConfig):
    tools: vf.ToolsetConfig = vf.ToolsetConfig()

class ClockTask(vf.Task[vf.TaskData, vf.State, ClockTaskConfig]):
    @classmethod
    def toolsets(cls, config: ClockTaskConfig) -> list[vf.Toolset]:
        return [ClockTools(config.tools)]

    @vf.reward(weight=0.5)
    async def asked(self, trace: vf.Trace) -> float:
        return float(trace.num_turns == 3)

class ClockConfig(vf.TasksetConfig):
    task: ClockTaskConfig = ClockTaskConfig()

class ClockTaskset(vf.Taskset[ClockTask, ClockConfig]):
    def load(self) -> list[ClockTask]:
        return [ClockTask(vf.TaskData(prompt="What time is it?"), self.config.task)]

__all__ = ["ClockTaskset"]

if __name__ == "__main__":
    ClockTools.run()
"""


def example() -> dict[str, str]:
    """The two files of the example, word for word."""
    text = (ROOT / "docs" / "environments.md").read_text()
    (project,), (module,) = (re.findall(rf"```{kind}\n(.*?)```", text, re.S) for kind in ("toml", "python"))
    return {"pyproject.toml": project, "vf_backwards/__init__.py": module}


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


SECRETS = {"MY_KEY": "canary0123456789abcdef", "DATABASE_URL": "postgres://bob:c4n4ry-horse@host/db"}


def ask(tmp_path: Path, name: str, source: str = "", **args: Any) -> dict[str, Any]:
    """The last line of what the program answers. Nothing that it says holds a secret."""
    spec = {"training": {"environment": name, "environment_args": args, "eval_examples": 4}}
    request = LaunchRequest(
        run_id="look",
        spec=ExperimentSpec.model_validate(spec),
        model="m",
        environment=name,
        environment_source=source,
        outputs="o",
        cache="c",
        cache_dir=str(tmp_path / "cache"),
        project_dir=str(tmp_path),
    )
    question = json.dumps({"request": request.model_dump(mode="json"), "check": True, "env": SECRETS})
    command = [sys.executable, "-m", "remote.evaluation.environment_check"]
    done = subprocess.run(command, input=question, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert "canary0" not in done.stdout
    assert "c4n4ry" not in done.stdout
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    print(*lines, sep="\n")
    assert (done.returncode == 0) == ("report" in lines[-1])
    return dict(lines[-1])


def test_the_documents_example_is_whole(tmp_path: Path) -> None:
    write(tmp_path / "environments" / "vf_backwards", example())
    told = ask(tmp_path, "vf_backwards", shout=True)["report"]
    assert (told["module"], told["version"], told["summary"]) == (
        "vf_backwards",
        "0.1.0",
        "Say a word backwards.",
    )
    assert told["options"] == [
        {"name": "shout", "type": "bool", "default": "false", "help": "Ask for capital letters."}
    ]
    assert told["rewards"] == [
        {"name": "letters", "weight": 1.0, "help": "The share of letters in their right places."}
    ]
    assert (told["train"], told["held_out"]) == (6, 4)
    assert told["prompt"] == [
        {"role": "user", "content": "Reply with this word backwards, in capitals: stone"}
    ]
    assert [one["task"] for one in told["episodes"]] == ["stone", "river", "cloud"]
    for one in told["episodes"]:
        assert one["error"] is None
        assert one["reward"] == one["rewards"]["letters"]
        assert one["messages"][-1]["role"] == "assistant"


def test_an_environment_that_says_all_that_it_knows_gives_no_secret_away(tmp_path: Path) -> None:
    files = example()
    module = files["vf_backwards/__init__.py"]
    loud = "import os, sys\nprint(dict(os.environ), file=sys.stderr)\n"
    raising = module.replace("right = sum(", "raise KeyError(dict(os.environ)); right = sum(")
    write(tmp_path / "environments" / "vf_backwards", {**files, "vf_backwards/__init__.py": loud + raising})
    told = ask(tmp_path, "vf_backwards")["report"]
    for one in told["episodes"]:
        assert "[redacted: MY_KEY]" in one["error"]
        assert "[redacted: DATABASE_URL]" in one["error"]


def test_a_package_that_was_only_on_an_index_plays_and_what_fails_is_said_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = example()["vf_backwards/__init__.py"]
    line = "right = sum("
    broken = module.replace(line, f"1 / (self.data.name != 'river'); {line}")
    path = tmp_path / "some_env-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("some_env.py", broken)
        about = "Metadata-Version: 2.1\nName: some-env\nVersion: 1.0\nRequires-Dist: verifiers>=0.4,<0.5\n"
        file.writestr("some_env-1.0.dist-info/METADATA", about)
        tag = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        file.writestr("some_env-1.0.dist-info/WHEEL", tag)
        file.writestr("some_env-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("UV_DEFAULT_INDEX", (tmp_path / "no-index").as_uri())
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path))
    told = ask(tmp_path, "some_env", "some-env==1.0")["report"]
    assert (told["module"], told["version"]) == ("some_env", "1.0")
    good, wrong, also_good = told["episodes"]
    assert (good["error"], also_good["error"]) == (None, None)
    number = next(n for n, text in enumerate(broken.splitlines(), 1) if line in text)
    assert f'some_env.py", line {number}' in wrong["error"]
    assert "ZeroDivisionError" in wrong["error"]


def test_tools_that_a_task_serves_are_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from remote.environments import resolve as environments
    from remote.rollouts.player import Rollouts

    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OPENAI_API_KEY", "unused")
    write(tmp_path, {"vfm_clock.py": WITH_TOOLS})
    environments.activate(tmp_path)
    model = ScriptedModel()
    model.player = plausible()
    rollouts = Rollouts("vfm_clock", {}, ExperimentSpec(), model)
    try:
        [played] = rollouts.play(rollouts.tasks(), temperature=1.0)
    finally:
        rollouts.close()
        model.close()
    assert played.error is None
    assert [m["content"] for m in played.messages if m["role"] == "tool"] == ["nine in Paris"] * 2
    assert played.rewards == {"asked": 0.5}
    assert len(played.turns) == 3  # each model call is there for the trainer


@pytest.mark.parametrize("module", ["harbor", "nemo_gym", "openenv", "textarena"])
def test_tasksets_inside_verifiers_go_by_their_name(module: str, tmp_path: Path) -> None:
    from remote.environments.resolve import resolve

    assert resolve(module.replace("_", "-"), tmp_path) == module


def test_the_scripted_model_calls_tools_with_arguments_of_their_types() -> None:
    schema = {
        "type": "object",
        "required": ["city", "days", "unit"],
        "properties": {
            "city": {"type": "string"},
            "days": {"type": "array", "items": {"type": "integer"}},
            "unit": {"enum": ["C", "F"]},
            "note": {"type": "string"},
        },
    }
    assert value_of(schema) == {"city": "Paris", "days": [3], "unit": "C"}
    tool = {"type": "function", "function": {"name": "weather", "parameters": schema}}
    assert call_of(tool)["function"]["name"] == "weather"
    said = [plausible()({"tools": [tool], "messages": []}) for _ in range(1)]
    assert said[0]["tool_calls"]
    player = plausible()
    prompt = {"messages": [{"role": "user", "content": "Put it in <answer> tags."}]}
    replies = {player(prompt)["content"] for _ in range(5)}
    assert len(replies) == 5
    assert all(reply.startswith("<answer>") for reply in replies)
