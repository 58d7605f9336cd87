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
from remote.scripted_model import call_of, plausible, value_of

pytestmark = pytest.mark.stack
ROOT = Path(__file__).parents[2]


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


def ask(tmp_path: Path, name: str, source: str = "", **args: Any) -> dict[str, Any]:
    """The last line of what the program answers."""
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
    question = json.dumps({"request": request.model_dump(mode="json"), "check": True})
    command = [sys.executable, "-m", "remote.environment_report"]
    done = subprocess.run(command, input=question, stdout=subprocess.PIPE, text=True, cwd=ROOT)
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


def test_a_package_that_was_only_on_an_index_plays_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "some_env-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("some_env.py", example()["vf_backwards/__init__.py"])
        about = "Metadata-Version: 2.1\nName: some-env\nVersion: 1.0\nRequires-Dist: verifiers>=0.4,<0.5\n"
        file.writestr("some_env-1.0.dist-info/METADATA", about)
        tag = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        file.writestr("some_env-1.0.dist-info/WHEEL", tag)
        file.writestr("some_env-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("UV_DEFAULT_INDEX", (tmp_path / "no-index").as_uri())
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path))
    told = ask(tmp_path, "some_env", "some-env==1.0")["report"]
    assert (told["module"], told["version"]) == ("some_env", "1.0")
    assert [one["error"] for one in told["episodes"]] == [None] * 3


def test_what_is_wrong_with_an_environment_is_said_with_its_line(tmp_path: Path) -> None:
    files = example()
    broken = files["vf_backwards/__init__.py"].replace(
        "right / max(len(said), len(self.data.answer))", "right / 0"
    )
    folder = write(tmp_path / "elsewhere", {**files, "vf_backwards/__init__.py": broken})
    episodes = ask(tmp_path, "vf_backwards", str(folder))["report"]["episodes"]
    assert all("ZeroDivisionError" in one["error"] and "__init__.py" in one["error"] for one in episodes)


@pytest.mark.parametrize("module", ["harbor", "nemo_gym", "openenv", "textarena"])
def test_tasksets_inside_verifiers_go_by_their_name(module: str, tmp_path: Path) -> None:
    from remote.environments import resolve

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
