"""What the run screen expects of each of its panes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from tui.services.live_run import LiveRun


@runtime_checkable
class RunPane(Protocol):
    """A pane of one run; also a widget."""

    def run_changed(self, live: LiveRun) -> None:
        """Show what is new; called at most ten times a second while the pane is visible."""

    def state(self) -> dict[str, Any]:
        """UI state to save, as JSON values."""

    def restore(self, state: dict[str, Any]) -> None:
        """Restore a saved state, possibly of another run; invalid values are ignored."""
