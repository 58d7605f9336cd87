"""A resolved config into what a backend is asked to launch, and what people see before they say yes.

Owns the checks that need this machine: the environment's folder, a model's path, volume names, `.env`
for a run elsewhere, the git revision, the price. Directories where the run will run are left to the backend.
"""

from __future__ import annotations

import difflib
import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from remote.contract import layout
from remote.contract.builtin import BUILTIN, is_builtin
from remote.contract.errors import ConfigError, Hint, ModelError
from remote.contract.gpu_split import share, split
from remote.contract.modal_resources import NO_BFLOAT16, needs_gpu
from remote.contract.model_choice import choose_model
from remote.contract.model_folder import check_model, code_of
from remote.contract.record import Kind, LaunchRequest, new_run_id
from remote.contract.redaction import shown_value
from remote.contract.spec import ExperimentSpec
from tui.config.overrides import shown_options
from tui.config.resolve import Resolved
from tui.planning.checkpoint import find_checkpoint
from tui.planning.environments import Environment, check_python, find_environment
from tui.planning.prices import Price, missing_price, price_of
from tui.planning.secrets import check_secrets, secret_notices
from tui.planning.tool_calling import settle
from tui.planning.training_scripts import Script, find_script
from tui.settings import Settings

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?", re.ASCII)
_GIT_TIMEOUT = 5.0  # seconds; a checkout on a slow disk must not hold up a launch


@dataclass(frozen=True)
class Plan:
    """A launch that has not happened yet."""

    request: LaunchRequest
    diff: list[tuple[str, Any, Any]]
    """(key, what the config or its default says, what it is now), where these differ."""
    command: str
    """The shell command that launches the same."""
    notices: list[str]
    model_why: str
    """Why this model: `model.base_model names it (configs/x.yaml:9)`."""
    checkpoint: str = ""
    """Of an evaluation of one: `k3f9x-wordle: checkpoint-40 (★ best, 0.47)`, or its folder."""
    script_why: str = ""
    """Why this training script; empty for an evaluation."""
    tools: str = ""
    """How functions reach the model, and who reads its calls; empty where there are none."""
    price: Price | None = None
    """None where it costs nothing, or nobody knows."""
    price_note: str = ""
    """Why there is no price."""


def make_plan(
    resolved: Resolved,
    settings: Settings,
    *,
    kind: Kind = "train",
    backend: str = "local",
    config_path: Path | str | None = None,
) -> Plan:
    """Plan a launch. Raises `EnvironmentMissing`, `ModelError`, or `ConfigError` on a volume's name, a
    training script or calls of tools that nobody could read; where the run is to be elsewhere, also on a
    missing or empty `.env`, a number format that the GPU lacks, and GPUs that a step's episodes cannot be
    divided among.
    """
    check_spec(resolved, settings, kind, backend)
    who = (settings.experimenter, settings.experiment)
    outputs = layout.outputs_volume(*who)
    checkpoint = find_checkpoint(resolved, settings, kind, backend)
    resolved = checkpoint.resolved
    environment = find_environment(resolved, settings.project_dir)
    check_python(environment, backend, resolved.spec.image.python)
    endpoint = kind == "evaluate" and resolved.spec.evaluation.endpoint is not None
    if endpoint:
        model, why = _their_model(resolved, environment)
    elif checkpoint.model:
        model, why = checkpoint.model, checkpoint.why
    else:
        model, why = _model(resolved, backend, environment)
    script = _script(resolved, kind, environment, settings.project_dir)
    tools = settle(resolved, environment, model, kind)
    resolved = _fitting_dtype(_spare_memory(tools.resolved, kind, backend), kind, backend)
    price, price_note = price_of(resolved.spec, settings, backend, kind)
    path = None if config_path is None else str(config_path)
    request = LaunchRequest(
        run_id=new_run_id(environment.name),
        kind=kind,
        backend=backend,
        spec=resolved.spec,
        provenance=resolved.provenance,
        config_path=path,
        model=model,
        environment=environment.name,
        environment_source=environment.source,
        checkpoint=checkpoint.path,
        script=script.path,
        script_text=script.text,
        experimenter=settings.experimenter,
        experiment=settings.experiment,
        outputs=outputs,
        cache=layout.cache_volume(*who),
        git=git_state(settings.project_dir),
        usd_per_hour=price.hour if price else None,
    )
    notices = [
        *settings.notices,
        *resolved.notices,
        *environment.notices,
        *tools.notices,
        *([] if endpoint else _code_notices(resolved, model, checkpoint.path, backend)),
        *secret_notices(resolved),
        *_wandb_notice(resolved, settings, kind),
        *_evaluation_notices(resolved, settings, kind),
    ]
    return Plan(
        request=request,
        diff=_diff(resolved),
        command=_command(resolved, path, kind, backend),
        notices=[*notices, *([] if price else missing_price(resolved, backend, price_note))],
        model_why=why,
        checkpoint=checkpoint.said,
        script_why=script.why,
        tools=tools.text,
        price=price,
        price_note=price_note,
    )


def check_spec(resolved: Resolved, settings: Settings, kind: Kind, backend: str) -> None:
    """Refuse what would fail on a rented machine only: secrets that are not set, no `.env`, GPUs that a
    step's episodes cannot be divided among. Raises `ConfigError`."""
    check_secrets(resolved, settings)
    if backend != "local":
        _check_env_file(settings)
        if kind == "train":
            share(resolved.spec, split(resolved.spec, resolved.spec.modal.gpu.count).trainers)


def lacks_bfloat16(spec: ExperimentSpec, kind: Kind, backend: str) -> bool:
    """Whether the model is to be in bfloat16, on a GPU that cannot compute in it."""
    on_gpu = backend == "modal" and needs_gpu(spec, kind)
    return on_gpu and spec.modal.gpu.type in NO_BFLOAT16 and spec.model.dtype == "bfloat16"


def _model(resolved: Resolved, backend: str, environment: Environment) -> tuple[str, str]:
    """The model, a path made absolute, and why it is this one."""
    called, default = _called(resolved, environment), environment.declared.model
    model, why = choose_model(resolved.spec, called, default)
    where = resolved.provenance["model.base_model"].where
    reason = f"{why} ({where})" if where else why
    place = f"{where}: " if where else ""
    if is_builtin(model):
        _check_builtin(model, place)
    elif model.startswith(("/", "~", "./", "../")) or model in (".", ".."):
        return _model_path(model, place, backend), reason
    elif not _HUB_ID.fullmatch(model):
        raise _model_error(
            f"{place}model {model!r} is no hub id (owner/name), no path and no builtin/ name",
            model,
            "begin a path with / or ./",
        )
    return model, reason


def _their_model(resolved: Resolved, environment: Environment) -> tuple[str, str]:
    """What an endpoint calls its model: any name, but no default of ours."""
    model, why = choose_model(resolved.spec, _called(resolved, environment), environment.declared.model)
    where = resolved.provenance["model.base_model"].where
    if resolved.spec.model.base_model is None and model not in resolved.spec.model.overrides.values():
        raise ModelError(
            f"evaluation.endpoint = {resolved.spec.evaluation.endpoint}: nothing says which of its models",
            hint=Hint("set model.base_model to the name that the service gives it", "model.base_model"),
        )
    return model, f"{why} ({where})" if where else why


def _called(resolved: Resolved, environment: Environment) -> str:
    """What the environment goes by where names are compared."""
    return environment.name if environment.source else resolved.spec.training.environment


def _script(resolved: Resolved, kind: Kind, environment: Environment, project_dir: Path) -> Script:
    if kind != "train":
        return Script()
    return find_script(resolved, _called(resolved, environment), project_dir)


def _spare_memory(resolved: Resolved, kind: Kind, backend: str) -> Resolved:
    """A GPU that trainer and server share has no room for the activations of a model of billions."""
    if kind != "train" or backend == "local" or resolved.spec.training.gradient_checkpointing is not None:
        return resolved
    return resolved.derived({"training.gradient_checkpointing": True}, "set for GPUs")


def _fitting_dtype(resolved: Resolved, kind: Kind, backend: str) -> Resolved:
    """float32 on a GPU without bfloat16, where nothing says otherwise; else raises `ConfigError`."""
    spec = resolved.spec
    gpu, source = spec.modal.gpu.type, resolved.provenance["model.dtype"]
    if not lacks_bfloat16(spec, kind, backend):
        return resolved
    if source.layer == "default":
        return resolved.derived({"model.dtype": "float32"}, f"set for {gpu}, which has no bfloat16")
    raise ConfigError(
        f"{source.where}: model.dtype = bfloat16, which a {gpu} cannot compute in",
        hint=Hint(
            "set model.dtype=float32, or take another modal.gpu.type, such as L4",
            "model.dtype",
            "bfloat16",
            "float32",
        ),
    )


def _check_builtin(model: str, place: str) -> None:
    if model not in BUILTIN:
        close = difflib.get_close_matches(model, BUILTIN, 1)
        advice = f"did you mean {close[0]}?" if close else "take one of these, a hub id, or a path"
        message = f"{place}there is no {model!r}; the builtin models are: {', '.join(BUILTIN)}"
        raise _model_error(message, model, advice, close[0] if close else None)


def _model_path(model: str, place: str, backend: str) -> str:
    if backend != "local":
        if model.startswith("/"):
            return model  # a path in the container: only the worker can look
        raise _model_error(
            f"{place}the model {model!r} is a path on this machine, which {backend} cannot see",
            model,
            "name a hub id, or upload it to the cache volume and name its path under /cache",
        )
    path = Path(model).expanduser().absolute()
    if not path.is_dir():
        state = "is a file, not a model's folder" if path.exists() else "does not exist"
        shown = model if model == str(path) else f"{model} ({path})"
        raise _model_error(
            f"{place}the model path {shown} {state}", model, "correct the path, or name a hub id"
        )
    try:
        check_model(path, model)
    except ModelError as error:
        raise ModelError(f"{place}{error.message}", hint=error.hint) from None
    return str(path)


def _code_notices(resolved: Resolved, model: str, checkpoint: str, backend: str) -> list[str]:
    """Whether code that a model or a checkpoint brings along is run, as far as can be told here."""
    key, trusted = "model.trust_remote_code", resolved.spec.model.trust_remote_code
    notices = []
    for name in filter(None, (model, checkpoint)):
        path = Path(name)
        seen = backend == "local" and path.is_absolute()
        files = ", ".join(code_of(path)) if seen else ""
        if files and not trusted:
            notices.append(f"{name} brings code along that is not run: {files} ({key} is false)")
        elif files or (trusted and not seen and not is_builtin(name)):
            what = files or "what code it may bring along"
            notices.append(f"{name} runs {what}, with the run's keys at hand ({key} is true)")
    return notices


def _model_error(message: str, model: str, advice: str, new: str | None = None) -> ModelError:
    return ModelError(message, hint=Hint(advice, key="model.base_model", old=model, new=new))


def _diff(resolved: Resolved) -> list[tuple[str, Any, Any]]:
    """What overrides changed; a value that they took away is None. What was unset and is set by itself
    is no change."""
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
    """`.env` is what a machine elsewhere gets of this one: without it a run there has no key and no name."""
    if settings.env_file_names:
        return
    path = settings.env_file
    what = f"{path} is empty: it sets nothing" if settings.env_file_exists else f"there is no {path}"
    raise ConfigError(
        f"{what}; a run on Modal takes its keys and names from it",
        hint=Hint(f"cp .env.example .env (in {settings.project_dir}), then fill in what you have"),
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
        notices.append(f"{key} is not set in .env: {options.endpoint} is asked without a key")
    if options.temperature == 0 and times > 1:
        notices.append(
            f"evaluation.rollouts_per_example = {times} at temperature 0: the episodes of a task will be "
            "(nearly) the same; set evaluation.temperature"
        )
    return notices


def git_state(project_dir: Path) -> dict[str, Any]:
    """`{"revision": …, "dirty": …}` of a checkout; empty where there is none, or no git."""
    revision = _git(project_dir, "rev-parse", "--verify", "HEAD")
    changes = _git(project_dir, "status", "--porcelain")
    if revision is None or changes is None:
        return {}
    return {"revision": revision.strip(), "dirty": bool(changes.strip())}


def _git(project_dir: Path, *words: str) -> str | None:
    command = ["git", "--no-optional-locks", "-C", str(project_dir), *words]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_GIT_TIMEOUT, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None  # a revision is good to have, and no reason to refuse a launch
    return done.stdout if done.returncode == 0 else None
