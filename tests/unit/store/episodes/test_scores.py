"""An evaluation's numbers as scores."""

from __future__ import annotations

from tui.store.episodes.scores import Score, scores_of

NUMBERS = {"eval/total": 0.5, "eval/standard_error": 0.1, "eval/episodes": 8.0, "eval/failed": 1.0}


def test_the_reward_is_first_and_parts_follow_by_name_with_their_errors() -> None:
    parts = {"eval/letters": 0.2, "eval/format": 0.9, "eval/format_standard_error": 0.05}
    assert scores_of({"loss": 3.0, **NUMBERS, **parts}) == [
        Score("reward", 0.5, 0.1),
        Score("format", 0.9, 0.05),
        Score("letters", 0.2),
    ]


def test_a_part_may_be_called_like_an_error() -> None:
    parts = {"eval/my_standard_error": 0.3, "eval/a_standard_error_of_mine": 0.4, "eval/a": 1.0}
    assert [score.name for score in scores_of({**NUMBERS, **parts})] == [
        *("reward", "a", "a_standard_error_of_mine", "my_standard_error")
    ]


def test_numbers_of_a_training_are_no_scores() -> None:
    assert scores_of({"eval/total": 0.5}) == []
    assert scores_of({"eval/episodes": 8.0}) == []
