"""Options of the environment, and the tasks that they make: one hidden word each.

Owns what a task holds and the prompt that opens it. How it is played is `env`'s.
"""

from __future__ import annotations

import verifiers.v1 as vf
from pydantic import Field, ValidationInfo, field_validator

from vf_wordle import prompts, scoring, words
from vf_wordle.replies import ReplyForm
from vf_wordle.rules import LENGTH

MOST_EXAMPLES = 5


class VfWordleConfig(vf.TasksetConfig):
    """Options; the defaults are the full game."""

    split: words.Split = "train"
    """Which answers are played: those to train on, or those held out."""
    split_by: words.SplitBy = "word"
    """Hold out single words, or all words with certain first letters (the prompts then differ too)."""
    word_length: int = Field(LENGTH, ge=4, le=7)
    """Letters of the hidden word and of a guess, 4 to 7."""
    turns: int = Field(6, ge=1, le=10)
    """Replies in a game. With 1 and a hint it shrinks to naming a word that starts with a letter."""
    first_letter_hint: bool = False
    """Tell the answer's first letter, and reward guesses that keep to it."""
    hard_mode: bool = False
    """Guesses must use what was marked before: one that does not is refused, and takes a turn."""
    reply: ReplyForm = "tagged"
    """`tagged`: `<guess>crane</guess>` somewhere in the reply. `plain`: the word alone."""
    thinking: bool = False
    """Ask for a thought in `<think>` tags first, and read only what follows it."""
    examples: int = Field(0, ge=0, le=MOST_EXAMPLES)
    """Worked examples in the prompt, each a user message and a reply, with other words."""
    num_tasks: int | None = Field(None, ge=1)
    """At most this many tasks."""
    seed: int = 0
    """Decides the order of the tasks."""
    weights: dict[str, float] = Field(default_factory=dict)
    """Weights of reward parts that differ from the defaults: solved, turns, letters, real_word,
    format, first_letter."""

    @field_validator("hard_mode")
    @classmethod
    def _hard_mode_fits(cls, given: bool, info: ValidationInfo) -> bool:
        if given and info.data.get("turns") == 1:
            raise ValueError("hard mode needs turns of 2 or more: it is about guesses that follow marks")
        return given

    @field_validator("examples")
    @classmethod
    def _examples_fit(cls, given: int, info: ValidationInfo) -> int:
        if given and info.data.get("thinking"):
            raise ValueError("examples show no thoughts: leave them at 0, or thinking at false")
        return given

    @field_validator("weights")
    @classmethod
    def _weights_fit(cls, given: dict[str, float]) -> dict[str, float]:
        return scoring.check_weights(given)


class WordleData(vf.TaskData):
    """A task as it is recorded; the answer is not part of the prompt."""

    answer: str


class WordleTask(vf.Task[WordleData, vf.State, vf.TaskConfig]):
    """One hidden word. Rewards are recorded by the environment, which has seen the game."""


class VfWordleTaskset(vf.Taskset[WordleTask, VfWordleConfig]):
    """One task for each answer of the split."""

    def load(self) -> list[WordleTask]:
        """All tasks, in the seed's order."""
        config = self.config
        chosen = words.tasks(config.split, config.split_by, config.seed, config.num_tasks, config.word_length)
        return [WordleTask(self._data(answer), config.task) for answer in chosen]

    def _data(self, answer: str) -> WordleData:
        config = self.config
        return WordleData(
            answer=answer,
            name=answer,
            system_prompt=prompts.system(
                config.reply, config.turns, config.word_length, config.hard_mode, config.thinking
            ),
            prompt=self._prompt(answer),
        )

    def _prompt(self, answer: str) -> str | vf.Messages:
        config = self.config
        messages: vf.Messages = []
        for word in words.examples(answer, config.examples, config.split_by):
            opening = prompts.opening(word, config.turns, config.first_letter_hint)
            messages.append(vf.UserMessage(content=opening))
            messages.append(vf.AssistantMessage(content=prompts.example_reply(word, config.reply)))
        opening = prompts.opening(answer, config.turns, config.first_letter_hint)
        return [*messages, vf.UserMessage(content=opening)] if messages else opening
