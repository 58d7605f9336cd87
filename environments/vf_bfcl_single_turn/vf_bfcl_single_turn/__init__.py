"""Berkeley's single-turn function calling as a verifiers environment.

`VfBfclSingleTurnTaskset` and `VfBfclSingleTurnEnv` are what verifiers looks for. Both are imported when
they are asked for, so that the checker (`vf_bfcl_single_turn.checker`), the parser and the questions can be
used where verifiers is not installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vf_bfcl_single_turn.env import VfBfclSingleTurnEnv
    from vf_bfcl_single_turn.taskset import VfBfclSingleTurnTaskset

__all__ = ["VfBfclSingleTurnEnv", "VfBfclSingleTurnTaskset"]


def __getattr__(name: str) -> Any:
    if name == "VfBfclSingleTurnEnv":
        from vf_bfcl_single_turn.env import VfBfclSingleTurnEnv

        return VfBfclSingleTurnEnv
    if name == "VfBfclSingleTurnTaskset":
        from vf_bfcl_single_turn.taskset import VfBfclSingleTurnTaskset

        return VfBfclSingleTurnTaskset
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
