"""The words: what may be guessed, what may be the answer, and which answers are held out.

The lists are SCOWL's (see data/SCOWL-COPYRIGHT), cut down to words of 4 to 7 lower-case letters.
"""

from __future__ import annotations

import hashlib
import random
from functools import cache
from importlib import resources
from typing import Literal

from vf_wordle.rules import LENGTH

Split = Literal["train", "eval"]
SplitBy = Literal["word", "letter"]

HELD_OUT_LETTERS = frozenset("dlmt")
"""First letters of the evaluation words when the split is by letter: about a fifth of all answers."""
_EXAMPLES = {
    4: ("bird", "rain", "snow", "hand", "king", "wolf", "gold"),
    5: ("bread", "house", "plant", "river", "green", "apple", "sound", "water", "fruit", "chair"),
    6: ("bridge", "window", "summer", "pocket", "rabbit", "forest", "orange"),
    7: ("kitchen", "weather", "husband", "freedom", "picture", "blanket", "rainbow"),
}


@cache
def guesses(length: int = LENGTH) -> frozenset[str]:
    """Every word of so many letters that may be guessed; all answers are among them."""
    return frozenset(_words("guesses.txt", length))


@cache
def answers(length: int = LENGTH) -> tuple[str, ...]:
    """Every word of so many letters that may be the answer, in alphabetical order."""
    return tuple(_words("answers.txt", length))


def split_of(word: str, by: SplitBy = "word") -> Split:
    """Which split an answer belongs to, the same on every machine.

    By word, a fifth of the answers is held out, chosen by a hash. By letter, whole first letters are,
    so that a prompt with a first-letter hint is itself one that the training never showed.
    """
    if by == "letter":
        return "eval" if word[0] in HELD_OUT_LETTERS else "train"
    return "eval" if hashlib.sha256(word.encode()).digest()[0] % 5 == 0 else "train"


def tasks(
    split: Split, by: SplitBy = "word", seed: int = 0, limit: int | None = None, length: int = LENGTH
) -> list[str]:
    """The answers of a split, in an order that the seed decides."""
    chosen = [word for word in answers(length) if split_of(word, by) == split]
    random.Random(seed).shuffle(chosen)
    return chosen[:limit]


def examples(answer: str, count: int, by: SplitBy = "word") -> list[str]:
    """Training words to show in a prompt, as long as the answer; none begins like it, or gives it away.

    Raises `ValueError` where fewer than `count` are left.
    """
    fit = [w for w in _EXAMPLES[len(answer)] if w[0] != answer[0] and split_of(w, by) == "train"]
    if len(fit) < count:
        raise ValueError(f"at most {len(fit)} examples can be shown for {answer!r}, not {count}")
    return fit[:count]


def _words(name: str, length: int) -> list[str]:
    lines = resources.files("vf_wordle").joinpath("data", name).read_text(encoding="ascii").split()
    return [word for word in lines if len(word) == length]
