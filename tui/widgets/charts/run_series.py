"""The runs whose metrics are drawn: their numbers, and which metrics of which run have a line already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tui.store.charts.series import Metrics
from tui.widgets.charts.chart import Chart
from tui.widgets.charts.grid import ChartGrid


@dataclass(frozen=True)
class ChartRun:
    """A run whose metrics are drawn."""

    label: str
    metrics: Metrics
    mark: int | None = None
    """Number of the run, which determines colour, letter and pattern; None: its place in the list."""

    @property
    def number(self) -> int:
        """The mark, or 0."""
        return self.mark or 0


class ChartRuns:
    """Runs that are drawn in the same charts."""

    def __init__(self, runs: Sequence[ChartRun]) -> None:
        self.runs = _marked(runs)
        self.alone = len(runs) == 1
        """Whether there is one run: it has no letter, and the colour of the theme."""
        self._known: set[tuple[str, int]] = set()

    def make(self, name: str) -> Chart:
        """The chart of a metric, with a line for each run that has it."""
        chart = Chart(name)
        for run in self.runs:
            if name in run.metrics.series:
                self._add_line(chart, run)
        return chart

    def offer_new(self, grid: ChartGrid) -> bool:
        """Add new metrics to a grid, and new lines to its charts; returns whether there are new metrics."""
        fresh: dict[str, None] = {}
        for run in self.runs:
            for name in [name for name in run.metrics.series if (name, run.number) not in self._known]:
                self._known.add((name, run.number))
                if name in grid.charts:
                    self._add_line(grid.charts[name], run)
                elif name not in grid.names:
                    fresh[name] = None
        grid.offer(fresh)
        return bool(fresh)

    def replace(self, runs: Sequence[ChartRun], grid: ChartGrid) -> None:
        """Draw these runs; those that stay keep their style."""
        before, self.runs = self.runs, _marked(runs)
        for gone in {run.number for run in before} - {run.number for run in self.runs}:
            for chart in grid.charts.values():
                chart.drop_line(gone)
            self._known = {pair for pair in self._known if pair[1] != gone}

    def _add_line(self, chart: Chart, run: ChartRun) -> None:
        series = run.metrics.series[chart.metric]
        chart.add_line(run.label, run.number, series, run.metrics.times, alone=self.alone)


def _marked(runs: Sequence[ChartRun]) -> list[ChartRun]:
    return [run if run.mark is not None else replace(run, mark=place) for place, run in enumerate(runs)]
