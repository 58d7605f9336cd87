"""The learning tables' means and standard errors, by episodes as a run writes them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.learning_episodes import Episode, first_and_last, mean, replies, standard_error


def _episode(task: str, reward: float, error: str | None = None) -> Episode:
    said = [{"role": "user", "content": f"asked {task}"}, {"role": "assistant", "content": f"said {reward}"}]
    return {
        "task": task,
        "messages": said,
        "reward": reward,
        "rewards": {"correct": reward, "format": 0.2},
        "metrics": {"format": 1.0},
        "error": error,
    }


def _write(folder: Path, step: int, episodes: list[Episode]) -> None:
    text = "".join(json.dumps(episode) + "\n" for episode in episodes)
    (folder / f"held-out-{step:06d}.jsonl").write_text(text)


def test_different_questions_have_the_usual_standard_error() -> None:
    episodes = [_episode("a", 0.0), _episode("b", 1.0), _episode("c", 0.0), _episode("d", 1.0)]
    assert mean(episodes, "total") == 0.5
    assert standard_error(episodes, "total") == pytest.approx((1 / 3) ** 0.5 / 2)


def test_replies_to_the_same_question_are_one_draw() -> None:
    episodes = [_episode("a", 0.0), _episode("a", 0.5), _episode("b", 1.0), _episode("b", 0.5)]
    assert standard_error(episodes, "correct") == pytest.approx(0.25)  # four draws would have 0.20


def test_a_part_that_is_measured_counts_unweighted() -> None:
    assert mean([_episode("a", 0.0)], "format") == 1.0


def test_first_and_last_scores_are_read_without_failed_episodes(tmp_path: Path) -> None:
    _write(tmp_path, 0, [_episode("a", 0.0), _episode("b", 0.0, error="the service broke off")])
    _write(tmp_path, 16, [_episode("a", 0.5)])
    _write(tmp_path, 32, [_episode("b", 1.0), _episode("a", 1.0)])
    before, after = first_and_last(tmp_path)
    assert [episode["task"] for episode in before] == ["a"]
    assert mean(after, "total") == 1.0
    assert list(replies(before, after, 5)) == [
        "a: asked a",
        '  before, 0.00: "said 0.0"',
        '  after, 1.00: "said 1.0"',
    ]


def test_a_training_without_two_scores_is_refused(tmp_path: Path) -> None:
    _write(tmp_path, 0, [_episode("a", 0.0)])
    with pytest.raises(SystemExit, match="1 held-out scores"):
        first_and_last(tmp_path)
