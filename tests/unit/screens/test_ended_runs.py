"""Which runs a toast tells of."""

from __future__ import annotations

from tui.screens.ended_runs import EndedRuns
from tui.store.runs.row import RunRow


def row(run_id: str, status: str) -> RunRow:
    return RunRow(run_id, status=status)


def test_the_first_listing_is_no_news() -> None:
    assert EndedRuns().update([row("a", "failed"), row("b", "running")]) == []


def test_a_run_that_ends_is_news_once() -> None:
    ended = EndedRuns()
    ended.update([row("a", "running"), row("b", "running")])
    over = row("a", "done")
    assert ended.update([over, row("b", "running")]) == [over]
    assert ended.update([over, row("b", "running")]) == []


def test_a_run_that_another_process_started_and_that_is_over_is_no_news() -> None:
    ended = EndedRuns()
    ended.update([])
    assert ended.update([row("a", "done")]) == []


def test_a_backend_that_is_silent_for_once_makes_no_news() -> None:
    ended = EndedRuns()
    ended.update([row("a", "running")])
    ended.update([])
    assert [found.run_id for found in ended.update([row("a", "failed")])] == ["a"]
