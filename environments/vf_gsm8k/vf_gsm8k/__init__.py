"""Grade-school maths as a verifiers environment.

`VfGsm8kTaskset` and `VfGsm8kEnv` are what verifiers looks for. Both are imported when they are asked for,
so that numbers (`vf_gsm8k.numbers`), replies and scoring can be read where verifiers is not installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vf_gsm8k.env import VfGsm8kEnv
    from vf_gsm8k.taskset import VfGsm8kTaskset

__all__ = ["VfGsm8kEnv", "VfGsm8kTaskset"]


def __getattr__(name: str) -> Any:
    if name == "VfGsm8kEnv":
        from vf_gsm8k.env import VfGsm8kEnv

        return VfGsm8kEnv
    if name == "VfGsm8kTaskset":
        from vf_gsm8k.taskset import VfGsm8kTaskset

        return VfGsm8kTaskset
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
