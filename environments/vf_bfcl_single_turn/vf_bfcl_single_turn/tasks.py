"""Questions as tasks: what a task holds, its prompt and its rewards.

Owns everything that questions about functions have in common, wherever they come from; `vf_tool_test` makes
its own into the same tasks. How functions reach the model as tools is `env`'s.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import verifiers.v1 as vf
from pydantic import Field, field_validator

from vf_bfcl_single_turn import parser, prompts, scoring, tools
from vf_bfcl_single_turn.entries import Entry

Chat = list[dict[str, str]]
_TURN = ("user", "assistant")


class FunctionCallingConfig(vf.TasksetConfig):
    """Options of every taskset of questions about functions."""

    tools: Literal["native", "prompt"] = "native"
    """`native`: the request's tools, called by the server's tool parser. `prompt`: described beside the
    question, called in text."""
    describe: prompts.Form = "json"
    """How functions are described in the prompt: `json`, whole, or `signatures`, as Python has them: a third
    of the tokens, for small models."""
    examples: int = Field(0, ge=0, le=prompts.MOST_EXAMPLES)
    """Worked examples, each a turn before the question; only where the functions are in the prompt."""
    num_tasks: int | None = Field(None, ge=1)
    """At most this many tasks."""
    seed: int = 0
    """Decides the order of tasks."""
    weights: dict[str, float] = Field(default_factory=dict)
    """Weights of reward parts that differ from the defaults: correct, format, functions, arguments."""

    @field_validator("weights")
    @classmethod
    def _weights_fit(cls, given: dict[str, float]) -> dict[str, float]:
        return scoring.check_weights(given)


class BfclData(vf.TaskData):
    """A task as it is recorded; the ground truth is not part of the prompt."""

    category: str
    functions: list[dict[str, Any]]
    ground_truth: list[dict[str, Any]]
    tools: list[dict[str, Any]] = Field(default_factory=list)
    """What the request offers as tools; empty where the functions are in the prompt."""


class BfclTask(vf.Task[BfclData, vf.State, vf.TaskConfig]):
    """One question, judged by the calls of the one reply."""

    def hooks(self, attr: str) -> list[Any]:
        """As verifiers has them, without rewards that weigh nothing: those are metrics only."""
        return [hook for hook in super().hooks(attr) if getattr(hook, "_vf_weight", 1.0) != 0]

    @vf.stop
    async def answered(self, trace: vf.Trace) -> bool:
        """A single turn: a harness that goes on by itself is stopped at its second request."""
        return trace.num_turns >= 1

    @vf.reward(weight=scoring.WEIGHTS["correct"])
    async def correct(self, trace: vf.Trace) -> float:
        """Whether the calls are right: 1 or 0."""
        return self._score(trace).correct

    @vf.reward(weight=scoring.WEIGHTS["format"])
    async def format(self, trace: vf.Trace) -> float:
        """How cleanly calls are written."""
        return self._score(trace).format

    @vf.reward(weight=scoring.WEIGHTS["functions"])
    async def functions(self, trace: vf.Trace) -> float:
        """The share of calls that go to the right functions."""
        return self._score(trace).functions

    @vf.reward(weight=scoring.WEIGHTS["arguments"])
    async def arguments(self, trace: vf.Trace) -> float:
        """The share of arguments that have a right value."""
        return self._score(trace).arguments

    @vf.metric
    async def reading(self, trace: vf.Trace) -> dict[str, float]:
        """What is worth watching beside `correct`, whether it is weighed or not."""
        score = self._score(trace)
        parts = {name: getattr(score, name) for name in scoring.WEIGHTS if name != "correct"}
        return {**parts, "calls": float(score.calls)}

    def _score(self, trace: vf.Trace) -> scoring.Score:
        data = self.data
        if data.tools and not trace.tools:
            raise RuntimeError("the functions were not offered as tools: set tools to prompt")
        replies = [message for message in trace.messages if message.role == "assistant"]
        reply = replies[-1] if replies else vf.AssistantMessage()
        native = [(call.name, call.arguments) for call in reply.tool_calls or []]
        entry = Entry(data.id or "", data.category, [], data.functions, data.ground_truth)
        return scoring.score(entry, parser.read(reply.content or "", native), bool(data.tools))


def make_tasks(entries: Iterable[Entry], config: FunctionCallingConfig) -> list[BfclTask]:
    """A task for each question, as the options want it."""
    task_config = _task_config(config)
    return [BfclTask(_data(entry, config), task_config) for entry in entries]


def _task_config(config: FunctionCallingConfig) -> vf.TaskConfig:
    """The task's own config, with the weights as verifiers changes those of rewards."""
    given = config.task
    weights = scoring.check_weights(config.weights)
    rewards = {name: {"weight": weight} for name, weight in weights.items()}
    return type(given).model_validate({**given.model_dump(), "rewards": {**rewards, **given.rewards}})


def _data(entry: Entry, config: FunctionCallingConfig) -> BfclData:
    native = config.tools == "native"
    said, messages = _without_system(entry.messages)
    if not native:
        said, messages = _with_functions(entry, said, messages, config)
    return BfclData(
        id=entry.id,
        name=entry.id,
        category=entry.category,
        functions=entry.functions,
        ground_truth=entry.ground_truth,
        tools=tools.as_tools(entry.functions) if native else [],
        system_prompt=said or None,
        prompt=_prompt(messages),
    )


def _with_functions(
    entry: Entry, said: str, messages: Chat, config: FunctionCallingConfig
) -> tuple[str, Chat]:
    form = config.describe
    task = prompts.system(form)
    first, *others = messages
    shown = prompts.examples(config.examples, form)
    return f"{task}\n\n{said}" if said else task, [
        *({"role": role, "content": text} for turn in shown for role, text in zip(_TURN, turn, strict=True)),
        {**first, "content": prompts.request(entry.functions, first["content"], form)},
        *others,
    ]


def _without_system(messages: Chat) -> tuple[str, Chat]:
    if messages[0]["role"] == "system":
        return messages[0]["content"], messages[1:]
    return "", messages


def _prompt(messages: Chat) -> str | vf.Messages:
    if len(messages) == 1 and messages[0]["role"] == "user":
        return messages[0]["content"]
    kinds = {"user": vf.UserMessage, "assistant": vf.AssistantMessage}
    return [kinds[message["role"]](content=message["content"]) for message in messages]
