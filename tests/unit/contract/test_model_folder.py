"""A model's folder as the plan judges it: what has to be there, and code that it brings along."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from remote.contract.errors import ModelError
from tui.config.resolve import resolve
from tui.planning.plan import Plan, make_plan
from tui.settings import Settings

OWN_CODE = {"AutoConfig": "configuration_own.Own", "AutoModelForCausalLM": "owner/repo--modeling_own.Own"}


def model_folder(folder: Path, **changed: Any) -> Path:
    """The files of a model by name: an object is written as JSON, None leaves one out."""
    files: dict[str, Any] = {
        "config.json": {"model_type": "qwen2"},
        "model.safetensors": "weights",
        "tokenizer.json": {},
        "tokenizer_config.json": {"chat_template": "{{ messages }}"},
    }
    folder.mkdir(parents=True)
    for name, content in {**files, **changed}.items():
        if content is not None:
            (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "environments" / "vf_wordle").mkdir(parents=True)
    (tmp_path / "environments" / "vf_wordle" / "pyproject.toml").touch()
    return tmp_path


def plan(project: Path, model: str | Path, *sets: str, kind: str = "train") -> Plan:
    words = [f"model.base_model={model}", "wandb.enabled=false", *sets]
    return make_plan(resolve(None, words), Settings.load(project, {}), kind=kind)  # type: ignore[arg-type]


def noticed(made: Plan) -> str:
    return " ".join(line for line in made.notices if "trust_remote_code" in line)


@pytest.mark.parametrize(
    ("files", "words", "advice"),
    [
        ({"config.json": None}, "holds no config.json", ""),
        ({"config.json": "{"}, "config.json cannot be read", ""),
        ({"config.json": "[" * 5000}, "config.json cannot be read: nested deeper", ""),
        ({"config.json": "[]"}, "is no JSON object", ""),
        ({"model.safetensors": None}, "holds no weights", "its source"),
        (
            {"model.safetensors.index.json": {"weight_map": {"a": "model-1.safetensors"}}},
            "holds no model-1.safetensors",
            "its source",
        ),
        ({"tokenizer.json": None}, "holds no tokenizer", "add tokenizer.json"),
        ({"tokenizer_config.json": None}, "holds no chat template", "add a chat_template.jinja"),
        ({"tokenizer_config.json": {"chat_template": None}}, "holds no chat template", "chat_template.jinja"),
        (
            {
                "config.json": None,
                "model.safetensors": None,
                "adapter_model.safetensors": "weights",
                "adapter_config.json": {"base_model_name_or_path": "Qwen/Qwen2.5-0.5B"},
            },
            "holds an adapter (adapter_config.json) of Qwen/Qwen2.5-0.5B, and no model",
            "merge it into Qwen/Qwen2.5-0.5B",
        ),
    ],
)
def test_a_folder_that_no_server_can_play_with_is_refused(
    project: Path, files: dict[str, Any], words: str, advice: str
) -> None:
    """Before a machine is rented, with what to add; and nobody is told to delete a model of their own."""
    folder = model_folder(project / "mine", **files)
    with pytest.raises(ModelError) as caught:
        plan(project, folder)
    assert words in caught.value.message
    assert caught.value.message.startswith(f"--set model.base_model={folder}: ")
    assert caught.value.hint is not None
    assert advice in caught.value.hint.text
    assert caught.value.hint.key == "model.base_model"
    assert "delete" not in str(caught.value)


@pytest.mark.parametrize(
    "files",
    [
        {"tokenizer_config.json": None, "chat_template.jinja": "{{ messages }}"},
        {"tokenizer.json": None, "tokenizer.model": "sentencepiece"},
        {"tokenizer.json": None, "tokenizer_config.json": None, "tekken.json": {}},
        {"model.safetensors": None, "pytorch_model.bin": "weights"},
        {"adapter_config.json": {}},  # what was left beside a merged model
        {"model.safetensors.index.json": {}},  # of no parts: the weights are whole
    ],
)
def test_a_model_in_any_of_its_forms_is_taken(project: Path, files: dict[str, Any]) -> None:
    folder = model_folder(project / "mine", **files)
    assert plan(project, folder).request.model == str(folder)


def test_the_plan_says_whether_a_models_own_code_is_run(project: Path) -> None:
    config = {"model_type": "own", "auto_map": OWN_CODE}
    folder = model_folder(project / "mine", **{"config.json": config})
    said = noticed(plan(project, folder))
    assert "configuration_own.py, owner/repo/modeling_own.py" in said
    assert "not run" in said
    trusted = "model.trust_remote_code=true"
    assert f"{folder} runs configuration_own.py" in noticed(plan(project, folder, trusted))
    assert "owner/model runs any code in it" in noticed(plan(project, "owner/model", trusted))
    for plain in ("owner/model", "builtin/tiny-random", model_folder(project / "plain")):
        assert noticed(plan(project, plain)) == ""
    assert noticed(plan(project, "builtin/tiny-random", trusted)) == ""


def test_the_plan_says_so_of_a_checkpoint_too(project: Path) -> None:
    folder = model_folder(
        project / "theirs", **{"tokenizer_config.json": {"auto_map": {"A": ["tok.T", None]}}}
    )
    made = plan(project, "builtin/tiny-random", f"evaluation.checkpoint={folder}", kind="evaluate")
    assert f"{folder} has code that is not run: tok.py" in noticed(made)
