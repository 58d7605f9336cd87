"""Write the files of a model's folder: weights, tokenizer, JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


def write_json(path: Path, value: object) -> None:
    """Write JSON as transformers does."""
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_chat_tokenizer(folder: Path, tokenizer: Any, chat_template: str, ids: dict[str, str]) -> None:
    """Write a tokenizer's files; `ids` names its special tokens (`eos_token` …)."""
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False, **ids}
    write_json(folder / "tokenizer_config.json", config)
    (folder / "chat_template.jinja").write_text(chat_template, encoding="utf-8")


@dataclass(frozen=True)
class Tensor:
    """A tensor as safetensors stores it: `data` holds its values in little-endian order."""

    dtype: str
    """`F32` or `BF16`."""
    shape: tuple[int, ...]
    data: bytes


def write_safetensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write a safetensors file: the header's length in 8 bytes, the header as JSON, the data in its order.

    The library cannot: its NumPy writer knows no bfloat16, its raw one takes pointers to memory, and the one
    for torch would import torch (seconds) between a launch and the start of vLLM.
    """
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, tensor in tensors.items():
        begin, end = end, end + len(tensor.data)
        header[name] = {"dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # data is aligned
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for tensor in tensors.values():
            file.write(tensor.data)
