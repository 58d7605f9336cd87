"""Wordle as a verifiers environment; `VfWordleTaskset` and `VfWordleEnv` are what verifiers looks for.

Both are imported when they are asked for, so that the game itself (`vf_wordle.rules`, `words`,
`scoring`, `prompts`) can be used where verifiers is not installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vf_wordle.env import VfWordleEnv
    from vf_wordle.taskset import VfWordleTaskset

__all__ = ["VfWordleEnv", "VfWordleTaskset"]


def __getattr__(name: str) -> Any:
    if name == "VfWordleEnv":
        from vf_wordle.env import VfWordleEnv

        return VfWordleEnv
    if name == "VfWordleTaskset":
        from vf_wordle.taskset import VfWordleTaskset

        return VfWordleTaskset
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
