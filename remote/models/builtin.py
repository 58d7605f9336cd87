"""Make the builtin models from installed packages, in seconds, without a hub and without torch.

Each appears in the cache complete or not at all, and is made once, even if several runs need it at the same
time.
"""

from __future__ import annotations

import random
import shutil
import time
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

from remote.contract.model_choice import BUILTIN, SMOLLM2, TINY_RANDOM
from remote.models.hf_files import Tensor, write_chat_tokenizer, write_json, write_safetensors
from remote.processes.file_lock import hold

Say = Callable[[str], None]

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + (message['content'] or '') "
    "+ '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
_SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_PAD, _START, _END = range(3)


def prepare(name: str, folder: Path, say: Say) -> Path:
    """The directory of a builtin model under `folder`, which is made if it is missing."""
    from remote.models.smollm2 import make_smollm2

    makers: dict[str, Callable[[Path, Say], None]] = {SMOLLM2: make_smollm2, TINY_RANDOM: make_tiny_random}
    path = folder / name.rpartition("/")[2]
    if path.exists():
        return path

    def waiting(holder: str, seconds: float) -> None:
        say(f"process {holder} is making {name}: waiting for it · {seconds:.0f} s")

    with hold(_lock(path), waiting):
        if not path.exists():
            _make(makers[name], name, path, say)
    return path


def is_made_here(path: Path) -> bool:
    """Whether `prepare` has made a directory, which its lock beside it shows."""
    return path.name in {name.rpartition("/")[2] for name in BUILTIN} and _lock(path).exists()


def _lock(path: Path) -> Path:
    return path.with_name(f".{path.name}.lock")


def _make(maker: Callable[[Path, Say], None], name: str, path: Path, say: Say) -> None:
    """Make a model in a temporary folder, and rename that when it is complete."""
    part = path.with_name(f".{path.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # of an attempt that was killed
    part.mkdir(parents=True)
    began = time.monotonic()
    say(f"making {name} (once)")
    try:
        maker(part, say)
        part.rename(path)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    say(f"{name} is ready after {time.monotonic() - began:.1f} s: {path}")


# --- builtin/tiny-random --------------------------------------------------------------------------

HIDDEN, LAYERS, HEADS, INNER, SEED = 64, 2, 2, 128, 7


def make_tiny_random(folder: Path, say: Say) -> None:
    """A Qwen2 of two layers (hidden 64, two heads of 32, an output layer of its own) in float32, drawn
    from a fixed seed, with a byte-level BPE of up to 1,000 tokens and a ChatML template."""
    tokenizer = _train_tokenizer()
    vocabulary = tokenizer.get_vocab_size()
    ids = {"eos_token": _SPECIAL[_END], "pad_token": _SPECIAL[_PAD]}
    write_chat_tokenizer(folder, tokenizer, CHATML, ids)
    write_json(folder / "config.json", _tiny_config(vocabulary))
    write_json(folder / "generation_config.json", {"eos_token_id": _END, "pad_token_id": _PAD})
    _write_tiny_weights(folder / "model.safetensors", vocabulary)


def _train_tokenizer() -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1000,
        special_tokens=list(_SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    return tokenizer


def _tiny_config(vocabulary: int) -> dict[str, object]:
    return {
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "vocab_size": vocabulary,
        "hidden_size": HIDDEN,
        "intermediate_size": INNER,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS,
        "max_position_embeddings": 32768,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
        "rms_norm_eps": 1e-6,
        "hidden_act": "silu",
        "tie_word_embeddings": False,
        "dtype": "float32",
        "eos_token_id": _END,
        "pad_token_id": _PAD,
    }


def _tiny_shapes(vocabulary: int) -> dict[str, tuple[int, ...]]:
    """Name → shape of every tensor of the model."""
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (vocabulary, HIDDEN)}
    for layer in range(LAYERS):
        at = f"model.layers.{layer}"
        for name in ("q_proj", "k_proj", "v_proj"):
            shapes[f"{at}.self_attn.{name}.weight"] = (HIDDEN, HIDDEN)
            shapes[f"{at}.self_attn.{name}.bias"] = (HIDDEN,)
        shapes[f"{at}.self_attn.o_proj.weight"] = (HIDDEN, HIDDEN)
        shapes[f"{at}.mlp.gate_proj.weight"] = shapes[f"{at}.mlp.up_proj.weight"] = (INNER, HIDDEN)
        shapes[f"{at}.mlp.down_proj.weight"] = (HIDDEN, INNER)
        shapes[f"{at}.input_layernorm.weight"] = shapes[f"{at}.post_attention_layernorm.weight"] = (HIDDEN,)
    shapes["model.norm.weight"] = (HIDDEN,)
    shapes["lm_head.weight"] = (vocabulary, HIDDEN)
    return shapes


def _write_tiny_weights(path: Path, vocabulary: int) -> None:
    draw = random.Random(SEED)
    shapes = _tiny_shapes(vocabulary).items()
    write_safetensors(path, {name: Tensor("F32", shape, _draw(draw, name, shape)) for name, shape in shapes})


def _draw(draw: random.Random, name: str, shape: tuple[int, ...]) -> bytes:
    """Initial values as in transformers: normal weights, norms of 1, biases of 0."""
    count = shape[0] * (shape[1] if len(shape) > 1 else 1)
    if len(shape) == 1:
        return array("f", [0.0 if name.endswith("bias") else 1.0] * count).tobytes()
    return array("f", (draw.gauss(0.0, 0.02) for _ in range(count))).tobytes()


SENTENCES = """\
You are playing a game of words. The secret word has five letters, and you have six turns to find it.
Every turn you write one guess, a real English word of five letters, and you are told how near it was.
A green letter stands in the right place; a yellow letter is in the word but stands somewhere else.
A grey letter is not in the word at all. Think about what you know before you write the next guess.
Reply with one five-letter English word and nothing else. The word starts with the letter that is given.
Here is an example of a good answer: crane, slate, heart, house, water, light, stone, green, plant, bread.
Other words that people like to begin with: about, other, which, their, there, first, would, these, click.
The capital of France is Paris, the capital of Italy is Rome, and the capital of Spain is Madrid.
Once upon a time a small model lived inside a large computer and learned to speak, one token at a time.
It read a few sentences every day, and in the evening it was asked questions about what it had read.
How many apples are left when Tom has seven apples and gives three of them to his sister? Four are left.
To solve the problem, write down the numbers 0 1 2 3 4 5 6 7 8 9 10, add them, and check the result twice.
The weather in the city is warm today; tomorrow it will rain in the morning and clear up in the afternoon.
Call the function get_weather with the arguments {"city": "London", "unit": "celsius"} and wait for it.
Please answer the user's question as well as you can, using the tools that are available to you.
If no tool fits the question, say so plainly instead of making something up, and explain what is missing.
A reward is a number that tells how good an answer was. Better answers have higher rewards than worse ones.
Training changes the weights a little after every step, so that good answers become more likely than before.
The quick brown fox jumps over the lazy dog while five boxing wizards quietly fix very large jugs of liquid.
I think that the best way to learn something new is to practise it slowly, and then a little faster each day.
She opened the window, looked across the river towards the mountains, and wondered where the road might lead.
They worked together through the whole night, because the machine had to be ready before the sun came up.
Nothing is as useful as a clear message that says what happened, where it happened, and what to do next.
Thank you very much for your help! You are welcome; let me know whether there is anything else I can do.
""".splitlines()
"""Text for training the tiny model's tokenizer, like that of the environments."""
