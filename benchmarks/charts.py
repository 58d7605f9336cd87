"""Four charts of 10,000 points, one more each: ours, Textual's Sparkline, textual-plotext; interleaved.

CPU time from the new point until every row of the four widgets is made. Ours draws axes, a smoothed line
and the measured one under it; plotext one line with axes, a Sparkline bars alone. plotext is installed
into a folder that is thrown away; where it cannot be had, that is said. Run with the light client's
Python: `.venv/bin/python -m benchmarks.charts`.
"""

from __future__ import annotations

import asyncio
import importlib
import math
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, Protocol

from textual.app import App, ComposeResult
from textual.widget import Widget
from textual.widgets import Sparkline

from benchmarks.common import machine, spread, verdict
from tui.store.charts.series import Series
from tui.widgets.charts.chart import Chart
from tui.widgets.charts.plot import ChartView
from tui.widgets.charts.styles import ChartPalette

CHARTS, POINTS, ROUNDS = 4, 10_000, 40
SIZE = (120, 40)
BUDGET = 10.0
"""Milliseconds that an update of all four may take."""
PEER = "textual-plotext"
PEERS = (PEER, "plotext>=5.2.8,<6")
"""With what it draws with; Textual is this project's."""


class Contender(Protocol):
    """Something that draws four series."""

    @property
    def widgets(self) -> Sequence[Widget]:
        """One for each series."""
        ...

    def update(self, series: Sequence[Series]) -> None:
        """Take in the points that are new."""
        ...


class Ours:
    """`tui/widgets/charts/chart.py`, smoothed as in the app."""

    def __init__(self, series: Sequence[Series]) -> None:
        self.widgets = [Chart("loss") for _ in series]
        for chart, points in zip(self.widgets, series, strict=True):
            chart.add_line("", 0, points, None, alone=True)

    def update(self, series: Sequence[Series]) -> None:
        """As `ChartsPane.refresh_data` does: x goes on in leaps of a fiftieth."""
        last, leap = series[0].steps[-1], 200
        view = ChartView(smoothing=0.6, low=0.0, high=math.ceil(last / leap) * leap)
        for chart in self.widgets:
            chart.view = view
            chart.refresh_data()


class Sparklines:
    """Textual's own widget: bars of maxima, no axes."""

    def __init__(self, series: Sequence[Series]) -> None:
        self.widgets = [Sparkline() for _ in series]

    def update(self, series: Sequence[Series]) -> None:
        """The whole series anew, as it has no other way."""
        for widget, points in zip(self.widgets, series, strict=True):
            widget.data = list(points.values)


class Plotext:
    """textual-plotext: a line in braille, with axes."""

    def __init__(self, series: Sequence[Series], module: Any) -> None:
        self.widgets = [module.PlotextPlot() for _ in series]

    def update(self, series: Sequence[Series]) -> None:
        """The whole series anew, as it has no other way."""
        for widget, points in zip(self.widgets, series, strict=True):
            widget.plt.clear_data()
            widget.plt.plot(points.steps, points.values, marker="braille")
            widget.refresh()


class Field(ChartPalette):
    """Two contenders beside one another."""

    DEFAULT_CSS = "Field { layout: grid; }"


class Bench(App[None]):
    """One contender after the other has the screen."""

    CSS = "Field { grid-size: 2; height: 1fr; } Field > * { height: 1fr; width: 1fr; }"

    def __init__(self, contenders: dict[str, Contender]) -> None:
        super().__init__()
        self.contenders = contenders

    def compose(self) -> ComposeResult:
        """A grid for each, of which one is shown."""
        for name, contender in self.contenders.items():
            with Field(id=name):
                yield from contender.widgets


def made_series() -> list[Series]:
    """Noisy curves, as losses are."""
    chance = random.Random(1)
    return [
        Series(list(range(POINTS)), [math.sin(i / 900) + chance.gauss(0, 0.3) for i in range(POINTS)])
        for _ in range(CHARTS)
    ]


def milliseconds(contender: Contender, series: Sequence[Series]) -> float:
    """CPU time until every row is made."""
    began = time.process_time()
    contender.update(series)
    for widget in contender.widgets:
        widget.render_lines(widget.outer_size.region)
    return (time.process_time() - began) * 1000


async def measure(contenders: dict[str, Contender], series: list[Series]) -> dict[str, list[float]]:
    """Rounds of all in turn; the first two of each are not counted."""
    chance = random.Random(2)
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    app = Bench(contenders)
    async with app.run_test(size=SIZE) as pilot:
        for number in range(ROUNDS + 2):
            for name, contender in contenders.items():
                for grid in app.query(Field):
                    grid.display = grid.id == name
                await pilot.pause()  # shown, with all that there is: what is measured is one point more
                for points in series:
                    points.put(points.steps[-1] + 1, chance.random())
                time_taken = milliseconds(contender, series)
                if number > 1:
                    taken[name].append(time_taken)
    return taken


def fetch_peer(folder: str) -> Any:
    """textual-plotext over this project's Textual; None where it cannot be had."""
    uv = Path(sys.executable).parent / "uv"
    command = [str(uv), "pip", "install", "--quiet", "--no-deps", "--target", folder, *PEERS]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or str(error)
        print(f"{PEER} is absent: {said.strip().splitlines()[-1]}")
        return None
    sys.path.append(folder)
    return importlib.import_module("textual_plotext")


def main() -> None:
    """Print medians, the ratios and the verdict."""
    series = made_series()
    contenders: dict[str, Contender] = {"ours": Ours(series), "Sparkline": Sparklines(series)}
    with tempfile.TemporaryDirectory() as folder:
        peer = fetch_peer(folder)
        if peer is not None:
            contenders["plotext"] = Plotext(series, peer)
        taken = asyncio.run(measure(contenders, series))
    print(machine())
    print(f"{CHARTS} charts of {POINTS:,} points, one more each: CPU time until all rows are made, {SIZE}")
    mine = median(taken["ours"])
    for name, times in taken.items():
        ratio = "" if name == "ours" else f" · ours / {name}: {mine / median(times):.4f}"
        print(f"{name}: {spread(times, 'ms')}{ratio}")
    print(verdict("ours / 10 ms", mine / BUDGET, 1.0))


if __name__ == "__main__":
    main()
