"""However wild the numbers: thinning a series keeps what an eye would look for."""

from __future__ import annotations

import math
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from tui.store.charts import axes
from tui.store.charts.curves import Bucket, Curve, Ema, Trace
from tui.store.charts.series import Series

STEPS = st.lists(st.integers(0, 5000), min_size=1, max_size=300, unique=True).map(sorted)
NUMBERS = st.floats(allow_nan=True, allow_infinity=True, width=32)
COLUMNS = st.integers(2, 60)


def traced(steps: list[int], values: list[float]) -> Trace:
    curve = Curve(Series(steps, values))
    curve.refresh()
    return curve.raw


def by_column(trace: Trace, low: float, high: float, columns: int) -> dict[int, list[float]]:
    """The plain way: every point asked for its column."""
    found: dict[int, list[float]] = {}
    scale = (columns - 1) / (high - low) if high > low else 0.0
    for x, y in zip(trace.xs, trace.ys, strict=True):
        column = math.floor((x - low) * scale + 0.5)
        found.setdefault(column, []).append(y)
    return found


def as_seen(bucket: Bucket) -> tuple[float, float, float, float]:
    return bucket.first, bucket.low, bucket.high, bucket.last


@given(STEPS, st.data(), COLUMNS)
def test_each_column_keeps_its_first_last_smallest_and_largest(
    steps: list[int], data: st.DataObject, columns: int
) -> None:
    values = data.draw(st.lists(NUMBERS, min_size=len(steps), max_size=len(steps)))
    trace = traced(steps, values)
    low, high = float(steps[0]), float(steps[-1])
    expected = {
        column: (ys[0], min(ys), max(ys), ys[-1])
        for column, ys in by_column(trace, low, high, columns).items()
    }
    buckets = trace.buckets(low, high, columns)
    assert {bucket.column: as_seen(bucket) for bucket in buckets} == expected
    assert [bucket.column for bucket in buckets] == sorted(expected)


@given(STEPS, st.data(), COLUMNS)
def test_holes_are_the_points_that_are_no_numbers(
    steps: list[int], data: st.DataObject, columns: int
) -> None:
    values = data.draw(st.lists(NUMBERS, min_size=len(steps), max_size=len(steps)))
    trace = traced(steps, values)
    pairs = list(zip(steps, values, strict=True))
    assert trace.holes == [x for x, y in pairs if not math.isfinite(y)]
    assert trace.xs == [x for x, y in pairs if math.isfinite(y)]


@given(STEPS, st.data(), COLUMNS, st.sampled_from([0.0, 0.6, 0.99]), st.booleans())
def test_taking_in_bit_by_bit_ends_where_taking_in_at_once_does(
    steps: list[int], data: st.DataObject, columns: int, smoothing: float, log: bool
) -> None:
    values = data.draw(st.lists(NUMBERS, min_size=len(steps), max_size=len(steps)))
    cut = data.draw(st.integers(0, len(steps)))
    low, high = float(steps[0]), float(steps[-1])
    growing = Series()
    bit_by_bit = Curve(growing, smoothing=smoothing, log=log)
    for step, value in zip(steps[:cut], values, strict=False):
        growing.put(step, value)
    bit_by_bit.refresh()
    bit_by_bit.line.buckets(low, high, columns)
    for step, value in zip(steps[cut:], values[cut:], strict=True):
        growing.put(step, value)
        bit_by_bit.refresh()
        bit_by_bit.line.buckets(low, high, columns)
    at_once = Curve(Series(steps, values), smoothing=smoothing, log=log)
    at_once.refresh()
    assert bit_by_bit.line.ys == at_once.line.ys
    assert bit_by_bit.line.buckets(low, high, columns) == at_once.line.buckets(low, high, columns)


@settings(deadline=None)
@given(st.integers(33, 1500), st.integers(0, 10**6), st.integers(2, 40))
def test_a_column_of_many_points_keeps_them_too(count: int, seed: int, columns: int) -> None:
    """So many that extremes are worked out by blocks, which short lists never come to."""
    chance = Random(seed)
    values = [math.nan if chance.random() < 0.02 else chance.gauss(0, 1) for _ in range(count)]
    trace = traced(list(range(count)), values)
    expected = {
        column: (ys[0], min(ys), max(ys), ys[-1])
        for column, ys in by_column(trace, 0.0, count - 1.0, columns).items()
    }
    buckets = trace.buckets(0.0, count - 1.0, columns)
    assert {bucket.column: as_seen(bucket) for bucket in buckets} == expected


@settings(deadline=None)
@given(st.integers(1, 400), st.integers(0, 10**6))
def test_extremes_of_any_slice(count: int, seed: int) -> None:
    chance = Random(seed)
    values = [chance.gauss(0, 1) for _ in range(count)]
    trace = traced(list(range(count)), values)
    for _ in range(20):
        start = chance.randrange(count)
        end = chance.randint(start + 1, count)
        assert trace.extremes(start, end) == (min(values[start:end]), max(values[start:end]))


@given(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9), st.integers(2, 12))
def test_an_axis_holds_what_it_is_made_for(one: float, other: float, most: int) -> None:
    low, high = min(one, other), max(one, other)
    start, end, step = axes.bounds(low, high, most)
    tolerance = 1e-6 * max(abs(low), abs(high), step)
    assert start <= low + tolerance
    assert end >= high - tolerance
    assert end > start
    assert len(axes.ticks(start, end, step)) <= most + 3


@given(
    st.floats(-1e22, 1e22).filter(lambda value: value == 0 or abs(value) > 1e-200),
    st.floats(1e-9, 10.0),
    st.integers(2, 8),
)
def test_no_two_ticks_say_the_same(low: float, share: float, most: int) -> None:
    high = low + share * max(abs(low), 1e-6)
    start, end, step = axes.bounds(low, high, most)
    marks = axes.ticks(start, end, step)
    texts = [axes.number_text(mark, step) for mark in marks]
    assert len(set(texts)) == len({float(mark) for mark in marks})


@given(st.floats(-1e12, 1e12), st.floats(0.01, 0.999), st.integers(1, 300))
def test_a_constant_is_smoothed_to_itself(value: float, factor: float, count: int) -> None:
    average = Ema(factor)
    assert {average.put(value) for _ in range(count)} == {value}
