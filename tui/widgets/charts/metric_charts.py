"""Charts of the metrics of runs: zoom, pan, smoothing, scale, and steps or time along the x axis."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from textual import events, on
from textual.binding import Binding, BindingType

from tui.store.charts.window import ChartWindow, reach
from tui.widgets.charts.browser import ChartBrowser, browser_keys
from tui.widgets.charts.grid import MOST_COLUMNS
from tui.widgets.charts.plot import ChartView
from tui.widgets.charts.run_series import ChartRun, ChartRuns

SMOOTHINGS = (0.0, 0.3, 0.6, 0.8, 0.9, 0.95, 0.98, 0.99)


class MetricCharts(ChartBrowser):
    """A chart of each metric, with a line for each run that has it."""

    BINDING_GROUP_TITLE = "Charts"
    BINDINGS: ClassVar[list[BindingType]] = [
        *browser_keys("charts"),
        Binding("right_square_bracket", "smooth(1)", "Smoother", key_display="[ ]", id="charts.smoother"),
        Binding("left_square_bracket", "smooth(-1)", "Less smooth", show=False, id="charts.less_smooth"),
        Binding("y", "log", "Log scale", id="charts.log"),
        Binding("plus,equals_sign", "zoom(0.5)", "Zoom", key_display="+ -", id="charts.zoom_in"),
        Binding("minus", "zoom(2.0)", "Zoom out", show=False, id="charts.zoom_out"),
        Binding("comma,less_than_sign", "pan(-1)", "Earlier steps", show=False, id="charts.pan_left"),
        Binding("full_stop,greater_than_sign", "pan(1)", "Later steps", show=False, id="charts.pan_right"),
        Binding("0", "reset_zoom", "All steps", show=False, id="charts.reset"),
        Binding("g", "columns", "Columns of charts", show=False, id="charts.columns"),
    ]

    def __init__(self, runs: Sequence[ChartRun], passes: Callable[[str], bool]) -> None:
        self.runs = ChartRuns(runs)
        super().__init__(self.runs.make, passes, view=ChartView(smoothing=0.6))
        self._window = ChartWindow()

    @property
    def is_zoomed(self) -> bool:
        """Whether only a part of the x axis is shown."""
        return self._window.part is not None

    def refresh_data(self) -> bool:
        """Draw what the runs' metrics have gained; True if there are new charts, for `lay_out()`.

        Cheap: only visible charts that gained points are drawn.
        """
        new = self.runs.offer_new(self)
        for chart in self.charts.values():
            chart.refresh_data()
        self._fit_window()
        return new

    def set_runs(self, runs: Sequence[ChartRun]) -> None:
        """Show these runs; those that stay keep their line style."""
        self.runs.replace(runs, self)
        self.refresh_data()

    def show_time(self, by_time: bool) -> None:
        """Show the time since a run's first metrics along the x axis, or else steps."""
        self._window.reset()
        self._change(by_time=by_time, cursor=None)

    def state(self) -> dict[str, Any]:
        """UI state to save."""
        return {
            "smoothing": self.view.smoothing,
            "log": self.view.log,
            "by_time": self.view.by_time,
            "columns": self.fixed_columns,
            "one": self.one,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore a saved state; invalid values are ignored."""
        smoothing, columns = state.get("smoothing"), state.get("columns")
        if smoothing in SMOOTHINGS:
            self.view = replace(self.view, smoothing=float(smoothing or 0))
        self.view = replace(self.view, log=bool(state.get("log")), by_time=bool(state.get("by_time")))
        self.fixed_columns = int(columns or 0) if columns in range(MOST_COLUMNS + 1) else 0
        self.one = state["one"] if isinstance(state.get("one"), str) else None

    def action_smooth(self, by: int) -> None:
        """Smooth more or less."""
        at = bisect_left(SMOOTHINGS, self.view.smoothing) + by
        self._change(smoothing=SMOOTHINGS[max(0, min(at, len(SMOOTHINGS) - 1))])

    def action_log(self) -> None:
        """Switch between a logarithmic and a linear scale."""
        self._change(log=not self.view.log)

    def action_zoom(self, factor: float) -> None:
        """Show that fraction of the steps, around the cursor or, without one, the latest."""
        self._window.zoom(factor, self.view.cursor)
        self._change()

    def action_pan(self, by: int) -> None:
        """Move to earlier or later steps by a quarter of those shown."""
        self._window.pan(by)
        self._change()

    def action_reset_zoom(self) -> None:
        """Show all steps."""
        self._window.reset()
        self._change()

    def action_columns(self) -> None:
        """Step through the number of columns: as many as fit, one, two, three, four."""
        self.fixed_columns = (self.fixed_columns + 1) % (MOST_COLUMNS + 1)
        self.lay_out()
        self.post_message(self.Browsed())

    @on(events.MouseScrollUp)
    @on(events.MouseScrollDown)
    def _scrolled(self, event: events.MouseScrollUp | events.MouseScrollDown) -> None:
        """Ctrl and the wheel zoom."""
        if event.ctrl:
            event.stop()
            event.prevent_default()
            self.action_zoom(0.5 if isinstance(event, events.MouseScrollUp) else 2.0)

    def _change(self, **changes: Any) -> None:
        self.view = replace(self.view, **changes)
        self._fit_window()
        self.post_message(self.Browsed())

    def _fit_window(self) -> None:
        """Let the visible part of the x axis grow with the runs."""
        times = [run.metrics.times for run in self.runs.runs]
        self._window.grow(reach(times, by_time=self.view.by_time) or (0.0, 1.0))
        low, high = self._window.shown
        self.view = replace(self.view, low=low, high=high)
