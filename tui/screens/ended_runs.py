"""Which runs ended since the listing before: what toasts are made of. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

FINAL = frozenset({"done", "failed", "cancelled"})


class Seen(Protocol):
    """What news needs to know of a run."""

    @property
    def run_id(self) -> str: ...
    @property
    def status(self) -> str: ...


class News:
    """Remembers each run's status; the first listing is no news."""

    def __init__(self) -> None:
        self._statuses: dict[str, str] | None = None

    def ended(self, rows: Iterable[Seen]) -> list[Seen]:
        """The runs that were under way in the listing before, and are over in this one."""
        rows = list(rows)
        before = self._statuses or {}
        self._statuses = {**before, **{row.run_id: row.status for row in rows}}
        return [
            row for row in rows if row.status in FINAL and before.get(row.run_id, row.status) not in FINAL
        ]
