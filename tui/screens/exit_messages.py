"""What is said once the terminal is given back: runs do not end with the app, transfers do."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from tui.screens.ended_runs import FINAL, Seen
from tui.text.format import listed

if TYPE_CHECKING:
    from tui.client import Client
    from tui.services.transfers import Job

_SHOWN = 3
_PATIENCE = 0.8  # seconds that a shell may wait for its prompt


def farewell(runs: Iterable[Seen]) -> str:
    """A line on the runs that go on; nothing where none does."""
    live = [run.run_id for run in runs if run.status not in FINAL]
    if not live:
        return ""
    names = listed(live, _SHOWN)
    many = len(live) > 1
    what = f"{len(live)} runs go on" if many else "1 run goes on"
    return f"{what}: {names} · vfm-tui or vfm logs RUN --follow joins {'them' if many else 'it'} again"


def left_half_way(jobs: Sequence[Job]) -> str:
    """A line on the transfers that ended with the app; nothing where none did."""
    if not jobs:
        return ""
    kinds = {job.direction for job in jobs}
    kind, many = kinds.pop() if len(kinds) == 1 else "transfer", len(jobs) > 1
    what = f"{len(jobs)} {kind}s were" if many else f"1 {kind} was"
    again = "started again, they go on from there" if many else "started again, it goes on from there"
    return f"{what} left half way: {listed([job.name for job in jobs], _SHOWN)} · {again}"


async def still_going(rows: Iterable[Any], client: Client | None) -> list[Seen]:
    """What was listed last, this machine's runs as they are now: one may have begun a moment ago."""
    rows = list(rows)
    if client is None or "local" not in client.backends:
        return rows
    try:
        here = await asyncio.wait_for(client.runs_of("local"), _PATIENCE)
    except Exception:
        return rows  # the last listing is told; nobody is left to tell why it could not be renewed
    return [*here, *(row for row in rows if row.backend != "local")]
