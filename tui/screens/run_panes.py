"""The panes of the run screen: how each is made for a run, told of what is new, and remembered.

Owns the list of panes and their names. What a pane shows is its widget's; where it is seen is `panes.py`'s.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, cast

from textual.widget import Widget

from remote.contract import layout
from remote.contract.checkpoint_names import best_checkpoint, score_label
from tui.widgets.common.panes import Builder

if TYPE_CHECKING:
    from tui.services.live_run import LiveRun
    from tui.user.ui_state import UiState
    from tui.widgets.charts.pane import ChartsPane
    from tui.widgets.charts.system_pane import SystemPane
    from tui.widgets.episodes.pane import RolloutsPane
    from tui.widgets.files.pane import FilesPane
    from tui.widgets.logs.pane import LogPane
    from tui.widgets.runs.config_pane import ConfigPane

_REMEMBERED = ("logs", "charts", "rollouts", "config", "files")
_ONE_RUNS_OWN = ("search", "zoom")
"""What a pane may tell of itself that is about this run alone."""


class RunPanes:
    """Panes of one run."""

    def __init__(self, live: LiveRun, ui_state: UiState) -> None:
        self._live, self._ui_state = live, ui_state
        self._listed: Hashable = None

    def builders(self) -> dict[str, Builder]:
        """A builder for each pane, by name, in the order of their keys."""
        return {
            "logs": self._logs,
            "charts": self._charts,
            "rollouts": self._rollouts,
            "system": self._system,
            "config": self._config,
            "files": self._files,
        }

    def update(self, widget: Widget) -> None:
        """Tell a pane that the run has grown."""
        live, told = self._live, type(widget).__name__
        match told:
            case "LogPane":
                cast("LogPane", widget).log_grew(over=live.over)
            case "ChartsPane":
                cast("ChartsPane", widget).refresh_data()
            case "SystemPane":
                cast("SystemPane", widget).refresh_data()
            case "FilesPane":
                self._reload(cast("FilesPane", widget))
            case "RolloutsPane":
                cast("RolloutsPane", widget).grew(self._episodes())
            case "ConfigPane":
                cast("ConfigPane", widget).show_record(live.record)

    def restore(self, name: str, widget: Widget) -> None:
        """Give a pane that was just made what it looked like last time."""
        state = self._ui_state.get(f"run.{name}")
        if name in _REMEMBERED and name != "charts" and isinstance(state, dict):
            cast("LogPane | RolloutsPane | ConfigPane | FilesPane", widget).restore(state)

    def remember(self, built: Mapping[str, Widget]) -> None:
        """Keep what the panes look like."""
        for name, widget in built.items():
            if name in _REMEMBERED and widget.is_mounted:
                state = cast("LogPane | ChartsPane | RolloutsPane | ConfigPane | FilesPane", widget).state()
                self._ui_state.put(f"run.{name}", {k: v for k, v in state.items() if k not in _ONE_RUNS_OWN})

    def _logs(self) -> Widget:
        from tui.widgets.logs.pane import LogPane

        return LogPane(self._live.log_file)

    def _charts(self) -> Widget:
        from tui.widgets.charts.pane import ChartsPane
        from tui.widgets.charts.run_series import ChartRun

        run = ChartRun(self._live.record.run_id, self._live.metrics)
        return ChartsPane([run], self._ui_state.get("run.charts"))

    def _rollouts(self) -> Widget:
        from tui.widgets.episodes.pane import RolloutsPane

        record = self._live.record
        root = str(layout.run_path(record.run_id))
        return RolloutsPane(self._live.client, record.backend, record.outputs, root)

    def _system(self) -> Widget:
        from tui.widgets.charts.system_pane import SystemPane

        return SystemPane(self._live.system)

    def _config(self) -> Widget:
        from tui.widgets.runs.config_pane import ConfigPane

        return ConfigPane(self._live.client, self._live.record)

    def _files(self) -> Widget:
        from tui.widgets.files.pane import FilesPane

        record = self._live.record
        root = str(layout.run_path(record.run_id))
        return FilesPane(self._live.client, record.backend, record.outputs, root)

    def _reload(self, pane: FilesPane) -> None:
        """List the files again whenever there must be others; checkpoints bear their scores."""
        saved, root = self._live.state.checkpoints, layout.run_path(self._live.record.run_id)
        best = best_checkpoint(saved)
        said = {str(root / one.path): score_label(one.score, one is best) for one in saved}
        pane.note({path: words for path, words in said.items() if words})
        mark = (len(self._live.state.checkpoints), len(self._live.state.phases), self._live.over)
        if mark != self._listed:
            self._listed = mark
            pane.reload()

    def _episodes(self) -> Hashable:
        """What changes whenever there may be more episodes on file."""
        state = self._live.state
        counted = state.progress.get("episodes")
        return state.step, state.rollouts, counted and counted.done, self._live.over
