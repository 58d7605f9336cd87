"""The machine that a run runs on: what it uses now, and what it used since the run began.

Owns how samples look. `remote/output/system_metrics.py` takes them; `tui/store/charts/system_metrics.py` has
their names and units.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from rich.cells import cell_len
from textual import events, on
from textual.actions import SkipAction
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from tui.store.charts import axes
from tui.store.charts.system_metrics import Figure, MachineHistory, figures, has_gpu, label_of
from tui.store.charts.window import nearest, step_cursor
from tui.text.format import pad, plain
from tui.widgets.charts.chart import Chart
from tui.widgets.charts.grid import ChartGrid
from tui.widgets.charts.plot import ChartView

_EMPTY = "no samples yet: the machine is looked at every few seconds while the run is under way"
_NO_GPU = "no GPU was sampled: the machine has none, or nvidia-smi is not installed on it"
_BAR = 40


class SystemPane(Vertical):
    """Meters and charts of a machine. `refresh_data()` tells it that there are more samples."""

    DEFAULT_CSS = """
    SystemPane { height: 1fr; width: 1fr; }
    SystemPane #system-meters { height: auto; padding: 0 1 1 1; }
    SystemPane #system-empty { height: 1fr; content-align: center middle; color: $text-muted; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "cursor(-1)", "Cursor left", show=False, id="system.left"),
        Binding("right,l", "cursor(1)", "Cursor right", show=False, id="system.right"),
        Binding("shift+left,H", "cursor(-10)", "Cursor far left", show=False, id="system.far_left"),
        Binding("shift+right,L", "cursor(10)", "Cursor far right", show=False, id="system.far_right"),
        Binding("up,k", "go(-1)", "Chart above", show=False, id="system.up"),
        Binding("down,j", "go(1)", "Chart below", show=False, id="system.down"),
        Binding("enter", "enlarge", "Enlarge", id="system.enlarge"),
        Binding("escape", "leave", "Close", show=False, id="system.leave"),
    ]

    def __init__(self, samples: Sequence[tuple[float, Mapping[str, float]]], **options: Any) -> None:
        super().__init__(**options)
        self._history = MachineHistory(samples)
        self._grid = ChartGrid(self._make, order=list)
        self._keys: dict[str, str] = {}
        """Name of a chart → key of what was measured."""
        self._view = ChartView(by_time=True)
        self._ready = False

    def compose(self) -> ComposeResult:
        """What is used now, above what was used so far."""
        yield Static(id="system-meters")
        yield self._grid
        yield Static(_EMPTY, id="system-empty")

    def on_mount(self) -> None:
        """What there is, at once."""
        self._ready = True
        self._grid.lay_out()
        self.refresh_data()
        self.watch(self.app, "theme", self._tell, init=False)

    def refresh_data(self) -> None:
        """There may be more samples."""
        if not self._ready or not self._history.refresh():
            return
        fresh = [key for key in self._history.over_time if label_of(key) not in self._keys]
        self._keys |= {label_of(key): key for key in fresh}
        for chart in self._grid.charts.values():
            chart.refresh_data()
        if fresh:
            self._grid.offer(map(label_of, fresh))
            self._grid.lay_out()
        self._show(self._view.cursor)
        self._tell()

    def focus(self, scroll_visible: bool = True, **_: Any) -> SystemPane:
        """The keys go to a chart."""
        target = self._grid.focused or next(iter(self._grid.shown), None)
        if target is not None:
            self.screen.set_focus(target, scroll_visible)
        return self

    def on_resize(self, _: events.Resize) -> None:
        """Meters are as wide as there is room for."""
        self._tell()

    def action_cursor(self, by: int) -> None:
        """To another sample."""
        charts = self._grid.shown
        self._show(
            step_cursor((self._grid.focused or charts[0]).xs(), self._view.cursor, by) if charts else None
        )

    def action_go(self, by: int) -> None:
        """The chart below, or above."""
        self._grid.go(by)

    def action_enlarge(self) -> None:
        """One chart in all of the place, or all of them again."""
        if self._grid.focused is not None:
            self._chosen(Chart.Chosen(self._grid.focused))

    def action_leave(self) -> None:
        """Escape: the cursor, the enlarged chart; then it is the screen's."""
        if self._view.cursor is not None:
            self._show(None)
        elif self._grid.one is not None:
            self._grid.show_one(None)
        else:
            raise SkipAction

    @on(Chart.Pointed)
    def _pointed(self, event: Chart.Pointed) -> None:
        event.stop()
        self._show(nearest(event.chart.xs(), event.x))

    @on(Chart.Chosen)
    def _chosen(self, event: Chart.Chosen) -> None:
        event.stop()
        self._grid.show_one(None if self._grid.one else event.chart.metric)

    def _make(self, label: str) -> Chart:
        key = self._keys[label]
        chart = Chart(label, _unit(key))
        chart.add_line("", 0, self._history.over_time[key], None, alone=True)
        return chart

    def _show(self, cursor: float | None) -> None:
        span = max(self._history.seconds, 1.0)
        leap = axes.clock_step(span, 50)
        self._view = ChartView(low=0.0, high=-(-span // leap) * leap, by_time=True, cursor=cursor)
        for chart in self._grid.charts.values():
            chart.view = self._view

    def _tell(self) -> None:
        """Meters, or why there are none."""
        latest = self._history.latest
        found = figures(latest)
        meters, empty = self.query_one("#system-meters", Static), self.query_one("#system-empty", Static)
        meters.display, empty.display = bool(found), not found
        if found:
            names = max(cell_len(plain(figure.label)) for figure in found)
            width = max(5, min(_BAR, self.size.width - names - 42))
            lines = [self._meter(figure, names, width) for figure in found]
            if not has_gpu(latest):
                lines.append(Content.styled(_NO_GPU, "$foreground 60%"))
            meters.update(Content("\n").join(lines))

    def _meter(self, figure: Figure, names: int, width: int) -> Content:
        """`memory          ━━━━━━━──────  12.3 of 32 GiB   at most 14.1`"""
        colour = "$warning" if figure.nearly_full else "$primary"
        filled = round((figure.share or 0.0) * width)
        bar = Content.styled("━" * filled, colour) + Content.styled("─" * (width - filled), "$foreground 25%")
        if figure.share is None:
            bar = Content(" " * width)
        told = f"{figure.value:5.1f}{'' if figure.unit == '%' else ' '}{figure.unit}"
        if (figure.unit == "GiB" and figure.total and figure.key == "memory_gb") or figure.key.startswith(
            "gpu"
        ):
            told = (
                f"{figure.value:5.1f} of {figure.total:.1f} GiB"
                if figure.unit == "GiB" and figure.total
                else told
            )
        peak = f"  peak {axes.short(round(self._history.peak(figure.key), 1))}"
        return Content("").join([
            Content(f"{pad(figure.label, names)}  "),
            bar,
            Content.styled(f"  {told:<19}", "bold"),
            Content.styled(peak, "$foreground 60%"),
            Content.styled("  nearly full", "$warning") if figure.nearly_full else Content(""),
        ])  # fmt: skip


def _unit(key: str) -> str:
    return " %" if key.endswith("_percent") else " GiB" if key.endswith("_gb") else ""
