"""vLLM's parsers of tool calls: the names that the pinned version knows, and the parser of each model.

When a server needs one is decided in `tui/planning/tool_calling.py`.
"""

from __future__ import annotations

import difflib
import re

TOOL_PARSERS: tuple[str, ...] = (
    *("apertus", "cohere_command3", "cohere_command4", "deepseek_v3", "deepseek_v31", "deepseek_v32"),
    *("deepseek_v4", "deepseek_v41", "dots", "ernie45", "functiongemma", "gemma4", "gigachat3", "glm45"),
    *("glm47", "granite", "granite-20b-fc", "granite4", "hermes", "hf", "hunyuan_a13b", "hy_v3", "hy_v4"),
    *("inkling", "internlm", "jamba", "k2_horizon", "kimi_k2", "kimi_k3", "lfm2", "ling3", "llama3_json"),
    *("llama4_json", "llama4_pythonic", "longcat", "mimo", "minicpm5", "minimax_m2", "minimax_m3", "mistral"),
    *("muse_glimmer", "olmo3", "openai", "phi4_mini_json", "plamo3", "poolside_v1", "pythonic"),
    *("qwen3_coder", "qwen3_json", "qwen3_xml", "seed_oss", "step3", "step3p5", "xlam"),
)
"""Every `--tool-call-parser` of the pinned vLLM (`vllm/tool_parsers/__init__.py`)."""

_FAMILIES = tuple(
    (re.compile(pattern), parser)
    for pattern, parser in (
        ("xlam", "xlam"),
        ("hermes-[23]", "hermes"),
        ("toolace", "pythonic"),
        ("deepseek-r1-.*(qwen|llama)", None),
        (r"qwen2\.5|qwq|qwen3(?!.*coder|\.)", "hermes"),
        (r"qwen3.*coder", "qwen3_coder"),
        (r"llama-?3\.[123]", "llama3_json"),
        ("llama-?4", "llama4_pythonic"),
        (
            r"mistral-nemo|mistral.*instruct-v0\.3|mistral-(small|large)|ministral|magistral|devstral",
            "mistral",
        ),
        ("granite-20b-functioncalling", "granite-20b-fc"),
        (r"granite-3\.", "granite"),
        (r"granite-4\.", "granite4"),
        (r"deepseek-v3\.1", "deepseek_v31"),
        (r"deepseek-v3\.2", "deepseek_v32"),
        (r"deepseek-(v3|r1)-0", "deepseek_v3"),
        (r"internlm2[._]5", "internlm"),
        (r"jamba-1\.5", "jamba"),
        ("kimi-k2", "kimi_k2"),
        ("minimax-m2", "minimax_m2"),
        (r"glm-4\.[56]", "glm45"),
        (r"glm-4\.7", "glm47"),
        ("gpt-oss", "openai"),
        ("phi-4-mini", "phi4_mini_json"),
        ("olmo-3", "olmo3"),
        ("functiongemma", "functiongemma"),
    )
)
"""Pattern of a model's name → its parser; the first match counts. From vLLM's guide "Tool calling":
https://docs.vllm.ai/en/stable/features/tool_calling/. Models trained from others (xLAM-2, Hermes 3) have
their own format, or none (None: the distilled R1s)."""


def parser_of(model: str) -> str | None:
    """The parser of a model's tool calls; None where it is not known. `model`: hub id or path."""
    name = model.rstrip("/").rpartition("/")[2].lower()
    return next((parser for pattern, parser in _FAMILIES if pattern.search(name)), None)


def nearest_parser(name: str) -> str | None:
    """The most similar name of a parser; None where none is close."""
    close = difflib.get_close_matches(name.lower().replace("-", "_"), TOOL_PARSERS, 1, 0.5)
    return close[0] if close else None
