"""Held out is held out: an environment's own splits, what the user set, and the last tasks of all others."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from remote.contract.errors import EnvironmentMissing
from remote.evaluation.scripted_model import ScriptedModel
from remote.rollouts.player import Rollouts
from tests.stack.conftest import tiny_spec

pytestmark = pytest.mark.stack

MODULE = """
import enum
from typing import Annotated, Literal, Optional
import verifiers.v1 as vf

DATA = {data}

class Which(enum.Enum):
    TRAIN = "train"
    TEST = "test"

class Options(vf.TasksetConfig):
    {option}

class Data(vf.TaskData):
    pass

class SayTask(vf.Task[Data]):
    pass

class SayTaskset(vf.Taskset[SayTask, Options]):
    def load(self):
        split = getattr(self.config, "split", "all")
        split = getattr(split, "value", split)
        return [SayTask(Data(name=name, prompt=f"Say {{name}}.")) for name in {read}]

__all__ = ["SayTaskset"]
"""
SPLITS = {
    "train": ["a", "b", "c"],
    "eval": ["e"],
    "test": ["t", "u"],
    "validation": ["v"],
    "all": ["a", "b", "c", "d"],
}
Load = Callable[..., tuple[list[str], list[str], list[str]]]


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: ScriptedModel, said: list[str]) -> Load:
    """Names of the tasks to train on, of those held out, and of those that an evaluation plays."""
    from remote.environments import resolve

    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("OPENAI_API_KEY", "unused")
    resolve.activate(tmp_path)

    def load(
        option: str, *, data: Any = SPLITS, read: str = "DATA[split]", examples: int = 2, **args: Any
    ) -> Any:
        name = f"vfm_split_{abs(hash((option, str(data), read)))}"
        (tmp_path / f"{name}.py").write_text(MODULE.format(option=option, data=data, read=read))
        rollouts = Rollouts(
            name, args, tiny_spec(training={"eval_examples": examples}), model, say=said.append
        )
        try:
            sides = rollouts.tasks(), rollouts.tasks(held_out=True), rollouts.evaluated()
            return tuple([str(task.data.name) for task in side] for side in sides)
        finally:
            rollouts.close()

    return load


@pytest.mark.parametrize(
    ("option", "trained", "held_out"),
    [
        ("split: Literal['train', 'test'] = 'test'", "train", "test"),
        ("split: Literal['test', 'train'] = 'train'", "train", "test"),
        ("split: Literal['train', 'eval'] = 'train'", "train", "eval"),
        ("split: Literal['train', 'validation'] = 'train'", "train", "validation"),
        ("split: Literal['train', 'test', 'all'] = 'all'", "train", "test"),
        ("split: Annotated[Literal['train', 'test'], 'which'] = 'train'", "train", "test"),
        ("split: Optional[Literal['train', 'test']] = 'train'", "train", "test"),
        ("split: Which = Which.TEST", "train", "test"),
        ("split: str = 'train'", "train", "eval"),
        ("split: str = 'test'", "train", "eval"),
    ],
)
def test_an_environments_own_split_is_held_out(option: str, trained: str, held_out: str, load: Load) -> None:
    assert load(option) == (SPLITS[trained], SPLITS[held_out], SPLITS[held_out])


def test_any_text_is_tried_and_what_cannot_be_loaded_is_no_split(load: Load) -> None:
    data = {"train": ["a", "b"], "validation": ["v"]}
    assert load("split: str = 'train'", data=data) == (["a", "b"], ["v"], ["v"])
    data = {"test": ["t", "u", "v", "w"]}
    assert load("split: str = 'test'", data=data) == (["t", "u"], ["v", "w"], ["v", "w"])


@pytest.mark.parametrize("option", ["split: Literal['train'] = 'train'", "splits: int = 1", "split: int = 3"])
def test_without_a_split_of_its_own_the_last_tasks_are_held_out(option: str, load: Load) -> None:
    data = {"train": list("abcd"), "all": list("abcd"), 3: list("abcd")}
    assert load(option, data=data) == (["a", "b"], ["c", "d"], ["c", "d"])


def test_a_split_that_the_user_set_is_where_all_tasks_come_from(load: Load) -> None:
    option = "split: Literal['train', 'eval', 'test', 'all'] = 'train'"
    assert load(option, split="all") == (["a", "b"], ["c", "d"], ["c", "d"])
    assert load(option, split="test", examples=0) == (["t", "u"], [], ["t", "u"])
    with pytest.raises(EnvironmentMissing, match=r"training\.environment_args\.split: .*'nope'"):
        load(option, split="nope")


@pytest.mark.parametrize(("count", "held_out"), [(1, 0), (2, 1), (3, 1), (4, 2), (5, 2)])
def test_never_more_than_half_is_held_out_and_few_tasks_are_said(
    count: int, held_out: int, load: Load, said: list[str]
) -> None:
    names = [str(number) for number in range(count)]
    train, held, evaluated = load("n: int = 1", data={"all": names})
    assert train == names[: count - held_out]
    assert held == names[count - held_out :]
    assert evaluated == (held or names)
    assert bool(said) == (held_out < 2)
    if said:
        assert f"training.eval_examples = 2: the environment has {count} task" in said[0]
        assert f"so {held_out} of them are held out" in said[0]


def test_tasks_of_both_splits_are_not_held_out(load: Load, said: list[str]) -> None:
    option = "split: Literal['train', 'test'] = 'train'"
    data = {"train": ["a", "b", "c"], "test": ["c", "d"]}
    assert load(option, data=data)[:2] == (["a", "b", "c"], ["d"])
    assert "1 of 2 tasks of split test are among those to train on" in " ".join(said)
    said.clear()
    same = {"train": ["a", "b"], "test": ["a"]}
    assert load(option, data=same)[:2] == (["a", "b"], ["a"])  # the environment's word
    assert "its score tells nothing of new tasks" in " ".join(said)
    train, held_out, _ = load("split: str = 'train'", read="'abcdef'")  # whatever the split
    assert (train, held_out) == (list("abcd"), list("ef"))
    assert "the last tasks are held out instead" in " ".join(said)


def test_loading_that_lasts_is_told_with_its_line(
    load: Load, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("remote.rollouts.episode_loop.REPORT_EVERY", 0.2)
    read = "[__import__('time').sleep(1.0), 'a'][1:]"
    load("n: int = 1", read=read, examples=0)
    assert any("has been loading for" in line and "in load" in line for line in said), said
