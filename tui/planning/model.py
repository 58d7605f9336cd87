"""Choose the model of a launch: its name on the run's machine, and why it is this one.

Owns the checks that need this machine: builtin names, hub ids, folders of a local run. The worker checks what
is on the hub or in a volume.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

from remote.contract.errors import Hint, ModelError
from remote.contract.model_choice import BUILTIN, choose_model, is_builtin, is_hub_id
from remote.contract.model_folder import check_model, code_of
from tui.config.resolve import Resolved
from tui.planning.checkpoint import Checkpoint
from tui.planning.environments import Environment


@dataclass(frozen=True)
class Model:
    """The model of a launch."""

    name: str
    """Hub id, builtin name, absolute path, or what an endpoint calls it."""
    reason: str
    """`model.base_model names it (configs/x.yaml:9)`."""


def model_of(
    resolved: Resolved, environment: Environment, checkpoint: Checkpoint, *, endpoint: bool, backend: str
) -> Model:
    """The endpoint's model, the one that the checkpoint was trained from, or the config's.

    Raises `ModelError`.
    """
    if checkpoint.model and not endpoint:
        return Model(checkpoint.model, checkpoint.why)
    name, reason = choose_model(
        resolved.spec, environment.lookup_name(resolved.spec.training.environment), environment.declared.model
    )
    where = resolved.provenance["model.base_model"].where
    place = f"{where}: " if where else ""
    if endpoint:
        _check_named(resolved, name)
    elif is_builtin(name):
        _check_builtin(name, place)
    elif name.startswith(("/", "~", "./", "../")) or name in (".", ".."):
        name = _model_path(name, place, backend)
    elif not is_hub_id(name):
        raise _model_error(
            f"{place}model {name!r} is no hub id (owner/name), no path and no builtin/ name",
            name,
            "begin a path with / or ./",
        )
    return Model(name, f"{reason} ({where})" if where else reason)


def code_notices(resolved: Resolved, model: str, checkpoint: str, backend: str) -> list[str]:
    """Notices on code in a model's or checkpoint's folder: whether it is run, as far as known here."""
    key, trusted = "model.trust_remote_code", resolved.spec.model.trust_remote_code
    notices = []
    for name in filter(None, (model, checkpoint)):
        path = Path(name)
        seen = backend == "local" and path.is_absolute()
        files = ", ".join(code_of(path)) if seen else ""
        if files and not trusted:
            notices.append(f"{name} has code that is not run: {files} ({key} is false)")
        elif files or (trusted and not seen and not is_builtin(name)):
            what = files or "any code in it"
            notices.append(f"{name} runs {what}, with access to the run's keys ({key} is true)")
    return notices


def _check_named(resolved: Resolved, name: str) -> None:
    """Raise `ModelError` unless the config names a model of the endpoint: our defaults do not apply."""
    spec = resolved.spec
    if spec.model.base_model is None and name not in spec.model.overrides.values():
        raise ModelError(
            f"evaluation.endpoint = {spec.evaluation.endpoint}: no model is set",
            hint=Hint("set model.base_model to the service's name of the model", "model.base_model"),
        )


def _check_builtin(model: str, place: str) -> None:
    if model not in BUILTIN:
        close = difflib.get_close_matches(model, BUILTIN, 1)
        advice = f"did you mean {close[0]}?" if close else "choose one of these, a hub id, or a path"
        message = f"{place}there is no {model!r}; the builtin models are: {', '.join(BUILTIN)}"
        raise _model_error(message, model, advice, close[0] if close else None)


def _model_path(model: str, place: str, backend: str) -> str:
    if backend != "local":
        if model.startswith("/"):
            return model  # a path in the container, which only the worker can check
        raise _model_error(
            f"{place}the model {model!r} is a path on this machine, which {backend} cannot read",
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


def _model_error(message: str, model: str, advice: str, new: str | None = None) -> ModelError:
    return ModelError(message, hint=Hint(advice, key="model.base_model", old=model, new=new))
