"""Options of the environment, and the tasks that they make: one generated question each.

What a task holds, its prompt and its rewards are vf-bfcl-single-turn's.
"""

from __future__ import annotations

import verifiers.v1 as vf
from pydantic import Field
from vf_bfcl_single_turn.tasks import BfclTask, FunctionCallingConfig, make_tasks

from vf_tool_test import questions


class VfToolTestConfig(FunctionCallingConfig):
    """Options; the defaults are five hundred questions of the training split, with native tools."""

    split: questions.Split = "train"
    """Questions to train on, or those about functions that are held out."""
    functions: int = Field(2, ge=1, le=questions.MOST_FUNCTIONS)
    """At most this many functions are offered with a question."""
    calls: int = Field(1, ge=1, le=2)
    """At most this many calls are the right reply."""
    num_tasks: int = Field(500, ge=1)
    """At most this many tasks; there are fewer about the functions that are held out."""


class VfToolTestTaskset(vf.Taskset[BfclTask, VfToolTestConfig]):
    """One task for each question that is made."""

    def load(self) -> list[BfclTask]:
        """All tasks, as the seed makes them."""
        config = self.config
        made = questions.make(
            config.split,
            config.num_tasks,
            functions=config.functions,
            calls=config.calls,
            seed=config.seed,
        )
        return make_tasks(made, config)
