"""Logs of apps: what their containers and builds write, served live and of the past.

One batch has one entry. Faults touch only what is served: the log itself is complete.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import TypeAlias

from google.protobuf.timestamp_pb2 import Timestamp  # type: ignore[import-untyped]
from modal_proto import api_pb2 as pb

from tests.modal.cloud.faults import Faults
from tests.modal.cloud.signals import Signal
from tests.modal.cloud.state import App, Container, Function, State

_Question = pb.AppGetLogsRequest | pb.AppFetchLogsRequest | pb.AppCountLogsRequest
Source: TypeAlias = pb.FileDescriptor.ValueType
STDOUT, STDERR, SYSTEM = pb.FILE_DESCRIPTOR_STDOUT, pb.FILE_DESCRIPTOR_STDERR, pb.FILE_DESCRIPTOR_INFO


class Log:
    """The log of one app, or of one image."""

    def __init__(self) -> None:
        self.batches: list[pb.TaskLogsBatch] = []
        self.changed = Signal()

    @property
    def text(self) -> str:
        """The whole log as one text."""
        return "".join(batch.items[0].data for batch in self.batches)

    def write(
        self,
        text: str,
        source: Source = STDOUT,
        *,
        container: Container | None = None,
        image_id: str = "",
    ) -> None:
        """Append an entry."""
        now = time.time_ns()
        entry = pb.TaskLogs(data=text, file_descriptor=source, timestamp=now / 1e9, timestamp_ns=now)
        batch = pb.TaskLogsBatch(entry_id=f"{now // 1_000_000}-{len(self.batches)}", image_id=image_id)
        if container is not None:
            batch.task_id = entry.container_id = container.task_id
            batch.function_id = container.function.function_id
            for one in container.running.values():
                batch.input_id = entry.input_id = one.input_id
                entry.function_call_id = one.call.call_id
        batch.items.append(entry)
        self.batches.append(batch)
        self.changed.fire()


class Logs:
    """The RPCs of app and call logs."""

    def __init__(self, state: State, faults: Faults) -> None:
        self._state = state
        self._faults = faults
        self._dropped = set[str]()

    async def AppGetLogs(self, request: pb.AppGetLogsRequest) -> AsyncIterator[pb.TaskLogsBatch]:
        app = self._state.app(request.app_id)
        at = int(request.last_entry_id.rpartition("-")[2]) + 1 if request.last_entry_id else 0
        deadline = time.monotonic() + request.timeout
        while True:
            fresh = [] if self._faults.silent_end else app.log.batches[at:]
            at += len(fresh)
            for batch in self._disturbed([one for one in fresh if self._asked_for(one, request)]):
                yield batch
            if app.done and (self._faults.silent_end or at == len(app.log.batches)):
                yield pb.TaskLogsBatch(app_done=True)
                return
            if (left := deadline - time.monotonic()) <= 0:
                return
            if self._faults.silent_end or at == len(app.log.batches):
                await app.log.changed.wait(left)
                await asyncio.sleep(0.05 if self._faults.reorder_logs else 0)  # so that there are neighbours

    async def AppFetchLogs(self, request: pb.AppFetchLogsRequest) -> pb.AppFetchLogsResponse:
        found = list(self._between(self._state.app(request.app_id), request))
        return pb.AppFetchLogsResponse(batches=found[-request.limit :] if request.limit else found)

    async def AppCountLogs(self, request: pb.AppCountLogsRequest) -> pb.AppCountLogsResponse:
        width = request.bucket_secs or 60
        first = request.since.seconds // width * width
        counts = {at: [0, 0, 0] for at in range(first, request.until.seconds + 1, width)}
        for batch in self._between(self._state.app(request.app_id), request):
            entry = batch.items[0]
            bucket = counts[entry.timestamp_ns // 1_000_000_000 // width * width]
            bucket[{STDOUT: 0, STDERR: 1}.get(entry.file_descriptor, 2)] += 1
        buckets = [
            pb.AppCountLogsResponse.LogBucket(
                bucket_start_at=Timestamp(seconds=at), stdout_logs=out, stderr_logs=err, system_logs=rest
            )
            for at, (out, err, rest) in counts.items()
        ]
        return pb.AppCountLogsResponse(app_id=request.app_id, buckets=buckets)

    def _between(
        self, app: App, request: pb.AppFetchLogsRequest | pb.AppCountLogsRequest
    ) -> Iterator[pb.TaskLogsBatch]:
        since, until = request.since.ToNanoseconds(), request.until.ToNanoseconds()
        for batch in app.log.batches:
            forgotten = self._faults.forget_logs and batch.entry_id in self._dropped
            inside = since <= batch.items[0].timestamp_ns < until
            if inside and not forgotten and self._asked_for(batch, request):
                yield batch

    def _asked_for(self, batch: pb.TaskLogsBatch, request: _Question) -> bool:
        entry = batch.items[0]
        source = request.file_descriptor if isinstance(request, pb.AppGetLogsRequest) else request.source
        function = self._state.functions.get(batch.function_id)
        return (
            request.function_id in ("", *_names(function))
            and request.function_call_id in ("", entry.function_call_id)
            and request.task_id in ("", batch.task_id)
            and source in (pb.FILE_DESCRIPTOR_UNSPECIFIED, entry.file_descriptor)
            and request.search_text in entry.data
        )

    def _disturbed(self, batches: list[pb.TaskLogsBatch]) -> list[pb.TaskLogsBatch]:
        batches = [one for one in batches if not self._drops(one)]
        if self._faults.reorder_logs:
            batches = [one for at in range(0, len(batches), 2) for one in reversed(batches[at : at + 2])]
        return [one for one in batches for _ in range(2 if self._faults.duplicate_logs else 1)]

    def _drops(self, batch: pb.TaskLogsBatch) -> bool:
        if batch.entry_id not in self._dropped and batch.task_id and self._faults.drop_logs > 0:
            self._faults.drop_logs -= 1
            self._dropped.add(batch.entry_id)
        return batch.entry_id in self._dropped


def _names(function: Function | None) -> tuple[str, ...]:
    return (function.function_id, function.base_id) if function else ()
