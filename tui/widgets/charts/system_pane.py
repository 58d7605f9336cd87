"""The machine that a run uses: meters of its present load, and charts of the load since the run began.

`remote/output/system_metrics.py` takes the samples; `tui/store/charts/system_metrics.py` knows their names
and units.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from rich.cells import cell_len
from textual import events
from textual.actions import SkipAction
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from tui.store.charts import axes
from tui.store.charts.system_metrics import Figure, MachineHistory, figures, has_gpu, label_of
from tui.text.format import pad, plain
from tui.widgets.charts.browser import ChartBrowser, browser_keys
from tui.widgets.charts.chart import Chart
from tui.widgets.charts.plot import ChartView

if TYPE_CHECKING:
    from tui.services.live_run import LiveRun

_EMPTY = "no samples yet: the machine is sampled every few seconds while the run is under way"
_NO_GPU = "no GPU was sampled: the machine has none, or nvidia-smi is not installed on it"
_BAR = 40


class SystemCharts(ChartBrowser):
    """A chart of each measured quantity."""

    BINDING_GROUP_TITLE = "System charts"
    BINDINGS: ClassVar[list[BindingType]] = browser_keys("system")


class SystemPane(Vertical):
    """Meters and charts of a machine."""

    DEFAULT_CSS = """
    SystemPane { height: 1fr; width: 1fr; }
    SystemPane #system-meters { height: auto; padding: 0 1 1 1; }
    SystemPane #system-empty { height: 1fr; content-align: center middle; color: $text-muted; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Close", show=False, id="system.leave"),
    ]

    def __init__(self, samples: Sequence[tuple[float, Mapping[str, float]]], **options: Any) -> None:
        super().__init__(**options)
        self._history = MachineHistory(samples)
        self._charts = SystemCharts(self._make_chart, order=list, view=ChartView(by_time=True))
        self._keys: dict[str, str] = {}
        """Name of a chart → key of its quantity in the samples."""

    def compose(self) -> ComposeResult:
        """Meters, charts, or a text while there are no samples."""
        yield Static(id="system-meters")
        yield self._charts
        yield Static(_EMPTY, id="system-empty")

    def on_mount(self) -> None:
        """Show what there is."""
        self._charts.lay_out()
        self.refresh_data()
        self.watch(self.app, "theme", self._update_meters, init=False)

    def run_changed(self, live: LiveRun) -> None:
        """Show new samples."""
        self.refresh_data()

    def refresh_data(self) -> None:
        """Show samples that were appended."""
        if not self.children or not self._history.refresh():
            return
        new = [key for key in self._history.over_time if label_of(key) not in self._keys]
        self._keys |= {label_of(key): key for key in new}
        for chart in self._charts.charts.values():
            chart.refresh_data()
        span = max(self._history.seconds, 1.0)
        leap = axes.clock_step(span, 50)
        cursor = self._charts.view.cursor
        self._charts.view = ChartView(low=0.0, high=-(-span // leap) * leap, by_time=True, cursor=cursor)
        if new:
            self._charts.offer(map(label_of, new))
            self._charts.lay_out()
        self._update_meters()

    def state(self) -> dict[str, Any]:
        """Nothing is saved."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Nothing is restored."""

    def focus(self, scroll_visible: bool = True, **_: Any) -> SystemPane:
        """Focus a chart."""
        self._charts.focus_chart(scroll_visible)
        return self

    def on_resize(self, _: events.Resize) -> None:
        """Fit the meters to the width."""
        self._update_meters()

    def action_leave(self) -> None:
        """Close the cursor or the enlarged chart, else leave the key to the screen."""
        if not self._charts.close():
            raise SkipAction

    def _make_chart(self, label: str) -> Chart:
        key = self._keys[label]
        chart = Chart(label, _unit(key))
        chart.add_line("", 0, self._history.over_time[key], None, alone=True)
        return chart

    def _update_meters(self) -> None:
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
        """`memory          ━━━━━━━──────  12.3 of 32 GiB   peak 14.1`"""
        colour = "$warning" if figure.nearly_full else "$primary"
        filled = round((figure.share or 0.0) * width)
        bar = Content.styled("━" * filled, colour) + Content.styled("─" * (width - filled), "$foreground 25%")
        if figure.share is None:
            bar = Content(" " * width)
        has_total = figure.total and (figure.key == "memory_gb" or figure.key.startswith("gpu"))
        if figure.unit == "GiB" and has_total:
            value = f"{figure.value:5.1f} of {figure.total:.1f} GiB"
        else:
            value = f"{figure.value:5.1f}{'' if figure.unit == '%' else ' '}{figure.unit}"
        peak = f"  peak {axes.short(round(self._history.peak(figure.key), 1))}"
        return Content("").join([
            Content(f"{pad(figure.label, names)}  "),
            bar,
            Content.styled(f"  {value:<19}", "bold"),
            Content.styled(peak, "$foreground 60%"),
            Content.styled("  nearly full", "$warning") if figure.nearly_full else Content(""),
        ])  # fmt: skip


def _unit(key: str) -> str:
    return " %" if key.endswith("_percent") else " GiB" if key.endswith("_gb") else ""
