"""Layout of charts: their order, columns and heights, which one has the focus, and one shown alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from textual import events
from textual.widget import Widget

from tui.store.charts.metric_order import chart_order
from tui.widgets.charts.chart import Chart
from tui.widgets.charts.plot import ChartView
from tui.widgets.charts.styles import ChartPalette

MOST_COLUMNS = 4
_NARROWEST = 50
"""Cells that a chart needs before another one is placed beside it."""
_LEAST = 7
"""Rows of a chart, at least."""
MOST_CHARTS = 120
"""Charts that are laid out at once: a run may have thousands of metrics; the filter finds the others."""
_SHORT = 30
"""Rows of the grid below which charts are lower, so that more than one is visible."""


_ALL = ChartView()


class ChartGrid(ChartPalette, can_focus=False):
    """Charts by name, the most important first, all with the same view."""

    DEFAULT_CSS = """
    ChartGrid {
        layout: grid; grid-size: 1; grid-gutter: 1 2; height: 1fr; overflow: hidden auto;
        scrollbar-size-vertical: 1;
    }
    """

    def __init__(
        self,
        make: Callable[[str], Chart],
        passes: Callable[[str], bool] = lambda _: True,
        order: Callable[[Iterable[str]], list[str]] = chart_order,
        view: ChartView = _ALL,
    ) -> None:
        super().__init__()
        self.names: dict[str, None] = {}
        """Every known metric, whether it has a chart yet or not."""
        self.charts: dict[str, Chart] = {}
        """Charts that were ever shown, by metric."""
        self.one: str | None = None
        """The metric of the chart that is shown alone."""
        self.fixed_columns = 0
        """Number of columns; 0: as many as fit."""
        self._make, self._passes, self._order = make, passes, order
        self._view = view
        self._ordered: list[str] = []
        self._named: list[str] = []

    @property
    def view(self) -> ChartView:
        """The view of all charts."""
        return self._view

    @view.setter
    def view(self, view: ChartView) -> None:
        self._view = view
        for chart in self.charts.values():
            chart.view = view

    @property
    def shown(self) -> list[Chart]:
        """The visible charts: those whose names pass, up to `MOST_CHARTS`, or the one shown alone."""
        names = [self.one] if self.one in self.charts else self._named
        return [self.charts[name] for name in names if name is not None]

    @property
    def focused(self) -> Chart | None:
        """The chart that has the focus."""
        found = self.app.focused
        return found if isinstance(found, Chart) and found in self.charts.values() else None

    @property
    def columns(self) -> int:
        """Number of columns."""
        fit = max(1, min((self.size.width + 2) // (_NARROWEST + 2), MOST_COLUMNS))
        return min(self.fixed_columns or fit, max(1, len(self.shown)))

    def offer(self, names: Iterable[str]) -> None:
        """Add metrics; `lay_out()` shows them."""
        self.names |= dict.fromkeys(names)

    def lay_out(self) -> None:
        """Show and hide charts, mount new ones, and size them."""
        if len(self._ordered) != len(self.names):
            self._ordered = self._order(self.names)
        self._named = [name for name in self._ordered if self._passes(name)][:MOST_CHARTS]
        self._mount_missing()
        shown = set(self.shown)
        for chart in self.charts.values():
            chart.display = chart in shown
        self.display = bool(shown)
        self.call_after_refresh(self._fit)

    def _mount_missing(self) -> None:
        """Create the charts that are shown for the first time; mount neighbours together."""
        missing = {name for name in (*self._named, self.one) if name in self.names} - self.charts.keys()
        if not missing:
            return
        self.charts |= {name: self._make(name) for name in missing}
        self.view = self._view
        following: Widget | None = None
        together: list[Widget] = []
        for name in (*reversed([name for name in self._ordered if name in self.charts]), None):
            if name is not None and name in missing:
                together.insert(0, self.charts[name])
                continue
            if together:
                self.mount_all(together, before=following)
            following, together = None if name is None else self.charts[name], []

    def go(self, by: int, *, pages: bool = False) -> None:
        """Focus the chart below or above, or a page away; show the next one if one is shown alone."""
        if self.one is not None:
            self.show_one(self._neighbour(by))
            return
        charts, focused = self.shown, self.focused
        step = by * self.columns * (len(self._heights()) if pages else 1)
        if charts:
            at = charts.index(focused) + step if focused in charts else 0
            self.screen.set_focus(charts[max(0, min(at, len(charts) - 1))])

    def show_one(self, name: str | None) -> None:
        """Show one chart alone, or (None) all of them again."""
        was, self.one = self.one, name
        self.lay_out()
        shown = was if name is None else name
        if shown is not None and shown in self.charts:
            self.screen.set_focus(self.charts[shown])

    def on_resize(self, _: events.Resize) -> None:
        """Fit columns and heights to the new size."""
        self._fit()

    def _neighbour(self, by: int) -> str | None:
        names = self._named
        at = names.index(self.one) + by if self.one in names else 0
        return names[max(0, min(at, len(names) - 1))] if names else None

    def _fit(self) -> None:
        """Set columns and rows, once the grid's own size is known."""
        if self.size.height:
            self.styles.grid_size_columns = self.columns
            self.styles.grid_rows = " ".join(map(str, self._heights()))

    def _heights(self) -> list[int]:
        """Heights of the rows of charts that fill the grid; they repeat below."""
        height, rows_of_charts = self.size.height, -(-len(self.shown) // self.columns)
        rows = max(1, (height + 1) // (8 if height < _SHORT else 12))
        rows = max(1, min(rows, rows_of_charts))
        each, over = divmod(height + 1, rows)
        return [max(_LEAST, each - 1 + (row < over)) for row in range(rows)]
