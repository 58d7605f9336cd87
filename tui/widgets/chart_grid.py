"""How charts lie: in which order, how many beside one another, how high, and which one has the keys.

Owns places and sizes. What the charts show is `charts_pane.py`'s, and so are the keys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from textual import events
from textual.containers import VerticalScroll
from textual.widget import Widget

from tui.store.chart_order import chart_order
from tui.widgets.chart import Chart

MOST_COLUMNS = 4
_NARROWEST = 50
"""Cells that a chart needs before another one may stand beside it."""
_LEAST = 7
"""Rows that a chart needs."""
_SHORT = 30
"""Rows below which charts are kept lower, so that more than one is in sight."""


class ChartGrid(VerticalScroll, can_focus=False, inherit_bindings=False):
    """Charts by name, in the order in which people look for them."""

    DEFAULT_CSS = """
    ChartGrid { layout: grid; grid-size: 1; grid-gutter: 1 2; height: 1fr; scrollbar-size-vertical: 1; }
    """

    def __init__(
        self,
        passes: Callable[[str], bool],
        order: Callable[[Iterable[str]], list[str]] = chart_order,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.charts: dict[str, Chart] = {}
        self.one: str | None = None
        """The chart that has all of the place."""
        self.fixed_columns = 0
        """Charts side by side; 0: as many as fit."""
        self._passes, self._order = passes, order

    @property
    def named(self) -> list[Chart]:
        """The charts whose names pass, in order."""
        return [self.charts[name] for name in self._order(self.charts) if self._passes(name)]

    @property
    def shown(self) -> list[Chart]:
        """The charts that have a place: those whose names pass, or the one."""
        return [self.charts[self.one]] if self.one in self.charts else self.named

    @property
    def focused(self) -> Chart | None:
        """The chart that has the keys."""
        found = self.app.focused
        return found if isinstance(found, Chart) and found in self.charts.values() else None

    @property
    def columns(self) -> int:
        """Charts side by side."""
        fit = max(1, min((self.size.width + 2) // (_NARROWEST + 2), MOST_COLUMNS))
        return min(self.fixed_columns or fit, max(1, len(self.shown)))

    def chart(self, name: str, unit: str = "") -> Chart:
        """The chart of a metric; a new one has no place before `place()`."""
        if name not in self.charts:
            self.charts[name] = Chart(name, unit)
        return self.charts[name]

    def place(self) -> None:
        """Mount what is new, where it belongs."""
        following: Widget | None = None
        for name in reversed(self._order(self.charts)):
            if self.charts[name].parent is None:
                self.mount(self.charts[name], before=following)
            following = self.charts[name]
        self.lay_out()

    def lay_out(self) -> None:
        """Show and hide, and give every chart its size."""
        shown = set(self.shown)
        for chart in self.charts.values():
            chart.display = chart in shown
        self.display = bool(shown)
        self.call_after_refresh(self._fit)

    def go(self, by: int, *, pages: bool = False) -> None:
        """The keys go to the chart below or above, or to one as far off as a page; one alone to the next."""
        if self.one is not None:
            self.show_one(self._neighbour(by))
            return
        charts, here = self.shown, self.focused
        step = by * self.columns * (len(self._heights()) if pages else 1)
        if charts:
            at = charts.index(here) + step if here in charts else 0
            self.screen.set_focus(charts[max(0, min(at, len(charts) - 1))])

    def show_one(self, name: str | None) -> None:
        """One chart in all of the place, or (None) all of them again."""
        was, self.one = self.one, name
        self.lay_out()
        target = self.charts.get(name or was or "")
        if target is not None:
            self.screen.set_focus(target)

    def on_resize(self, _: events.Resize) -> None:
        """As many as fit."""
        self._fit()

    def _neighbour(self, by: int) -> str | None:
        names = [chart.metric for chart in self.named]
        at = names.index(self.one) + by if self.one in names else 0
        return names[max(0, min(at, len(names) - 1))] if names else None

    def _fit(self) -> None:
        """Sizes depend on the grid's own, which is known only once it was laid out."""
        if self.size.height:
            self.styles.grid_size_columns = self.columns
            self.styles.grid_rows = " ".join(map(str, self._heights()))

    def _heights(self) -> list[int]:
        """How high the rows of charts are that fill the place; the same over and over below."""
        height, rows_of_charts = self.size.height, -(-len(self.shown) // self.columns)
        rows = max(1, (height + 1) // (8 if height < _SHORT else 12))
        rows = max(1, min(rows, rows_of_charts))
        each, over = divmod(height + 1, rows)
        return [max(_LEAST, each - 1 + (row < over)) for row in range(rows)]
