"""Divide an environment's tasks into those to train on and held-out ones.

Uses the environment's own splits where it has an option `split`, otherwise holds out the last tasks. No task
is on both sides.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from enum import Enum
from functools import cached_property
from typing import Annotated, Any, Literal, get_args, get_origin

from verifiers.v1.task import Task
from verifiers.v1.utils.loaders import load_taskset

HELD_OUT_NAMES = ("eval", "test", "validation", "valid", "val", "dev")
"""Names of splits that are not trained on, in the order of preference."""
MOST_TASKS = 100_000  # of an endless taskset
Tasks = list[Task[Any, Any, Any]]


class TaskSplit:
    """The tasks of a taskset by use. `args`: the user's options; `examples`: `training.eval_examples`; `say`:
    logs warnings about the choice.

    Where the user has set `split`, all tasks come from that split. Loading raises what the taskset raises.
    """

    def __init__(self, taskset: Any, args: dict[str, Any], examples: int, say: Callable[[str], None]) -> None:
        self._taskset, self._config, self._args = taskset, taskset.config, args
        self._examples, self._say = examples, say
        self._splits: dict[str, Tasks | None] = {}

    @cached_property
    def train(self) -> Tasks:
        """The tasks to train on."""
        return self._sides[0] if self._examples else self._all

    @cached_property
    def held_out(self) -> Tasks:
        """The tasks that are never trained on; empty where neither the environment nor the config has any."""
        return self._sides[1]

    @cached_property
    def evaluated(self) -> Tasks:
        """The tasks of an evaluation: the held-out ones, or all where there are none."""
        if self._own_held_out is not None:
            return self._own_held_out[1]
        return _last(self._all, self._examples)[1] or self._all

    @cached_property
    def described(self) -> str:
        """Where the held-out tasks come from, for people; empty where there are none."""
        if not self.held_out:
            return ""
        own = self._own_held_out
        return "the last tasks" if own is None or not self._overlap_free else f"split {own[0]}"

    @cached_property
    def _sides(self) -> tuple[Tasks, Tasks]:
        if (own := self._own_held_out) is not None and (free := self._overlap_free):
            if len(free) < self._examples:
                self._warn_few(f"split {own[0]} of the environment", free, "all of them are held out")
            return self._all, free
        if own is not None:
            self._say(
                f"⚠ every task of split {own[0]} is one to train on: the last tasks are held out instead"
            )
        train, held_out = _last(self._all, self._examples)
        if len(held_out) < self._examples:
            self._warn_few("the environment", self._all, f"{len(held_out)} of them are held out")
        return train, held_out

    def _warn_few(self, source: str, tasks: Tasks, consequence: str) -> None:
        self._say(
            f"⚠ training.eval_examples = {self._examples}: {source} has {_tasks(tasks)}, so {consequence}"
        )

    @cached_property
    def _overlap_free(self) -> Tasks:
        """The environment's own held-out tasks without those that are also trained on.

        A split that the option's type names is kept even where all of its tasks are trained on. Where the
        option is any text, the taskset probably ignores the name of such a split.
        """
        assert self._own_held_out is not None
        name, tasks = self._own_held_out
        trained = {_content(task) for task in self._all}
        free = [task for task in tasks if _content(task) not in trained]
        if not free and self._names:
            self._say(
                f"⚠ every task of split {name} is one to train on too: its score tells nothing of new tasks"
            )
            return tasks
        if free and len(free) < len(tasks):
            both = len(tasks) - len(free)
            self._say(
                f"⚠ {both} of {_tasks(tasks)} of split {name} are among those to train on: they are left out"
            )
        return free

    @cached_property
    def _all(self) -> Tasks:
        """The tasks to train on, before any are held out."""
        if self._names is None or self._trained_on == self._default:
            return _read(self._taskset)
        return self._split(self._trained_on) or []

    @cached_property
    def _trained_on(self) -> str:
        """The split to train on: `train`, or the option's default where there is none."""
        has_train = "train" in (self._names or ()) or (self._names == () and self._split("train"))
        return "train" if has_train else self._default

    @cached_property
    def _own_held_out(self) -> tuple[str, Tasks] | None:
        """The environment's own held-out split and its tasks."""
        if self._names is None:
            return None
        candidates = [name for name in HELD_OUT_NAMES if not self._names or name in self._names]
        splits = ((name, self._split(name)) for name in candidates if name != self._trained_on)
        return next(((name, tasks) for name, tasks in splits if tasks), None)

    @cached_property
    def _names(self) -> tuple[str, ...] | None:
        """The environment's splits; empty where its option is any text, None without it or where the user set
        it."""
        field = type(self._config).model_fields.get("split")
        if field is None or "split" in self._args:
            return None
        return _allowed(field.annotation)

    @property
    def _default(self) -> str:
        """The option's default."""
        value = self._config.split
        return str(value.value if isinstance(value, Enum) else value)

    def _split(self, name: str) -> Tasks | None:
        """The tasks of a split; None where the option is any text and this split cannot be loaded."""
        if name not in self._splits:
            config = type(self._config).model_validate({"id": self._config.id, **self._args, "split": name})
            try:
                self._splits[name] = _read(load_taskset(config))
            except Exception:
                if self._names:
                    raise
                self._splits[name] = None
        return self._splits[name]


def _allowed(annotation: Any) -> tuple[str, ...] | None:
    """The texts that a field allows: those of a Literal or an Enum; empty for any text; None for no text."""
    if annotation is str:
        return ()
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return tuple(str(member.value) for member in annotation) or None
    if get_origin(annotation) is Literal:
        return tuple(value for value in get_args(annotation) if isinstance(value, str)) or None
    parts = get_args(annotation)[:1] if get_origin(annotation) is Annotated else get_args(annotation)
    allowed = [names for part in parts if (names := _allowed(part)) is not None]
    if not allowed:
        return None
    return () if () in allowed else tuple(itertools.chain.from_iterable(allowed))


def _last(tasks: Tasks, examples: int) -> tuple[Tasks, Tasks]:
    """Hold out the last tasks, at most half of them."""
    held_out = min(examples, len(tasks) // 2)
    return tasks[: len(tasks) - held_out], tasks[len(tasks) - held_out :]


def _read(taskset: Iterable[Task[Any, Any, Any]]) -> Tasks:
    return list(itertools.islice(taskset, MOST_TASKS))


def _content(task: Task[Any, Any, Any]) -> str:
    """Identifies a task in different splits: its key, or its data without its index."""
    if type(task).key is not Task.key:
        return str(task.key)
    return str(task.data.model_dump_json(exclude={"idx"}))


def _tasks(tasks: Tasks) -> str:
    return "1 task" if len(tasks) == 1 else f"{len(tasks)} tasks"
