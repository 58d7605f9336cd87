"""An app's logs: live from a position, or of the past.

Owns reading Modal's log service, which may repeat, reorder or drop entries and end without a sign:
`stream_copy.py` puts the output together again, `watch.py` reconnects. Past logs come from
`modal.App.logs.fetch`, live ones from `protocol.get_logs`, since `App.logs.stream` has no positions: after
each break it would begin with the app's first entry.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from tui.backends.modal.session import CALL_SECONDS, within

if TYPE_CHECKING:
    from modal.client import Client

T = TypeVar("T")
_REACH = 34 * 86400.0
"""Seconds: Modal refuses to look back more than 35 days."""


@dataclass(frozen=True)
class Entry:
    """Text that a container printed, or Modal about it."""

    text: str
    source: str
    """`stdout`, `stderr` or `system`."""
    container: str
    time: float
    """Unix seconds."""


@dataclass(frozen=True)
class LogBatch:
    """Entries in the order of their arrival."""

    entries: list[Entry]
    position: str
    """Where to continue after them; empty where the service names none."""
    done: bool
    """Whether the app is over and these are its last entries."""


async def live(client: Client, app: str, position: str, seconds: float) -> AsyncGenerator[LogBatch, None]:
    """The batches after a position (empty: all), as they come for so many seconds; 0 gives those of the past.

    Raises `BackendError`, and `NotFoundError` where there is no such app.
    """
    # The service ends the call itself: if it does not, the connection was cut without a sign.
    from tui.backends.modal import protocol

    found = _in_time(protocol.get_logs.aio(client, app, position, seconds), seconds + CALL_SECONDS)
    async with aclosing(found) as batches:
        async for batch in batches:
            yield _batch(batch)


async def past(client: Client, app: str, since: float) -> list[Entry]:
    """The entries since a time (Unix seconds). Raises as `live` does."""
    import modal

    async with within(CALL_SECONDS, "read logs"):
        logs = (await modal.App.lookup.aio(app, client=client)).logs
    # The containers' clocks may be ahead of this machine's.
    begin, end = max(since, time.time() - _REACH), time.time() + 600
    found = logs.fetch.aio(since=datetime.fromtimestamp(begin, UTC), until=datetime.fromtimestamp(end, UTC))
    return [_from_the_past(entry) async for entry in _in_time(_until_refused(found), CALL_SECONDS)]


async def _until_refused(entries: AsyncGenerator[Any, None]) -> AsyncGenerator[Any, None]:
    """The entries, until Modal refuses more for their age or number: the volume has the rest."""
    from modal import exception

    try:
        async with aclosing(entries):
            async for entry in entries:
                yield entry
    except (exception.InvalidError, exception.LogsFetchError):
        return


async def _in_time(items: AsyncGenerator[T, None], seconds: float) -> AsyncGenerator[T, None]:
    """The items; each may take so many seconds to come."""
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
