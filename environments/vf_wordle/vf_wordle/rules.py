"""The game: marks on a guess, what hard mode refuses, and how a game goes on.

Pure: no verifiers, no files. What a reply says is `replies`'; what a game is worth is `scoring`'s; what
is said to the player is `prompts`'; which words exist is `words`'.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container
from dataclasses import dataclass, field

from vf_wordle.replies import Reply, ReplyForm, read_reply

LENGTH = 5
"""Letters of a word in the game as most people know it."""
GREEN, YELLOW, GREY = "G", "Y", "X"


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


def unused_hint(guess: str, earlier: str, marks: str) -> str | None:
    """The first thing that marks on an earlier guess tell and a guess of that length leaves unused.

    Each green has to stay in its place, and each letter to occur as often as it was found. None where
    nothing is left unused.
    """
    for place, (letter, mark) in enumerate(zip(earlier, marks, strict=True)):
        if mark == GREEN and guess[place] != letter:
            return f"letter {place + 1} is {letter}"
    found = Counter(letter for letter, mark in zip(earlier, marks, strict=True) if mark != GREY)
    for letter, times in found.items():
        if guess.count(letter) < times:
            return f"{letter} is in the word" if times == 1 else f"{letter} is in the word {times} times"
    return None


@dataclass(frozen=True)
class Turn:
    """One reply, judged."""

    reply: Reply
    repeated: bool
    """The same was said earlier in this game: it earns nothing."""
    marks: str | None
    """Feedback, where the guess was accepted, a word of the list; else None."""
    unused: str | None = None
    """In hard mode, where the guess was refused for it: the hint that it leaves unused."""

    @property
    def solved(self) -> bool:
        """Whether it was the answer."""
        return self.marks is not None and set(self.marks) == {GREEN}


@dataclass
class Game:
    """One game in progress: at most `limit` replies to find `answer`."""

    answer: str
    limit: int
    form: ReplyForm
    words: Container[str]
    """The words that may be guessed, of the answer's length."""
    hard_mode: bool = False
    """Whether a guess has to use what earlier marks tell."""
    thinking: bool = False
    """Whether a reply begins with a thought."""
    turns: list[Turn] = field(default_factory=list)
    _said: set[str] = field(default_factory=set)

    def play(self, text: str) -> Turn:
        """Judge the next reply; whatever it is, it takes a turn."""
        reply = read_reply(text, self.form, len(self.answer), self.thinking)
        said = reply.word or " ".join(text.lower().split())
        turn = self._judge(reply, said in self._said)
        self._said.add(said)
        self.turns.append(turn)
        return turn

    def _judge(self, reply: Reply, repeated: bool) -> Turn:
        word = reply.word
        if word is None or len(word) != len(self.answer) or word not in self.words:
            return Turn(reply, repeated, None)
        if self.hard_mode and (unused := self._unused_hint(word)):
            return Turn(reply, repeated, None, unused)
        return Turn(reply, repeated, feedback(word, self.answer))

    def _unused_hint(self, guess: str) -> str | None:
        # The last accepted guess used all that was known before it, so its marks tell it again.
        for turn in reversed(self.turns):
            if turn.reply.word and turn.marks:
                return unused_hint(guess, turn.reply.word, turn.marks)
        return None

    @property
    def solved(self) -> bool:
        """Whether the answer was found."""
        return bool(self.turns) and self.turns[-1].solved

    @property
    def over(self) -> bool:
        """Whether no reply is to follow."""
        return self.solved or len(self.turns) >= self.limit
