"""Plan a launch: the request for a backend, and what the user sees before it is sent.

Owns the order of the choices (checkpoint, environment, model, script, tool calling, price) and the checks
that need this machine. The backend fills in the run's directories.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from remote.contract import layout
from remote.contract.errors import ConfigError, Hint
from remote.contract.gpu_split import share, split
from remote.contract.modal_resources import NO_BFLOAT16, needs_gpu
from remote.contract.record import Kind, LaunchRequest, new_run_id
from remote.contract.redaction import shown_value
from remote.contract.spec import ExperimentSpec
from tui.config.overrides import shown_options
from tui.config.resolve import Resolved
from tui.planning.checkpoint import find_checkpoint
from tui.planning.environments import Environment, check_python, find_environment
from tui.planning.git_state import git_state
from tui.planning.model import code_notices, model_of
from tui.planning.prices import Price, missing_price, price_of
from tui.planning.secrets import check_secrets, secret_notices
from tui.planning.tool_calling import choose_tool_calling
from tui.planning.training_scripts import Script, find_script
from tui.settings import Settings

Reason = Literal["model", "checkpoint", "script", "tools", "price"]
"""A part of a plan: `model` is why this model, `checkpoint` which one (`k3f9x-wordle: checkpoint-40 (★ best,
0.47)`), `script` why this training script, `tools` who reads the model's calls, `price` why there is none."""


@dataclass(frozen=True)
class Plan:
    """A launch that has not happened yet."""

    request: LaunchRequest
    diff: list[tuple[str, Any, Any]]
    """(key, value by the config or default, value now), where these differ."""
    command: str
    """The shell command of the same launch."""
    notices: list[str]
    reasons: Mapping[Reason, str]
    """Why each part is as it is; absent or empty where there is nothing to say."""
    price: Price | None = None
    """None where it is free or unknown, as `reasons["price"]` says."""


def make_plan(
    resolved: Resolved,
    settings: Settings,
    *,
    kind: Kind = "train",
    backend: str = "local",
    config_path: Path | str | None = None,
) -> Plan:
    """Plan a launch.

    Raises `EnvironmentMissing`, `ModelError`, or `ConfigError` on an invalid name of a volume, an invalid
    training script, or tool calls that no parser reads; for Modal, also on a missing or empty `.env`, a dtype
    that the GPU lacks, and GPUs that a step's episodes cannot be divided among.
    """
    check_spec(resolved, settings, kind, backend)
    checkpoint = find_checkpoint(resolved, settings, kind, backend)
    environment = find_environment(checkpoint.resolved, settings.project_dir)
    check_python(environment, backend, checkpoint.resolved.spec.image.python)
    endpoint = kind == "evaluate" and checkpoint.resolved.spec.evaluation.endpoint is not None
    model = model_of(checkpoint.resolved, environment, checkpoint, endpoint=endpoint, backend=backend)
    script = _script(checkpoint.resolved, kind, environment, settings.project_dir)
    tools = choose_tool_calling(checkpoint.resolved, environment, model.name, kind)
    resolved = _fitting_dtype(_spare_memory(tools.resolved, kind, backend), kind, backend)
    price, price_note = price_of(resolved.spec, settings, backend, kind)
    path = None if config_path is None else str(config_path)
    experimenter, experiment = settings.experimenter, settings.experiment
    request = LaunchRequest(
        run_id=new_run_id(environment.name),
        kind=kind,
        backend=backend,
        spec=resolved.spec,
        provenance=resolved.provenance,
        config_path=path,
        model=model.name,
        environment=environment.name,
        environment_source=environment.source,
        checkpoint=checkpoint.path,
        script=script.path,
        script_text=script.text,
        experimenter=experimenter,
        experiment=experiment,
        outputs=layout.outputs_volume(experimenter, experiment),
        cache=layout.cache_volume(experimenter, experiment),
        git=git_state(settings.project_dir),
        usd_per_hour=price.hour if price else None,
    )
    notices = [
        *settings.notices,
        *resolved.notices,
        *environment.notices,
        *tools.notices,
        *([] if endpoint else code_notices(resolved, model.name, checkpoint.path, backend)),
        *secret_notices(resolved),
        *_wandb_notice(resolved, settings, kind),
        *_evaluation_notices(resolved, settings, kind),
        *([] if price else missing_price(resolved, backend, price_note)),
    ]
    reasons: dict[Reason, str] = {
        "model": model.reason,
        "checkpoint": checkpoint.text,
        "script": script.why,
        "tools": tools.text,
        "price": price_note,
    }
    command = _command(resolved, path, kind, backend)
    return Plan(request, _diff(resolved), command, notices, reasons, price)


def check_spec(resolved: Resolved, settings: Settings, kind: Kind, backend: str) -> None:
    """Raise `ConfigError` for what would fail only on a rented machine: missing secrets or `.env`, GPUs that
    a step's episodes cannot be divided among."""
    check_secrets(resolved, settings)
    if backend != "local":
        _check_env_file(settings)
        if kind == "train":
            share(resolved.spec, split(resolved.spec, resolved.spec.modal.gpu.count).trainers)


def lacks_bfloat16(spec: ExperimentSpec, kind: Kind, backend: str) -> bool:
    """Whether the model is in bfloat16, but the GPU does not support it."""
    on_gpu = backend == "modal" and needs_gpu(spec, kind)
    return on_gpu and spec.modal.gpu.type in NO_BFLOAT16 and spec.model.dtype == "bfloat16"


def _script(resolved: Resolved, kind: Kind, environment: Environment, project_dir: Path) -> Script:
    if kind != "train":
        return Script()
    return find_script(resolved, environment.lookup_name(resolved.spec.training.environment), project_dir)


def _spare_memory(resolved: Resolved, kind: Kind, backend: str) -> Resolved:
    """Enable gradient checkpointing on GPUs, unless the config decides: activations may not fit."""
    if kind != "train" or backend == "local" or resolved.spec.training.gradient_checkpointing is not None:
        return resolved
    return resolved.derived({"training.gradient_checkpointing": True}, "set for GPUs")


def _fitting_dtype(resolved: Resolved, kind: Kind, backend: str) -> Resolved:
    """Set float32 on a GPU without bfloat16; raises `ConfigError` where the config says bfloat16."""
    spec = resolved.spec
    gpu, source = spec.modal.gpu.type, resolved.provenance["model.dtype"]
    if not lacks_bfloat16(spec, kind, backend):
        return resolved
    if source.layer == "default":
        return resolved.derived({"model.dtype": "float32"}, f"set for {gpu}, which has no bfloat16")
    raise ConfigError(
        f"{source.where}: model.dtype = bfloat16, which a {gpu} does not support",
        hint=Hint(
            "set model.dtype=float32, or take another modal.gpu.type, such as L4",
            "model.dtype",
            "bfloat16",
            "float32",
        ),
    )


def _diff(resolved: Resolved) -> list[tuple[str, Any, Any]]:
    """The changes by overrides; None stands for a value that is gone. Derived values of unset keys are no
    changes."""
    before, now = resolved.configured, resolved.values
    layers = {key: source.layer for key, source in resolved.provenance.items()}
    changed = [key for key, layer in layers.items() if layer in ("set", "override")]
    changed += [k for k, layer in layers.items() if layer == "derived" and before.get(k) is not None]
    gone = [k for k in before if k not in now and before[k] != {}]
    differ = [k for k in (*changed, *gone) if before.get(k) != now.get(k)]
    return [(k, shown_value(k, before.get(k)), shown_value(k, now.get(k))) for k in differ]


def _command(resolved: Resolved, config_path: str | None, kind: Kind, backend: str) -> str:
    words = ["vfm", "launch", *([config_path] if config_path else []), "--backend", backend]
    if kind != "train":
        words += ["--kind", kind]
    return shlex.join([*words, *shown_options(resolved.typed)])


def _check_env_file(settings: Settings) -> None:
    """Raise `ConfigError` without a `.env`, the only source of keys and names for a run on Modal."""
    if settings.env_file_names:
        return
    path = settings.env_file
    what = f"{path} is empty" if settings.env_file_exists else f"there is no {path}"
    raise ConfigError(
        f"{what}; a run on Modal reads its keys and names from it",
        hint=Hint(f"cp .env.example .env (in {settings.project_dir}), then fill it in"),
    )


def _wandb_notice(resolved: Resolved, settings: Settings, kind: Kind) -> list[str]:
    if kind != "train" or not resolved.spec.wandb.enabled or "WANDB_API_KEY" in settings.secrets:
        return []
    return [
        "WANDB_API_KEY is not set: the Weights & Biases report is written offline, into the run directory"
    ]


def _evaluation_notices(resolved: Resolved, settings: Settings, kind: Kind) -> list[str]:
    options, notices = resolved.spec.evaluation, list[str]()
    if kind != "evaluate":
        named = [name for name in ("checkpoint", "endpoint") if getattr(options, name) is not None]
        return [f"evaluation.{name} has no effect on a training" for name in named]
    key, times = options.endpoint_key, options.rollouts_per_example
    if options.endpoint is not None and key not in settings.secrets:
        notices.append(f"{key} is not set in .env: requests to {options.endpoint} have no key")
    if options.temperature == 0 and times > 1:
        notices.append(
            f"evaluation.rollouts_per_example = {times} at temperature 0: the episodes of a task will be "
            "(nearly) the same; set evaluation.temperature"
        )
    return notices
