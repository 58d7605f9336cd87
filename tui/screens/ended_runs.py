"""Which runs ended since the previous listing, for notifications. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from tui.store.runs.row import LIVE, RunRow


class EndedRuns:
    """Compares each listing of runs with those before."""

    def __init__(self) -> None:
        self._statuses: dict[str, str] = {}

    def update(self, rows: Iterable[RunRow]) -> list[RunRow]:
        """The runs that were under way when they were last listed, and are over now."""
        rows = list(rows)
        ended = [row for row in rows if not row.live and self._statuses.get(row.run_id) in LIVE]
        self._statuses |= {row.run_id: row.status for row in rows}
        return ended
