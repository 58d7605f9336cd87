"""What the shipped configs and the guide's command lines would do: every plan is the right one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tui.cli.modal_entry import OPTIONS, Option
from tui.config import yaml_files
from tui.config.resolve import resolve_layers
from tui.planning.gpu_memory import Machine, fit
from tui.planning.plan import Plan, make_plan
from tui.settings import Settings

ROOT = Path(__file__).parents[3]
CONFIGS = sorted(path.name for path in (ROOT / "configs").glob("*.yaml"))
GUIDES = ROOT / "tests" / "data" / "guide_config.yaml"
GENERAL, SMALL = "Qwen/Qwen2.5-1.5B-Instruct", "Qwen/Qwen2.5-0.5B-Instruct"
CALLER, SMOLLM = "Salesforce/xLAM-2-3b-fc-r", "builtin/smollm2-135m"
WORDLE, BFCL = "vf_wordle", "vf_bfcl_single_turn"
XLAM = (True, "xlam")
A100 = 2.73
"""US dollars an hour of the guide's machine, by the table of prices."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This project, with a `.env` that sets nothing that a plan looks at."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("configs", "environments", "examples", "run_modal.py"):
        (folder / name).symlink_to(ROOT / name)
    (folder / ".env").write_text("WANDB_API_KEY=key\n")
    return folder


def plan(
    project: Path, config: Path | None, *options: Option, kind: Any = "train", backend: str = "modal"
) -> Plan:
    resolved = resolve_layers(yaml_files.load(config) if config else None, options)
    settings = Settings.load(project, {})
    return make_plan(resolved, settings, kind=kind, backend=backend, config_path=config)


def verdict(made: Plan) -> str:
    request = made.request
    machine = Machine(16.0)
    return fit(
        request.spec, request.model, kind=request.kind, backend=request.backend, machine=machine
    ).verdict


def calls(made: Plan) -> tuple[bool | None, str | None]:
    vllm = made.request.spec.vllm
    return vllm.enable_auto_tool_choice, vllm.tool_call_parser


LOCAL = {
    # environment, model, how functions reach it
    "local_bfcl.yaml": (BFCL, SMOLLM, "prompt"),
    "local_demo.yaml": (WORDLE, SMOLLM, ""),
    "local_gsm8k.yaml": ("vf_gsm8k", SMOLLM, ""),
    "local_smoke.yaml": (WORDLE, "builtin/tiny-random", ""),
}
MODAL = {
    # environment, model, why, episodes a step, calls
    "modal_training_config.yaml": (WORDLE, GENERAL, "model.base_model names it", 64, (None, None)),
    "modal_training_config_wordle.yaml": (WORDLE, SMALL, "the default for vf-wordle", 64, (None, None)),
    "modal_training_config_bfcl.yaml": (BFCL, CALLER, "the default for vf-bfcl-single-turn", 64, XLAM),
}


def test_every_config_is_looked_at() -> None:
    assert set(CONFIGS) == LOCAL.keys() | MODAL.keys()


@pytest.mark.parametrize("name", LOCAL)
def test_a_local_config_plans_what_it_says(project: Path, name: str) -> None:
    environment, model, tools = LOCAL[name]
    made = plan(project, ROOT / "configs" / name, backend="local")
    assert (made.request.environment, made.request.model) == (environment, model)
    assert (made.price, made.notices, calls(made)) == (None, [], (None, None))
    assert tools in made.reasons["tools"]
    assert verdict(made) in ("fits", "tight")
    assert made.request.spec.training.gradient_checkpointing is None


@pytest.mark.parametrize("name", MODAL)
def test_a_config_for_modal_plans_what_it_says(project: Path, name: str) -> None:
    environment, model, why, episodes, expected = MODAL[name]
    made = plan(project, ROOT / "configs" / name)
    request = made.request
    assert (request.environment, request.model, calls(made)) == (environment, model, expected)
    assert made.reasons["model"].startswith(why)
    assert (request.spec.training.steps, request.spec.episodes_per_step) == (200, episodes)
    assert (verdict(made), made.notices, made.diff) == ("fits", [], [])
    assert made.price is not None
    assert made.price.hour == pytest.approx(A100, abs=0.01)
    assert made.price.most == pytest.approx(made.price.hour * 4 * 4)  # 4 attempts of 4 hours


def test_what_a_config_leaves_open_is_said_to_be_set(project: Path) -> None:
    made = plan(project, ROOT / "configs" / "modal_training_config_bfcl.yaml")
    assert made.reasons["tools"] == "native, parser xlam (set for vf-bfcl-single-turn)"
    sources = made.request.provenance
    assert sources["vllm.tool_call_parser"].where == "set for vf-bfcl-single-turn"
    assert sources["training.gradient_checkpointing"].where == "set for GPUs"
    assert made.request.spec.training.gradient_checkpointing is True


TRAIN = "modal run run_modal.py::train"
FILE = f"{TRAIN} --config-path configs/modal_training_config"
ALICE = "EXPERIMENTER=alice EXPERIMENT_NAME"
GUIDE = {
    # the guide's command lines: environment, model, steps (or tasks), calls
    f"{TRAIN} --env wordle --steps 200": (WORDLE, SMALL, 200, (None, None)),
    f"{TRAIN} --env vf-bfcl-single-turn --steps 500 --gpu-count 1 --gpu-type A100-40GB": (
        *(BFCL, CALLER, 500, XLAM),
    ),
    f"{FILE}.yaml": (WORDLE, GENERAL, 200, (None, None)),
    f"{FILE}_wordle.yaml --env vf-bfcl-single-turn": (BFCL, CALLER, 200, XLAM),
    f"{FILE}.yaml --env gsm8k": ("vf_gsm8k", GENERAL, 200, (None, None)),
    f"{FILE}.yaml --steps 1000": (WORDLE, GENERAL, 1000, (None, None)),
    f"{TRAIN} --env vf-wordle --steps 500": (WORDLE, SMALL, 500, (None, None)),
    f"{FILE}.yaml --env vf-bfcl-single-turn": (BFCL, CALLER, 200, XLAM),
    f"{ALICE}=wordle-v1 {FILE}_wordle.yaml": (WORDLE, SMALL, 200, (None, None)),
    f"{ALICE}=bfcl-v1 {FILE}_bfcl.yaml": (BFCL, CALLER, 200, XLAM),
    "modal run run_modal.py::train_with_config --config-path configs/modal_training_config.yaml": (
        *(WORDLE, GENERAL, 200, (None, None)),
    ),
    f"modal run run_modal.py::evaluate --env wordle --model {SMALL} --num-examples 50": (
        *(WORDLE, SMALL, 50, (None, None)),
    ),
    f"modal run run_modal.py::evaluate --env wordle --model {SMALL}": (WORDLE, SMALL, 50, (None, None)),
}


def planned(project: Path, line: str) -> Plan:
    """The plan of one of the guide's lines, as `tui/cli/modal_entry.py` makes it."""
    words = dict(re.findall(r"--(\S+) (\S+)", line))
    config = words.pop("config-path", None)
    options = []
    for word, text in words.items():
        name = word.replace("-", "_")
        value = int(text) if text.isdigit() else text
        options.append(Option(tuple(OPTIONS[name].split(".")), value, name))
    kind = "evaluate" if "::evaluate" in line else "train"
    return plan(project, ROOT / config if config else None, *options, kind=kind)


@pytest.mark.parametrize("line", GUIDE)
def test_a_line_of_the_guide_plans_what_it_says(project: Path, line: str) -> None:
    environment, model, count, expected = GUIDE[line]
    made = planned(project, line)
    spec, request = made.request.spec, made.request
    assert (request.environment, request.model, calls(made)) == (environment, model, expected)
    assert (spec.training.steps if request.kind == "train" else spec.evaluation.num_examples) == count
    assert verdict(made) == "fits"


def test_wordles_options_do_not_reach_another_environment(project: Path) -> None:
    made = planned(project, f"{FILE}_wordle.yaml --env vf-bfcl-single-turn")
    assert made.request.spec.training.environment_args == {}
    assert ["environment_args are vf-wordle's" in notice for notice in made.notices] == [True]


def test_the_guides_own_config_gets_the_parser_of_the_model_that_runs(project: Path) -> None:
    made = plan(project, GUIDES, Option(("training", "environment"), "vf-bfcl-single-turn", "env"))
    assert (made.request.model, calls(made), verdict(made)) == (CALLER, XLAM, "fits")
    assert ["xlam, which is taken" in notice for notice in made.notices] == [True]
    assert calls(plan(project, GUIDES)) == (True, "hermes")


def test_a_3b_model_beside_vllm_is_counted_by_hand(project: Path) -> None:
    made = plan(project, ROOT / "configs" / "modal_training_config_bfcl.yaml")
    (gpu,) = fit(made.request.spec, CALLER, kind="train", backend="modal").devices
    gib = {part.name: part.gib for part in gpu.parts}
    weights = 3_085_938_688 * 2 / 1024**3  # bfloat16, once for each side
    assert gib["vLLM weights"] == gib["trainer weights"] == pytest.approx(weights)
    # vLLM takes half of 40 GiB; 36 layers keep 2,048 numbers of each of 4 × 4,096 tokens, and one layer all
    # of its own: 6 × 2,048 + 2 × 256 + 4 × 11,008.
    tokens = 4 * 4096
    kept = tokens * 2 * (36 * 2048 + 6 * 2048 + 2 * 256 + 4 * 11008) / 1024**3
    assert gib["activations, at most"] == pytest.approx(kept)
    assert gpu.total == pytest.approx(20 + 0.6 + weights + kept + 0.5 + 0.25, abs=0.1)
    assert gpu.total < 0.9 * 40
