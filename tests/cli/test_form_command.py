"""The command that the launch form shows: run by the real `vfm`, it plans what the form planned."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from tests.cli.conftest import Vfm
from tui.planning.draft import Draft
from tui.settings import Settings

CONFIG = """\
model:
  base_model: builtin/tiny-random
  overrides:
    wordle: builtin/smollm2-135m
training:
  environment: vf-other
  environment_args: {turns: 2, reply: plain}
  steps: 3
"""

Typing = dict[str, str]


@pytest.fixture
def config(vfm: Vfm) -> Path:
    """A config of a project with two environments, one of which has a model of its own."""
    (vfm.project / "environments").unlink()
    for name in ("vf_wordle", "vf_other"):
        (vfm.project / "environments" / name).mkdir(parents=True)
        (vfm.project / "environments" / name / "pyproject.toml").touch()
    (vfm.project / ".env").write_text("WANDB_API_KEY=\n")
    path = vfm.project / "configs" / "it's mine.yaml"
    path.parent.mkdir()
    path.write_text(CONFIG)
    return path


@pytest.mark.parametrize(
    ("typed", "kind", "backend"),
    [
        ({"training.steps": "9", "training.learning_rate": "3e-6"}, "train", "local"),
        ({"training.environment_args": "turns: 3, reply: \"it's\", deep: {a: [1, two]}"}, "train", "modal"),
        ({"training.environment_args": ""}, "train", "local"),
        ({"training.environment": "vf-wordle", "wandb.enabled": "false"}, "train", "local"),
        ({"training.environment": "wordle", "model.base_model": "builtin/tiny-random"}, "train", "local"),
        ({"model.overrides": "other: owner/model"}, "evaluate", "modal"),
        ({"wandb.project": "a $HOME `name` \"and\" 'quotes'", "modal.gpu.type": "H100"}, "evaluate", "local"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("named", [True, False], ids=["config", "defaults"])
def test_it_plans_the_same(
    vfm: Vfm, config: Path, typed: Typing, kind: str, backend: str, named: bool
) -> None:
    settings = Settings.load(vfm.project, {"EXPERIMENTER": "ada", "EXPERIMENT_NAME": "cli"})
    draft = Draft.load(str(config.relative_to(vfm.project)) if named else None, vfm.project)
    draft.kind, draft.backend = "evaluate" if kind == "evaluate" else "train", backend
    for key, text in typed.items():
        draft.put(key, text)
    assert draft.is_sound, (draft.problems, draft.general)
    plan = draft.plan(settings)
    done = vfm(*shlex.split(plan.command)[1:], "--dry-run", "--json")
    assert done.returncode == 0, done.stderr
    again = json.loads(done.stdout)
    assert again["spec"] == plan.request.spec.model_dump(mode="json")
    assert again["command"] == plan.command
    assert {name: again[name] for name in ("kind", "backend", "model", "environment", "config_path")} == {
        "kind": kind,
        "backend": backend,
        "model": plan.request.model,
        "environment": plan.request.environment,
        "config_path": plan.request.config_path,
    }
