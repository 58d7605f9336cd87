"""The private names of Modal's client: calls of its protocol that its public API lacks.

Owns every such name that the near side uses, so that an upgrade of `modal` is checked in one place
(`tests/modal/test_protocol.py`). Each function runs on the event loop of Modal's library, which holds its
connections, and is called with `.aio` from any other. Import this module after `modal`, off the event loop.

- `get_logs`: logs from a position. `App.logs.stream` begins with the first entry each time, and tells none.
- `get_outputs`: how a call ended. `FunctionCall.get` raises what the function raised, `SystemExit` too, in
  the thread of Modal's library, and keeps the status to itself.
- `get_file`: the blocks of a file from an offset. `Volume.read_file` and `read_file_into_fileobj` only read
  whole files, so neither a range nor the rest of a download can be read by them.
- `put_files`: which blocks of a file the server lacks. `Volume.batch_upload` sends all of a batch without
  any progress, and goes on sending when it is cancelled.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modal._utils.async_utils import synchronize_api
from modal._utils.function_utils import _process_result
from modal._utils.http_utils import ClientSessionRegistry
from modal_proto import api_pb2

if TYPE_CHECKING:
    from aiohttp import ClientSession
    from modal.client import _Client
    from modal.volume import _Volume

on_modals_loop: Any = synchronize_api
"""Makes a coroutine function one that runs on the event loop of Modal's library: `.aio` awaits it there."""
STDOUT, STDERR = api_pb2.FILE_DESCRIPTOR_STDOUT, api_pb2.FILE_DESCRIPTOR_STDERR


@dataclass(frozen=True)
class HashedFile:
    """A file as a volume of version 2 keeps it: by the SHA-256 of each block, zeros at its end left out."""

    path: str
    size: int
    mode: int
    digests: Sequence[bytes]


def http_session() -> ClientSession:
    """The HTTP connections of Modal's library, for its own event loop: its certificates and proxies."""
    registry: Any = ClientSessionRegistry
    session: ClientSession = registry.get_session()
    return session


def status_name(result: Any) -> str:
    """The status of a call's result, such as `TIMEOUT`."""
    name: str = api_pb2.GenericResult.GenericStatus.Name(result.status)
    return name.removeprefix("GENERIC_STATUS_")


async def _get_logs(client: _Client, app: str, position: str, seconds: float) -> AsyncIterator[Any]:
    """`TaskLogsBatch` after `TaskLogsBatch`, as they come within so many seconds."""
    request = api_pb2.AppGetLogsRequest(app_id=app, last_entry_id=position, timeout=seconds)
    async for batch in client._stub.AppGetLogs.unary_stream(request):
        yield batch


async def _get_outputs(client: _Client, call: str, seconds: float) -> tuple[Any, BaseException | None]:
    """A `FunctionGetOutputsResponse`, and what the function raised."""
    request = api_pb2.FunctionGetOutputsRequest(
        function_call_id=call, timeout=seconds, last_entry_id="0-0", requested_at=0.0
    )
    response = await client._stub.FunctionGetOutputs(request)
    if response.outputs:
        output = response.outputs[0]
        try:
            await _process_result(output.result, output.data_format, client._stub, client)
        except BaseException as error:
            return response, error
    return response, None


async def get_file_here(volume: _Volume, path: str, start: int, size: int) -> Any:
    """A `VolumeGetFile2Response` for a part of a file; `size` 0 is all the rest.

    For callers on the event loop of Modal's library; `get_file` is for all others.
    """
    request = api_pb2.VolumeGetFile2Request(
        volume_id=volume.object_id, path=path, start=start, len=size, client_pads_blocks=True
    )
    return await volume.client._stub.VolumeGetFile2(request)


async def _is_version_1(volume: _Volume) -> bool:
    """Whether a volume keeps whole files, and no blocks."""
    return volume._is_v1


async def _put_files(
    volume: _Volume, files: Sequence[HashedFile], receipts: Mapping[bytes, bytes]
) -> list[tuple[int, int, str]]:
    """Make these the files of a volume of version 2, unless the server lacks blocks of them.

    Returns those: the file's index, the block's index in it, and the address to put it to.
    """
    request = api_pb2.VolumePutFiles2Request(volume_id=volume.object_id)
    for file in files:
        entry = request.files.add(path=file.path, size=file.size, mode=file.mode)
        for digest in file.digests:
            entry.blocks.add(contents_sha256=digest, put_response=receipts.get(digest))
    response = await volume.client._stub.VolumePutFiles2(request)
    return [(block.file_index, block.block_index, block.put_url) for block in response.missing_blocks]


get_logs = on_modals_loop(_get_logs)
get_outputs = on_modals_loop(_get_outputs)
get_file = on_modals_loop(get_file_here)
is_version_1 = on_modals_loop(_is_version_1)
put_files = on_modals_loop(_put_files)
