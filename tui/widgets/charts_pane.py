"""Charts of one run or of several over one another: which ones, how they lie, and the cursor over all.

Owns what holds for all charts alike: filter, smoothing, scale, the x that are shown. Drawing is
`chart.py`'s; following a run and remembering `state()` belong to the screen.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from textual import events, on
from textual.actions import SkipAction
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, Static

from remote.contract.errors import VfmError
from tui.store import axes
from tui.store.chart_window import ChartWindow, nearest, step_cursor
from tui.store.log_query import compile_pattern
from tui.store.series import Metrics
from tui.widgets.braille import PATTERNS
from tui.widgets.chart import Chart
from tui.widgets.chart_grid import MOST_COLUMNS, ChartGrid
from tui.widgets.chart_plot import ChartView
from tui.widgets.run_colours import run_colour, run_letter
from tui.words import plain

SMOOTHINGS = (0.0, 0.3, 0.6, 0.8, 0.9, 0.95, 0.98, 0.99)
_FAST = 0.05
"""Share of what is shown that the cursor goes with Shift held."""
_UNKNOWN = (0.0, math.inf)
_EMPTY = "no numbers yet: the first step's metrics appear here"


@dataclass(frozen=True)
class ChartRun:
    """A run whose metrics are drawn."""

    label: str
    metrics: Metrics
    mark: int | None = None
    """The run's number, which its colour, letter and pattern follow; unset: its place in the list."""


class ChartsPane(Vertical):
    """A grid of charts. `refresh_data()` tells it that metrics grew."""

    DEFAULT_CSS = """
    ChartsPane { height: 1fr; width: 1fr; }
    ChartsPane #chart-legend { height: auto; padding: 0 1; }
    ChartsPane #chart-empty { height: 1fr; content-align: center middle; color: $text-muted; }
    ChartsPane Input { height: 1; border: none; padding: 0 1; background: $panel; }
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
        self._runs = [_marked(run, place) for place, run in enumerate(runs)]
        self._alone = len(runs) == 1
        self._grid = ChartGrid(self._passes)
        self._known: set[tuple[str, int]] = set()
        self._ready = False
        self._filter, self._pattern = "", None
        self._window = ChartWindow()
        self._view = ChartView(smoothing=0.6)
        self._set_state(state if isinstance(state, dict) else {})

    def compose(self) -> ComposeResult:
        """Whose lines, the charts, the question, the status."""
        yield Static(id="chart-legend", classes="-hidden")
        yield self._grid
        yield Static(_EMPTY, id="chart-empty")
        yield Static(id="chart-said", classes="-hidden")
        yield Input(id="chart-input", classes="-hidden", compact=True, placeholder=_PLACEHOLDER)
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
        new = self._take_new_series()
        for chart in self._grid.charts.values():
            chart.refresh_data()
        self._show_view(self._view)
        if new:
            self._grid.place()
            self._arrange()

    def set_runs(self, runs: Sequence[ChartRun]) -> None:
        """Show these runs; those that stay keep their looks."""
        marked = [_marked(run, place) for place, run in enumerate(runs)]
        for gone in {run.mark for run in self._runs} - {run.mark for run in marked}:
            for chart in self._grid.charts.values():
                chart.drop_line(gone or 0)
            self._known = {pair for pair in self._known if pair[1] != gone}
        self._runs = marked
        self.refresh_data()
        self._arrange()

    def show_time(self, by_time: bool) -> None:
        """x is the time since a run's first numbers, or the step."""
        self._window.reset()
        self._show_view(replace(self._view, by_time=by_time, cursor=None))
        self._tell()

    def focus(self, scroll_visible: bool = True, **_: Any) -> ChartsPane:
        """The keys go to the first chart that is shown."""
        target = self._grid.focused or next(iter(self.shown), None)
        if target is not None:
            target.focus(scroll_visible)
        else:
            super().focus(scroll_visible)
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

    def restore(self, state: dict[str, Any]) -> None:
        """As it was remembered; what does not fit is left out."""
        self._set_state(state if isinstance(state, dict) else {})
        self._show_view(self._view)
        self._arrange()

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

    def action_ask(self) -> None:
        """Open the line to type into, with what was typed last."""
        asked = self.query_one(Input)
        asked.remove_class("-hidden")
        with self.prevent(Input.Changed):
            asked.value = self._filter
        asked.focus()

    def action_leave(self) -> None:
        """Escape: the question, the cursor, the enlarged chart, the filter; then it is the screen's."""
        if self.query_one(Input).has_focus:
            self.filter("")
            self._close_question()
        elif self._view.cursor is not None:
            self._set_cursor(None)
        elif self._grid.one is not None:
            self._grid.show_one(None)
        elif self._filter:
            self.filter("")
            self.focus()
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
        self._show_view(replace(self._view, smoothing=SMOOTHINGS[max(0, min(at, len(SMOOTHINGS) - 1))]))
        self._tell()

    def action_log(self) -> None:
        """A logarithmic scale, or not."""
        self._show_view(replace(self._view, log=not self._view.log))
        self._tell()

    def action_zoom(self, factor: float) -> None:
        """Fewer steps or more of them, around the cursor; without one, the latest."""
        self._window.zoom(factor, self._view.cursor)
        self._show_view(self._view)
        self._tell()

    def action_pan(self, by: int) -> None:
        """A quarter of what is shown, to earlier steps or later ones."""
        self._window.pan(by)
        self._show_view(self._view)
        self._tell()

    def action_reset_zoom(self) -> None:
        """Everything there is."""
        self._window.reset()
        self._show_view(self._view)
        self._tell()

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

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self.filter(event.value)

    @on(Input.Submitted)
    def _kept(self, event: Input.Submitted) -> None:
        event.stop()
        self._close_question()

    @on(events.DescendantFocus)
    def _focus_moved(self) -> None:
        self._tell()

    def _set_state(self, state: dict[str, Any]) -> None:
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

    def _passes(self, name: str) -> bool:
        return self._pattern is None or self._pattern.search(name.encode()) is not None

    def _take_new_series(self) -> bool:
        """Whether there is a chart that has no place yet."""
        known = len(self._grid.charts)
        for run in self._runs:
            mark = run.mark or 0
            for name, series in list(run.metrics.series.items()):
                if (name, mark) in self._known:
                    continue
                self._known.add((name, mark))
                self._grid.chart(name).add_line(run.label, mark, series, run.metrics.times, alone=self._alone)
        return len(self._grid.charts) > known

    def _extent(self) -> tuple[float, float] | None:
        """All x there are; the end a little further on, so that it moves in leaps."""
        clocks = [run.metrics.times for run in self._runs]
        if self._view.by_time:
            lengths = [clock.values[-1] - clock.values[0] for clock in clocks if clock.values]
            found = (0.0, max(lengths)) if lengths else None
        else:
            found = axes.extent([clock.steps for clock in clocks])
        if found is None:
            return None
        low, high = found
        leap = axes.nice_step(high - low, 50, whole=not self._view.by_time)
        return low, max(math.ceil(high / leap) * leap, low + 1)

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
            self._show_view(replace(self._view, cursor=x))
            self._tell()

    def _enlarge(self, chart: Chart) -> None:
        self._grid.show_one(None if self._grid.one else chart.metric)

    def _close_question(self) -> None:
        self.query_one(Input).add_class("-hidden")
        self._say("")
        self.focus()

    def _arrange(self) -> None:
        """Show and hide, and give every chart its size."""
        if not self._ready:
            return
        self._grid.lay_out()
        empty, shown = self.query_one("#chart-empty", Static), bool(self.shown)
        empty.display = not shown
        empty.update(
            Content(_EMPTY if not self._grid.charts else f"no chart is named like {plain(self._filter)}")
        )
        self.can_focus = not shown
        self._tell()

    def _say(self, text: str) -> None:
        said = self.query_one("#chart-said", Static)
        said.update(Content(text))
        said.set_class(not text, "-hidden")

    def _tell(self) -> None:
        """Legend and status line."""
        if not self._ready:
            return
        legend = self.query_one("#chart-legend", Static)
        legend.set_class(self._alone, "-hidden")
        dark = self.app.current_theme.dark
        legend.update(_wrapped([_legend(run, dark) for run in self._runs], self.size.width - 2))
        view, shown = self._view, len(self.shown)
        parts = [
            f"{shown} charts"
            if shown == len(self._grid.charts)
            else f"{shown} of {len(self._grid.charts)} charts"
        ]
        if self._filter:
            parts.append(f"filter {plain(self._filter)}")
        parts.append(f"smoothing {view.smoothing:g}" if view.smoothing else "not smoothed")
        if view.log:
            parts.append("log scale")
        text = axes.clock_text if view.by_time else axes.step_text
        if self._window.part is not None:
            parts.append(
                f"{'' if view.by_time else 'steps '}{text(math.ceil(view.low))} to {text(view.high)}"
            )
        if view.cursor is not None:
            parts.append(f"cursor at {'' if view.by_time else 'step '}{text(view.cursor)}")
        self.query_one("#chart-status", Static).update(Content(" · ".join(parts)))


_PLACEHOLDER = "names of metrics: a pattern such as reward|loss; Enter keeps, Escape clears"


def _marked(run: ChartRun, place: int) -> ChartRun:
    return run if run.mark is not None else replace(run, mark=place)


def _span(zoom: object) -> tuple[float, float] | None:
    if not isinstance(zoom, list) or len(zoom) != 2 or not all(isinstance(x, int | float) for x in zoom):
        return None
    return (float(zoom[0]), float(zoom[1])) if zoom[0] < zoom[1] else None


def _legend(run: ChartRun, dark: bool) -> Content:
    mark = run.mark or 0
    sample = PATTERNS[mark % len(PATTERNS)].sample
    sign = Content.styled(f"{run_letter(mark)} {sample} ", run_colour(mark, dark))
    return sign + Content(f"{plain(run.label)}   ")


def _wrapped(names: Sequence[Content], width: int) -> Content:
    """Names beside one another, and below where they do not fit; none is torn apart."""
    lines = [Content("")]
    for name in names:
        if lines[-1].cell_length and lines[-1].cell_length + name.cell_length > width:
            lines.append(Content(""))
        lines[-1] += name
    return Content("\n").join(lines)
