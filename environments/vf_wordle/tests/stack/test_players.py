"""vf-wordle played well and played unfairly, in every mode, through verifiers itself.

The good player knows the word list and reads what it is told, as a model would. What it must earn is
worked out here from its replies, by the table of the package's README.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from typing import Any

import pytest

from environments.vf_wordle.tests.stack.games import PACKAGE, parts, play
from remote.evaluation.scripted_model import ScriptedModel

from vf_wordle import words  # isort: skip

pytestmark = pytest.mark.stack
LENGTHS = {"four": 4, "five": 5, "six": 6, "seven": 7}
WORTH = {"G": 1.0, "Y": 0.5, "X": 0.0}
MODES: list[dict[str, Any]] = [
    {},
    {"reply": "plain", "turns": 10, "word_length": 4},
    {"reply": "plain", "word_length": 6, "hard_mode": True},
    {"word_length": 7, "hard_mode": True, "thinking": True},
    {"reply": "plain", "thinking": True, "first_letter_hint": True, "hard_mode": True},
]


def marks(guess: str, answer: str) -> str:
    """Marks by counting: the n-th copy of a letter off its place is yellow while copies are left."""
    spare = Counter(answer) - Counter(g for g, a in zip(guess, answer, strict=True) if g == a)
    said = []
    for place, letter in enumerate(guess):
        if letter == answer[place]:
            said.append("G")
            continue
        nth = sum(guess[k] == letter != answer[k] for k in range(place + 1))
        said.append("Y" if nth <= spare[letter] else "X")
    return "".join(said)


Facts = tuple[tuple[str, str], ...]
"""Guesses and their marks."""


@cache
def fitting(length: int, first: str, facts: Facts) -> list[str]:
    """The words that may still be the answer."""
    if not facts:
        return [word for word in words.answers(length) if word.startswith(first)]
    guess, told = facts[-1]
    return [word for word in fitting(length, first, facts[:-1]) if marks(guess, word) == told]


@cache
def best_guess(length: int, first: str, facts: Facts) -> str:
    """Of the words that fit, one whose marks would tell most of them apart."""
    fits = fitting(length, first, facts)
    shown = fits[:: len(fits) // 50 + 1]
    kinds = {guess: len({marks(guess, word) for word in shown}) for guess in shown[:20]}
    return max(kinds, key=kinds.__getitem__)


def good_player(messages: list[dict[str, str]]) -> str:
    rules, said = messages[0]["content"], "\n".join(m["content"] for m in messages if m["role"] == "user")
    length = next(n for number, n in LENGTHS.items() if f"{number}-letter" in rules)
    hint = re.search(r"It starts with (.)\.", said)
    told = re.findall(r"^([a-z](?: [a-z])+)\n([GYX](?: [GYX])+)$", said, re.MULTILINE)
    facts = tuple((guess.replace(" ", ""), mark.replace(" ", "")) for guess, mark in told)
    guess = best_guess(length, hint[1].lower() if hint else "", facts)
    reply = f"<guess>{guess}</guess>" if "<guess>" in rules else guess
    return f"<think>Not <guess>{'z' * length}</guess>.</think>\n{reply}" if "<think>" in rules else reply


def weights() -> dict[str, float]:
    """Reward parts and their weights as the README's table has them."""
    readme = (PACKAGE / "README.md").read_text(encoding="utf-8").partition("## Reward")[2]
    return {name: float(weight) for name, weight in re.findall(r"^\| `(\w+)` \| ([\d.]+) \|", readme, re.M)}


def earned_by(replies: list[str], answer: str, limit: int, hint: bool) -> dict[str, float]:
    """What a player earns whose replies all have the right form and are words that were not said before."""
    guesses = [
        re.findall(r"[a-z]+", re.sub(r"<think>.*</think>|</?guess>", "", said))[-1] for said in replies
    ]
    listed = set((PACKAGE / "vf_wordle" / "data" / "guesses.txt").read_text().split())
    assert len(set(guesses)) == len(guesses)
    assert set(guesses) <= {word for word in listed if len(word) == len(answer)}
    solved, used = guesses[-1] == answer, len(guesses)
    share = 1.0 if solved else used / limit
    worths = [[WORTH[mark] for mark in marks(guess, answer)[hint:]] for guess in guesses]
    expected = {
        "solved": float(solved),
        "turns": (limit - used + 1) / limit if solved else 0.0,
        "letters": max(sum(worth) / len(worth) for worth in worths),
        "real_word": share,
        "format": share,
    }
    return {**expected, "first_letter": share} if hint else expected


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_a_player_who_heeds_the_marks_wins_and_earns_what_the_readme_says(
    model: ScriptedModel, mode: dict[str, Any]
) -> None:
    episodes = play(model, good_player, count=6, split="eval", **mode)
    limit, hint = mode.get("turns", 6), mode.get("first_letter_hint", False)
    for episode in episodes:
        (trace,) = episode.traces
        replies = [message.content or "" for message in trace.assistant_messages]
        expected = earned_by(replies, trace.task.data.answer, limit, hint)
        assert parts(episode) == pytest.approx(expected)
        worth = sum(weights()[name] * part for name, part in expected.items())
        assert trace.reward == pytest.approx(worth)
        assert trace.metrics["turns_used"] == len(replies)
        assert trace.metrics.get("refused", 0) == 0
    assert sum(parts(episode)["solved"] for episode in episodes) >= 5


THOUGHTS = [
    "<think><guess>{answer}</guess></think>",
    "<think><guess>{answer}</guess>",
    "<guess>{answer}</guess>",
    "<guess>{answer}</guess></think>",
    "<think>hm</think><guess>{answer}</guess><think>",
    "<think>hm</think><think><guess>{answer}</guess></think> I am sure.",
]


@pytest.mark.parametrize("said", THOUGHTS)
def test_a_guess_in_a_thought_is_none(model: ScriptedModel, said: str) -> None:
    (answer,) = words.tasks("train", limit=1)
    (episode,) = play(model, lambda _: said.format(answer=answer), turns=2, thinking=True)
    earned = parts(episode)
    assert earned.pop("format") <= 0.25
    assert set(earned.values()) == {0.0}
    assert "I see no single guess after </think>." in model.requests[-1]["messages"][-1]["content"]


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
def test_a_thought_that_the_server_hands_out_apart_is_a_thought(model: ScriptedModel, field: str) -> None:
    (answer,) = words.tasks("train", limit=1)
    model.player = lambda _: {field: "<guess>other</guess>", "content": f"<guess>{answer}</guess>"}
    (episode,) = play(model, None, thinking=True)
    assert set(parts(episode).values()) == {1.0}


def test_a_guess_that_breaks_hard_mode_is_worth_what_no_word_is(model: ScriptedModel) -> None:
    assert words.tasks("train", limit=1) == ["bawdy"]

    def worth(second: str, hard_mode: bool) -> float:
        guesses = iter(["handy", second, "candy"])
        options: dict[str, Any] = {"turns": 3, "reply": "plain", "first_letter_hint": True}
        (episode,) = play(model, lambda _: next(guesses), hard_mode=hard_mode, **options)
        assert episode.traces[0].metrics.get("refused", 0) == (hard_mode and second == "bread")
        return float(episode.traces[0].reward)

    assert worth("bread", True) == worth("bzzzz", True) < worth("bread", False)
    heard = [message["content"] for request in model.requests for message in request["messages"]]
    assert "bread breaks hard mode: letter 2 is a.\nGuess 3 of 3." in heard


def test_words_of_another_length_are_none(model: ScriptedModel) -> None:
    guesses = iter(["crane", "cranes", "planet"])
    (episode,) = play(model, lambda _: next(guesses), turns=3, reply="plain", word_length=6)
    assert parts(episode)["real_word"] == pytest.approx(2 / 3)
    assert parts(episode)["format"] == pytest.approx(2.5 / 3)


def test_thoughts_do_not_make_a_repeated_guess_another(model: ScriptedModel) -> None:
    thoughts = iter("abcd")
    said = "<think>{}</think><guess>crane</guess>"
    (episode,) = play(model, lambda _: said.format(next(thoughts)), turns=4, thinking=True)
    assert parts(episode)["real_word"] == parts(episode)["format"] == 0.25
    assert episode.traces[0].metrics["repeated"] == 3
