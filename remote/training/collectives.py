"""The trainers of a run as one of them sees the others.

Owns what they tell each other beside gradients: Python objects, over a group of their own on the CPU, where
waiting costs nothing and lasts as long as episodes do. Gradients are accelerate's. A trainer that is alone
talks to nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar, cast

import torch.distributed as dist

T = TypeVar("T")
PATIENCE = timedelta(days=1)
"""How long trainers wait for the first one, which plays a step's episodes."""


class Ranks:
    """One trainer's place among all; made once the process group is there, by every trainer at once."""

    def __init__(self) -> None:
        together = dist.is_available() and dist.is_initialized()
        self.count = dist.get_world_size() if together else 1
        self.rank = dist.get_rank() if together else 0
        self._group = dist.new_group(backend="gloo", timeout=PATIENCE) if self.count > 1 else None
        self.left = False
        """Whether this one goes on by itself: the others are not to be waited for."""

    @property
    def main(self) -> bool:
        """Whether this one plays episodes, syncs weights, reports and saves."""
        return self.rank == 0

    def leave(self) -> None:
        """Go on without the others, which may be anywhere: nothing may wait for them from here on."""
        self.left, self._group, self.count = True, None, 1

    def wait(self) -> None:
        """Return once every trainer is here."""
        if self._group is not None:
            dist.barrier(group=self._group)

    def gathered(self, values: list[T]) -> list[T]:
        """On the main one: everybody's values in the order of ranks. Elsewhere: nothing."""
        if self._group is None:
            return values
        lists: list[Any] | None = [None] * self.count if self.main else None
        dist.gather_object(values, lists, dst=0, group=self._group)
        return [value for part in lists or [] for value in part]

    def dealt(self, make: Callable[[], list[T]]) -> T:
        """This one's part of what the main one makes: a list of one part each."""
        if self._group is None:
            return make()[0]
        mine: list[Any] = [None]
        dist.scatter_object_list(mine, make() if self.main else None, src=0, group=self._group)
        return cast(T, mine[0])
