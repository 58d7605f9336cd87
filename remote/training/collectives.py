"""Exchange Python objects among the trainers of a run.

They have a process group of their own on the CPU, where waiting costs nothing and may last as long as
episodes do. Gradients are accelerate's. Everything here is a no-op for a single trainer.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar, cast

import torch.distributed as dist

T = TypeVar("T")
TIMEOUT = timedelta(days=1)
"""Time that trainers wait for the first one, which plays a step's episodes."""


class Ranks:
    """One trainer among all. Every trainer creates it at the same point, after torch's process group."""

    def __init__(self) -> None:
        together = dist.is_available() and dist.is_initialized()
        self.count = dist.get_world_size() if together else 1
        self.rank = dist.get_rank() if together else 0
        self._group = dist.new_group(backend="gloo", timeout=TIMEOUT) if self.count > 1 else None
        self.left = False
        """Whether this trainer goes on alone: nothing may wait for the others."""

    @property
    def main(self) -> bool:
        """Whether this trainer plays episodes, syncs weights, reports and saves."""
        return self.rank == 0

    def leave(self) -> None:
        """Go on alone: from here on nothing waits for the others, wherever they are."""
        self.left, self._group, self.count = True, None, 1

    def wait(self) -> None:
        """Return once every trainer has called it."""
        if self._group is not None:
            dist.barrier(group=self._group)

    def gather(self, values: list[T]) -> list[T]:
        """On the main trainer: the values of all, in the order of ranks. On the others: an empty list."""
        if self._group is None:
            return values
        lists: list[Any] | None = [None] * self.count if self.main else None
        dist.gather_object(values, lists, dst=0, group=self._group)
        return [value for part in lists or [] for value in part]

    def broadcast(self, make: Callable[[], T]) -> T:
        """What `make`, called on the main trainer, returns, on every trainer."""
        return self.scatter(lambda: [make()] * self.count)

    def scatter(self, make: Callable[[], list[T]]) -> T:
        """This trainer's item of the list that `make`, called on the main trainer, returns: one per rank."""
        if self._group is None:
            return make()[0]
        own_part: list[Any] = [None]
        dist.scatter_object_list(own_part, make() if self.main else None, src=0, group=self._group)
        return cast(T, own_part[0])
