"""Messages printed after the terminal is restored: runs go on without the app, transfers do not."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

from tui.store.runs.row import LIVE
from tui.text.format import listed

if TYPE_CHECKING:
    from tui.client import Client
    from tui.services.transfers import Job
    from tui.store.runs.row import RunRow

_MOST_NAMES = 3
_TIMEOUT = 0.8  # seconds that the shell's prompt may be delayed


class Run(Protocol):
    """A row of the runs table or a run's record."""

    @property
    def run_id(self) -> str: ...
    @property
    def status(self) -> str: ...


def live_runs_message(runs: Iterable[Run]) -> str:
    """One line about the runs that go on, or an empty string."""
    live = [run.run_id for run in runs if run.status in LIVE]
    if not live:
        return ""
    many = len(live) > 1
    go_on = f"{len(live)} runs go on" if many else "1 run goes on"
    joins = f"vfm-tui or vfm logs RUN --follow joins {'them' if many else 'it'} again"
    return f"{go_on}: {listed(live, _MOST_NAMES)} · {joins}"


def broken_transfers_message(jobs: Sequence[Job]) -> str:
    """One line about the transfers that ended with the app, or an empty string."""
    if not jobs:
        return ""
    kinds = {job.direction for job in jobs}
    kind, many = kinds.pop() if len(kinds) == 1 else "transfer", len(jobs) > 1
    broken = f"{len(jobs)} {kind}s were" if many else f"1 {kind} was"
    again = "start them again, and they go on" if many else "start it again, and it goes on"
    return f"{broken} interrupted: {listed([job.name for job in jobs], _MOST_NAMES)} · {again} from there"


async def current_runs(rows: Iterable[RunRow], client: Client | None) -> Sequence[Run]:
    """The runs listed last, with this machine's read anew: one may have started a moment ago."""
    rows = list(rows)
    if client is None or "local" not in client.backends:
        return rows
    try:
        local = await asyncio.wait_for(client.runs_of("local"), _TIMEOUT)
    except Exception:
        return rows  # the app is gone: better an older listing than an error
    return [*local, *(row for row in rows if row.backend != "local")]
