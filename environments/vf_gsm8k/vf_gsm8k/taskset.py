"""Options of the environment, and the tasks that they make: one problem each.

Owns what a task holds, its prompt and its rewards.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Literal

import verifiers.v1 as vf
from pydantic import Field, field_validator, model_validator

from vf_gsm8k import generators, problems, prompts, real, scoring
from vf_gsm8k.numbers import read_number
from vf_gsm8k.problems import Problem
from vf_gsm8k.replies import Form


class VfGsm8kConfig(vf.TasksetConfig):
    """Options; the defaults are a thousand word problems that reasoning-gym generates."""

    source: Literal["gsm_symbolic", "chain_sum", "gsm8k"] = "gsm_symbolic"
    """`gsm_symbolic`: word problems of GSM8K's kind, generated. `chain_sum`: sums, generated. `gsm8k`: GSM8K
    itself, where the Hugging Face hub can be reached."""
    split: problems.Split = "train"
    """Problems to train on, or those held out."""
    split_by: Literal["template", "question"] = "template"
    """Of `gsm_symbolic`: hold out whole templates, words and all, or only questions with other numbers."""
    terms: int = Field(2, ge=2, le=6)
    """Of `chain_sum`: the most numbers in a sum."""
    digits: int = Field(1, ge=1, le=4)
    """Of `chain_sum`: the most digits of a number."""
    max_steps: int | None = Field(None, ge=1)
    """Of word problems: leave out those whose worked solution has more lines."""
    reply: Form = "boxed"
    """Where the answer stands: `boxed`, in `\\boxed{}`; `tagged`, in `<answer>` tags; `plain`, alone;
    `equation`, of `chain_sum`, after the sum and an equals sign."""
    examples: int = Field(0, ge=0, le=prompts.MOST_EXAMPLES)
    """Worked examples, each a turn before the problem."""
    num_tasks: int = Field(1000, ge=1)
    """At most this many tasks; easy sources have fewer."""
    seed: int = 0
    """Decides which problems are generated, and their order."""
    weights: dict[str, float] = Field(default_factory=dict)
    """Weights of reward parts that differ from the defaults: correct, format."""

    @model_validator(mode="after")
    def _sums_are_equations(self) -> VfGsm8kConfig:
        if self.reply == "equation" and self.source != "chain_sum":
            raise ValueError("reply: equation is for source: chain_sum; others take boxed, tagged or plain")
        return self

    @field_validator("weights")
    @classmethod
    def _weights_fit(cls, given: dict[str, float]) -> dict[str, float]:
        return scoring.check_weights(given)


class Gsm8kData(vf.TaskData):
    """A task as it is recorded; answer and working are not part of the prompt."""

    answer: str
    working: str
    reply: Form


class Gsm8kTask(vf.Task[Gsm8kData, vf.State, vf.TaskConfig]):
    """One problem, judged by the one reply."""

    def hooks(self, attr: str) -> list[Any]:
        """As verifiers has them, without rewards that weigh nothing: those are metrics only."""
        return [hook for hook in super().hooks(attr) if getattr(hook, "_vf_weight", 1.0) != 0]

    @vf.stop
    async def answered(self, trace: vf.Trace) -> bool:
        """A single turn: a harness that goes on by itself is stopped at its second request."""
        return trace.num_turns >= 1

    @vf.reward(weight=scoring.WEIGHTS["correct"])
    async def correct(self, trace: vf.Trace) -> float:
        """Whether the number is right: 1 or 0."""
        return self._score(trace)["correct"]

    @vf.reward(weight=scoring.WEIGHTS["format"])
    async def format(self, trace: vf.Trace) -> float:
        """How close the reply is to the form asked for."""
        return self._score(trace)["format"]

    @vf.metric
    async def reading(self, trace: vf.Trace) -> dict[str, float]:
        """What is worth watching beside `correct`, whether it is weighed or not."""
        return {"format": self._score(trace)["format"]}

    def _score(self, trace: vf.Trace) -> dict[str, float]:
        replies = [message for message in trace.messages if message.role == "assistant"]
        text = (replies[-1].content or "") if replies else ""
        return scoring.score(text, _number(self.data.answer), self.data.reply)


class VfGsm8kTaskset(vf.Taskset[Gsm8kTask, VfGsm8kConfig]):
    """One task for each problem that the options choose."""

    def load(self) -> list[Gsm8kTask]:
        """All tasks, in the seed's order."""
        task_config = self._task_config()
        return [Gsm8kTask(self._data(problem), task_config) for problem in self._problems()]

    def _problems(self) -> list[Problem]:
        config = self.config
        if config.source == "gsm8k":
            every = problems.shuffled(real.gsm8k(config.split), config.seed)
            most = config.max_steps
            return [p for p in every if most is None or p.steps <= most][: config.num_tasks]
        if config.source == "chain_sum":
            source = generators.chain_sum(config.seed, config.terms, config.digits)
            return problems.choose(source, config.split, config.num_tasks)
        source = generators.gsm_symbolic(config.seed, config.split_by == "question")
        return problems.choose(source, config.split, config.num_tasks, config.max_steps)

    def _task_config(self) -> vf.TaskConfig:
        """The task's own config, with the weights as verifiers changes those of rewards."""
        given = self.config.task
        weights = scoring.check_weights(self.config.weights)
        rewards = {name: {"weight": weight} for name, weight in weights.items()}
        return type(given).model_validate({**given.model_dump(), "rewards": {**rewards, **given.rewards}})

    def _data(self, problem: Problem) -> Gsm8kData:
        form = self.config.reply
        _number(problem.answer)
        return Gsm8kData(
            answer=problem.answer,
            working=problem.working,
            reply=form,
            name=problem.name,
            system_prompt=prompts.system(form),
            prompt=self._prompt(problem),
        )

    def _prompt(self, problem: Problem) -> str | vf.Messages:
        config = self.config
        messages: vf.Messages = []
        for example in prompts.examples(problem, config.examples, config.source == "chain_sum"):
            messages.append(vf.UserMessage(content=example.question))
            messages.append(vf.AssistantMessage(content=prompts.example_reply(example, config.reply)))
        return [*messages, vf.UserMessage(content=problem.question)] if messages else problem.question


def _number(answer: str) -> Fraction:
    number = read_number(answer)
    if number is None:
        raise ValueError(f"the data's own answer {answer!r} is no number")
    return number
