"""The legacy alias for function calling, with its own small generated set.

`VfToolTestTaskset` is what verifiers looks for, `VfBfclSingleTurnEnv` how an episode goes. Both are imported
when they are asked for, so that the questions (`vf_tool_test.questions`) can be used without verifiers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vf_bfcl_single_turn import VfBfclSingleTurnEnv

    from vf_tool_test.taskset import VfToolTestTaskset

__all__ = ["VfBfclSingleTurnEnv", "VfToolTestTaskset"]


def __getattr__(name: str) -> Any:
    if name == "VfBfclSingleTurnEnv":
        from vf_bfcl_single_turn import VfBfclSingleTurnEnv

        return VfBfclSingleTurnEnv
    if name == "VfToolTestTaskset":
        from vf_tool_test.taskset import VfToolTestTaskset

        return VfToolTestTaskset
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
