"""A checkpoint that is evaluated: what its folder holds, and the form in which a server takes it.

Owns judging the folder (an adapter, whole weights, torn, missing), that an adapter meets the model it was
trained on, and the merged copy that a CPU needs. Which checkpoint it is was decided when the run was planned;
what makes a training's checkpoint whole is `checkpoints`'.
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
    spec: ExperimentSpec,
    device: Device,
    stack: ExitStack,
    say: Callable[[str], None],
) -> tuple[str, Fixed]:
    """What a server is started with for a checkpoint of the model `name`, which lies in `base`.

    An adapter is merged into a copy on a CPU, where an active one slows vLLM many times over, and wherever
    vLLM cannot apply it; `stack` removes the copy. Raises `ModelError` on a checkpoint that is missing or
    torn, and on an adapter of another model.
    """
    folder = _whole(_named(Path(checkpoint)))
    check_code(folder, str(folder), spec.model.trust_remote_code, say)
    own = str(folder) if (folder / "tokenizer_config.json").is_file() else ""
    if not (folder / ADAPTER_CONFIG).is_file():
        return str(folder), Fixed(tokenizer="" if own else str(base))
    config = _adapter(folder)
    _check_base(folder, str(config.get("base_model_name_or_path") or ""), name, base)
    if device == "cuda" and _vllm_applies(config):
        return str(base), Fixed(own, str(folder), int(config["r"]))
    say(f"merging the adapter of {folder.name} into a copy of {name}")
    copy = Path(tempfile.mkdtemp(prefix="vfm-merged-"))
    stack.callback(shutil.rmtree, copy, ignore_errors=True)
    _merge(folder, base, spec, copy)
    return str(copy), Fixed()


def _named(folder: Path) -> Path:
    """`checkpoints/best` is no folder: which one it is, only the run directory may know."""
    if folder.name != "best" or folder.exists():
        return folder
    best = checkpoints.best(folder.parent.parent)
    if best is None:
        raise ModelError(f"{folder.parent.parent} has no best checkpoint", hint=_others(folder))
    return folder.parent.parent / best.path


def _whole(folder: Path) -> Path:
    """The folder, if it holds an adapter or weights, complete."""
    if not folder.is_dir():
        raise ModelError(f"there is no checkpoint {folder}", hint=_others(folder))
    if _torn(folder):
        message = f"the checkpoint {folder} is torn: its run was killed while it was written, or removed"
        raise ModelError(message, hint=_others(folder))
    if missing := _missing(folder):
        raise ModelError(
            f"{folder} is no checkpoint that can be evaluated: it holds no {missing}", hint=_others(folder)
        )
    return folder.absolute()


def _torn(folder: Path) -> bool:
    """Whether a training marks its checkpoints, and this one has no mark or not all that it promises."""
    ours = _STEP.fullmatch(folder.name) is not None and folder.parent.name == layout.CHECKPOINTS
    return (ours or (folder / checkpoints.MARK).exists()) and not checkpoints.is_whole(folder)


def _missing(folder: Path) -> str:
    if (folder / ADAPTER_CONFIG).is_file():
        there = any((folder / f"adapter_model.{kind}").is_file() for kind in ("safetensors", "bin"))
        return "" if there else "adapter_model.safetensors"
    if not (folder / "config.json").is_file():
        return f"{ADAPTER_CONFIG} (an adapter) and no config.json (whole weights)"
    for index in folder.glob("*.index.json"):
        parts = set(from_json(index.read_bytes()).get("weight_map", {}).values())
        if absent := sorted(str(part) for part in parts if not (folder / part).is_file()):
            return absent[0]
    there = any(any(folder.glob(pattern)) for pattern in ("*.safetensors", "*.bin"))
    return "" if there else "model.safetensors"


def _others(folder: Path) -> Hint:
    """What there is in its place."""
    key = "evaluation.checkpoint"
    if not folder.parent.is_dir():
        run = folder.parent.parent
        return Hint(f"there is no {run}: a run of another experiment's volume comes here by `vfm get`", key)
    folders = [path for path in folder.parent.iterdir() if path.is_dir()]
    there = sorted(path.name for path in folders if not _torn(path) and not _missing(path))
    best = checkpoints.best(folder.parent.parent)
    names = [f"{name} (best)" if best and best.path.endswith(f"/{name}") else name for name in there]
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
    """An adapter of another model of the same shape would be taken without a word."""
    theirs = known_as(trained_on)
    if (
        not theirs
        or theirs in (name, str(base), known_as(str(base)))
        or _last(theirs) in (_last(name), base.name)
    ):
        return
    raise ModelError(
        f"the adapter in {folder} was trained on {theirs}, and the model of this evaluation is {name}",
        hint=Hint(f"evaluate it on {theirs}", "model.base_model", name, theirs),
    )


def known_as(path: str) -> str:
    """The hub id of a model that lies in the hub's cache; of others the path itself."""
    found = _HUB.search(f"{path}/")
    return f"{found[1]}/{found[2]}" if found else path.rstrip("/")


def _last(name: str) -> str:
    return name.rstrip("/").rpartition("/")[2]


def _vllm_applies(config: dict[str, Any]) -> bool:
    odd = ("use_dora", "use_rslora", "modules_to_save", "rank_pattern", "alpha_pattern", "layer_replication")
    plain = config.get("peft_type") == "LORA" and config.get("bias", "none") == "none"
    return plain and 0 < config["r"] <= LORA_RANKS[-1] and not any(config.get(name) for name in odd)


def _merge(folder: Path, base: Path, spec: ExperimentSpec, target: Path) -> None:
    """W + (alpha / rank) · B A, with everything else as it is beside the base weights."""
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
