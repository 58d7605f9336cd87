"""From a config and `--set` to a spec: layers, provenance, and every problem at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tui.config import schema
from tui.config.problems import ConfigProblems
from tui.config.resolve import Resolved, resolve
from tui.config.yaml_files import list_configs

PROJECT = Path(__file__).parents[3]
GUIDE = PROJECT / "tests" / "data" / "guide_config.yaml"


def given(folder: Path, text: str, *sets: str) -> Resolved:
    path = folder / "x.yaml"
    path.write_text(text, encoding="utf-8")
    return resolve(path, sets)


def problems(folder: Path, text: str, *sets: str) -> list[str]:
    """The problems of a config, with the file's name cut down to `x.yaml`."""
    with pytest.raises(ConfigProblems) as caught:
        given(folder, text, *sets)
    assert caught.value.message.splitlines() == [str(p) for p in caught.value.problems]
    return [str(p).replace(f"{folder}/", "") for p in caught.value.problems]


def source(resolved: Resolved, key: str) -> tuple[str, str]:
    found = resolved.provenance[key]
    return found.layer, Path(found.where).name if found.layer == "file" else found.where


# What loads


@pytest.mark.parametrize("path", list_configs(PROJECT / "configs"), ids=lambda p: p.name)
def test_every_shipped_config_loads_without_a_notice(path: Path) -> None:
    assert resolve(path).notices == []


def test_the_guides_example_arrives_word_for_word() -> None:
    spec = resolve(GUIDE).spec
    assert spec.modal.model_dump() == {
        "cpus": 8.0,
        "memory": 32768,
        "gpu": {"count": 1, "type": "A100-40GB"},
        "timeout": 14400,
        "retries": 3,
        "region": None,
        "cloud": None,
    }
    assert spec.model.base_model == "Qwen/Qwen2.5-1.5B-Instruct"
    assert spec.model.overrides == {"vf-bfcl-single-turn": "Salesforce/xLAM-2-3b-fc-r"}
    assert (spec.training.steps, spec.episodes_per_step) == (200, 64)
    assert isinstance(spec.training.learning_rate, float)
    assert spec.training.learning_rate == 3e-6
    assert (spec.vllm.block_size, spec.vllm.tool_call_parser) == (16, "hermes")
    assert (spec.wandb.project, spec.wandb.enabled) == ("verifiers", True)


def test_without_a_config_there_are_the_defaults() -> None:
    resolved = resolve(None)
    assert {p.layer for p in resolved.provenance.values()} == {"default"}
    assert resolved.values["training.steps"] == 200


def test_a_section_with_every_key_commented_out_is_empty(tmp_path: Path) -> None:
    resolved = given(tmp_path, "training:\n#  steps: 3\nmodel:\n  overrides:\n")
    assert resolved.spec.training.steps == 200
    assert resolved.spec.model.overrides == {}


def test_a_relative_path_counts_from_the_project_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert resolve("configs/local_smoke.yaml", project_dir=PROJECT).spec.training.steps == 3


# Layers and where values come from


def test_each_layer_wins_over_the_one_below(tmp_path: Path) -> None:
    text = "training:\n  steps: 5\n  batch_size: 16\n"
    resolved = given(tmp_path, text, "training.steps=6", "training.steps=7")
    assert (resolved.spec.training.steps, source(resolved, "training.steps")) == (
        7,
        ("set", "--set training.steps=7"),
    )
    assert source(resolved, "training.batch_size") == ("file", "x.yaml:3")
    assert source(resolved, "training.seed") == ("default", "")
    assert resolved.configured["training.steps"] == 5
    assert [o.argument for o in resolved.typed] == ["training.steps=7"]


@pytest.mark.parametrize("spelling", ["wordle", "vf-wordle", "vf_wordle", "VF-Wordle"])
@pytest.mark.parametrize("environment", ["wordle", "vf_wordle"])
def test_a_models_override_goes_by_any_spelling(tmp_path: Path, spelling: str, environment: str) -> None:
    text = f"model:\n  base_model: a/b\n  overrides:\n    {spelling}: c/d\n"
    resolved = given(tmp_path, text, f"training.environment={environment}")
    assert resolved.spec.model.base_model == "c/d"
    found = resolved.provenance["model.base_model"]
    assert (found.layer, found.where) == ("override", f"{tmp_path / 'x.yaml'}:4")


def test_an_override_of_another_environment_changes_nothing(tmp_path: Path) -> None:
    resolved = given(tmp_path, "model: {base_model: a/b, overrides: {gsm8k: c/d}}\n")
    assert resolved.spec.model.base_model == "a/b"


def test_a_typed_model_beats_the_files_override_and_says_so(tmp_path: Path) -> None:
    text = "model:\n  overrides: {wordle: c/d, gsm8k: e/f}\n"
    resolved = given(tmp_path, text, "model.base_model=a/b")
    assert resolved.spec.model.base_model == "a/b"
    assert resolved.spec.model.overrides == {"gsm8k": "e/f"}
    assert "model.overrides.wordle gives way to --set model.base_model=a/b" in resolved.notices[0]


def test_a_typed_override_beats_the_files_one_in_another_spelling(tmp_path: Path) -> None:
    text = "model:\n  overrides: {wordle: c/d}\n"
    resolved = given(tmp_path, text, "model.overrides.vf-wordle=a/b")
    assert resolved.spec.model.base_model == "a/b"
    assert resolved.spec.model.overrides == {"vf-wordle": "a/b"}


def test_sections_merge_and_the_users_own_mappings_are_replaced(tmp_path: Path) -> None:
    text = "model: {lora: {rank: 4, alpha: 8}}\ntraining: {environment_args: {turns: 2, weights: {a: 1}}}\n"
    merged = given(tmp_path, text, "model.lora={rank: 2}", "training.environment_args.weights.b=2")
    assert (merged.spec.model.lora.rank, merged.spec.model.lora.alpha) == (2, 8)
    assert merged.spec.training.environment_args == {"turns": 2, "weights": {"a": 1, "b": 2}}
    assert source(merged, "training.environment_args.weights.a") == ("file", "x.yaml:2")
    assert source(merged, "training.environment_args.weights.b")[0] == "set"
    replaced = given(tmp_path, text, "training.environment_args={hint: true}")
    assert replaced.spec.training.environment_args == {"hint": True}
    assert given(tmp_path, text, "training.environment_args={}").spec.training.environment_args == {}


@pytest.mark.parametrize("head", ["", "  environment: Wordle\n"])
def test_a_files_arguments_are_not_another_environments(tmp_path: Path, head: str) -> None:
    text = f"training:\n{head}  environment_args:\n    turns: 2\n"
    kept = given(tmp_path, text, "training.environment=vf_wordle")
    assert (kept.spec.training.environment_args, kept.notices) == ({"turns": 2}, [])
    other = given(tmp_path, text, "training.environment=gsm8k", "training.environment_args.digits=1")
    assert other.spec.training.environment_args == {"digits": 1}
    assert len(other.notices) == 1
    assert "do not count for gsm8k" in other.notices[0]
    assert other.notices[0].startswith(f"{tmp_path / 'x.yaml'}:{4 if head else 3}: ")
    assert given(tmp_path, text, "training.environment=gsm8k").spec.training.environment_args == {}


def test_every_value_has_its_provenance(tmp_path: Path) -> None:
    resolved = given(tmp_path, "training: {environment_args: {turns: 2}}\n")
    assert resolved.provenance.keys() == resolved.values.keys()


def test_a_value_without_effect_is_noticed(tmp_path: Path) -> None:
    resolved = given(tmp_path, "vllm:\n  tool_call_parser: hermes\n  enable_auto_tool_choice: false\n")
    assert resolved.notices == [
        f"{tmp_path / 'x.yaml'}:2: vllm.tool_call_parser has no effect while "
        "vllm.enable_auto_tool_choice is false"
    ]


# What is refused


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "training:\n  stepps: 3\n",
            "x.yaml:2: unknown key training.stepps: did you mean training.steps?",
        ),
        ("model:\n  steps: 3\n", "x.yaml:2: unknown key model.steps: did you mean training.steps?"),
        ("steps: 3\n", "x.yaml:1: unknown key steps: did you mean training.steps?"),
        ("trainng:\n  steps: 3\n", "x.yaml:1: unknown key trainng: did you mean training?"),
        ("modal:\n  gpu_type: T4\n", "x.yaml:2: unknown key modal.gpu_type: did you mean modal.gpu.type?"),
        (
            "training.steps: 3\n",
            "x.yaml:1: unknown key training.steps written with dots: in a file, each part stands "
            "indented below the one before",
        ),
        ("model:\n  zzzzzz: 1\n", "x.yaml:2: unknown key model.zzzzzz"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest(tmp_path: Path, text: str, expected: str) -> None:
    assert problems(tmp_path, text) == [expected]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "training:\n  steps: many\n",
            'is "many", but should be a whole number of at least 1 (default: 200)',
        ),
        ("training:\n  steps: 0\n", "is 0, but should be a whole number of at least 1"),
        ("training:\n  steps: 1.5\n", "is 1.5, but should be a whole number"),
        ("training:\n  steps: true\n", "is true, but should be a whole number"),
        ("training:\n  steps:\n", "is empty, but should be a whole number"),
        ("training:\n  steps: {a: 1}\n", 'is {"a": 1}, but should be a whole number'),
        ("training:\n  learning_rate: 2\n", "should be a number above 0 and at most 1 (default: 3e-06)"),
        ("model:\n  lora: {alpha: .inf}\n", "model.lora.alpha is infinite, but should be a number above 0"),
        ("model:\n  lora: {alpha: .nan}\n", "model.lora.alpha is NaN, but should be"),
        ("model:\n  dtype: bfloat61\n", "one of float32, bfloat16, float16; did you mean bfloat16?"),
        ("wandb:\n  enabled: perhaps\n", "should be true or false"),
        ("wandb:\n  project: 7\n", "should be text that is not empty (write it in quotes: '7')"),
        ("training: 5\n", "training is 5, but should be a section with keys of its own"),
        ("model:\n  overrides: {wordle: [1]}\n", "model.overrides.wordle is [1], but should be text"),
        ("modal:\n  gpu: {count: 9}\n", "should be a whole number from 1 to 8"),
        ("modal:\n  gpu: {type: banana}\n", "should be one of T4"),
        ("modal:\n  gpu: {type: A100-40}\n", "; did you mean A100-40GB?"),
        ("modal:\n  region: US East\n", "these are Modal's own names, such as `us` or `us-east, eu`"),
        ("training:\n  environment_args: {x: [.nan]}\n", "should be a finite number"),
    ],
)
def test_a_wrong_value_is_told_in_plain_words(tmp_path: Path, text: str, words: str) -> None:
    (problem,) = problems(tmp_path, text)
    assert problem.startswith(("x.yaml:1: ", "x.yaml:2: "))
    assert words in problem
    assert "Input should" not in problem


@pytest.mark.parametrize("name", ["A10", "a10g", "rtx-pro-6000", "h100!", "B200+", "a100-40gb"])
def test_gpus_go_by_modals_names_in_any_case(tmp_path: Path, name: str) -> None:
    spec = given(tmp_path, f"modal:\n  gpu:\n    type: {name}\n").spec
    assert spec.modal.gpu.type == name.upper()
    assert given(tmp_path, "modal: {}\n", f"modal.gpu.type={name}").spec.modal.gpu.type == name.upper()


def test_more_gpus_than_modal_has_are_told_where_they_are_asked_for(tmp_path: Path) -> None:
    text = "modal:\n  gpu:\n    type: A10G\n    count: 5\n"
    (there,) = problems(tmp_path, text)
    assert there.startswith("x.yaml:4, x.yaml:3: modal.gpu.count = 5 is more than the 4 that Modal allows of")
    (typed,) = problems(tmp_path, text.replace("5", "4"), "modal.gpu.count=8")
    assert typed.startswith("--set modal.gpu.count=8, x.yaml:3: modal.gpu.count = 8 is more")
    assert given(tmp_path, text.replace("A10G", "H100")).spec.modal.gpu.count == 5


def test_all_problems_are_told_at_once_with_their_places(tmp_path: Path) -> None:
    text = "training:\n  stepps: 3\n  batch_size: -1\nvllm:\n  port: 99999\nvllm2: {}\n"
    found = problems(tmp_path, text, "wandb.enabled=perhaps", "modl.dtype=float32")
    assert [p.split(": ")[0] for p in found] == [
        "x.yaml:2",
        "x.yaml:6",
        "--set modl.dtype=float32",
        "x.yaml:3",
        "x.yaml:5",
        "--set wandb.enabled=perhaps",
    ]
    assert "did you mean model.dtype?" in found[2]


def test_a_key_that_stands_twice_hides_no_other_problem(tmp_path: Path) -> None:
    found = problems(tmp_path, "wandb: {}\nwandb: {}\ntraining: {steps: 0}\n")
    assert ["second time" in found[0], "training.steps is 0" in found[1]] == [True, True]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("training.learning_rate=1e400", "is infinite"),
        ("training.steps=", "is empty"),
        ("training.steps=~", "is"),
    ],
)
def test_a_problem_repeats_what_was_typed(tmp_path: Path, typed: str, said: str) -> None:
    [found] = problems(tmp_path, "{}", typed)
    assert found.startswith(f"--set {typed}: ")
    assert said in found


def test_problems_of_file_and_words_come_together(tmp_path: Path) -> None:
    found = problems(tmp_path, "a: [", "training.steps", "=3")
    assert [p.split(": ")[0] for p in found] == ["x.yaml:1:5", "--set training.steps", "--set =3"]


def test_values_that_do_not_fit_together_name_each_place(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, "training:\n  batch_size: 3\n", "training.num_generations=7")
    assert problem.startswith("x.yaml:2, --set training.num_generations=7: batch_size × ")
    assert "= 24 is no multiple of num_generations = 7" in problem
    (problem,) = problems(tmp_path, "vllm:\n  weight_sync: full\n")
    assert problem == "x.yaml:2: vllm.weight_sync = full needs model.lora.enabled = false"


def test_a_misfit_is_not_told_where_a_misspelling_explains_it(tmp_path: Path) -> None:
    text = "training:\n  batch_size: 4\n  gradient_accumulation_steps: 1\n  num_generation: 4\n"
    (problem,) = problems(tmp_path, text)
    assert "did you mean training.num_generations?" in problem


def test_one_environment_twice_in_overrides_is_refused(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, "model:\n  overrides:\n    wordle: a/b\n    vf-wordle: c/d\n")
    assert problem == "x.yaml:4: model.overrides names one environment twice: wordle and vf-wordle"


def test_a_single_value_has_no_keys_below_it(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, "wandb: {}\n", "training.steps.more=3")
    assert problem.endswith("training.steps is a single value and has no keys below it")


def test_a_problem_carries_its_parts(tmp_path: Path) -> None:
    with pytest.raises(ConfigProblems) as caught:
        given(tmp_path, "training:\n  steps: many\n")
    (problem,) = caught.value.problems
    assert (problem.key, problem.value, problem.default) == ("training.steps", "many", 200)
    assert problem.expected == "a whole number of at least 1"
    assert problem.where == f"{tmp_path / 'x.yaml'}:2"


def test_a_section_that_is_no_section_is_told_of_whatever_is_typed(tmp_path: Path) -> None:
    found = problems(tmp_path, "training: 3\n", "training.steps=7")
    assert found == ["x.yaml:1: training is 3, but should be a section with keys of its own"]


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("training.max_steps", "training.steps"),
        ("max_steps", "training.steps"),
        ("training.num_train_epochs", "training.steps; optimiser steps"),
        ("training.per_device_train_batch_size", "training.batch_size"),
        ("training.bf16", "model.dtype"),
        ("model.torch_dtype", "model.dtype"),
        ("model.model_name_or_path", "model.base_model"),
        ("model.name", "model.base_model"),
        ("lora.r", "model.lora.rank"),
        ("model.lora.r", "model.lora.rank"),
        ("model.lora_alpha", "model.lora.alpha"),
        ("lora.target_modules", "every linear layer"),
        ("training.use_vllm", "always played by a vLLM server"),
        ("training.resume_from_checkpoint", "vfm resume RUN"),
        ("training.report_to", "wandb.enabled"),
        ("training.output_dir", "EXPERIMENTER and EXPERIMENT_NAME"),
        ("run_name", "EXPERIMENT_NAME in .env"),
        ("name", "EXPERIMENT_NAME in .env"),
        ("volumes.outputs", "EXPERIMENTER and EXPERIMENT_NAME"),
        ("training.kl_coef", "training.beta"),
        ("training.max_new_tokens", "training.max_completion_length"),
    ],
)
def test_another_trainers_name_for_a_key_is_known(theirs: str, ours: str) -> None:
    with pytest.raises(ConfigProblems) as caught:
        resolve(None, [f"{theirs}=1"])
    [problem] = caught.value.problems
    assert problem.message.startswith(f"unknown key {theirs}: ")
    assert ours in problem.message
    assert "did you mean" not in problem.message


def test_what_peers_keys_are_called_here_exists() -> None:
    """And none of their names is a key of ours."""
    from tui.config import peer_names, schema

    here = [*peer_names._NAMES.values(), *peer_names._DOTTED.values()]
    assert {one.key for one in here if one.key} <= schema.by_key().keys()
    assert not peer_names._DOTTED.keys() & schema.by_key().keys()
    assert not peer_names._NAMES.keys() & {key.rpartition(".")[2] for key in schema.by_key()}


NUMBERS = [row.key for row in schema.rows() if row.type in ("number", "whole number")]


@pytest.mark.parametrize("key", NUMBERS)
def test_a_number_is_what_yaml_says_and_finite(key: str) -> None:
    """Quoted or not: no words of Python's, no digits of other scripts, no end of the line of numbers."""
    for text in (
        "inf",
        ".inf",
        "-.inf",
        "nan",
        ".nan",
        "Infinity",
        "1e400",
        "０.５",
        "٠.٥",
        "1_0e-4",
        "'inf'",
        "'1_0'",
    ):
        with pytest.raises(ConfigProblems, match=f"{key} is"):
            resolve(None, [f"{key}={text}"])


def test_a_seed_is_one_that_every_library_takes() -> None:
    assert resolve(None, ["training.seed=4294967295"]).spec.training.seed == 2**32 - 1
    with pytest.raises(ConfigProblems, match="from 0 to 4294967295"):
        resolve(None, ["training.seed=4294967296"])


@pytest.mark.parametrize(
    "value", [float("inf"), -float("inf"), [1.5, float("inf")], {"a b": [float("-inf")]}]
)
def test_an_endless_number_is_spelt_as_it_is_read(value: object) -> None:
    from tui.config.overrides import parse_one, spell

    assert parse_one(f"a.b={spell(value)}").value == value
