"""Zooming, panning, and going on with a live run."""

from __future__ import annotations

from tui.store.charts.window import ChartWindow


def test_zooming_without_a_cursor_shows_the_latest() -> None:
    window = ChartWindow((0, 100))
    window.zoom(0.5, None)
    assert window.shown == (50, 100)


def test_zooming_keeps_the_cursor_where_it_is_on_the_screen() -> None:
    window = ChartWindow((0, 100))
    window.zoom(0.5, 20)
    assert window.shown == (10, 60)
    low, high = window.shown
    assert (20 - low) / (high - low) == 0.2


def test_zooming_out_far_enough_shows_everything() -> None:
    window = ChartWindow((0, 100))
    window.zoom(0.5, 20)
    window.zoom(2.0, 20)
    assert window.part is None


def test_one_step_is_the_least() -> None:
    window = ChartWindow((0, 100))
    for _ in range(30):
        window.zoom(0.5, 20)
    assert window.shown[1] - window.shown[0] == 1
    assert window.shown[0] <= 20 <= window.shown[1]


def test_panning_stays_within_what_there_is() -> None:
    window = ChartWindow((0, 100), (50, 70))
    window.pan(1)
    assert window.shown == (55, 75)
    for _ in range(20):
        window.pan(1)
    assert window.shown == (80, 100)
    for _ in range(40):
        window.pan(-1)
    assert window.shown == (0, 20)


def test_a_part_that_shows_the_latest_goes_on_with_it_and_others_stay() -> None:
    live, past = ChartWindow((0, 100), (80, 100)), ChartWindow((0, 100), (40, 60))
    live.grow((0, 110))
    past.grow((0, 110))
    assert live.shown == (90, 110)
    assert past.shown == (40, 60)


def test_a_part_remembered_of_a_longer_run_is_dropped() -> None:
    window = ChartWindow((0, float("inf")), (500, 600))
    window.grow((0, 40))
    assert window.shown == (0, 40)
