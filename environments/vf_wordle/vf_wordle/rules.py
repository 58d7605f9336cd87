"""The game: marks on a guess, what a reply says, and how a game goes on.

Pure: no verifiers, no files. What a game is worth is `scoring`'s; what is said to the player is
`prompts`'; which words exist is `words`'.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Container
from dataclasses import dataclass, field
from typing import Literal

LENGTH = 5
GREEN, YELLOW, GREY = "G", "Y", "X"
ReplyForm = Literal["tagged", "plain"]

_TAG = re.compile(r"<guess>(.*?)</guess>", re.DOTALL | re.IGNORECASE)
_ALONE = re.compile(r"[\s\"'`*_(\[]*([A-Za-z]+)[\s\"'`*_)\].,;:!?]*")


def feedback(guess: str, answer: str) -> str:
    """One mark a letter, such as `GYXXX`: right place, elsewhere in the answer, no more of it there.

    Greens are given first; yellows then go from left to right, to as many copies of a letter as the
    answer has left. Raises `ValueError` where the lengths differ.
    """
    left = Counter(a for g, a in zip(guess, answer, strict=True) if g != a)
    marks = []
    for g, a in zip(guess, answer, strict=True):
        if g == a:
            marks.append(GREEN)
        elif left[g] > 0:
            left[g] -= 1
            marks.append(YELLOW)
        else:
            marks.append(GREY)
    return "".join(marks)


@dataclass(frozen=True)
class Reply:
    """What a player's reply says."""

    word: str | None
    """The one word it offers, in lower case and of any length; None where there is no such word."""
    form: float
    """How close the reply is to the form that was asked for, 0 to 1; 1 means one five-letter word."""


def read_reply(text: str, form: ReplyForm) -> Reply:
    """Find the guess in a reply: between `<guess>` tags, or the whole of a plain one."""
    return _read_tagged(text) if form == "tagged" else _read_plain(text)


def _read_plain(text: str) -> Reply:
    match = _ALONE.fullmatch(text)
    if match is not None:
        word = match[1].lower()
        return Reply(word, 1.0 if len(word) == LENGTH else 0.5)
    # A chatty reply earns a little more the fewer words it has: a small model writes sentences at
    # first, and a part that is 0 for all of them would teach it nothing.
    words = len(text.split())
    return Reply(None, 0.5 / max(words, 2) if words else 0.0)


def _read_tagged(text: str) -> Reply:
    found = _TAG.findall(text)
    if not found:
        return Reply(None, 0.0)
    match = re.fullmatch(r"\s*([A-Za-z]+)\s*", found[0])
    if len(found) > 1 or match is None:
        return Reply(None, 0.25)  # several guesses at once are no guess
    word = match[1].lower()
    return Reply(word, 1.0 if len(word) == LENGTH else 0.5)


@dataclass(frozen=True)
class Turn:
    """One reply, judged."""

    reply: Reply
    repeated: bool
    """The same was said earlier in this game: it earns nothing."""
    marks: str | None
    """Feedback, where the reply was a word of the list; else None."""

    @property
    def solved(self) -> bool:
        """Whether it was the answer."""
        return self.marks == GREEN * LENGTH


@dataclass
class Game:
    """One game in progress: at most `limit` replies to find `answer`."""

    answer: str
    limit: int
    form: ReplyForm
    words: Container[str]
    """The words that may be guessed."""
    turns: list[Turn] = field(default_factory=list)
    _said: set[str] = field(default_factory=set)

    def play(self, text: str) -> Turn:
        """Judge the next reply; whatever it is, it takes a turn."""
        reply = read_reply(text, self.form)
        said = reply.word or " ".join(text.lower().split())
        real = reply.word is not None and len(reply.word) == LENGTH and reply.word in self.words
        marks = feedback(reply.word, self.answer) if real and reply.word else None
        turn = Turn(reply, repeated=said in self._said, marks=marks)
        self._said.add(said)
        self.turns.append(turn)
        return turn

    @property
    def solved(self) -> bool:
        """Whether the answer was found."""
        return bool(self.turns) and self.turns[-1].solved

    @property
    def over(self) -> bool:
        """Whether no reply is to follow."""
        return self.solved or len(self.turns) >= self.limit
