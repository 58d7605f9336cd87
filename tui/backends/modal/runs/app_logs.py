"""What an app has logged: batches from where one left off, and pieces of the past.

Owns reading Modal's log service. It may repeat, reorder or drop what it carries, and end quietly: putting a
run's output together again is `journal.py`'s, going on after a break `watch.py`'s.

`App.logs.stream()` always begins at the beginning and hides where it is; so its call of Modal's protocol is
made here, which knows positions.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from tui.backends.modal.session import PATIENCE, within

if TYPE_CHECKING:
    from modal.client import Client

T = TypeVar("T")
_REACH = 34 * 86400.0
"""Seconds: Modal refuses to look back for more than 35 days."""


@dataclass(frozen=True)
class Entry:
    """Some text that a container printed, or Modal about it."""

    text: str
    source: str
    """`stdout`, `stderr` or `system`."""
    container: str
    time: float
    """Unix seconds."""


@dataclass(frozen=True)
class LogBatch:
    """Entries in the order in which they came."""

    entries: list[Entry]
    position: str
    """Where to go on; empty where the service does not say."""
    done: bool
    """Whether the app is over and this is the last of its logs."""


async def live(client: Client, app: str, position: str, seconds: float) -> AsyncGenerator[LogBatch, None]:
    """Batches after a position (empty: from the first) as they come, for so many seconds at most.

    Zero seconds give what there is. Raises `BackendError`; `NotFoundError` where there is no such app.
    """
    # The service ends the call itself: what does not come in that time was cut off in silence.
    from tui.backends.modal import protocol

    found = _in_time(protocol.get_logs.aio(client, app, position, seconds), seconds + PATIENCE)
    async with aclosing(found) as batches:
        async for batch in batches:
            yield _batch(batch)


async def past(client: Client, app: str, since: float) -> list[Entry]:
    """What was logged since a moment (Unix seconds). Raises as `live` does."""
    import modal

    async with within(PATIENCE, "read logs"):
        logs = (await modal.App.lookup.aio(app, client=client)).logs
    # Until later than now: the containers' clocks may be ahead of this machine's.
    begin, end = max(since, time.time() - _REACH), time.time() + 600
    found = logs.fetch.aio(since=datetime.fromtimestamp(begin, UTC), until=datetime.fromtimestamp(end, UTC))
    return [_from_the_past(entry) async for entry in _in_time(_as_far_as_kept(found), PATIENCE)]


async def _as_far_as_kept(entries: AsyncGenerator[Any, None]) -> AsyncGenerator[Any, None]:
    """The entries; no more where Modal refuses them, for their age or number: the volume has the rest."""
    from modal import exception

    try:
        async with aclosing(entries):
            async for entry in entries:
                yield entry
    except (exception.InvalidError, exception.LogsFetchError):
        return


async def _in_time(items: AsyncGenerator[T, None], seconds: float) -> AsyncGenerator[T, None]:
    """The items; each may be that long in coming."""
    async with aclosing(items):
        while True:
            try:
                async with within(seconds, "read logs"):
                    item = await anext(items)
            except StopAsyncIteration:
                return
            yield item


def _batch(batch: Any) -> LogBatch:
    entries = [_entry(item, batch) for item in batch.items if item.data]
    return LogBatch(entries, batch.entry_id, batch.app_done)


def _entry(item: Any, batch: Any) -> Entry:
    from tui.backends.modal import protocol

    names = {protocol.STDOUT: "stdout", protocol.STDERR: "stderr"}
    when = item.timestamp_ns / 1e9 if item.timestamp_ns else item.timestamp
    container = item.container_id or batch.task_id
    return Entry(item.data, names.get(item.file_descriptor, "system"), container, when)


def _from_the_past(entry: Any) -> Entry:
    container = next((name for name in entry.context_ids if name.startswith("ta-")), "")
    return Entry(entry.message, entry.source, container, entry.timestamp.timestamp())
