"""Who reads a model's calls: what is set by itself, what gives way, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from remote.contract.errors import ConfigError
from remote.contract.tool_parsers import TOOL_PARSERS, parser_of
from tui.config.resolve import resolve
from tui.planning.plan import Plan, make_plan
from tui.settings import Settings

AUTO, PARSER = "vllm.enable_auto_tool_choice", "vllm.tool_call_parser"
CALLER, SMALL = "Salesforce/xLAM-2-3b-fc-r", "Qwen/Qwen2.5-0.5B-Instruct"
BFCL, PROMPT = "training.environment=caller", "training.environment_args.tools=prompt"
TOOLS = '[tool.vfm]\nfunction-calling = true\nnative-tools-unless = { tools = "prompt" }\n'


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with an environment that offers tools, and one that offers none."""
    for name, text in (("caller", TOOLS + f'model = "{CALLER}"\n'), ("vf_wordle", "")):
        (tmp_path / "environments" / name).mkdir(parents=True)
        (tmp_path / "environments" / name / "pyproject.toml").write_text(text)
    (tmp_path / ".env").write_text("EXPERIMENTER=a\n")
    return tmp_path


def plan(project: Path, *sets: str, text: str = "", kind: Any = "train") -> Plan:
    config = project / "x.yaml"
    config.write_text("wandb:\n  enabled: false\n" + text)
    return make_plan(resolve(config, sets), Settings.load(project, {}), kind=kind, config_path=config)


def keys(made: Plan) -> tuple[bool | None, str | None]:
    vllm = made.request.spec.vllm
    return vllm.enable_auto_tool_choice, vllm.tool_call_parser


@pytest.mark.parametrize(
    ("model", "parser"),
    [
        (CALLER, "xlam"),
        ("Salesforce/Llama-xLAM-2-8b-fc-r", "xlam"),
        (SMALL, "hermes"),
        ("/models/Qwen3-4B/", "hermes"),
        ("Qwen/Qwen3-Coder-30B-A3B-Instruct", "qwen3_coder"),
        ("meta-llama/Llama-3.2-1B-Instruct", "llama3_json"),
        ("NousResearch/Hermes-3-Llama-3.1-8B", "hermes"),
        ("mistralai/Mistral-7B-Instruct-v0.3", "mistral"),
        ("ibm-granite/granite-3.1-8b-instruct", "granite"),
        ("deepseek-ai/DeepSeek-V3-0324", "deepseek_v3"),
        ("deepseek-ai/DeepSeek-R1-0528-Qwen3-8B", None),
        ("mistralai/Mistral-7B-Instruct-v0.2", None),
        ("builtin/smollm2-135m", None),
        ("xlam/else", None),
    ],
)
def test_a_models_parser_is_known_by_its_name(model: str, parser: str | None) -> None:
    assert parser_of(model) == parser
    assert parser is None or parser in TOOL_PARSERS


def test_an_environment_that_offers_tools_gets_its_models_parser(project: Path) -> None:
    made = plan(project, BFCL)
    assert (made.request.model, keys(made)) == (CALLER, (True, "xlam"))
    assert made.reasons["tools"] == "native, parser xlam (set for caller)"
    assert (made.diff[0][0], len(made.diff), made.notices) == ("training.environment", 1, [])
    for key in (AUTO, PARSER):
        assert made.request.provenance[key].model_dump() == {"layer": "derived", "where": "set for caller"}
    assert keys(plan(project, BFCL, f"model.base_model={SMALL}")) == (True, "hermes")


def test_nothing_is_set_where_no_tools_are_offered(project: Path) -> None:
    assert (keys(plan(project)), plan(project).reasons["tools"]) == ((None, None), "")
    written = plan(project, BFCL, PROMPT)
    assert (keys(written), written.reasons["tools"]) == ((None, None), "described in the prompt")
    typed = (BFCL, "model.base_model=their-model", "evaluation.endpoint=https://host/v1")
    service = plan(project, *typed, kind="evaluate")
    assert keys(service) == (None, None)
    idle = plan(project, PARSER + "=hermes").notices
    assert idle == [
        f"--set {PARSER}=hermes: {PARSER} has no effect: vf-wordle offers no tools, and {AUTO} is unset"
    ]


def test_what_was_typed_is_left_alone(project: Path) -> None:
    made = plan(project, BFCL, f"{PARSER}=hermes")
    assert keys(made) == (True, "hermes")
    assert made.reasons["tools"] == f"native, parser hermes (--set {PARSER}=hermes)"
    assert made.notices == [
        f"--set {PARSER}=hermes: {PARSER} = hermes will hardly read a call: {CALLER} is read by xlam "
        "(leave it unset)"
    ]
    assert keys(plan(project, AUTO + "=true", f"model.base_model={SMALL}")) == (True, "hermes")


@pytest.mark.parametrize(
    ("text", "sets"),
    [
        ("", (BFCL,)),
        ("", (BFCL, f"model.base_model={CALLER}")),
        (f"training:\n  environment: caller\nmodel:\n  overrides:\n    caller: {CALLER}\n", ()),
        (f"model:\n  base_model: {SMALL}\n  overrides:\n    caller: {CALLER}\n", (BFCL,)),
    ],
)
def test_a_configs_parser_goes_with_the_model_that_it_was_for(
    project: Path, text: str, sets: tuple[str, ...]
) -> None:
    made = plan(project, *sets, text=f"vllm:\n  {PARSER[5:]}: hermes\n{text}")
    assert keys(made) == (True, "xlam")
    assert (PARSER, "hermes", "xlam") in made.diff
    place = f"{project / 'x.yaml'}:4: "
    assert made.notices[0].startswith(
        f"{place}{PARSER} = hermes is for another model: {CALLER} is read by xlam"
    )
    assert f"--set {PARSER}=hermes insists" in made.notices[0]


@pytest.mark.parametrize(
    "text",
    [
        "training:\n  environment: caller\n",
        f"training:\n  environment: caller\nmodel:\n  base_model: {CALLER}\n",
        "model:\n  base_model: acme/mystery\n",
    ],
)
def test_a_configs_parser_stands_where_nothing_was_chosen_over_it(project: Path, text: str) -> None:
    sets = (BFCL,) if "mystery" in text else ()
    made = plan(project, *sets, text=f"vllm:\n  {PARSER[5:]}: hermes\n{text}")
    assert keys(made) == (True, "hermes")
    assert ["will hardly read a call" in notice for notice in made.notices] == ([] if sets else [True])


@pytest.mark.parametrize(
    ("sets", "words", "hint", "new"),
    [
        (
            (BFCL, "model.base_model=builtin/smollm2-135m"),
            "how builtin/smollm2-135m writes calls is not known here; caller offers its functions as",
            "or training.environment_args.tools=prompt",
            None,
        ),
        ((BFCL, AUTO + "=false"), f"{AUTO} = false; caller offers", "leave it unset", None),
        ((AUTO + "=true", "model.base_model=acme/x"), f"{AUTO} needs {PARSER}", f"set {PARSER}", None),
        (
            (f"{PARSER}=herms",),
            f"{PARSER} = herms is none of vLLM's: apertus, ",
            "did you mean hermes",
            "hermes",
        ),
        ((BFCL, f"{PARSER}=zzz"), "xlam", "leave it unset", None),
    ],
)
def test_what_no_server_could_read_is_refused(
    project: Path, sets: tuple[str, ...], words: str, hint: str, new: str | None
) -> None:
    with pytest.raises(ConfigError) as caught:
        plan(project, *sets)
    assert words in caught.value.message
    assert caught.value.hint is not None
    assert hint in caught.value.hint.text
    assert (caught.value.hint.key in (AUTO, PARSER), caught.value.hint.new) == (True, new)
