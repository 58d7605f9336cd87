"""What of Modal's volumes has no public API: where the blocks of a file are, and fetching and putting one.

The only module that uses Modal's own stubs. Its functions run on the event loop that Modal's library has,
which holds its connections, and are called from any other. Import it off the event loop: it takes a moment.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import modal
from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout
from modal._utils.async_utils import synchronize_api
from modal._utils.http_utils import ClientSessionRegistry
from modal.volume import _AbstractVolumeUploadContextManager
from modal_proto import api_pb2

from tui.backends.modal.part import BLOCK

if TYPE_CHECKING:
    from modal.volume import _Volume

_sessions: Any = ClientSessionRegistry
_SHA256 = re.compile(r"(?:^|,)\s*sha-256=:([A-Za-z0-9+/]{43}=):")
_CONNECT = 10.0
SLOWEST = 50_000
"""Bytes a second below which an upload counts as broken off."""
_IN_A_THREAD = 1 << 20
"""Bytes from which a digest is worth a thread of its own."""


class Damaged(Exception):
    """A block did not come as it is in the volume."""


Missing = modal.exception.NotFoundError
"""There is no such file any more."""


class Refused(Exception):
    """The store of blocks answered with an error."""


LOST = (ClientError, OSError, TimeoutError, Refused)
"""What a connection to the store of blocks fails with."""


@dataclass(frozen=True)
class Range:
    """A part of a file and the addresses of its blocks, good for a while; `size` is the whole file's."""

    size: int
    start: int
    length: int
    urls: Sequence[str]

    def blocks(self) -> list[tuple[str, int]]:
        """Each address and the bytes behind it: blocks are those of the file, the first may be cut.

        Raises `Damaged` where the server's answer makes no sense.
        """
        end = self.start + self.length
        cuts = [self.start, *range((self.start // BLOCK + 1) * BLOCK, end, BLOCK), end]
        lengths = [b - a for a, b in pairwise(cuts) if b > a]
        if len(lengths) != len(self.urls):
            raise Damaged(f"{len(self.urls)} addresses for {len(lengths)} blocks")
        return list(zip(self.urls, lengths, strict=True))


@dataclass(frozen=True)
class Block:
    """A block as it came, and its SHA-256; `data` is None where the one known here is the same."""

    data: bytearray | None
    digest: bytes


async def locate(
    volume: modal.Volume, path: str, start: int = 0, length: int = 0, *, exact: bool = False
) -> Range:
    """Where a range of a file is; `length` 0 is all the rest. `exact`: blocks come with their trailing zeros.

    Raises Modal's errors; `Missing` where there is no such file.
    """
    found: Range = await _locate.aio(volume, path, start, length, exact)
    return found


async def fetch(url: str, length: int, silence: float, known: frozenset[bytes] = frozenset()) -> Block:
    """The block behind an address, verified as far as the server says what it is.

    It is given up after `silence` seconds without a byte. `known`: the digests of what is here already; if
    the server says the same, nothing is carried over. Raises `Damaged`, or one of `LOST`.
    """
    block: Block = await _fetch.aio(url, length, silence, known)
    return block


async def digest_of(url: str, silence: float) -> bytes | None:
    """What the server calls the block behind an address, if it says so. Nothing is carried over.

    Raises one of `LOST`.
    """
    digest: bytes | None = await _digest_of.aio(url, silence)
    return digest


async def put(url: str, data: bytes, silence: float) -> bytes:
    """Send a block; returns the store's receipt. Raises one of `LOST`."""
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


class Counter:
    """How many bytes Modal's own upload has sent; written by one thread, read by another."""

    def __init__(self) -> None:
        self.bytes = 0

    def __call__(self, *_: Any, advance: float | None = None, **__: Any) -> str:
        """As Modal tells its progress."""
        self.bytes += int(advance or 0)
        return ""


async def lacking(volume: modal.Volume, digests: list[str]) -> set[str]:
    """Those of some files' SHA-256 (hex) of which the server lacks the contents."""
    return set(await _lacking.aio(volume, digests))


async def put_files(volume: modal.Volume, files: list[tuple[Path, str]], counter: Counter) -> None:
    """Make files of this machine files of a volume, replacing what is there: Modal's own upload."""
    await _put_files.aio(volume, files, counter)


async def in_blocks(volume: modal.Volume) -> bool:
    """Whether files of this volume are sent block by block: it is of version 2."""
    return bool(await _in_blocks.aio(volume))


def digests(data: bytes | bytearray) -> frozenset[bytes]:
    """What a server may call a block: it may come without the zeros at its end."""
    return frozenset((hashlib.sha256(data).digest(), hashlib.sha256(data.rstrip(b"\0")).digest()))


async def _locate_there(volume: _Volume, path: str, start: int, length: int, exact: bool) -> Range:
    request = api_pb2.VolumeGetFile2Request(
        volume_id=volume.object_id, path=path, start=start, len=length, client_pads_blocks=not exact
    )
    answer = await volume.client._stub.VolumeGetFile2(request)
    return Range(answer.size, answer.start, answer.len, list(answer.get_urls))


async def _fetch_there(url: str, length: int, silence: float, known: frozenset[bytes]) -> Block:
    async with _asked("GET", url, silence) as response:
        named = _named(response)
        if named is not None and named in known:
            return Block(None, named)
        data = await _body(response, length)
    digest = await _digest(data)
    if named not in (None, digest):
        raise Damaged("its checksum is not the one that the server names")
    if len(data) < length:
        if named is None:
            raise Damaged(f"{len(data)} bytes of {length}")
        data.extend(bytes(length - len(data)))
        digest = await _digest(data)
    return Block(data, digest)


async def _digest_of_there(url: str, silence: float) -> bytes | None:
    async with _asked("GET", url, silence) as response:
        return _named(response)


async def _put_there(url: str, data: bytes, silence: float) -> bytes:
    async with (
        asyncio.timeout(silence + len(data) / SLOWEST),
        _asked("PUT", url, silence, data=data) as response,
    ):
        return await response.read()


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


async def _put_files_there(volume: _Volume, files: list[tuple[Path, str]], counter: Counter) -> None:
    assert volume._metadata is not None
    batch = _AbstractVolumeUploadContextManager.resolve(
        volume._metadata.version, volume.object_id, volume.client, progress_cb=counter, force=True
    )
    async with batch:
        for source, path in files:
            batch.put_file(source, path)


async def _in_blocks_there(volume: _Volume) -> bool:
    return not volume._is_v1


_on_modals_loop: Any = synchronize_api
_locate = _on_modals_loop(_locate_there)
_fetch = _on_modals_loop(_fetch_there)
_digest_of = _on_modals_loop(_digest_of_there)
_put = _on_modals_loop(_put_there)
_write_down = _on_modals_loop(_write_down_there)
_lacking = _on_modals_loop(_lacking_there)
_put_files = _on_modals_loop(_put_files_there)
_in_blocks = _on_modals_loop(_in_blocks_there)


@asynccontextmanager
async def _asked(method: str, url: str, silence: float, **more: Any) -> AsyncIterator[ClientResponse]:
    patience = ClientTimeout(sock_connect=_CONNECT, sock_read=silence)
    session: ClientSession = _sessions.get_session()
    async with session.request(method, url, timeout=patience, **more) as response:
        if response.status >= 400:
            raise Refused(f"the store of blocks answered {response.status} {response.reason}")
        yield response


async def _body(response: ClientResponse, length: int) -> bytearray:
    """At most `length` bytes: a server cannot fill this machine's memory."""
    data = bytearray()
    async for chunk in response.content.iter_any():
        data += chunk
        if len(data) > length:
            raise Damaged(f"more than the {length} bytes that it has")
    return data


def _named(response: ClientResponse) -> bytes | None:
    found = _SHA256.search(response.headers.get("Repr-Digest", ""))
    return base64.b64decode(found[1]) if found else None


async def _digest(data: bytearray) -> bytes:
    if len(data) < _IN_A_THREAD:
        return hashlib.sha256(data).digest()
    return await asyncio.to_thread(lambda: hashlib.sha256(data).digest())
