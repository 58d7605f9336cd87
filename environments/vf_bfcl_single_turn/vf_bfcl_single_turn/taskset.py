"""Options of the environment, and which of Berkeley's questions they choose.

What a task holds, its prompt and its rewards are `tasks`'.
"""

from __future__ import annotations

from typing import Any

import verifiers.v1 as vf
from pydantic import Field, field_validator

from vf_bfcl_single_turn import entries
from vf_bfcl_single_turn.tasks import BfclTask, FunctionCallingConfig, make_tasks


class VfBfclSingleTurnConfig(FunctionCallingConfig):
    """Options; the defaults are all questions of the training split, with native tools."""

    categories: list[str] = Field(default_factory=lambda: ["all"])
    """Berkeley's categories, or groups of them: all, live, non_live."""
    split: entries.Split = "train"
    """Questions to train on, or those held out (a fifth of the function sets, by a hash), or all."""
    max_prompt_chars: int | None = Field(None, ge=1)
    """Leave out questions that are longer, functions included; four characters are about a token."""
    shuffle: bool = True
    """Mix the categories; else the files' order."""

    @field_validator("categories", mode="before")
    @classmethod
    def _several(cls, given: Any) -> Any:
        return [given] if isinstance(given, str) else given

    @field_validator("categories")
    @classmethod
    def _categories_exist(cls, given: list[str]) -> list[str]:
        if not given:
            raise ValueError("name at least one category")
        return list(entries.expand(given))


class VfBfclSingleTurnTaskset(vf.Taskset[BfclTask, VfBfclSingleTurnConfig]):
    """One task for each question of the chosen categories and split."""

    def load(self) -> list[BfclTask]:
        """All tasks, in the seed's or the files' order."""
        config = self.config
        chosen = entries.select(
            config.categories,
            config.split,
            seed=config.seed if config.shuffle else None,
            limit=config.num_tasks,
            longest=config.max_prompt_chars,
        )
        return make_tasks(chosen, config)
