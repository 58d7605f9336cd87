"""What a chart draws of a series: smoothing, gaps, scales, and taking in what was appended."""

from __future__ import annotations

import math

import pytest

from tui.store.charts import axes
from tui.store.charts.curves import Curve, Ema
from tui.store.charts.metric_order import chart_order, is_noisy
from tui.store.charts.series import Metrics, Series


def series(*values: float) -> Series:
    """Values of the steps 1, 2, 3 …"""
    return Series(list(range(1, len(values) + 1)), list(values))


def test_smoothing_is_tensorboards_formula() -> None:
    """By hand: 0.6 · 0.4 = 0.24 and so on, each divided by what 0.6ⁿ leaves of 1."""
    ema = Ema(0.6)
    assert ema.put(1.0) == pytest.approx(1.0)
    assert ema.put(2.0) == pytest.approx((0.6 * 0.4 + 0.4 * 2) / (1 - 0.36))
    assert ema.put(0.0) == pytest.approx((0.6 * (0.6 * 0.4 + 0.4 * 2)) / (1 - 0.216))


def test_smoothing_a_constant_changes_nothing() -> None:
    ema = Ema(0.99)
    assert [ema.put(3.5) for _ in range(50)] == pytest.approx([3.5] * 50)


def test_what_is_no_number_leaves_a_gap_and_the_average_alone() -> None:
    curve = Curve(series(1.0, math.nan, 1.0, math.inf, 1.0), smoothing=0.9)
    curve.refresh()
    assert curve.smooth is not None
    assert curve.smooth.ys == pytest.approx([1.0, 1.0, 1.0])
    assert curve.raw.holes == [2, 4]
    joined = [bucket.joined for bucket in curve.raw.buckets(1, 5, 9)]
    assert joined == [True, False, False]


def test_a_log_scale_draws_powers_and_marks_what_has_no_logarithm() -> None:
    curve = Curve(series(0.01, 0.0, 100.0), log=True)
    curve.refresh()
    assert curve.raw.ys == pytest.approx([-2, 2])
    assert curve.raw.holes == [2]
    assert curve.value_at(3) == pytest.approx((3, 100.0))


def test_only_what_was_appended_is_taken_in() -> None:
    numbers = series(1.0, 2.0)
    curve = Curve(numbers, smoothing=0.5)
    assert curve.refresh()
    assert not curve.refresh()
    trace = curve.raw
    numbers.put(3, 5.0)
    assert curve.behind
    assert curve.refresh()
    assert curve.raw is trace
    assert trace.ys == [1.0, 2.0, 5.0]


def test_a_value_told_anew_is_drawn_anew() -> None:
    """A run that goes on from a checkpoint tells steps again."""
    numbers = series(1.0, 2.0, 3.0)
    curve = Curve(numbers)
    curve.refresh()
    numbers.put(2, 9.0)
    assert curve.behind
    curve.refresh()
    assert curve.raw.ys == [1.0, 9.0, 3.0]


def test_a_step_whose_value_is_not_there_yet_waits() -> None:
    """A feed appends in another thread: the step first, then the value."""
    numbers = series(1.0)
    numbers.steps.append(2)
    curve = Curve(numbers)
    curve.refresh()
    assert curve.raw.xs == [1]
    numbers.values.append(4.0)
    curve.refresh()
    assert curve.raw.ys == [1.0, 4.0]


def test_x_may_be_the_time_since_the_first_numbers() -> None:
    from remote.contract.events import MetricsEvent

    metrics = Metrics(MetricsEvent(step=s, values={"reward": s / 10}, t=1000 + 7 * s) for s in (1, 2, 3))
    curve = Curve(metrics.series["reward"], clock=metrics.times)
    curve.refresh()
    assert curve.raw.xs == [0, 7, 14]


def test_a_zoomed_line_reaches_to_the_points_beyond_its_sides() -> None:
    curve = Curve(series(*range(10)))
    curve.refresh()
    columns = [bucket.column for bucket in curve.raw.buckets(4.0, 6.0, 21)]
    assert columns == [-10, 0, 10, 20, 30]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 1.0, ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (0.0, 12000.0, ["0", "2500", "5000", "7500", "10k"]),
        (2e-6, 3e-6, ["2e-6", "2.2e-6"]),
    ],
)
def test_ticks_are_round_numbers(low: float, high: float, expected: list[str]) -> None:
    start, end, step = axes.bounds(low, high, 5)
    assert start <= low
    assert end >= high
    texts = [axes.number_text(mark, step) for mark in axes.ticks(start, end, step)]
    assert texts[: len(expected)] == expected


def test_an_axis_of_one_value_has_room_on_both_sides() -> None:
    for value in (0.0, 3e-6, -5.0, 1e12):
        low, high, step = axes.bounds(value, value, 4)
        assert low < value < high
        assert axes.ticks(low, high, step)


def test_whole_steps_have_whole_ticks() -> None:
    assert axes.nice_step(3, 10, whole=True) == 1
    assert axes.nice_step(12, 5, whole=True) == 5
    assert all(axes.nice_step(n, 7, whole=True) % 1 == 0 for n in range(1, 5000, 7))


def test_log_ticks_are_powers_of_ten_where_there_are_several() -> None:
    assert axes.log_bounds(-4.2, 1.3, 6)[2] == [-4.0, -3.0, -2.0, -1.0, 0.0, 1.0]
    low, high, marks = axes.log_bounds(-2.0, -1.5, 4)
    assert marks
    assert all(low <= mark <= high for mark in marks)


def test_time_reads_like_a_clock() -> None:
    assert [axes.clock_text(s) for s in (0, 45, 60, 90, 3600, 5400)] == [
        "0s",
        "45s",
        "1m",
        "1m30",
        "1h",
        "1h30",
    ]
    assert axes.clock_step(100, 5) == 30


def test_what_people_look_for_comes_first() -> None:
    names = [
        "zeta",
        "time/step",
        "kl",
        "loss",
        "eval/solved",
        "reward",
        "entropy",
        "eval/total",
        "rewards/solved",
    ]
    assert chart_order(names) == [
        "reward", "eval/total", "eval/solved", "loss", "kl", "entropy", "rewards/solved", "time/step", "zeta",
    ]  # fmt: skip
    assert not is_noisy("eval/total")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e12, "1T"),
        (3.403e38, "3.403e38"),
        (2e14, "200T"),
        (-1.5e19, "-15E"),
        (0.4123, "0.4123"),
        (-0.0, "0"),
    ],
)
def test_large_numbers_have_units_that_people_know(value: float, text: str) -> None:
    assert axes.short(value) == text


def test_ticks_of_large_numbers_are_told_apart() -> None:
    texts = [axes.number_text(1_234_000 + offset, 100) for offset in (0, 100, 200)]
    assert texts == ["1.234M", "1.2341M", "1.2342M"]
    assert [axes.step_text(12_340 + offset, 10) for offset in (0, 10)] == ["12.34k", "12.35k"]
