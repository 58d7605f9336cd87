"""The machine's meters and charts, as samples come in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from textual.app import ComposeResult
from textual.pilot import Pilot
from textual.widgets import Static

from tui.screens.app_base import AppBase
from tui.screens.frame import VfmScreen
from tui.user.ui_state import UiState
from tui.widgets.charts.chart import Chart
from tui.widgets.charts.system_pane import SystemPane

Samples = list[tuple[float, dict[str, float]]]
CPU_ONLY = {"cpu_percent": 40.0, "memory_gb": 31.0, "memory_total_gb": 32.0, "worker_rss_gb": 4.0}
GPU = {"gpu0_percent": 90.0, "gpu0_memory_gb": 20.0, "gpu0_memory_total_gb": 40.0}


class SystemScreen(VfmScreen):
    """A screen with nothing but the machine."""

    def __init__(self, samples: Samples) -> None:
        super().__init__()
        self.pane = SystemPane(samples)

    def body(self) -> ComposeResult:
        """The pane."""
        yield self.pane


@asynccontextmanager
async def system(samples: Samples) -> AsyncIterator[tuple[Pilot[None], SystemPane]]:
    screen = SystemScreen(samples)
    app = AppBase(ui_state=UiState())
    async with app.run_test(size=(100, 40)) as pilot:
        await app.push_screen(screen)
        await pilot.pause()
        screen.pane.focus()
        await pilot.pause()
        yield pilot, screen.pane


def meters(pane: SystemPane) -> list[str]:
    return str(pane.query_one("#system-meters", Static).content).splitlines()


def title(chart: Chart) -> str:
    return chart.render_lines(chart.outer_size.region)[0].text


async def test_each_figure_has_a_bar_a_number_and_a_unit() -> None:
    async with system([(100.0, CPU_ONLY)]) as (_, pane):
        cpu, memory, worker, gpu = meters(pane)
        assert "40.0%" in cpu
        assert cpu.count("━") == round(0.4 * (cpu.count("━") + cpu.count("─")))
        assert "31.0 of 32.0 GiB" in memory
        assert "nearly full" in memory
        assert "4.0 GiB" in worker
        assert gpu.startswith("no GPU was sampled")


async def test_a_gpu_that_was_sampled_is_shown() -> None:
    async with system([(100.0, {**CPU_ONLY, **GPU})]) as (_, pane):
        assert any(line.startswith("GPU 0 memory") and "20.0 of 40.0 GiB" in line for line in meters(pane))
        assert not any("no GPU" in line for line in meters(pane))


async def test_samples_that_come_in_are_shown_over_time() -> None:
    samples: Samples = []
    async with system(samples) as (pilot, pane):
        assert pane.query_one("#system-empty").display
        samples += [(100.0 + 5 * at, {**CPU_ONLY, "cpu_percent": float(at)}) for at in range(30)]
        pane.refresh_data()
        await pilot.pause()
        assert not pane.query_one("#system-empty").display
        assert [chart.metric for chart in pane.query(Chart)] == ["CPU", "memory", "worker's memory"]
        assert "29 %" in title(pane.query(Chart).first())
        assert "peak 29" in meters(pane)[0]


async def test_one_cursor_over_all_figures() -> None:
    samples: Samples = [(100.0 + 5 * at, {**CPU_ONLY, "cpu_percent": float(at)}) for at in range(30)]
    async with system(samples) as (pilot, pane):
        await pilot.press("left", "left")
        charts = list(pane.query(Chart))
        assert "28 % @ 2m20" in title(charts[0])
        assert "@ 2m20" in title(charts[1])
        await pilot.press("escape")
        assert "@" not in title(charts[0])
