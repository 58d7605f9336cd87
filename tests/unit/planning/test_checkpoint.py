"""What an evaluation is planned to play with: a checkpoint (`evaluation.checkpoint`) or an endpoint."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from remote.contract import layout
from remote.contract.errors import ConfigError, ModelError
from remote.contract.record import LaunchRequest
from remote.contract.spec import ExperimentSpec
from remote.output.run_dir import RunDir
from tui.config.resolve import resolve
from tui.planning.plan import Plan, make_plan
from tui.settings import Settings

SPEC = {
    "model": {"base_model": "builtin/tiny-random", "dtype": "float32"},
    "training": {"environment": "wordle", "environment_args": {"turns": 2}, "max_completion_length": 9},
}
OUTPUTS = "verifiers-outputs-default-default"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose home holds a training on this machine, and remembers one on Modal."""
    for name in ("vf_wordle", "gsm8k"):
        (tmp_path / "environments" / name).mkdir(parents=True)
        (tmp_path / "environments" / name / "pyproject.toml").touch()
    (tmp_path / ".env").write_text("EXPERIMENTER=\nOTHER=1\n")
    (tmp_path / "x.yaml").write_text("training:\n  max_turns: 4\n")
    run = trained(tmp_path, "volumes", "k3f9x-wordle", "local")
    for name in ("checkpoint-5", "checkpoint-40", "final"):
        (run / layout.CHECKPOINTS / name).mkdir()
        (run / layout.CHECKPOINTS / name / "adapter_config.json").write_text("{}")
    best = {"step": 5, "path": "checkpoints/checkpoint-5", "score": 0.5}
    (run / layout.BEST).write_text(json.dumps(best))
    trained(tmp_path, "modal", "m0dal-wordle", "modal")
    return tmp_path


def trained(project: Path, where: str, run_id: str, backend: str) -> Path:
    run = project / "home" / where / OUTPUTS / "runs" / run_id
    request = LaunchRequest(
        run_id=run_id,
        backend=backend,
        spec=ExperimentSpec.model_validate(SPEC),
        model="builtin/tiny-random",
        environment="vf_wordle",
        outputs=OUTPUTS,
        cache="c",
    )
    RunDir(run).create(request)
    return run


def plan(project: Path, *sets: str, config: bool = False, backend: str = "local", **environ: str) -> Plan:
    path = project / "x.yaml" if config else None
    settings = Settings.load(project, {"VFM_HOME": str(project / "home"), **environ})
    return make_plan(resolve(path, sets), settings, kind="evaluate", backend=backend, config_path=path)


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("k3f9x-wordle", "checkpoint-5"),
        ("k3f:checkpoint-40", "checkpoint-40"),
        ("k3f:40", "checkpoint-40"),
        ("k3f:final", "final"),
        ("k3f9x:best", "checkpoint-5"),
    ],
)
def test_a_runs_checkpoint_comes_with_the_model_and_options_that_it_was_trained_with(
    project: Path, name: str, folder: str
) -> None:
    made = plan(
        project, f"evaluation.checkpoint={name}", "training.environment_args.reply=plain", config=True
    )
    request = made.request
    run = project / "home/volumes" / OUTPUTS / "runs/k3f9x-wordle"
    assert request.checkpoint == str(run / "checkpoints" / folder)
    assert (request.model, request.environment) == ("builtin/tiny-random", "vf_wordle")
    assert request.provenance["training.environment"].where == "as k3f9x-wordle was trained"
    # What the config or somebody says stays, and options are one thing.
    assert request.spec.training.max_turns == 4
    assert request.spec.training.environment_args == {"reply": "plain"}


def test_another_environment_keeps_none_of_the_runs_options_and_another_model_is_refused(
    project: Path,
) -> None:
    made = plan(project, "evaluation.checkpoint=k3f9x", "training.environment=gsm8k")
    assert made.request.environment == "gsm8k"
    assert made.request.spec.training.environment_args == {}
    assert plan(project, "evaluation.checkpoint=k3f9x").request.spec.training.environment_args == {"turns": 2}
    with pytest.raises(ConfigError, match="was trained on builtin/tiny-random"):
        plan(project, "evaluation.checkpoint=k3f9x", "model.base_model=owner/other")


def test_on_modal_the_path_is_the_containers_and_the_volume_must_be_there(project: Path) -> None:
    sets = "evaluation.checkpoint=m0dal-wordle:final"
    request = plan(project, sets, backend="modal").request
    assert request.checkpoint == "/outputs/runs/m0dal-wordle/checkpoints/final"
    with pytest.raises(ConfigError, match=r"but this run gets verifiers-outputs-default-two") as other:
        plan(project, sets, backend="modal", EXPERIMENT_NAME="two")
    assert other.value.hint is not None
    assert "EXPERIMENT_NAME=default" in other.value.hint.text
    with pytest.raises(ConfigError, match="ran on modal") as elsewhere:
        plan(project, sets)
    assert elsewhere.value.hint is not None
    assert f"vfm get {OUTPUTS}:runs/m0dal-wordle/checkpoints/final" in elsewhere.value.hint.text


@pytest.mark.parametrize(
    ("text", "said", "advice"),
    [
        ("k3f9y-wordle", "no run 'k3f9y-wordle' is known", "nearest trainings: k3f9x-wordle"),
        (
            "k3f9x:checkpoint-4",
            "no checkpoint 'checkpoint-4'",
            "checkpoint-5 (★ best, 0.5), checkpoint-40, final",
        ),
        ("./nowhere", "there is no folder", "correct the path"),
    ],
)
def test_what_is_not_there_is_answered_with_what_is(project: Path, text: str, said: str, advice: str) -> None:
    with pytest.raises(ConfigError, match=said) as refused:
        plan(project, f"evaluation.checkpoint={text}")
    assert refused.value.hint is not None
    assert advice in refused.value.hint.text


def test_an_endpoint_needs_a_name_and_no_gpu(project: Path) -> None:
    sets = ("evaluation.endpoint=https://api.example.com/v1", "training.environment=wordle")
    with pytest.raises(ModelError, match="no model is set"):
        plan(project, *sets)
    named = (*sets, "model.base_model=vendor/model:free")
    made = plan(project, *named, backend="modal")
    assert made.request.model == "vendor/model:free"
    assert any("OPENAI_API_KEY is not set" in notice for notice in made.notices)
    assert made.price is not None
    assert made.price.gpu == 0
    assert not any("not set" in n for n in plan(project, *named, "evaluation.endpoint_key=OTHER").notices)


def test_a_training_has_no_use_for_either(project: Path) -> None:
    settings = Settings.load(project, {"VFM_HOME": str(project / "home")})
    sets = ["evaluation.checkpoint=nobody", "training.environment=wordle"]
    made = make_plan(resolve(None, sets), settings)
    assert made.request.checkpoint == ""
    assert "evaluation.checkpoint has no effect on a training" in made.notices
