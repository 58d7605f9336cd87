"""Find, download or make a model that vLLM and transformers can load; load it for training; save it.

Builtin models lie in `models/` of the cache, others in the hub's own cache.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from remote.contract.errors import Hint, ModelError
from remote.contract.model_choice import BUILTIN, is_builtin, is_hub_id
from remote.contract.model_folder import check_model, code_of, model_type
from remote.contract.spec import ExperimentSpec

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Say = Callable[[str], None]
_TRUST = "set model.trust_remote_code = true if you trust the model's authors: it runs with the run's keys"


def prepare_model(name: str, cache_dir: Path, say: Say) -> Path:
    """The complete directory of a model.

    `name`: a builtin model, a local directory or a hub id. `say`: logs progress. Builtin models are made
    once, hub models downloaded once, both under `cache_dir`. Raises `ModelError` where there is no such
    model, or the hub cannot be reached.
    """
    if is_builtin(name):
        from remote.models import builtin

        if name not in BUILTIN:
            raise _no_such_builtin(name)
        return builtin.prepare(name, cache_dir / "models", say)
    if is_local(name):
        return _checked(_local(Path(name).expanduser()), name)
    if not is_hub_id(name):
        raise ModelError(
            f"{name!r} is neither a directory, nor a hub id (`owner/name`), nor a builtin model",
            hint=_other_models(name),
        )
    from remote.models import hub

    return _checked(hub.prepare(name, cache_dir, say), name)


def check_code(path: Path, name: str, trusted: bool, say: Say) -> None:
    """Log whether code in a model's folder is run. `trusted`: `model.trust_remote_code`.

    Raises `ModelError` where it must not be run, but transformers has no code of its own for the model.
    """
    files = ", ".join(code_of(path))
    if not files:
        return
    if trusted:
        say(f"running code that {name} brings along: {files} (model.trust_remote_code)")
        return
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    if model_type(path) not in CONFIG_MAPPING_NAMES:
        raise ModelError(
            f"{name} needs code that it brings along ({files}), which is run only if the config says so",
            hint=Hint(_TRUST, "model.trust_remote_code", False, True),
        )
    say(f"{name} brings code along that is not run: {files} (model.trust_remote_code is false)")


def is_local(name: str) -> bool:
    """Whether a model's name is a path: it looks like one, or a directory of that name exists."""
    return name.startswith(("/", "./", "../", "~")) or name in (".", "..") or Path(name).is_dir()


def _local(path: Path) -> Path:
    """The absolute path of a model's directory. Raises `ModelError` where it is none."""
    if not path.exists():
        message = f"there is no model directory {path}"
    elif not path.is_dir():
        message = f"{path} is a file, not a model directory"
    else:
        return path.absolute()
    raise ModelError(message, hint=_other_models(str(path)))


def _checked(path: Path, name: str) -> Path:
    check_model(path, name)
    return path


def _no_such_builtin(name: str) -> ModelError:
    near = difflib.get_close_matches(name, BUILTIN, 1, 0.3)
    text = f"did you mean {near[0]}?" if near else f"there are {', '.join(BUILTIN)}"
    return ModelError(
        f"there is no builtin model {name!r}",
        hint=Hint(text, "model.base_model", name, near[0] if near else None),
    )


def _other_models(name: str) -> Hint:
    return Hint(
        f"correct model.base_model, or take one that needs no hub: {', '.join(BUILTIN)}",
        "model.base_model",
        name,
    )


def load_for_training(spec: ExperimentSpec, path: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The model to train and its tokenizer. Raises `ModelError`.

    With LoRA enabled, a PEFT model with new adapters on all linear layers, initialised from `training.seed`.
    A tokenizer without padding uses its end-of-text token.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer, set_seed

    set_seed(spec.training.seed)
    section = spec.model
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(path), trust_remote_code=section.trust_remote_code)
        model = AutoModelForCausalLM.from_pretrained(
            str(path),
            dtype=section.dtype,
            attn_implementation=section.attn_implementation,
            trust_remote_code=section.trust_remote_code,
        )
    except Exception as error:  # exceptions of damaged or foreign directories have no common type
        raise _load_error(error, spec, path) from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    if spec.training.gradient_checkpointing:
        _checkpoint_gradients(model)
    return (_with_lora(model, spec) if section.lora.enabled else model), tokenizer


def _checkpoint_gradients(model: PreTrainedModel) -> None:
    model.config.use_cache = False
    model.gradient_checkpointing_enable({"use_reentrant": False})


def _with_lora(model: PreTrainedModel, spec: ExperimentSpec) -> PreTrainedModel:
    from peft import LoraConfig, get_peft_model

    lora = spec.model.lora
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,  # type: ignore[arg-type, unused-ignore]  # peft says int and takes floats
        lora_dropout=lora.dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, config)


def _load_error(error: Exception, spec: ExperimentSpec, path: Path) -> ModelError:
    cause = f"{type(error).__name__}: {error}"
    attention = spec.model.attn_implementation
    if attention == "flash_attention_2" and re.search(r"flash.?attn|flash.?attention", cause, re.I):
        hint = Hint(
            "use sdpa, which needs no further package", "model.attn_implementation", attention, "sdpa"
        )
        return ModelError("flash_attention_2 cannot be used here", cause=cause, hint=hint)
    message = f"the model in {path} could not be loaded for training"
    if "trust_remote_code" in cause:
        hint = Hint(_TRUST, "model.trust_remote_code", spec.model.trust_remote_code, True)
        return ModelError(message, cause=cause, hint=hint)
    return ModelError(message, cause=cause, hint=Hint(damaged_advice(path), "model.base_model"))


def damaged_advice(path: Path) -> str:
    """What to do about a model that does not load. A user's own files may be the only copy: never delete
    them."""
    from remote.models import builtin, hub

    if builtin.is_made_here(path):
        return f"its files may be damaged: delete {path} to have it made again"
    if hub.is_snapshot(path):
        return f"its files may be damaged: delete {path.parents[1]} to have it downloaded again"
    return f"its files may be damaged or incomplete: compare {path} with its source"


def save_final(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, path: Path) -> None:
    """Save the trained weights (with LoRA: the adapter) and the tokenizer, for `from_pretrained`.

    The directory appears complete or not at all; the one that it replaces is removed once it is synced.
    """
    import shutil

    from remote.output.run_dir import sync, sync_tree

    part, old = path.with_name(f".{path.name}.part"), path.with_name(f".{path.name}.old")
    if old.exists() and not path.exists():  # killed between the two renames
        old.rename(path)
    shutil.rmtree(old, ignore_errors=True)
    shutil.rmtree(part, ignore_errors=True)
    model.save_pretrained(str(part))
    tokenizer.save_pretrained(str(part))
    sync_tree(part)
    if path.exists():
        path.rename(old)
    part.rename(path)
    sync(path.parent)
    shutil.rmtree(old, ignore_errors=True)
