"""Home: every run of every experiment in one table."""

from __future__ import annotations

from tui.screens.base import VfmScreen


class RunsScreen(VfmScreen):
    """Runs."""

    TITLE = "runs"
