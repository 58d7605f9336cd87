"""What is said to the player: rules, opening, feedback.

Prompts are short on purpose: every token of a prompt is computed again for each completion of a
training step, and on a CPU that is most of the time.
"""

from __future__ import annotations

from vf_wordle.replies import THOUGHT_ENDS, ReplyForm
from vf_wordle.rules import LENGTH, Game, Turn

_NUMBERS = {4: "four", 5: "five", 6: "six", 7: "seven"}
_TAGGED = "Give one guess in each reply, between tags: <guess>word</guess>"
_RULES = (
    "Find the hidden {number}-letter English word in {turns} guesses. Each letter of a guess is marked: G, "
    "right letter in the right place; Y, in the word but elsewhere; X, not in the word, or no more of it. "
)
_SHORT_RULES = (
    "Wordle. Reply with one {number}-letter word. I mark each letter: G right place, Y elsewhere, X absent."
)
_HARD_MODE = "\nHard mode: each guess must keep every G in its place and use every Y."
_THINKING = f"\nFirst think, between tags: <think>your thoughts{THOUGHT_ENDS}"


def system(
    form: ReplyForm, turns: int, length: int = LENGTH, hard_mode: bool = False, thinking: bool = False
) -> str:
    """The system message. There always is one: some chat templates put in a long one of their own."""
    text = _tagged(turns, length) if form == "tagged" else _plain(turns, length)
    return text + (_HARD_MODE if hard_mode else "") + (_THINKING if thinking else "")


def _plain(turns: int, length: int) -> str:
    text = _SHORT_RULES if turns > 1 else "Answer with one {number}-letter word."
    return text.format(number=_NUMBERS[length])


def _tagged(turns: int, length: int) -> str:
    text = _RULES if turns > 1 else "Name a {number}-letter word. "
    return text.format(number=_NUMBERS[length], turns=turns) + _TAGGED


def opening(answer: str, turns: int, hint: bool) -> str:
    """The first user message; with a hint it names the answer's first letter."""
    letter = answer[0].upper()
    if turns == 1:
        return f"Starts with {letter}:" if hint else "Any word:"
    return f"Guess 1 of {turns}. It starts with {letter}." if hint else f"Guess 1 of {turns}."


def example_reply(word: str, form: ReplyForm) -> str:
    """A reply as it should be, for an example in the prompt."""
    return f"<guess>{word}</guess>" if form == "tagged" else word


def answer_to(turn: Turn, game: Game) -> str:
    """The user message after a reply that did not end the game."""
    return f"{_judgement(turn, game)}\nGuess {len(game.turns) + 1} of {game.limit}."


def _judgement(turn: Turn, game: Game) -> str:
    word = turn.reply.word
    if word is None:
        return f"I see no single guess {f'after {THOUGHT_ENDS}' if game.thinking else 'in that'}."
    if turn.repeated:
        return f"You said {word} before."
    if turn.unused is not None:
        return f"{word} breaks hard mode: {turn.unused}."
    if turn.marks is not None:
        return f"{' '.join(word)}\n{' '.join(turn.marks)}"
    return (
        f"{word} is not in the word list."
        if len(word) == len(game.answer)
        else f"{word} has {len(word)} letters."
    )
