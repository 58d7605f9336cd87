"""Which panes are seen at once, and which one the keys go to."""

from __future__ import annotations

from typing import Any

import pytest

from tui.widgets.common.pane_layout import PaneLayout, can_split

NAMES = ("logs", "charts", "rollouts", "system", "config", "files")


@pytest.mark.parametrize(
    ("size", "split", "room"),
    [
        ((80, 24), None, 1),
        ((120, 40), None, 1),
        ((160, 40), None, 2),
        ((200, 60), None, 3),
        ((200, 60), False, 1),
        ((120, 40), True, 2),
        ((80, 40), True, 2),
        ((80, 24), True, 1),
    ],
)
def test_how_many_there_is_room_for(size: tuple[int, int], split: bool | None, room: int) -> None:
    assert PaneLayout(NAMES, split=split).room(*size) == room
    assert PaneLayout(NAMES, split=split, zoomed=True).room(*size) == 1


def test_a_pane_that_is_seen_only_becomes_the_active_one() -> None:
    layout = PaneLayout(NAMES)
    layout.show("charts", 2)
    assert (layout.seen(2), layout.current) == (["logs", "charts"], "charts")


def test_a_pane_out_of_sight_takes_the_active_ones_place() -> None:
    layout = PaneLayout(NAMES)
    layout.show("config", 2)
    assert layout.seen(2) == ["config", "charts"]
    layout.show("rollouts", 2)  # it had a place that was out of sight: the two change places
    assert layout.seen(2) == ["rollouts", "charts"]
    assert sorted(layout.places) == ["charts", "config", "rollouts"]


def test_one_at_a_time_leaves_the_places_of_a_wide_terminal() -> None:
    layout = PaneLayout(NAMES)
    layout.show("charts", 1)
    assert layout.seen(1) == ["charts"]
    assert layout.seen(3) == ["logs", "charts", "rollouts"]


def test_the_active_pane_is_always_seen() -> None:
    layout = PaneLayout(NAMES, active=2)
    assert layout.seen(1) == ["rollouts"]
    assert "rollouts" in layout.seen(2)
    assert len(layout.seen(2)) == 2


def test_another_pane_ends_the_zoom() -> None:
    layout = PaneLayout(NAMES, zoomed=True)
    layout.show("logs", 1)
    assert layout.zoomed
    layout.show("charts", 1)
    assert not layout.zoomed


def test_what_was_remembered_comes_back() -> None:
    layout = PaneLayout(NAMES, ["config", "logs", "files"], active=1, split=True)
    assert PaneLayout.restored(NAMES, layout.state()) == layout


@pytest.mark.parametrize(
    "state",
    [{}, {"places": "logs", "active": "x", "split": 1}, {"places": ["gone", "logs", "logs"], "active": 7}],
)
def test_what_does_not_fit_is_left_out(state: dict[str, Any]) -> None:
    layout = PaneLayout.restored(NAMES, state)
    assert layout.places == ["logs", "charts", "rollouts"]
    assert (layout.active, layout.split) == (0, None)


def test_small_terminals_cannot_be_split() -> None:
    assert [can_split(*size) for size in ((80, 24), (100, 24), (80, 30))] == [False, True, True]
