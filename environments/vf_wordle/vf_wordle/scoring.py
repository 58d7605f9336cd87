"""What a game is worth: named reward parts, each from 0 to 1, and their weights.

Owns the promise that solving beats everything and that a wrong answer cannot farm the other parts:
`check_weights` refuses weights that would break it. Recording is left to `env`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from vf_wordle.rules import GREEN, YELLOW, Game, Turn

WEIGHTS: Mapping[str, float] = MappingProxyType(
    {
        "solved": 1.0,  # found the answer
        "turns": 0.2,  # early
        "letters": 0.2,  # how much of the answer the best guess shows
        "real_word": 0.2,  # guesses are words of the list
        "format": 0.1,  # replies have the form that was asked for
        "first_letter": 0.5,  # guesses keep to the hint; only where there is one
    }
)


def check_weights(given: Mapping[str, float]) -> dict[str, float]:
    """The default weights with the given ones in their place; raises `ValueError` where they are unfit."""
    unknown = sorted(set(given) - set(WEIGHTS))
    if unknown:
        raise ValueError(f"no reward part is called {', '.join(unknown)}; there are {', '.join(WEIGHTS)}")
    weights = {**WEIGHTS, **given}
    negative = [name for name, weight in weights.items() if not 0 <= weight < float("inf")]
    if negative:
        raise ValueError(f"a weight is 0 or more: {', '.join(negative)}")
    rest = weights["real_word"] + weights["format"] + weights["first_letter"]
    if weights["solved"] <= 0 or weights["solved"] < rest:
        raise ValueError(
            f"the weight of solved ({weights['solved']:g}) must be above 0 and no less than "
            f"real_word, format and first_letter together ({rest:g}), or a wrong answer could be worth more"
        )
    return weights


def score(game: Game, hint: bool = False) -> dict[str, float]:
    """Reward parts of a finished game, by name; `first_letter` only with a hint.

    `real_word`, `format` and `first_letter` are means over the turns that the game allows: a turn that
    a solved game no longer needs counts as good, a repeated reply as nothing, and a guess that hard
    mode refuses as no word.
    """
    parts = {
        "solved": float(game.solved),
        "turns": (game.limit - len(game.turns) + 1) / game.limit if game.solved else 0.0,
        "letters": max((_letters(turn, hint) for turn in game.turns), default=0.0),
        "real_word": _mean(game, lambda turn: float(turn.marks is not None)),
        "format": _mean(game, lambda turn: turn.reply.form),
    }
    if hint:
        parts["first_letter"] = _mean(game, lambda turn: _first_letter(turn, game.answer))
    return parts


def metrics(game: Game) -> dict[str, float]:
    """Counts that are worth watching but earn nothing; `refused` only in hard mode."""
    counts = {
        "turns_used": len(game.turns),
        "repeated": sum(turn.repeated for turn in game.turns),
        "not_words": sum(turn.marks is None and turn.unused is None for turn in game.turns),
    }
    if game.hard_mode:
        counts["refused"] = sum(turn.unused is not None for turn in game.turns)
    return {name: float(count) for name, count in counts.items()}


def _mean(game: Game, worth: Callable[[Turn], float]) -> float:
    earned = sum(worth(turn) for turn in game.turns if not turn.repeated)
    spared = game.limit - len(game.turns) if game.solved else 0
    return (earned + spared) / game.limit


def _letters(turn: Turn, hint: bool) -> float:
    # The hinted letter is given away, so it says nothing about what the player found out.
    marks = (turn.marks or "")[1 if hint else 0 :]
    return sum({GREEN: 1.0, YELLOW: 0.5}.get(mark, 0.0) for mark in marks) / len(marks) if marks else 0.0


def _first_letter(turn: Turn, answer: str) -> float:
    word = turn.reply.word
    if word is None or not word.startswith(answer[0]):
        return 0.0
    if turn.marks is not None:
        return 1.0
    # Up to half for a word that is none yet: it can be learnt before real words are. The bare letter
    # earns nothing, or a policy would settle on repeating the hint.
    return 0.5 * max(0.0, 1 - abs(len(word) - len(answer)) / (len(answer) - 1))
