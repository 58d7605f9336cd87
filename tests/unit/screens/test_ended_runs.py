"""Which runs a toast tells of."""

from __future__ import annotations

from dataclasses import dataclass

from tui.screens.ended_runs import News


@dataclass
class Row:
    run_id: str
    status: str


def test_the_first_listing_is_no_news() -> None:
    assert News().ended([Row("a", "failed"), Row("b", "running")]) == []


def test_a_run_that_ends_is_news_once() -> None:
    news = News()
    news.ended([Row("a", "running"), Row("b", "running")])
    over = Row("a", "done")
    assert news.ended([over, Row("b", "running")]) == [over]
    assert news.ended([over, Row("b", "running")]) == []


def test_a_run_that_another_process_started_and_that_is_over_is_no_news() -> None:
    news = News()
    news.ended([])
    assert news.ended([Row("a", "done")]) == []


def test_a_backend_that_is_silent_for_once_makes_no_news() -> None:
    news = News()
    news.ended([Row("a", "running")])
    news.ended([])
    assert [row.run_id for row in news.ended([Row("a", "failed")])] == ["a"]
