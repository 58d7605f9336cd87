"""Columns of the runs table: they fit whatever the width, and so do their cells whatever the run."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from remote.contract.events import MetricsEvent, encode_line
from tui.store.runs.row import RunRow
from tui.store.runs.row_fold import RunFold
from tui.text.format import fit
from tui.widgets.runs.columns import (
    COLUMNS,
    MARK_WIDTH,
    bar,
    cell,
    dollars,
    lay_out,
    longest,
    middle,
    reward_words,
    span,
    sparkline,
)

NOW = 1_000_000.0
text = st.text(max_size=40) | st.sampled_from(
    ["漢字かな交じり文" * 4, "e\u0301" * 20, "\x1b[2J\x07", "👩‍👩‍👧" * 9]
)
number = st.none() | st.floats(-1e12, 1e12)
count = st.none() | st.integers(0, 10**9)
rows = st.builds(
    RunRow,
    run_id=text,
    status=st.sampled_from(["pending", "running", "done", "failed", "cancelled", "exploded"]),
    kind=text,
    backend=text,
    experiment=text,
    environment=text,
    model=text,
    phase=text,
    step=count,
    total_steps=count,
    eta=st.none() | st.floats(0, 1e9),
    reward=number,
    rewards=st.lists(st.floats(-1e12, 1e12), max_size=32).map(tuple),
    created=st.floats(0, 2e6),
    started=st.none() | st.floats(0, 2e6),
    ended=st.none() | st.floats(0, 2e6),
    cost=st.none() | st.floats(0, 1e6),
)


@given(rows, st.integers(0, 20))
def test_a_cell_is_as_wide_as_its_column(row: RunRow, more: int) -> None:
    for one in COLUMNS:
        shown = "".join(part for part, _ in cell(one, row, one.least + more, NOW))
        assert cell_len(shown) == one.least + more, one.name
        assert "\x1b" not in shown


@given(st.integers(0, 300), st.lists(rows, max_size=3))
def test_columns_stand_side_by_side_within_the_width(width: int, some: list[RunRow]) -> None:
    placed = lay_out(width, longest(some))
    assert placed
    at = MARK_WIDTH
    for column, start, cells in placed:
        assert start >= at
        assert cells >= column.least
        at = start + cells
    assert at <= width or len(placed) == 1


@pytest.mark.parametrize(
    ("width", "names"),
    [
        (79, "status id environment progress reward age"),
        (119, "status id experiment environment model progress reward age"),
        (199, " ".join(column.name for column in COLUMNS)),
    ],
)
def test_what_is_most_important_stays(width: int, names: str) -> None:
    some = longest([RunRow("k3f9x-wordle", environment="vf_wordle", model="Qwen/Qwen2.5-7B-Instruct")])
    assert [column.name for column, _, _ in lay_out(width, some)] == names.split()


def test_a_cost_makes_room_for_itself() -> None:
    known = longest([RunRow("a", cost=1.0, environment="e", model="m", experiment="x")])
    assert "cost" in [column.name for column, _, _ in lay_out(130, known)]


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (middle("Qwen/Qwen2.5-7B-Instruct", 17), "Qwen/Qwe…Instruct"),
        (middle("short", 9), "short    "),
        (fit("vf_countdown", 8), "vf_coun…"),
        (fit("漢字漢字", 6), "漢字… "),
        (sparkline([0, 1, 2, 3, 4, 5, 6], 7), "▁▂▃▄▅▆▇"),
        (sparkline([1, 1, 1], 5), "▁▁▁  "),
        (sparkline([], 3), "   "),
        (sparkline([0, 0, 6, 6], 2), "▁▇"),
        (sparkline([0.0, -5e-324], 2), "▁▁"),  # a range too small to be divided by
        (sparkline([-1.7e308, 0.0, 1.7e308], 3), "▁▄▇"),  # and one too wide to be a number
        (dollars(None), "–"),
        (dollars(1.239), "$1.24"),
        (dollars(12345.6), "$12k"),
        (reward_words(-9.9996), "-10.00"),
        (reward_words(0.5), "0.500"),
        (span(90), "1m"),
        (span(3e8), "10y"),
    ],
)
def test_how_things_are_written(shown: str, expected: str) -> None:
    assert shown == expected


@given(st.floats(0, 1), st.integers(1, 40))
def test_a_bar_is_full_only_at_the_end(share: float, width: int) -> None:
    (done, _), (rest, _) = bar(share, width, "running")
    assert len(done) + len(rest) == width
    assert (share < 1) or not rest


def test_a_reward_that_is_no_number_is_said_in_the_colour_of_failures() -> None:
    events = [
        MetricsEvent(seq=n, step=n, values={"reward": value}) for n, value in enumerate((0.5, math.nan))
    ]
    fold = RunFold()
    fold.take(map(encode_line, events), 1)
    row = fold.row(RunRow("a"))
    column = next(column for column in COLUMNS if column.name == "reward")
    assert cell(column, row, 14, 0.0)[0] == ("   NaN", "failed")
    fold.take([encode_line(MetricsEvent(seq=2, step=2, values={"eval/total": 0.1}))], 2)
    assert math.isnan(fold.row(RunRow("a")).reward or 0.0)
    fold.take([encode_line(MetricsEvent(seq=3, step=3, values={"reward": 0.75}))], 3)
    assert fold.row(RunRow("a")).reward == 0.75
