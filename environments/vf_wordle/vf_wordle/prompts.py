"""What is said to the player: rules, opening, feedback.

Prompts are short on purpose: every token of a prompt is computed again for each completion of a
training step, and on a CPU that is most of the time.
"""

from __future__ import annotations

from vf_wordle.rules import LENGTH, Game, ReplyForm, Turn

_TAGGED = "Give one guess in each reply, between tags: <guess>word</guess>"
_RULES = (
    "Find the hidden five-letter English word in {turns} guesses. Each letter of a guess is marked: G, right "
    "letter in the right place; Y, in the word but elsewhere; X, not in the word, or no more of it. "
)
_SHORT_RULES = (
    "Wordle. Reply with one five-letter word. I mark each letter: G right place, Y elsewhere, X absent."
)


def system(form: ReplyForm, turns: int) -> str:
    """The system message. There always is one: some chat templates put in a long one of their own."""
    if form == "plain":
        return _SHORT_RULES if turns > 1 else "Answer with one five-letter word."
    return (_RULES.format(turns=turns) if turns > 1 else "Name a five-letter word. ") + _TAGGED


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
    return f"{_judgement(turn)}\nGuess {len(game.turns) + 1} of {game.limit}."


def _judgement(turn: Turn) -> str:
    word = turn.reply.word
    if word is None:
        return "I see no single guess in that."
    if turn.repeated:
        return f"You said {word} before."
    if turn.marks is None:
        return (
            f"{word} is not in the word list." if len(word) == LENGTH else f"{word} has {len(word)} letters."
        )
    return f"{' '.join(word)}\n{' '.join(turn.marks)}"
