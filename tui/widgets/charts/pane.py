"""The charts of one run or of several: a legend, a filter by name, the charts, and a status line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events, on
from textual.actions import SkipAction
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from remote.contract.errors import VfmError
from tui.store.logs.query import compile_pattern
from tui.text.format import plain
from tui.widgets.charts.captions import legend, status, status_line
from tui.widgets.charts.chart import Chart
from tui.widgets.charts.metric_charts import MetricCharts
from tui.widgets.charts.run_series import ChartRun
from tui.widgets.common.filter_input import FilterInput

if TYPE_CHECKING:
    from tui.services.live_run import LiveRun

_EMPTY = "no numbers yet: the first step's metrics appear here"
_PLACEHOLDER = "names of metrics, such as reward|loss; Enter keeps, Escape clears"


class ChartsPane(Vertical):
    """Charts of the metrics of runs."""

    DEFAULT_CSS = """
    ChartsPane { height: 1fr; width: 1fr; }
    ChartsPane #chart-legend { height: auto; padding: 0 1; }
    ChartsPane #chart-empty { height: 1fr; content-align: center middle; color: $text-muted; }
    ChartsPane #chart-problem { height: auto; color: $error; padding: 0 1; }
    ChartsPane #chart-status { height: 1; padding: 0 1; color: $text-muted; }
    ChartsPane .-hidden { display: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "Filter charts", id="charts.filter"),
        Binding("escape", "leave", "Close", show=False, id="charts.leave"),
    ]

    def __init__(self, runs: Sequence[ChartRun], **options: Any) -> None:
        super().__init__(**options)
        self.charts = MetricCharts(runs, self._passes)
        self._filter = FilterInput(placeholder=_PLACEHOLDER)
        self._pattern: Any = None

    def compose(self) -> ComposeResult:
        """Legend, charts, problem, filter, status."""
        yield Static(id="chart-legend", classes="-hidden")
        yield self.charts
        yield Static(_EMPTY, id="chart-empty")
        yield Static(id="chart-problem", classes="-hidden")
        yield self._filter
        yield Static(id="chart-status")

    def on_mount(self) -> None:
        """Draw what there is."""
        self.charts.refresh_data()
        self._lay_out()
        self.watch(self.app, "theme", self._update_captions, init=False)

    @property
    def shown(self) -> list[Chart]:
        """The visible charts, in order."""
        return self.charts.shown

    def run_changed(self, live: LiveRun) -> None:
        """Draw new metrics."""
        self.refresh_data()

    def refresh_data(self) -> None:
        """Draw what the runs' metrics have gained."""
        if self.children and self.charts.refresh_data():
            self._lay_out()

    def set_runs(self, runs: Sequence[ChartRun]) -> None:
        """Show these runs; those that stay keep their line style."""
        self.charts.set_runs(runs)
        self._lay_out()

    def focus(self, scroll_visible: bool = True, **_: Any) -> ChartsPane:
        """Focus a chart, or the pane if there is none."""
        if not self.charts.focus_chart(scroll_visible):
            self.screen.set_focus(self, scroll_visible)
        return self

    def state(self) -> dict[str, Any]:
        """UI state to save."""
        return {"filter": self._filter.text, **self.charts.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore a saved state; invalid values are ignored."""
        text = state.get("filter")
        if isinstance(text, str) and self._set_pattern(text):
            self._filter.text = text
        self.charts.restore(state)
        self._lay_out()

    def action_filter(self) -> None:
        """Open the filter, with what was typed last."""
        self._filter.open()

    def action_leave(self) -> None:
        """Close the cursor, the enlarged chart or the filter, else leave the key to the screen."""
        if self.charts.close():
            return
        if not self._filter.text:
            raise SkipAction
        self._filter.clear()

    def on_resize(self, _: events.Resize) -> None:
        """Wrap the legend."""
        self._update_captions()

    @on(FilterInput.Typed)
    def _typed(self, event: FilterInput.Typed) -> None:
        event.stop()
        if self._set_pattern(event.text):
            self.charts.one = None
            self._lay_out()

    @on(FilterInput.Left)
    def _left(self, event: FilterInput.Left) -> None:
        event.stop()
        self.focus()

    @on(MetricCharts.Browsed)
    @on(events.DescendantFocus)
    def _update_captions(self) -> None:
        """Update legend and status line."""
        if not self.children:  # before compose
            return
        width = self.size.width - 2
        runs = [(run.number, run.label) for run in self.charts.runs.runs]
        lines = self.query_one("#chart-legend", Static)
        lines.set_class(self.charts.runs.alone, "-hidden")
        lines.update(legend(runs, self.app.current_theme.dark, width))
        shown, known = len(self.shown), len(self.charts.names)
        text = status(shown, known, self.charts.view, zoomed=self.charts.is_zoomed)
        self.query_one("#chart-status", Static).update(status_line(text, width))

    def _passes(self, name: str) -> bool:
        return self._pattern is None or self._pattern.search(name.encode()) is not None

    def _set_pattern(self, text: str) -> bool:
        """Filter by a pattern; an invalid one is told, and changes nothing."""
        try:
            self._pattern, problem = compile_pattern(text) if text else None, ""
        except VfmError as error:
            problem = plain(error.message)
        for line in self.query("#chart-problem").results(Static):
            line.update(Content(problem))
            line.set_class(not problem, "-hidden")
        return not problem

    def _lay_out(self) -> None:
        """Show the charts that pass the filter, or a text where there are none."""
        if not self.children:  # before compose
            return
        self.charts.lay_out()
        empty, shown = self.query_one("#chart-empty", Static), bool(self.shown)
        empty.display = not shown
        no_match = f"no chart is named like {plain(self._filter.text)}"
        empty.update(Content(no_match if self.charts.names else _EMPTY))
        self.can_focus = not shown
        if shown and self.screen.focused is self:
            self.focus()
        self._update_captions()
