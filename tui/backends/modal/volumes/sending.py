"""What of uploads to Modal's volumes has no public API: sending blocks, and asking what the server has.

With `blocks.py` the only module that uses Modal's own stubs; what is said there holds here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import modal
from modal_proto import api_pb2

from tui.backends.modal.volumes import http
from tui.backends.modal.volumes.blocks import on_modals_loop

if TYPE_CHECKING:
    from modal.volume import _Volume


async def put(url: str, data: bytes, silence: float) -> bytes:
    """Send a block; returns the store's receipt. Raises `LOST`."""
    receipt: bytes = await _put.aio(url, data, silence)
    return receipt


@dataclass(frozen=True)
class Sum:
    """A block of a file of this machine, as it is sent: without the zeros at its end."""

    start: int
    size: int
    """Bytes with those zeros."""
    length: int
    """Bytes without."""
    digest: bytes
    """SHA-256 of what is sent."""


@dataclass(frozen=True)
class Sums:
    """A file of this machine as Modal writes it down: path in the volume, permissions, bytes, blocks."""

    path: str
    mode: int
    size: int
    blocks: list[Sum] = field(default_factory=list)


async def write_down(
    volume: modal.Volume, files: list[Sums], receipts: dict[bytes, bytes]
) -> list[tuple[int, int, str]]:
    """Make these the files of a volume (of version 2), unless there are blocks that the server lacks.

    Returns those: index of the file, of the block in it, and where to put it.
    """
    missing: list[tuple[int, int, str]] = await _write_down.aio(volume, files, receipts)
    return missing


async def lacking(volume: modal.Volume, digests: list[str]) -> set[str]:
    """Those of some files' SHA-256 (hex) of which the server lacks the contents."""
    return set(await _lacking.aio(volume, digests))


async def in_blocks(volume: modal.Volume) -> bool:
    """Whether files of this volume are sent block by block: it is of version 2."""
    return bool(await _in_blocks.aio(volume))


async def _write_down_there(
    volume: _Volume, files: list[Sums], receipts: dict[bytes, bytes]
) -> list[tuple[int, int, str]]:
    request = api_pb2.VolumePutFiles2Request(volume_id=volume.object_id)
    for file in files:
        entry = request.files.add(path=file.path, size=file.size, mode=file.mode)
        for block in file.blocks:
            entry.blocks.add(contents_sha256=block.digest, put_response=receipts.get(block.digest))
    answer = await volume.client._stub.VolumePutFiles2(request)
    return [(gap.file_index, gap.block_index, gap.put_url) for gap in answer.missing_blocks]


async def _lacking_there(volume: _Volume, digests: list[str]) -> list[str]:
    request = api_pb2.MountBatchedCheckExistenceRequest(sha256_hex_hashes=digests)
    answer = await volume.client._stub.MountBatchedCheckExistence(request)
    return list(answer.missing_sha256_hex_hashes)


async def _in_blocks_there(volume: _Volume) -> bool:
    return not volume._is_v1


_put = on_modals_loop(http.put)
_write_down = on_modals_loop(_write_down_there)
_lacking = on_modals_loop(_lacking_there)
_in_blocks = on_modals_loop(_in_blocks_there)
