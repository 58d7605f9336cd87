"""Charts of one run or of several over one another: which ones, how they lie, and the cursor over all.

Owns what holds for all charts alike: filter, smoothing, scale, the x that are shown. Drawing is
`chart.py`'s; following a run and remembering `state()` belong to the screen.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

from textual import events, on
from textual.actions import SkipAction
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from remote.contract.errors import VfmError
from tui.store.charts.window import ChartWindow, nearest, reach, step_cursor
from tui.store.logs.query import compile_pattern
from tui.text.format import plain
from tui.widgets.charts.captions import legend, status, status_line
from tui.widgets.charts.chart import Chart
from tui.widgets.charts.grid import MOST_COLUMNS, ChartGrid
from tui.widgets.charts.plot import ChartView
from tui.widgets.charts.run_series import ChartRun, ChartRuns
from tui.widgets.common.filter_input import FilterInput

SMOOTHINGS = (0.0, 0.3, 0.6, 0.8, 0.9, 0.95, 0.98, 0.99)
_FAST = 0.05
"""Share of what is shown that the cursor goes with Shift held."""
_UNKNOWN = (0.0, math.inf)
_EMPTY = "no numbers yet: the first step's metrics appear here"


class ChartsPane(Vertical):
    """A grid of charts. `refresh_data()` tells it that metrics grew."""

    DEFAULT_CSS = """
    ChartsPane { height: 1fr; width: 1fr; }
    ChartsPane #chart-legend { height: auto; padding: 0 1; }
    ChartsPane #chart-empty { height: 1fr; content-align: center middle; color: $text-muted; }
    ChartsPane #chart-said { height: auto; color: $error; padding: 0 1; }
    ChartsPane #chart-status { height: 1; padding: 0 1; color: $text-muted; }
    ChartsPane .-hidden { display: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "ask", "Filter charts", id="charts.filter"),
        Binding("left,h", "cursor(-1)", "Cursor left", show=False, id="charts.left"),
        Binding("right,l", "cursor(1)", "Cursor right", show=False, id="charts.right"),
        Binding("shift+left,H", "cursor_far(-1)", "Cursor far left", show=False, id="charts.far_left"),
        Binding("shift+right,L", "cursor_far(1)", "Cursor far right", show=False, id="charts.far_right"),
        Binding("home", "cursor_end(0)", "Cursor to the first step", show=False, id="charts.first"),
        Binding("end", "cursor_end(-1)", "Cursor to the last step", show=False, id="charts.last"),
        Binding("up,k", "go(-1)", "Chart above", show=False, id="charts.up"),
        Binding("down,j", "go(1)", "Chart below", show=False, id="charts.down"),
        Binding("pageup", "page(-1)", "Page up", show=False, id="charts.page_up"),
        Binding("pagedown", "page(1)", "Page down", show=False, id="charts.page_down"),
        Binding("enter", "enlarge", "Enlarge", id="charts.enlarge"),
        Binding("right_square_bracket", "smooth(1)", "Smoother", key_display="[ ]", id="charts.smoother"),
        Binding("left_square_bracket", "smooth(-1)", "Less smooth", show=False, id="charts.less_smooth"),
        Binding("y", "log", "Log scale", id="charts.log"),
        Binding("plus,equals_sign", "zoom(0.5)", "Zoom", key_display="+ -", id="charts.zoom_in"),
        Binding("minus", "zoom(2.0)", "Zoom out", show=False, id="charts.zoom_out"),
        Binding("comma,less_than_sign", "pan(-1)", "Earlier steps", show=False, id="charts.pan_left"),
        Binding("full_stop,greater_than_sign", "pan(1)", "Later steps", show=False, id="charts.pan_right"),
        Binding("0", "reset_zoom", "All steps", show=False, id="charts.reset"),
        Binding("g", "columns", "Columns of charts", show=False, id="charts.columns"),
        Binding("escape", "leave", "Close", show=False, id="charts.leave"),
    ]

    def __init__(self, runs: Sequence[ChartRun], state: dict[str, Any] | None = None, **options: Any) -> None:
        super().__init__(**options)
        self._runs = ChartRuns(runs)
        self._grid = ChartGrid(self._make, self._passes)
        self._ready = False
        self._filter, self._pattern = "", None
        self._window = ChartWindow()
        self._view = ChartView(smoothing=0.6)
        self.restore(state)

    def compose(self) -> ComposeResult:
        """Whose lines, the charts, the question, the status."""
        yield Static(id="chart-legend", classes="-hidden")
        yield self._grid
        yield Static(_EMPTY, id="chart-empty")
        yield Static(id="chart-said", classes="-hidden")
        yield FilterInput(self._filter, placeholder=_PLACEHOLDER)
        yield Static(id="chart-status")

    def on_mount(self) -> None:
        """What there is, at once."""
        self._ready = True
        self.refresh_data()
        self._arrange()
        self.watch(self.app, "theme", self._tell, init=False)

    @property
    def shown(self) -> list[Chart]:
        """The charts that are shown, in order."""
        return self._grid.shown

    def refresh_data(self) -> None:
        """The runs' metrics may have grown. Cheap: only what is in sight is drawn, where it grew."""
        if not self._ready:
            return
        new = self._runs.offer_new(self._grid)
        for chart in self._grid.charts.values():
            chart.refresh_data()
        self._show_view(self._view)
        if new:
            self._arrange()

    def set_runs(self, runs: Sequence[ChartRun]) -> None:
        """Show these runs; those that stay keep their looks."""
        self._runs.replace(runs, self._grid)
        self.refresh_data()
        self._arrange()

    def show_time(self, by_time: bool) -> None:
        """x is the time since a run's first numbers, or the step."""
        self._window.reset()
        self._look(by_time=by_time, cursor=None)

    def focus(self, scroll_visible: bool = True, **_: Any) -> ChartsPane:
        """The keys go to the first chart that is shown, the very next one included."""
        target = self._grid.focused or next(iter(self.shown), None)
        self.screen.set_focus(target or self, scroll_visible)
        return self

    def state(self) -> dict[str, Any]:
        """What is worth remembering."""
        return {
            "filter": self._filter,
            "smoothing": self._view.smoothing,
            "log": self._view.log,
            "by_time": self._view.by_time,
            "zoom": list(self._window.part) if self._window.part else None,
            "columns": self._grid.fixed_columns,
            "one": self._grid.one,
        }

    def restore(self, state: object) -> None:
        """As it was remembered, before it is on the screen; what does not fit is left out."""
        state = state if isinstance(state, dict) else {}
        smoothing, zoom, columns = state.get("smoothing"), state.get("zoom"), state.get("columns")
        if smoothing in SMOOTHINGS:
            self._view = replace(self._view, smoothing=float(smoothing or 0))
        self._view = replace(self._view, log=bool(state.get("log")), by_time=bool(state.get("by_time")))
        self._grid.fixed_columns = int(columns or 0) if columns in range(MOST_COLUMNS + 1) else 0
        self._window = ChartWindow(self._extent() or _UNKNOWN, _span(zoom))
        self._grid.one = state["one"] if isinstance(state.get("one"), str) else None
        typed = state.get("filter")
        try:
            self._pattern = compile_pattern(typed) if isinstance(typed, str) and typed else None
            self._filter = typed if self._pattern is not None and isinstance(typed, str) else ""
        except VfmError:  # written by another version, or by hand
            self._filter, self._pattern = "", None

    def filter(self, pattern: str) -> None:
        """Show the charts whose names match; an empty pattern shows all, a wrong one changes nothing."""
        try:
            self._pattern = compile_pattern(pattern) if pattern else None
        except VfmError as error:
            self._say(plain(error.message))
            return
        self._filter, self._grid.one = pattern, None
        self._say("")
        self._arrange()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """While somebody types, keys are letters."""
        return action == "leave" or not self._ready or not self.query_one(FilterInput).has_focus_within

    def action_ask(self) -> None:
        """Open the line to type into, with what was typed last."""
        self.query_one(FilterInput).open()

    def action_leave(self) -> None:
        """Escape: the cursor, the enlarged chart, the filter; then it is the screen's."""
        if self._view.cursor is not None:
            self._set_cursor(None)
        elif self._grid.one is not None:
            self._grid.show_one(None)
        elif self.query_one(FilterInput).text:
            self.query_one(FilterInput).clear()
        else:
            raise SkipAction

    def action_cursor(self, by: int) -> None:
        """To the next point of the chart that has the keys."""
        self._step(by)

    def action_cursor_far(self, by: int) -> None:
        """Several points at once."""
        self._step(by * max(1, math.ceil(len(self._cursor_stops()) * _FAST)))

    def action_cursor_end(self, index: int) -> None:
        """The first point in sight, or the last."""
        xs = self._cursor_stops()
        if xs:
            self._set_cursor(xs[index])

    def action_go(self, by: int) -> None:
        """The chart below, or above."""
        self._grid.go(by)

    def action_page(self, by: int) -> None:
        """As many charts as are in sight."""
        self._grid.go(by, pages=True)

    def action_enlarge(self) -> None:
        """One chart in all of the pane, or all of them again."""
        if self._grid.focused is not None:
            self._enlarge(self._grid.focused)

    def action_smooth(self, by: int) -> None:
        """More of it or less."""
        at = bisect_left(SMOOTHINGS, self._view.smoothing) + by
        self._look(smoothing=SMOOTHINGS[max(0, min(at, len(SMOOTHINGS) - 1))])

    def action_log(self) -> None:
        """A logarithmic scale, or not."""
        self._look(log=not self._view.log)

    def action_zoom(self, factor: float) -> None:
        """Fewer steps or more of them, around the cursor; without one, the latest."""
        self._window.zoom(factor, self._view.cursor)
        self._look()

    def action_pan(self, by: int) -> None:
        """A quarter of what is shown, to earlier steps or later ones."""
        self._window.pan(by)
        self._look()

    def action_reset_zoom(self) -> None:
        """Everything there is."""
        self._window.reset()
        self._look()

    def action_columns(self) -> None:
        """Charts side by side: as many as fit, or one, two, three, four."""
        self._grid.fixed_columns = (self._grid.fixed_columns + 1) % (MOST_COLUMNS + 1)
        self._arrange()

    def on_resize(self, _: events.Resize) -> None:
        """The legend goes over as many lines as it needs."""
        self._tell()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """With Ctrl, the wheel zooms."""
        if event.ctrl:
            event.stop()
            self.action_zoom(0.5)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """With Ctrl, the wheel zooms."""
        if event.ctrl:
            event.stop()
            self.action_zoom(2.0)

    @on(Chart.Pointed)
    def _pointed(self, event: Chart.Pointed) -> None:
        """The mouse's place, or rather the point nearest to it."""
        event.stop()
        found = nearest(event.chart.xs(), event.x)
        if found is not None:
            self._set_cursor(found)

    @on(Chart.Chosen)
    def _chosen(self, event: Chart.Chosen) -> None:
        event.stop()
        self._enlarge(event.chart)

    @on(FilterInput.Typed)
    def _typed(self, event: FilterInput.Typed) -> None:
        event.stop()
        self.filter(event.text)

    @on(FilterInput.Left)
    def _left(self, event: FilterInput.Left) -> None:
        event.stop()
        self.focus()

    @on(events.DescendantFocus)
    def _focus_moved(self) -> None:
        self._tell()

    def _passes(self, name: str) -> bool:
        return self._pattern is None or self._pattern.search(name.encode()) is not None

    def _make(self, name: str) -> Chart:
        chart = self._runs.make(name)
        chart.view = self._view
        return chart

    def _extent(self) -> tuple[float, float] | None:
        return reach([run.metrics.times for run in self._runs.runs], by_time=self._view.by_time)

    def _look(self, **changes: Any) -> None:
        """Look at the charts in another way, and say so."""
        self._show_view(replace(self._view, **changes))
        self._tell()

    def _show_view(self, view: ChartView) -> None:
        self._view = view
        self._window.grow(self._extent() or (0.0, 1.0))
        low, high = self._window.shown
        self._view = replace(view, low=low, high=high)
        for chart in self._grid.charts.values():
            chart.view = self._view

    def _cursor_stops(self) -> Sequence[float]:
        here = self._grid.focused or next(iter(self.shown), None)
        xs = here.xs() if here is not None else []
        first, last = bisect_left(xs, self._view.low), bisect_left(xs, self._view.high + 1e-9)
        return xs[first:last]

    def _step(self, by: int) -> None:
        xs = self._cursor_stops()
        if xs:
            self._set_cursor(step_cursor(xs, self._view.cursor, by))

    def _set_cursor(self, x: float | None) -> None:
        if x != self._view.cursor:
            self._look(cursor=x)

    def _enlarge(self, chart: Chart) -> None:
        self._grid.show_one(None if self._grid.one is not None else chart.metric)

    def _arrange(self) -> None:
        """Show and hide, and give every chart its size."""
        if not self._ready:
            return
        self._grid.lay_out()
        empty, shown = self.query_one("#chart-empty", Static), bool(self.shown)
        empty.display = not shown
        empty.update(
            Content(_EMPTY if not self._grid.names else f"no chart is named like {plain(self._filter)}")
        )
        self.can_focus = not shown
        if shown and self.screen.focused is self:
            self.focus()  # it had the keys for want of a chart
        self._tell()

    def _say(self, text: str) -> None:
        said = self.query_one("#chart-said", Static)
        said.update(Content(text))
        said.set_class(not text, "-hidden")

    def _tell(self) -> None:
        """Legend and status line."""
        if not self._ready:
            return
        runs = [(run.number, run.label) for run in self._runs.runs]
        lines = self.query_one("#chart-legend", Static)
        lines.set_class(self._runs.alone, "-hidden")
        lines.update(legend(runs, self.app.current_theme.dark, self.size.width - 2))
        zoomed = self._window.part is not None
        shown, known = len(self.shown), len(self._grid.names)
        said = status(shown, known, self._view, zoomed=zoomed)
        self.query_one("#chart-status", Static).update(status_line(said, self.size.width - 2))


_PLACEHOLDER = "names of metrics, such as reward|loss; Enter keeps, Escape clears"


def _span(zoom: object) -> tuple[float, float] | None:
    if not isinstance(zoom, list) or len(zoom) != 2 or not all(isinstance(x, int | float) for x in zoom):
        return None
    return (float(zoom[0]), float(zoom[1])) if zoom[0] < zoom[1] else None
