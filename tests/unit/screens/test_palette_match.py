"""What the palette's words match, and what comes first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tui.screens.palette import match


def score(query: str, title: str, detail: str = "") -> float:
    found = match(query, title, detail)
    return found.score if found else 0


def test_words_come_in_any_order_and_any_case() -> None:
    assert match("RATE learn", "training.learning_rate")
    assert match("rate zebra", "training.learning_rate") is None


def test_what_stands_in_the_title_beats_what_stands_behind_it() -> None:
    assert score("steps", "training.steps", "how many") > score("steps", "training.beta", "of the steps") > 0


def test_the_start_of_a_word_beats_its_middle() -> None:
    assert score("rate", "training.rate") > score("rate", "training.iterate")


def test_letters_in_order_are_found_last() -> None:
    fuzzy = match("lrnrt", "learning_rate")
    assert fuzzy
    assert fuzzy.score < score("rate", "learning_rate")
    assert match("lrnrt", "learning_rate", fuzzy=False) is None


@given(query=st.text(max_size=8), title=st.text(max_size=20), detail=st.text(max_size=20))
def test_scores_and_spans_stay_within_bounds(query: str, title: str, detail: str) -> None:
    found = match(query, title, detail)
    if found:
        assert 0 <= found.score <= 1
        assert all(0 <= start <= end <= len(title.casefold()) for start, end in found.spans)
