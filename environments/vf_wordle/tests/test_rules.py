"""Wordle's rules and rewards, without verifiers: marks, replies, and what can and cannot be farmed."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

PACKAGE = Path(__file__).parents[1]
sys.path.insert(0, str(PACKAGE))
prompts, replies, rules, scoring, words = (
    importlib.import_module(f"vf_wordle.{name}")
    for name in ("prompts", "replies", "rules", "scoring", "words")
)

in_any_time = settings(deadline=None)  # a busy machine is no failure
ANSWERS = st.sampled_from(words.answers())


def worth(answer: str, *replies: str, turns: int = 1, hint: bool = False, form: str = "plain") -> float:
    """The reward of a game with the default weights."""
    game = rules.Game(answer, turns, form, words.guesses())
    for reply in replies:
        if not game.over:
            game.play(reply)
    return float(sum(scoring.WEIGHTS[name] * part for name, part in scoring.score(game, hint).items()))


@pytest.mark.parametrize(
    ("guess", "answer", "marks"),
    [
        ("crane", "crane", "GGGGG"),
        ("might", "crane", "XXXXX"),
        ("speed", "abide", "XXYXY"),  # two e's guessed, one in the answer: the first is marked
        ("speed", "erase", "YXYYX"),  # both e's are elsewhere
        ("allow", "llama", "YGYXX"),
        ("eerie", "there", "YXYXG"),  # the green e leaves one e over
        ("geese", "those", "XXXGG"),  # the green e leaves none over, wherever it stands
        ("babes", "abbey", "YYGGX"),
        ("aaaaa", "llama", "XXGXG"),
    ],
)
def test_marks(guess: str, answer: str, marks: str) -> None:
    assert rules.feedback(guess, answer) == marks


@in_any_time
@given(ANSWERS, ANSWERS)
def test_no_letter_is_marked_more_often_than_the_answer_has_it(guess: str, answer: str) -> None:
    marks = rules.feedback(guess, answer)
    for letter in set(guess):
        shown = sum(m != "X" for g, m in zip(guess, marks, strict=True) if g == letter)
        assert shown == min(guess.count(letter), answer.count(letter))
    assert [m == "G" for m in marks] == [g == a for g, a in zip(guess, answer, strict=True)]


@pytest.mark.parametrize(
    ("text", "word", "form"),
    [
        ("crane", "crane", 1.0),
        (' "Crane."\n', "crane", 1.0),
        ("**CRANE**", "crane", 1.0),
        ("cranes", "cranes", 0.5),
        ("a crane", None, 0.25),
        ("I think it is crane", None, 0.1),
        ("cran3", None, 0.25),
        ("...", None, 0.25),
        ("", None, 0.0),
        (" \n", None, 0.0),
    ],
)
def test_plain_replies(text: str, word: str | None, form: float) -> None:
    assert replies.read_reply(text, "plain", 5) == replies.Reply(word, form)


@pytest.mark.parametrize(
    ("text", "word", "form"),
    [
        ("<guess>crane</guess>", "crane", 1.0),
        ("E is common. <GUESS> Crane\n</GUESS> Let us see.", "crane", 1.0),
        ("<guess>cranes</guess>", "cranes", 0.5),
        ("<guess>two words</guess>", None, 0.25),
        ("<guess>crane</guess><guess>slate</guess>", None, 0.25),
        ("crane", None, 0.0),
        ("<guess>crane", None, 0.0),
    ],
)
def test_tagged_replies(text: str, word: str | None, form: float) -> None:
    assert replies.read_reply(text, "tagged", 5) == replies.Reply(word, form)


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        ("<think>c or s?</think> <guess>crane</guess>", ("crane", 1.0)),
        ("c or s?</think><guess>crane</guess>", ("crane", 1.0)),  # the chat template opened the thought
        ("<THINK>not <guess>slate</guess></THINK><guess>crane</guess>", ("crane", 1.0)),
        ("<think>a</think><think>b</think><guess>cranes</guess>", ("cranes", 0.5)),
        ("<think>c or s?</think>", (None, 0.0)),
        ("<think><guess>crane</guess>", (None, 0.0)),
        ("a</think><guess>crane</guess><think>", (None, 0.0)),
        ("<guess>crane</guess>", (None, 0.5)),
        ("crane", (None, 0.0)),
        ("", (None, 0.0)),
    ],
)
def test_replies_with_thoughts(text: str, reply: tuple[str | None, float]) -> None:
    assert replies.read_reply(text, "tagged", 5, thinking=True) == replies.Reply(*reply)


def test_a_thought_may_come_before_a_plain_reply() -> None:
    assert replies.read_reply("<think>c?</think>\nCrane.", "plain", 5, thinking=True).word == "crane"


@pytest.mark.parametrize(
    ("guess", "earlier", "answer", "unused"),
    [
        ("stone", "crane", "brine", "letter 2 is r"),
        ("trend", "crane", "brine", "letter 5 is e"),
        ("bribe", "crane", "brine", "letter 4 is n"),
        ("plumb", "speed", "abide", "e is in the word"),
        ("depth", "speed", "erase", "s is in the word"),
        ("stoke", "speed", "erase", "e is in the word 2 times"),
        ("these", "speed", "erase", None),
    ],
)
def test_hard_mode_names_the_first_hint_that_is_left_unused(
    guess: str, earlier: str, answer: str, unused: str | None
) -> None:
    assert rules.unused_hint(guess, earlier, rules.feedback(earlier, answer)) == unused


@in_any_time
@given(st.sampled_from([4, 5, 6, 7]), st.data())
def test_hard_mode_refuses_no_word_that_may_still_be_the_answer(length: int, data: st.DataObject) -> None:
    some = st.sampled_from(words.answers(length))
    earlier, guess, answer = data.draw(some), data.draw(some), data.draw(some)
    told = rules.feedback(earlier, answer)
    assert rules.unused_hint(answer, earlier, told) is None
    if rules.feedback(earlier, guess) == told:
        assert rules.unused_hint(guess, earlier, told) is None


ALIKE = st.sampled_from([word for word in words.answers() if set(word) <= set("aerstlno")])


@in_any_time
@given(ALIKE, st.lists(ALIKE, min_size=2, max_size=9))
def test_hard_mode_never_forgets_what_was_marked(answer: str, guesses: list[str]) -> None:
    game = rules.Game(answer, 9, "plain", words.guesses(), hard_mode=True)
    accepted: list[tuple[str, str]] = []
    for guess in guesses:
        if game.over:
            break
        turn = game.play(guess)
        broken = [unused for word, told in accepted if (unused := rules.unused_hint(guess, word, told))]
        assert bool(broken) == (turn.unused is not None)
        if turn.marks:
            accepted.append((guess, turn.marks))


def test_hard_mode_heeds_every_guess_but_refused_ones() -> None:
    game = rules.Game("bawdy", 6, "plain", words.guesses(), hard_mode=True)
    turns = [game.play(said) for said in ("handy", "crane", "bread", "candy", "dusty", "bawdy")]
    assert [turn.unused for turn in turns] == [
        None,
        "letter 2 is a",
        "letter 2 is a",
        None,
        "letter 2 is a",
        None,
    ]
    assert game.solved
    assert scoring.metrics(game) == {"turns_used": 6, "repeated": 0, "not_words": 0, "refused": 3}


REPLIES = st.lists(
    st.one_of(ANSWERS, st.sampled_from(["", "a b c", "zzzzz", "no", "heart"]), st.text(max_size=12)),
    max_size=6,
)


@in_any_time
@given(ANSWERS, REPLIES, REPLIES, st.integers(1, 6), st.booleans())
def test_any_game_that_is_solved_beats_any_that_is_not(
    answer: str, before: list[str], others: list[str], turns: int, hint: bool
) -> None:
    solved = worth(answer, *before[: turns - 1], answer, turns=turns, hint=hint)
    unsolved = [reply for reply in others if answer not in reply.lower()]
    assert solved > worth(answer, *unsolved, turns=turns, hint=hint)


def test_the_barest_of_wins_beats_the_best_of_losses() -> None:
    near = ["crate", "crank", "crave", "craze", "crude", "caret"]
    assert worth("crane", *[""] * 5, "crane", turns=6, hint=True) > worth("crane", *near, turns=6, hint=True)


@in_any_time
@given(ANSWERS, ANSWERS, st.integers(2, 6))
def test_an_earlier_answer_is_worth_more(answer: str, wrong: str, turns: int) -> None:
    if wrong != answer:
        later = worth(answer, wrong, answer, turns=turns)
        assert worth(answer, answer, turns=turns) > later


@in_any_time
@given(ANSWERS, st.one_of(ANSWERS, st.text(max_size=9)), st.integers(1, 5), st.booleans())
def test_repeating_oneself_earns_nothing(answer: str, said: str, more: int, hint: bool) -> None:
    if answer not in said.lower():
        once = worth(answer, said, turns=6, hint=hint)
        assert worth(answer, *[said] * (1 + more), turns=6, hint=hint) == once


def test_a_word_said_always_is_worth_less_than_half_of_heeding_the_hint() -> None:
    hidden = words.tasks("train", limit=400)
    by_letter = {word[0]: word for word in words.answers()}
    heart = sum(worth(answer, "heart", hint=True) for answer in hidden)
    heeding = sum(worth(answer, by_letter[answer[0]], hint=True) for answer in hidden)
    assert heart < 0.5 * heeding


def test_each_step_towards_a_good_answer_is_worth_something() -> None:
    ladder = [
        "",
        "I believe that the word you want may be this",
        "maybe this",
        "banana",
        "crab",
        "crust",
        "crane",
    ]
    rewards = [worth("crane", reply, hint=True) for reply in ladder]
    assert rewards == sorted(rewards)
    assert len(set(rewards)) == len(ladder)


def test_letters_count_the_best_guess_and_leave_out_the_hinted_one() -> None:
    game = rules.Game("crane", 2, "plain", words.guesses())
    for guess in ("crust", "crate"):
        game.play(guess)
    assert scoring.score(game)["letters"] == pytest.approx(4 / 5)
    assert scoring.score(game, hint=True)["letters"] == pytest.approx(3 / 4)


KEPT = [
    ("crust", 1.0),
    ("crzzt", 0.5),
    ("crab", 0.375),
    ("cracker", 0.25),
    ("c", 0.0),
    ("heart", 0.0),
    ("c d", 0.0),
]


@pytest.mark.parametrize(("said", "part"), KEPT)
def test_the_hint_is_kept_to_in_full_by_real_words_only(said: str, part: float) -> None:
    game = rules.Game("crane", 1, "plain", words.guesses())
    game.play(said)
    assert scoring.score(game, hint=True)["first_letter"] == part


def test_what_is_no_word_earns_no_letters() -> None:
    game = rules.Game("crane", 1, "plain", words.guesses())
    game.play("crxne")
    assert scoring.score(game)["letters"] == 0.0


def test_an_unfinished_game_is_measured_by_all_its_turns() -> None:
    game = rules.Game("crane", 4, "plain", words.guesses())
    game.play("might")
    assert scoring.score(game)["real_word"] == 0.25


@pytest.mark.parametrize(
    ("given_weights", "said"),
    [({"lettres": 1}, "lettres"), ({"format": -1}, "0 or more"), ({"real_word": 5}, "wrong answer")],
)
def test_unfit_weights_are_refused(given_weights: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        scoring.check_weights(given_weights)


COUNTED = [(4, 1939, 3459), (5, 3568, 6748), (6, 5433, 11180), (7, 6858, 15845)]


@pytest.mark.parametrize(("length", "answers", "guesses"), COUNTED)
def test_words_are_words_and_every_answer_may_be_guessed(length: int, answers: int, guesses: int) -> None:
    listed = words.guesses(length)
    assert all(len(w) == length and w.isascii() and w.isalpha() and w.islower() for w in listed)
    assert listed >= set(words.answers(length))
    assert (len(words.answers(length)), len(listed)) == (answers, guesses)


@pytest.mark.parametrize("length", [4, 5, 6, 7])
@pytest.mark.parametrize("by", ["word", "letter"])
def test_splits_are_disjoint_complete_and_in_an_order_of_the_seed(by: str, length: int) -> None:
    train, held_out = (words.tasks(split, by, length=length) for split in ("train", "eval"))
    every = words.answers(length)
    assert set(train).isdisjoint(held_out)
    assert sorted(train + held_out) == list(every)
    assert len(every) * 0.15 < len(held_out) < len(every) * 0.25
    assert words.tasks("train", by, length=length) == train != words.tasks("train", by, 1, length=length)
    assert words.tasks("train", by, limit=7, length=length) == train[:7]


def test_a_split_by_letter_shares_no_first_letter() -> None:
    train, held_out = ({w[0] for w in words.tasks(split, "letter")} for split in ("train", "eval"))
    assert train.isdisjoint(held_out)


@in_any_time
@given(st.sampled_from([4, 5, 6, 7]), st.sampled_from("abcdefghijklmnopqrstuvwxyz"), st.booleans())
def test_examples_are_training_words_that_begin_otherwise(length: int, first: str, by_letter: bool) -> None:
    by = "letter" if by_letter else "word"
    shown = words.examples(first.ljust(length, "-"), 5, by)
    assert len(set(shown)) == 5
    assert all(w in words.answers(length) and w[0] != first for w in shown)
    assert all(words.split_of(w, by) == "train" for w in shown)


def test_more_examples_than_there_are_is_an_error() -> None:
    with pytest.raises(ValueError, match="at most"):
        words.examples("crane", 50)


def test_what_the_player_hears() -> None:
    game = rules.Game("crane", 6, "plain", words.guesses())
    said = [
        prompts.answer_to(game.play(text), game) for text in ("slate", "slate", "slant it", "zzzzz", "cat")
    ]
    assert said == [
        "s l a t e\nX X G X G\nGuess 2 of 6.",
        "You said slate before.\nGuess 3 of 6.",
        "I see no single guess in that.\nGuess 4 of 6.",
        "zzzzz is not in the word list.\nGuess 5 of 6.",
        "cat has 3 letters.\nGuess 6 of 6.",
    ]


def test_the_game_needs_no_verifiers() -> None:
    code = (
        "import sys; sys.modules['verifiers'] = None\n"
        "import vf_wordle, vf_wordle.scoring, vf_wordle.words, vf_wordle.prompts\n"
        "assert vf_wordle.__all__ == ['VfWordleEnv', 'VfWordleTaskset']"
    )
    subprocess.run([sys.executable, "-c", code], cwd=PACKAGE, check=True)
