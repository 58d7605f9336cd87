"""Check that a model's folder is complete, and whether it contains code. Nothing is loaded.

The plan checks folders on this machine, the worker any model before it starts a server.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from remote.contract.errors import Hint, ModelError
from remote.contract.json_text import from_json

CONFIG = "config.json"
ADAPTER = "adapter_config.json"
_WEIGHTS = ("*.safetensors", "*.bin", "*.pt", "*.pth")
_TOKENIZERS = (
    *("tokenizer.json", "tokenizer.model", "tekken.json", "vocab.json", "vocab.txt", "vocab.bpe"),
    *("vocab.model", "spiece.model", "sentencepiece.model", "sentencepiece.bpe.model", "*.tiktoken", "*.spm"),
)
_TEMPLATES = ("chat_template.jinja", "chat_template.json", "chat_templates/*.jinja", "tekken.json")
_KEY = "model.base_model"


def check_model(folder: Path, name: str) -> None:
    """Raise `ModelError` where config, weights, tokenizer or chat template are missing, or for an adapter.

    `name` is the model's name in the config, for the hint.
    """
    if (folder / ADAPTER).is_file() and not _has_own_weights(folder):
        raise _adapter(folder, name)
    if not (folder / CONFIG).is_file():
        raise _refused(
            f"{folder} holds no {CONFIG}, so neither transformers nor vLLM can load a model from it", name
        )
    if not isinstance(_read(folder / CONFIG, name), dict):
        raise _refused(f"{folder / CONFIG} is no JSON object, so it describes no model", name)
    if missing := _missing_weights(folder, name):
        raise _refused(f"the model in {folder} is incomplete: it holds no {missing}", name)
    if not _any(folder, _TOKENIZERS):
        raise _refused(
            f"the model in {folder} holds no tokenizer",
            name,
            "add tokenizer.json and tokenizer_config.json of the model that it was trained from",
        )
    if not _has_template(folder, name):
        raise _refused(
            f"the model in {folder} holds no chat template: nothing says how a conversation becomes a prompt",
            name,
            "add a chat_template.jinja, such as that of the model's Instruct sibling, or take that model",
        )


def code_of(folder: Path) -> list[str]:
    """The Python files that loading a model or a checkpoint would run (`auto_map`)."""
    files: list[str] = []
    for name in (CONFIG, "tokenizer_config.json", "processor_config.json", "preprocessor_config.json"):
        try:
            config = from_json((folder / name).read_bytes())
        except (OSError, ValueError):
            continue
        for value in _texts(config.get("auto_map") if isinstance(config, dict) else None):
            module = value.rpartition("--")[2].split(".")[0]
            files.append(f"{value.rpartition('--')[0]}/{module}.py".lstrip("/"))
    return list(dict.fromkeys(files))


def model_type(folder: Path) -> str:
    """The `model_type` of a model's config, such as `qwen2`; empty where there is none."""
    try:
        return str(from_json((folder / CONFIG).read_bytes()).get("model_type", ""))
    except (OSError, ValueError, AttributeError):
        return ""


def _has_own_weights(folder: Path) -> bool:
    return any(not file.name.startswith("adapter_") for kind in _WEIGHTS[:2] for file in folder.glob(kind))


def _adapter(folder: Path, name: str) -> ModelError:
    base = _mapping(folder / ADAPTER, name).get("base_model_name_or_path") or "its base model"
    return _refused(
        f"{folder} holds an adapter ({ADAPTER}) of {base}, and no model",
        name,
        f"merge it into {base} and name that folder (peft: merge_and_unload); to evaluate it: "
        f"vfm launch --kind evaluate --checkpoint {folder}",
    )


def _missing_weights(folder: Path, name: str) -> str:
    """The first file of weights that is missing, by the index of sharded weights; empty: none is."""
    for index in sorted(folder.glob("*.index.json")):
        parts = _mapping(index, name).get("weight_map")
        names = sorted({str(part) for part in parts.values()}) if isinstance(parts, dict) else []
        if absent := next((part for part in names if not (folder / part).is_file()), None):
            return absent
    return "" if _any(folder, _WEIGHTS) else "weights (model.safetensors)"


def _has_template(folder: Path, name: str) -> bool:
    if _any(folder, _TEMPLATES):
        return True
    config = folder / "tokenizer_config.json"
    return config.is_file() and bool(_mapping(config, name).get("chat_template"))


def _any(folder: Path, patterns: tuple[str, ...]) -> bool:
    return any(any(folder.glob(pattern)) for pattern in patterns)


def _mapping(file: Path, name: str) -> dict[str, Any]:
    document = _read(file, name)
    return document if isinstance(document, dict) else {}


def _read(file: Path, name: str) -> Any:
    try:
        return from_json(file.read_bytes())
    except (OSError, ValueError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or str(error)
        raise _refused(f"{file} cannot be read: {reason}", name) from error


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for part in parts for text in _texts(part)]


def _refused(message: str, name: str, advice: str = "") -> ModelError:
    return ModelError(message, hint=Hint(advice or "copy it again from its source", _KEY, name))
