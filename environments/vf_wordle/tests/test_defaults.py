"""The game as it is without options: prompts, answers and rewards, byte for byte.

Configs and measured learning runs rest on them. Whoever changes them on purpose measures again, and
then writes the new digest here.
"""

from __future__ import annotations

import hashlib
import importlib
import itertools
import random
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
prompts, rules, scoring, words = (
    importlib.import_module(f"vf_wordle.{name}") for name in ("prompts", "rules", "scoring", "words")
)

CHATTER = (
    "",
    "no",
    "I think it is crane",
    "<think>crane</think> slate",
    "<think><guess>crane</guess></think>",
    "zzzzz",
    "<guess>two words</guess>",
    "Heart.",
)
DIGEST = "e1063b561e4ab0614437c3d4f0a4e8961ce8ffe4247453c52a57c2a84ebcf701"


def said_and_earned() -> Iterator[str]:
    """Everything that the player is told, and what each game is worth, in a fixed order."""
    chance = random.Random(5)
    yield repr(sorted(scoring.WEIGHTS.items()))
    settings = itertools.product(("tagged", "plain"), (1, 3, 6), (False, True), ("word", "letter"))
    for form, turns, hint, by in settings:
        yield prompts.system(form, turns)
        for answer in words.tasks("eval", by, seed=turns, limit=60):
            yield prompts.opening(answer, turns, hint)
            yield from (prompts.example_reply(word, form) for word in words.examples(answer, 5, by))
            game = rules.Game(answer, turns, form, words.guesses())
            while not game.over:
                word = chance.choice([answer, *chance.sample(words.answers(), 3)])
                reply = chance.choice([f"So: <guess>{word}</guess>", word, chance.choice(CHATTER)])
                yield prompts.answer_to(game.play(reply), game)
            yield repr(sorted({**scoring.score(game, hint), **scoring.metrics(game)}.items()))


def test_the_game_without_options_stays_as_it_is_byte_for_byte() -> None:
    assert hashlib.sha256("\n".join(said_and_earned()).encode()).hexdigest() == DIGEST
