"""Curves of a series: smoothed, on a log scale, thinned to the columns of a chart. Pure.

A thinned curve keeps the first, last, smallest and largest value of every column. Appended values are added
without computing the earlier ones again.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

_BLOCK = 16
"""Values in a block whose extremes are computed once, for wide columns."""
_LARGEST = 1e307
"""Larger values are not drawn: the span of an axis would be infinite."""


class Points(Protocol):
    """A series: `values[i]` was measured at `steps[i]`; steps rise strictly (`series.Series` is one)."""

    @property
    def steps(self) -> Sequence[float]: ...
    @property
    def values(self) -> Sequence[float]: ...
    @property
    def rewritten(self) -> int: ...


class Bucket(NamedTuple):
    """The values in one column of dots."""

    column: int
    first: float
    low: float
    high: float
    last: float
    joined: bool
    """Whether a line leads here from the bucket before, without a gap between."""


class Ema:
    """An exponential moving average, debiased.

    The formula of TensorBoard (`vz_line_chart2/line-chart.ts`, resmoothDataset), which Weights & Biases
    names as its own (docs.wandb.ai, "What formula do you use for your smoothing algorithm?"):
    `average = factor · average + (1 - factor) · value`, shown as `average / (1 - factor ** count)`.
    Values that are not finite are returned as they are, and do not change the average.
    """

    def __init__(self, factor: float) -> None:
        self.factor = factor
        self._average, self._weight = 0.0, 1.0

    def put(self, value: float) -> float:
        """The smoothed value at this point."""
        if not math.isfinite(value):
            return value
        self._weight *= self.factor
        # Equal to that quotient, computed so that a constant stays exactly the same.
        self._average += (1 - self.factor) / (1 - self._weight) * (value - self._average)
        return self._average


class Trace:
    """Points in order of x, with gaps at values that cannot be drawn."""

    def __init__(self) -> None:
        self.xs: list[float] = []
        self.ys: list[float] = []
        self.holes: list[float] = []
        """The x of values that cannot be drawn: NaN, infinite, or not positive on a log scale."""
        self._after_hole: set[int] = set()
        self._lows: list[float] = []
        self._highs: list[float] = []
        self._thinned: tuple[object, int, list[Bucket]] = (None, 0, [])

    def put(self, x: float, y: float) -> None:
        """Append a point; x never falls."""
        if not math.isfinite(y):
            self.holes.append(x)
            self._after_hole.add(len(self.ys))
            return
        self.xs.append(x)
        self.ys.append(y)
        if len(self.ys) % _BLOCK == 0:
            block = self.ys[-_BLOCK:]
            self._lows.append(min(block))
            self._highs.append(max(block))

    def extremes(self, start: int, end: int) -> tuple[float, float]:
        """The smallest and largest value of a slice that is not empty."""
        if end - start <= 2 * _BLOCK:
            part = self.ys[start:end]
            return min(part), max(part)
        first, last = -(-start // _BLOCK), end // _BLOCK
        ends = self.ys[start : first * _BLOCK] + self.ys[last * _BLOCK : end]
        return min(ends + self._lows[first:last]), max(ends + self._highs[first:last])

    def at(self, x: float) -> tuple[float, float] | None:
        """The last point at x or before."""
        index = bisect_right(self.xs, x) - 1
        return (self.xs[index], self.ys[index]) if index >= 0 else None

    def buckets(self, low: float, high: float, columns: int) -> list[Bucket]:
        """The points between two x in columns, with one point beyond each side, for its line.

        Columns beyond the sides are below 0 and from `columns` on.
        """
        key, start, buckets = self._thinned
        if key != (low, high, columns):
            start, buckets = max(0, bisect_left(self.xs, low) - 1), []
        elif buckets:  # only the last bucket may have got more points
            del buckets[-1]
        end = min(len(self.xs), bisect_right(self.xs, high) + 1)
        scale = (columns - 1) / (high - low) if high > low else 0.0
        for bucket, begins in self._buckets(start, end, low, scale):
            buckets.append(bucket)
            start = begins
        self._thinned = (low, high, columns), start, buckets
        return buckets

    def _buckets(self, start: int, end: int, left: float, scale: float) -> Iterator[tuple[Bucket, int]]:
        """Each bucket, and the index of its first point."""
        xs, ys = self.xs, self.ys
        while start < end:
            column = math.floor((xs[start] - left) * scale + 0.5)
            edge = left + (column + 0.5) / scale if scale else math.inf
            stop = bisect_left(xs, edge, start + 1, end)
            # A point at the edge belongs to its own column, however the edge was rounded.
            if stop < end and math.floor((xs[stop] - left) * scale + 0.5) == column:
                stop += 1
            elif stop - start > 1 and math.floor((xs[stop - 1] - left) * scale + 0.5) != column:
                stop -= 1
            if stop - start == 1:
                low = high = ys[start]
            else:
                low, high = self.extremes(start, stop)
            yield Bucket(column, ys[start], low, high, ys[stop - 1], start not in self._after_hole), start
            start = stop


class Curve:
    """A series for a chart: `raw` and, with smoothing, `smooth`."""

    _taken: int
    _rewritten: int

    def __init__(
        self, points: Points, *, smoothing: float = 0.0, log: bool = False, clock: Points | None = None
    ) -> None:
        self.points, self._clock = points, clock
        self.smoothing, self.log = smoothing, log
        """With a `clock`, the Unix seconds of each step, x is the time since the first step."""
        self._begin()

    @property
    def latest(self) -> float | None:
        """The last value, also if it cannot be drawn."""
        count = min(len(self.points.steps), len(self.points.values))
        return self.points.values[count - 1] if count else None

    @property
    def count(self) -> int:
        """The number of values included."""
        return self._taken

    @property
    def behind(self) -> bool:
        """Whether the series has changes that are not included."""
        points = self.points
        return (
            points.rewritten != self._rewritten or min(len(points.steps), len(points.values)) != self._taken
        )

    @property
    def line(self) -> Trace:
        """The smoothed curve, or the raw one."""
        return self.smooth if self.smooth is not None else self.raw

    def shown_as(self, smoothing: float, log: bool, clock: Points | None) -> None:
        """Change how it is shown; begins again."""
        if (smoothing, log, clock) != (self.smoothing, self.log, self._clock):
            self.smoothing, self.log, self._clock = smoothing, log, clock
            self._begin()

    def refresh(self) -> bool:
        """Include changes of the series; whether there were any."""
        points = self.points
        if points.rewritten != self._rewritten:
            self._begin()
        # Another thread appends the step first and then its value.
        count = min(len(points.steps), len(points.values))
        if count == self._taken:
            return False
        for index in range(self._taken, count):
            self._take(self._x(points.steps[index]), points.values[index])
        self._taken = count
        return True

    def value_at(self, x: float) -> tuple[float, float] | None:
        """(x, value as measured) of the last point at x or before."""
        found = self.raw.at(x)
        return found if found is None or not self.log else (found[0], 10 ** found[1])

    def _begin(self) -> None:
        self._taken = 0
        self._rewritten = self.points.rewritten
        self.raw = Trace()
        self.smooth = Trace() if self.smoothing > 0 else None
        self._ema = Ema(self.smoothing)

    def _take(self, x: float, value: float) -> None:
        self.raw.put(x, self._scaled(value))
        if self.smooth is not None:
            self.smooth.put(x, self._scaled(self._ema.put(value)))

    def _scaled(self, value: float) -> float:
        if not self.log:
            return value if -_LARGEST < value < _LARGEST else math.nan
        return math.log10(value) if 0 < value < math.inf else math.nan

    def _x(self, step: float) -> float:
        if self._clock is None:
            return step
        times = self._clock
        index = max(0, min(bisect_right(times.steps, step), len(times.values)) - 1)
        found = times.values[index] - times.values[0] if times.values else 0.0
        # A new attempt may repeat steps: time does not go back then.
        return max(found, self.raw.xs[-1]) if self.raw.xs else found
