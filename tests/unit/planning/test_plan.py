"""The plan: what a backend is asked for, and what this machine refuses before that."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from remote.contract.environment_package import allows_python
from remote.contract.errors import ConfigError, EnvironmentMissing, ModelError
from remote.contract.modal_resources import modal_options
from remote.contract.model_choice import OURS
from remote.contract.record import LaunchRequest
from tests.unit.contract.test_model_folder import model_folder
from tui.config.resolve import resolve
from tui.planning.environments import declared
from tui.planning.git_state import git_state
from tui.planning.plan import Plan, make_plan
from tui.settings import Settings

TEXT = "training:\n  environment: wordle\n  steps: 5\nwandb:\n  enabled: false\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with two environments and a config; the `.env` is there, so nothing is noticed."""
    for name in ("vf_wordle", "gsm8k"):
        (tmp_path / "environments" / name).mkdir(parents=True)
        (tmp_path / "environments" / name / "pyproject.toml").touch()
    (tmp_path / "environments" / "no_package").mkdir()
    (tmp_path / ".env").write_text("EXPERIMENTER=\n")
    (tmp_path / "x.yaml").write_text(TEXT)
    return tmp_path


def plan(project: Path, *sets: str, backend: str = "local", **environ: str) -> Plan:
    config = project / "x.yaml"
    settings = Settings.load(project, environ)
    return make_plan(resolve(config, sets), settings, backend=backend, config_path=config)


def test_the_request_is_all_that_a_worker_needs(project: Path) -> None:
    request = plan(project, EXPERIMENTER="alice", EXPERIMENT_NAME="v-1").request
    assert (request.environment, request.model) == ("vf_wordle", "Qwen/Qwen2.5-0.5B-Instruct")
    assert request.outputs == "verifiers-outputs-alice-v-1"
    assert request.cache == "verifiers-cache-alice-v-1"
    assert request.run_id.endswith("-wordle")
    assert request.config_path == str(project / "x.yaml")
    assert request.provenance["training.steps"].where == f"{project / 'x.yaml'}:3"
    assert LaunchRequest.model_validate_json(request.model_dump_json()) == request


def test_no_two_plans_have_one_run_id(project: Path) -> None:
    assert plan(project).request.run_id != plan(project).request.run_id


def test_the_difference_is_what_was_typed_and_changes_something(project: Path) -> None:
    made = plan(project, "training.steps=9", "training.seed=42", "training.environment_args.turns=2")
    assert made.diff == [("training.environment_args.turns", None, 2), ("training.steps", 5, 9)]


def test_the_command_launches_the_same(project: Path) -> None:
    sets = ("training.steps=8", "wandb.project=my project", "training.steps=9")
    made = plan(project, *sets)
    words = shlex.split(made.command)
    assert words[:5] == ["vfm", "launch", str(project / "x.yaml"), "--backend", "local"]
    assert words[5:] == ["--set", "wandb.project=my project", "--set", "training.steps=9"]
    again = plan(project, *words[6::2])
    assert again.request.spec == made.request.spec


def test_an_evaluation_says_so_in_its_command(project: Path) -> None:
    made = make_plan(resolve(project / "x.yaml"), Settings.load(project, {}), kind="evaluate")
    assert (made.request.kind, made.command) == ("evaluate", "vfm launch --backend local --kind evaluate")


@pytest.mark.parametrize(
    ("sets", "model", "why"),
    [
        ((), "Qwen/Qwen2.5-0.5B-Instruct", "the default for vf-wordle"),
        (("training.environment=gsm8k",), "Qwen/Qwen2.5-1.5B-Instruct", "none of their own"),
        (("model.base_model=a/b",), "a/b", "model.base_model names it (--set model.base_model=a/b)"),
        (("model.base_model=a/b", "model.overrides.vf-wordle=c/d"), "c/d", "names it for vf-wordle"),
    ],
)
def test_the_model_and_its_reason(project: Path, sets: tuple[str, ...], model: str, why: str) -> None:
    made = plan(project, *sets)
    assert made.request.model == model
    assert why in made.reasons["model"]


@pytest.mark.parametrize("name", ["wordle", "vf-wordle", "vf_wordle", "Wordle"])
def test_an_environment_goes_by_any_spelling(project: Path, name: str) -> None:
    assert plan(project, f"training.environment={name}").request.environment == "vf_wordle"


def test_a_package_of_environments_may_be_named_by_its_path(project: Path) -> None:
    path = project / "environments" / ".." / "environments" / "vf_wordle"
    (path / "pyproject.toml").write_text('[project]\nname = "vf-wordle"\n')
    request = plan(project, f"training.environment={path}").request
    assert (request.environment, request.environment_source) == ("vf_wordle", "")


def test_the_legacy_alias_says_what_it_is(project: Path) -> None:
    source = Path(__file__).parents[3] / "environments" / "vf_tool_test" / "pyproject.toml"
    (project / "environments" / "vf_tool_test").mkdir()
    (project / "environments" / "vf_tool_test" / "pyproject.toml").write_bytes(source.read_bytes())
    made = plan(project, "training.environment=tool-test")
    assert (made.request.environment, made.request.model) == ("vf_tool_test", "Salesforce/xLAM-2-3b-fc-r")
    assert any("vf-tool-test is the legacy name of vf-bfcl-single-turn" in said for said in made.notices)


def test_an_unknown_environment_is_refused_with_those_there_are(project: Path) -> None:
    (project / "x.yaml").write_text("training:\n  environment: wordel\n")
    with pytest.raises(EnvironmentMissing) as caught:
        plan(project)
    assert caught.value.message.startswith(f"{project / 'x.yaml'}:2: no environment 'wordel'")
    assert "there are: gsm8k, vf-wordle" in caught.value.message
    assert caught.value.hint is not None
    assert (caught.value.hint.text, caught.value.hint.new) == ("did you mean vf-wordle?", "vf-wordle")


def test_a_package_elsewhere_goes_by_its_path(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "mine").mkdir()
    (project / "mine" / "pyproject.toml").write_text('[project]\nname = "My-Env"\nversion = "1"\n')
    (project / "my_env-1-py3-none-any.whl").touch()
    monkeypatch.chdir(project)
    for path in ("mine", "my_env-1-py3-none-any.whl"):
        request = plan(project, f"training.environment=./{path}").request
        assert (request.environment, request.environment_source) == ("my_env", str(project / path))
        assert request.run_id.endswith("-my-env")


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("setup.py", "import setuptools\nsetuptools.setup(version='1', name='My-Env')\n"),
        ("setup.cfg", "[metadata]\nname = My-Env\n"),
        ("pyproject.toml", '[tool.poetry]\nname = "My-Env"\n'),
        ("pyproject.toml", '[project]\nname = "My-Env"\ndynamic = ["version"]\n'),
    ],
)
def test_a_package_of_any_age_goes_by_its_path(project: Path, file: str, text: str) -> None:
    (project / "mine").mkdir()
    (project / "mine" / "setup.py").touch()
    (project / "mine" / file).write_text(text)
    request = plan(project, f"training.environment={project}/mine").request
    assert (request.environment, request.environment_source) == ("my_env", str(project / "mine"))


@pytest.mark.parametrize("name", ["json", "random", "torch", "numpy", "remote", "verifiers"])
def test_a_name_that_python_or_the_stack_has_is_refused(project: Path, name: str) -> None:
    (project / "mine").mkdir()
    (project / "mine" / "pyproject.toml").write_text(f'[project]\nname = "{name}"\n')
    (project / "environments" / name).mkdir()
    (project / "environments" / name / "pyproject.toml").write_text(f'[project]\nname = "{name}"\n')
    for written in (str(project / "mine"), name, f"index:{name}"):
        with pytest.raises(EnvironmentMissing, match=rf"called {name}, as a module of (Python|the training)"):
            plan(project, f"training.environment={written}")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("../environments/vf_wordle", "does not exist"),
        ("./environments/no_package", "is a folder without pyproject.toml"),
        (".", "is the folder of this project"),
        ("..", "is the folder of this project"),
        ("./x.yaml", "is a file, but no wheel"),
        ("./environments/vf_wordle", "pyproject.toml cannot be used: it has no project.name"),
    ],
)
def test_a_path_that_is_no_package_is_refused(
    project: Path, path: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    with pytest.raises(EnvironmentMissing, match=words):
        plan(project, f"training.environment={path}")


@pytest.mark.parametrize(
    ("name", "module", "requirement"),
    [
        ("index:some-env", "some_env", "some-env"),
        ("index: Some.Env[x]>=1.2,<2", "some_env", "Some.Env[x]>=1.2,<2"),
        ("wordel==1.0", "wordel", "wordel==1.0"),
        ("some-env[x] == 1.0", "some_env", "some-env[x] == 1.0"),
        ("index:gsm8k2", "gsm8k2", "gsm8k2"),
    ],
)
def test_a_package_of_the_index_is_written_as_one(
    project: Path, name: str, module: str, requirement: str
) -> None:
    """Nobody is asked yet: that happens at the launch."""
    made = plan(project, f"training.environment={name}", f"model.overrides.{module}=a/b")
    assert (made.request.environment, made.request.environment_source) == (module, requirement)
    assert made.request.model == "a/b"
    [said] = made.notices
    assert said.startswith(f"{requirement} comes from the package index: its code")


@pytest.mark.parametrize(
    "name", ["some-env", "some-env>=1", "no name", "a;b", "-x", "git+https:x", "some-env ; os", "index:a b"]
)
def test_no_other_name_is_one(project: Path, name: str) -> None:
    with pytest.raises(EnvironmentMissing, match="environment"):
        plan(project, f"training.environment={name}")


def test_how_a_package_of_the_index_is_written_is_said(project: Path) -> None:
    with pytest.raises(EnvironmentMissing, match=r"a package of the package index is written index:some-env"):
        plan(project, "training.environment=some-env")


@pytest.mark.parametrize("name", [*OURS, *(name.removeprefix("vf-") for name in OURS), "VF.Wordle"])
def test_our_own_names_are_never_a_package_of_the_index(project: Path, name: str) -> None:
    """Not where `environments/` has gone, and not where somebody insists."""
    shutil.rmtree(project / "environments")
    for written in (name, f"{name}==1.0", f"index:{name}", f"index:{name}[x]>=1"):
        with pytest.raises(EnvironmentMissing):
            plan(project, f"training.environment={written}")


def test_our_own_names_are_those_of_the_folder() -> None:
    folder = Path(__file__).parents[3] / "environments"
    assert sorted(OURS) == sorted(path.name.replace("_", "-") for path in folder.iterdir())


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("primeintellect/wordle", "prime env pull primeintellect/wordle"),
        ("will/wordle@0.1.4", "none is fetched from a hub"),
        ("wordle@latest", "none is fetched from a hub"),
        ("git+https://github.com/a/b", "clone it"),
        ("https://github.com/a/b.git", "clone it"),
    ],
)
def test_an_address_elsewhere_says_what_to_do(project: Path, name: str, words: str) -> None:
    with pytest.raises(EnvironmentMissing) as caught:
        plan(project, f"training.environment={name}")
    assert words in str(caught.value)


@pytest.mark.parametrize(("name", "owner"), [("json", "Python itself"), ("torch", "the training stack")])
def test_a_module_that_is_no_environment_is_called_that(project: Path, name: str, owner: str) -> None:
    with pytest.raises(EnvironmentMissing) as caught:
        plan(project, f"training.environment={name}")
    assert caught.value.hint is not None
    assert caught.value.hint.text.startswith(f"{name} is a module of {owner}, and no environment")
    assert "index:" not in caught.value.message


def test_what_a_package_says_of_itself(project: Path) -> None:
    folder = project / "environments" / "gsm8k"
    text = '[project]\ndescription = "Sums."\nversion = "2"\n[tool.vfm]\nmodel = "a/b"\n'
    text += "function-calling = true\n"
    (folder / "pyproject.toml").write_text(
        text + 'native-tools-unless = { tools = "prompt" }\nalias-of = "old"\n'
    )
    said = declared(folder)
    assert (said.summary, said.version, said.model, said.alias_of) == ("Sums.", "2", "a/b", "old")
    assert said.native_tools({})
    assert not said.native_tools({"tools": "prompt"})
    assert not declared(project / "environments" / "vf_wordle").native_tools({})
    assert (
        "gsm8k is the legacy name of old, its successor"
        in plan(project, "training.environment=gsm8k", "training.environment_args.tools=prompt").notices
    )
    (folder / "pyproject.toml").write_text("[project\n")
    with pytest.raises(EnvironmentMissing, match=r"gsm8k/pyproject.toml cannot be used"):
        plan(project, "training.environment=gsm8k")


def test_a_model_path_is_made_absolute(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model_folder(project / "weights")
    monkeypatch.chdir(project)
    assert plan(project, "model.base_model=./weights").request.model == str(project / "weights")


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("/nosuch/model", "the model path /nosuch/model does not exist"),
        ("~/no-such-model", "does not exist"),
        ("builtin/tiny", "there is no 'builtin/tiny'; the builtin models are: "),
        ("a/b/c", "no hub id"),
        ("my model", "no hub id"),
    ],
)
def test_a_model_that_cannot_be_is_refused(project: Path, model: str, words: str) -> None:
    with pytest.raises(ModelError) as caught:
        plan(project, f"model.base_model={model}")
    assert caught.value.message.startswith(f"--set model.base_model={model}: ")
    assert words in caught.value.message
    assert caught.value.hint is not None
    assert caught.value.hint.key == "model.base_model"


def test_a_file_is_no_model(project: Path) -> None:
    with pytest.raises(ModelError, match="is a file, not a model's folder"):
        plan(project, f"model.base_model={project / 'x.yaml'}")


def test_modal_does_not_see_this_machines_paths(project: Path) -> None:
    with pytest.raises(ModelError, match="which modal cannot read"):
        plan(project, "model.base_model=./weights", backend="modal")
    there = plan(project, "model.base_model=/cache/weights", backend="modal")
    assert there.request.model == "/cache/weights"


@pytest.mark.parametrize(
    ("text", "words"),
    [(None, "there is no {}"), ("", "{} is empty"), ("# a note\n\nno variable\n", "{} is empty")],
)
def test_a_run_on_modal_needs_an_env_file_that_says_something(
    project: Path, text: str | None, words: str
) -> None:
    file = project / ".env"
    file.unlink()
    if text is not None:
        file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        plan(project, backend="modal", HF_TOKEN="not from the file")
    assert caught.value.message.startswith(words.format(file))
    assert caught.value.hint is not None
    assert "cp .env.example .env" in caught.value.hint.text
    assert plan(project).request.backend == "local"  # a run on this machine needs none
    file.write_text("HF_TOKEN=\n")
    assert plan(project, backend="modal").request.backend == "modal"


def test_what_a_run_costs_is_planned(project: Path) -> None:
    sets = ("modal.gpu.type=H100", "modal.timeout=3600", "modal.retries=2")
    made = plan(project, *sets, backend="modal")
    assert made.price is not None
    assert made.request.usd_per_hour == made.price.hour > 3.9
    assert made.price.most == pytest.approx(made.price.hour * 3)
    limited = plan(project, *sets, "budget.max_usd=5", backend="modal").price
    assert limited is not None
    assert (limited.most, limited.whole) == (5, made.price.most)
    here = plan(project, *sets)
    assert (here.request.usd_per_hour, here.price, here.notices) == (None, None, [])


def test_a_budget_that_does_nothing_is_noticed(project: Path) -> None:
    here = plan(project, "budget.max_usd=5").notices
    assert here == [
        "--set budget.max_usd=5: budget.max_usd has no effect on this machine, where runs are free"
    ]
    broken = project / "own"
    broken.mkdir()
    (broken / "prices.toml").write_text("[gpu")
    made = plan(project, "budget.max_usd=5", backend="modal", VFM_CONFIG_DIR=str(broken))
    assert made.request.usd_per_hour is None
    assert "the price is unknown: cannot use" in made.notices[0]
    assert "has no effect while the price is unknown" in made.notices[1]


@pytest.mark.parametrize("variable", ["EXPERIMENTER", "EXPERIMENT_NAME"])
def test_a_name_that_no_volume_can_hold_is_refused(project: Path, variable: str) -> None:
    with pytest.raises(ConfigError, match=f"{variable} is 'al ice/Ö'.*volume") as caught:
        plan(project, **{variable: "al ice/Ö"})
    assert caught.value.hint is not None
    assert "al-ice" in caught.value.hint.text


def test_notices_come_together(project: Path) -> None:
    assert plan(project).notices == []
    (project / ".env").unlink()
    notices = plan(project, "wandb.enabled=true", "vllm.tool_call_parser=hermes").notices
    assert ["no " in notices[0], "no effect" in notices[1], "WANDB_API_KEY" in notices[2]] == [True] * 3
    with_key = plan(project, "wandb.enabled=true", WANDB_API_KEY="hush")
    assert "WANDB_API_KEY" not in " ".join(with_key.notices)
    assert "hush" not in repr(with_key)


def test_the_revision_is_the_checkouts(tmp_path: Path) -> None:
    assert git_state(tmp_path) == {}

    def git(*words: str) -> str:
        who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        done = subprocess.run(["git", *who, *words], cwd=tmp_path, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "first")
    assert git_state(tmp_path) == {"revision": git("rev-parse", "HEAD"), "dirty": False}
    (tmp_path / "new").touch()
    assert git_state(tmp_path)["dirty"] is True


def test_without_git_there_is_no_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_state(tmp_path) == {}


def test_gpus_that_a_steps_episodes_cannot_be_divided_among_are_refused_by_their_keys(project: Path) -> None:
    four = "modal.gpu.count=4"
    with pytest.raises(ConfigError, match=r"training\.batch_size × .* = 64 episodes .* 3 trainers") as caught:
        plan(project, four, backend="modal")
    assert caught.value.hint is not None
    assert caught.value.hint.key == "vllm.gpus"
    plan(project, four, f"vllm.gpus={caught.value.hint.new}", backend="modal")
    plan(project, four)  # this machine has the GPUs that it has


def test_a_gpu_without_bfloat16_computes_in_float32_unless_somebody_says_otherwise(project: Path) -> None:
    made = plan(project, "modal.gpu.type=t4", backend="modal")
    assert made.request.spec.model.dtype == "float32"
    assert made.request.provenance["model.dtype"].where == "set for T4, which has no bfloat16"
    assert (
        plan(project, "modal.gpu.type=t4").request.spec.model.dtype == "bfloat16"
    )  # this machine's is another
    chosen = plan(project, "modal.gpu.type=T4", "model.dtype=float16", backend="modal")
    assert chosen.request.spec.model.dtype == "float16"


def test_bfloat16_on_a_gpu_without_it_is_refused_with_what_mends_it(project: Path) -> None:
    (project / "x.yaml").write_text(f"{TEXT}model:\n  dtype: bfloat16\n")
    with pytest.raises(
        ConfigError, match=r"x\.yaml:7: model\.dtype = bfloat16, which a T4 does not"
    ) as caught:
        plan(project, "modal.gpu.type=T4", backend="modal")
    assert caught.value.hint is not None
    assert (caught.value.hint.key, caught.value.hint.new) == ("model.dtype", "float32")
    plan(project, "modal.gpu.type=T4", "model.dtype=float32", backend="modal")


def test_regions_and_clouds_are_asked_of_modal(project: Path) -> None:
    made = plan(project, "modal.region=us, eu-west", "modal.cloud=aws", backend="modal")
    asked = modal_options(made.request.spec)
    assert (asked["region"], asked["cloud"]) == (["us", "eu-west"], "aws")


def wanting(project: Path, wanted: str) -> None:
    text = f'[project]\nname = "gsm8k"\nrequires-python = "{wanted}"\n'
    (project / "environments" / "gsm8k" / "pyproject.toml").write_text(text)


@pytest.mark.parametrize("backend", ["local", "modal"])
def test_an_environment_that_wants_another_python_names_the_key(project: Path, backend: str) -> None:
    named = "training.environment=gsm8k"
    wanting(project, ">=3.12")
    with pytest.raises(EnvironmentMissing, match=r"needs Python >=3\.12, and the image has 3\.11") as caught:
        plan(project, named, "image.python=3.11", backend=backend)
    assert caught.value.hint is not None
    assert (caught.value.hint.key, caught.value.hint.new) == ("image.python", "3.12")
    made = plan(project, named, "image.python=3.12", backend=backend)
    assert made.request.spec.image.python == "3.12"
    wanting(project, ">=3.14")
    with pytest.raises(EnvironmentMissing) as never:
        plan(project, named, "image.python=3.12", backend=backend)
    assert never.value.hint is not None
    assert (never.value.hint.new, never.value.hint.text) == (None, "the image can have 3.11 or 3.12")


def test_modal_has_312_where_nobody_asks(project: Path) -> None:
    wanting(project, "<3.12")
    with pytest.raises(EnvironmentMissing, match=r"needs Python <3\.12, and the image has 3\.12"):
        plan(project, "training.environment=gsm8k", backend="modal")
    plan(project, "training.environment=gsm8k", "image.python=3.11", backend="modal")


@pytest.mark.parametrize(
    ("wanted", "suits"),
    [
        ("", (True, True)),
        (">=3.11", (True, True)),
        (">=3.12", (False, True)),
        (">=3.11,<3.12", (True, False)),
        (">=3.11.4,<3.14", (True, True)),
        ("~=3.11", (True, True)),
        ("==3.11.*", (True, False)),
        ("==3.12", (False, True)),
        (">3.11", (False, True)),
        ("<3.12.0", (True, False)),
        ("<=3.11", (True, False)),
        ("!=3.12.1", (True, True)),
        (">=3", (True, True)),
        ("<4", (True, True)),
        ("what?", (True, True)),
    ],
)
def test_which_python_suits(wanted: str, suits: tuple[bool, bool]) -> None:
    assert tuple(allows_python(wanted, version) for version in ("3.11", "3.12")) == suits
