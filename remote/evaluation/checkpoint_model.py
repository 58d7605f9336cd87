"""Check a checkpoint that is to be evaluated, and prepare it for the server.

Its folder holds an adapter or whole weights, and may be torn or missing; an adapter must belong to the model;
on a CPU it is merged into a copy. Which checkpoint it is was chosen when the run was planned.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from remote.contract import layout
from remote.contract.errors import Hint, ModelError
from remote.contract.json_text import from_json
from remote.contract.spec import ExperimentSpec
from remote.inference.command import LORA_RANKS, Device, Fixed
from remote.models.load import check_code
from remote.training import checkpoints

ADAPTER_CONFIG = "adapter_config.json"
_STEP = re.compile(r"checkpoint-\d+")
_HUB = re.compile(r"models--([^/]+?)--([^/]+)/snapshots/")
_TOKENIZER = (
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab*",
    "merges.txt",
    "chat_template*",
)
_WEIGHTS = ("*.safetensors", "*.bin", "*.pt", "*.pth", "*.index.json", "*.gguf")


def served(
    checkpoint: str,
    name: str,
    base: Path,
    *,
    spec: ExperimentSpec,
    device: Device,
    stack: ExitStack,
    say: Callable[[str], None],
) -> tuple[Path, Fixed]:
    """The folder and options with which to start a server for a checkpoint of the model `name` in `base`.

    An adapter is merged into a copy on a CPU, where an active one makes vLLM many times slower, and where
    vLLM cannot apply it; `stack` removes the copy. Raises `ModelError` on a checkpoint that is missing or
    torn, and on an adapter of another model.
    """
    folder = _whole(_named(Path(checkpoint)))
    check_code(folder, str(folder), spec.model.trust_remote_code, say)
    own = str(folder) if (folder / "tokenizer_config.json").is_file() else ""
    if not (folder / ADAPTER_CONFIG).is_file():
        return folder, Fixed(tokenizer="" if own else str(base))
    config = _adapter(folder)
    _check_base(folder, str(config.get("base_model_name_or_path") or ""), name, base)
    if device == "cuda" and _vllm_applies(config):
        return base, Fixed(own, str(folder), int(config["r"]))
    say(f"merging the adapter of {folder.name} into a copy of {name}")
    copy = Path(tempfile.mkdtemp(prefix="vfm-merged-"))
    stack.callback(shutil.rmtree, copy, ignore_errors=True)
    _merge(folder, base, spec, copy)
    return copy, Fixed()


def _named(folder: Path) -> Path:
    """The folder; for `checkpoints/best`, which is none, the best checkpoint of its run directory."""
    if folder.name != "best" or folder.exists():
        return folder
    best = checkpoints.best(folder.parent.parent)
    if best is None:
        raise ModelError(f"{folder.parent.parent} has no best checkpoint", hint=_others(folder))
    return folder.parent.parent / best.path


def _whole(folder: Path) -> Path:
    """The folder, if it holds a complete adapter or complete weights. Raises `ModelError`."""
    if not folder.is_dir():
        raise ModelError(f"there is no checkpoint {folder}", hint=_others(folder))
    if _torn(folder):
        message = f"the checkpoint {folder} is incomplete: its run was killed while writing or removing it"
        raise ModelError(message, hint=_others(folder))
    if missing := _missing(folder):
        raise ModelError(
            f"{folder} is no checkpoint that can be evaluated: it holds no {missing}", hint=_others(folder)
        )
    return folder.absolute()


def _torn(folder: Path) -> bool:
    """Whether it is a training's checkpoint without its mark, or without a file that the mark lists."""
    ours = _STEP.fullmatch(folder.name) is not None and folder.parent.name == layout.CHECKPOINTS
    return (ours or (folder / checkpoints.MARK).exists()) and not checkpoints.is_whole(folder)


def _missing(folder: Path) -> str:
    if (folder / ADAPTER_CONFIG).is_file():
        complete = any((folder / f"adapter_model.{kind}").is_file() for kind in ("safetensors", "bin"))
        return "" if complete else "adapter_model.safetensors"
    if not (folder / "config.json").is_file():
        return f"{ADAPTER_CONFIG} (an adapter) and no config.json (whole weights)"
    for index in folder.glob("*.index.json"):
        parts = set(from_json(index.read_bytes()).get("weight_map", {}).values())
        if absent := sorted(str(part) for part in parts if not (folder / part).is_file()):
            return absent[0]
    complete = any(any(folder.glob(pattern)) for pattern in ("*.safetensors", "*.bin"))
    return "" if complete else "model.safetensors"


def _others(folder: Path) -> Hint:
    """A hint with the checkpoints in the same folder."""
    key = "evaluation.checkpoint"
    if not folder.parent.is_dir():
        run = folder.parent.parent
        return Hint(f"there is no {run}: copy a run of another experiment's volume here with `vfm get`", key)
    folders = [path for path in folder.parent.iterdir() if path.is_dir()]
    evaluable = sorted(path.name for path in folders if not _torn(path) and not _missing(path))
    best = checkpoints.best(folder.parent.parent)
    names = [f"{name} (best)" if best and best.path.endswith(f"/{name}") else name for name in evaluable]
    return Hint(f"{folder.parent} holds {', '.join(names) or 'no checkpoint'}", key)


def _adapter(folder: Path) -> dict[str, Any]:
    try:
        config = from_json((folder / ADAPTER_CONFIG).read_bytes())
        return {"r": 0, **config}
    except (ValueError, TypeError) as error:
        raise ModelError(
            f"{folder / ADAPTER_CONFIG} cannot be read", cause=str(error), hint=_others(folder)
        ) from error


def _check_base(folder: Path, trained_on: str, name: str, base: Path) -> None:
    """Refuse an adapter of another model, which would load without an error where the shapes are equal."""
    trained_model = known_as(trained_on)
    if (
        not trained_model
        or trained_model in (name, str(base), known_as(str(base)))
        or _last(trained_model) in (_last(name), base.name)
    ):
        return
    raise ModelError(
        f"the adapter in {folder} was trained on {trained_model}, and the model of this evaluation is {name}",
        hint=Hint(f"evaluate it on {trained_model}", "model.base_model", name, trained_model),
    )


def known_as(path: str) -> str:
    """The hub id of a model in the hub's cache; of others, the path itself."""
    match = _HUB.search(f"{path}/")
    return f"{match[1]}/{match[2]}" if match else path.rstrip("/")


def _last(name: str) -> str:
    return name.rstrip("/").rpartition("/")[2]


def _vllm_applies(config: dict[str, Any]) -> bool:
    odd = ("use_dora", "use_rslora", "modules_to_save", "rank_pattern", "alpha_pattern", "layer_replication")
    plain = config.get("peft_type") == "LORA" and config.get("bias", "none") == "none"
    return plain and 0 < config["r"] <= LORA_RANKS[-1] and not any(config.get(name) for name in odd)


def _merge(folder: Path, base: Path, spec: ExperimentSpec, target: Path) -> None:
    """Write the merged weights, W + (alpha / rank) · B A, with the base model's other files."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    trust = spec.model.trust_remote_code
    try:
        model = AutoModelForCausalLM.from_pretrained(
            str(base), dtype=spec.model.dtype, trust_remote_code=trust
        )
        merged = PeftModel.from_pretrained(model, str(folder)).merge_and_unload()
        merged.save_pretrained(str(target))
    except OSError as error:
        if error.errno is not None:
            raise
        raise _not_merged(folder, base, error) from error
    except Exception as error:  # what a foreign adapter raises has no common type
        raise _not_merged(folder, base, error) from error
    _copy(base, target, [path for path in base.iterdir() if not any(map(path.match, _WEIGHTS))])
    _copy(folder, target, [path for pattern in _TOKENIZER for path in folder.glob(pattern)])


def _not_merged(folder: Path, base: Path, error: Exception) -> ModelError:
    first = str(error).strip().split("\n")[0]
    return ModelError(
        f"the adapter in {folder} does not fit the model in {base}",
        cause=f"{type(error).__name__}: {first}",
        hint=Hint("evaluate it on the model that it was trained on", "model.base_model"),
    )


def _copy(source: Path, target: Path, files: list[Path]) -> None:
    for file in files:
        if file.is_file() and file.name != "config.json":
            shutil.copy(file, target / file.relative_to(source))
