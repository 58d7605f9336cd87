"""The panes of the run screen: how each is built for a run, and which of them save UI state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from textual.widget import Widget

from remote.contract import layout
from tui.services.episode_files import EpisodeLoader
from tui.services.run_config import RunConfigLoader
from tui.services.volume_files import VolumeFiles
from tui.widgets.common.panes import Builder
from tui.widgets.common.run_pane import RunPane

if TYPE_CHECKING:
    from tui.services.live_run import LiveRun
    from tui.user.ui_state import UiState


class RunPanes:
    """Builds the panes of one run, tells them of changes, saves and restores their UI state."""

    def __init__(self, live: LiveRun, ui_state: UiState, now: Callable[[], float]) -> None:
        self._live, self._ui_state, self._now = live, ui_state, now
        self._files = VolumeFiles.of_run(live.client, live.record)
        self._root = str(layout.run_path(live.record.run_id))

    def builders(self) -> dict[str, Builder]:
        """A builder for each pane, by name, in the order of their number keys."""
        return {
            "logs": self._build_logs,
            "charts": self._build_charts,
            "rollouts": self._build_rollouts,
            "system": self._build_system,
            "config": self._build_config,
            "files": self._build_files,
        }

    def update(self, widget: Widget) -> None:
        """Tell a pane that the run changed."""
        if isinstance(widget, RunPane):
            widget.run_changed(self._live)

    def restore(self, name: str, widget: Widget) -> None:
        """Give a new pane its saved state."""
        state = self._ui_state.get(f"run.{name}")
        if isinstance(widget, RunPane) and isinstance(state, dict):
            widget.restore(state)

    def save(self, built: Mapping[str, Widget]) -> None:
        """Save the state of every pane."""
        for name, widget in built.items():
            if isinstance(widget, RunPane) and widget.is_mounted and (state := widget.state()):
                self._ui_state.put(f"run.{name}", state)

    def _build_logs(self) -> Widget:
        from tui.widgets.logs.pane import LogPane

        return LogPane(self._live.log_file)

    def _build_charts(self) -> Widget:
        from tui.widgets.charts.pane import ChartsPane
        from tui.widgets.charts.run_series import ChartRun

        return ChartsPane([ChartRun(self._live.record.run_id, self._live.metrics)])

    def _build_rollouts(self) -> Widget:
        from tui.widgets.episodes.pane import RolloutsPane

        return RolloutsPane(EpisodeLoader(self._files, self._root))

    def _build_system(self) -> Widget:
        from tui.widgets.charts.system_pane import SystemPane

        return SystemPane(self._live.system)

    def _build_config(self) -> Widget:
        from tui.widgets.runs.config_pane import ConfigPane

        return ConfigPane(RunConfigLoader(self._live.client), self._live.record)

    def _build_files(self) -> Widget:
        from tui.widgets.files.pane import FilesPane

        return FilesPane(self._files, self._root, self._now)
