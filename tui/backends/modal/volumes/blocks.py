"""Blocks of a volume's files: their addresses, and each block as it is in the volume.

Owns verifying a block, fetching it again, and comparing a file of this machine with one of a volume. Import
it off the event loop: aiohttp takes a moment.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from collections.abc import Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from aiohttp import ClientError, ClientTimeout
from modal.exception import NotFoundError

from remote.contract.errors import BackendError, DiskError, Hint
from tui.backends.modal import protocol
from tui.backends.modal.in_order import in_order
from tui.backends.modal.session import CALL_SECONDS, within
from tui.backends.modal.volumes.part_file import BLOCK, RemoteFile, block_digest
from tui.backends.off_loop import off_loop

if TYPE_CHECKING:
    import modal

AT_ONCE = 4
"""Blocks that are fetched at once: so many at most are held in memory, and lost with the process."""
ATTEMPTS = 3
CONNECT = 10.0
"""Seconds until the store of blocks has to accept a connection."""
_BUFFER = 1 << 20
"""Bytes of an answer that are read ahead, and above which hashing is worth a thread."""
_SHA256 = re.compile(r"(?:^|,)\s*sha-256=:([A-Za-z0-9+/]{43}=):")


class Damaged(DiskError):
    """A block does not arrive as it is in the volume."""


@dataclass(frozen=True)
class Address:
    """Where a block of a file is, or the part of it that was asked for: good for a while."""

    url: str
    start: int
    size: int


@dataclass(frozen=True)
class Block:
    """A verified block and its digest, see `block_digest`."""

    data: bytes
    digest: bytes


class Blocks:
    """Reads the blocks of a volume's files. A connection without a byte for `silence` seconds is given up."""

    def __init__(self, volume: modal.Volume, silence: float) -> None:
        self._volume, self._silence = volume, silence

    async def locate(self, path: str, start: int = 0, size: int = 0) -> list[Address]:
        """The blocks of a part of a file; `size` 0 is all the rest, beyond the file's end there are none.

        Raises `NotFoundError` and `BackendError`.
        """
        async with within(CALL_SECONDS, f"read {path}"):
            found = await protocol.get_file.aio(self._volume, path, start, size)
        if found.start != start or not found.len:
            return []
        end = start + found.len
        cuts = [start, *range((start // BLOCK + 1) * BLOCK, end, BLOCK), end]
        if len(found.get_urls) != len(cuts) - 1:
            raise _damaged(path, f"{len(found.get_urls)} addresses for {len(cuts) - 1} blocks")
        return [Address(url, a, b - a) for url, (a, b) in zip(found.get_urls, pairwise(cuts), strict=True)]

    async def fetch(self, path: str, address: Address) -> Block:
        """A block. Raises `Damaged`, `BackendError`, and `NotFoundError` where the file has gone since."""
        block = await self._fetch(path, address)
        assert block is not None
        return block

    async def fetch_small(self, files: Sequence[RemoteFile]) -> list[Block | None]:
        """Files of one block, together; None for each that has to be fetched by itself, for any reason."""
        paths = [(file.path, file.size) for file in files]
        blocks: list[Block | None] = await get_small.aio(self._volume, paths, self._silence)
        return blocks

    async def identical(self, files: list[RemoteFile]) -> list[RemoteFile]:
        """Those files whose `target` has the same contents.

        A block is only carried over where the server does not name its digest. Raises as `fetch` does.
        """
        sized = await off_loop(lambda _: [file for file in files if file.has_size()])
        requests = ((min(file.size, AT_ONCE * BLOCK), partial(self._compare, file)) for file in sized)
        async with aclosing(in_order(requests, 64, AT_ONCE * BLOCK)) as answers:
            return [file async for file, same in answers if same]

    async def _compare(self, file: RemoteFile) -> tuple[RemoteFile, bool]:
        try:
            addresses = await self.locate(file.path, 0, file.size) if file.size else []
            requests = ((BLOCK, partial(self._is_same, file, address)) for address in addresses)
            async with aclosing(in_order(requests, AT_ONCE)) as answers:
                async for same in answers:
                    if not same:
                        return file, False
        except NotFoundError:
            return file, False
        return file, sum(address.size for address in addresses) == file.size

    async def _is_same(self, file: RemoteFile, address: Address) -> bool:
        known = await off_loop(lambda _: file.digest_of(address.start, address.size))
        block = await self._fetch(file.path, address, known)
        return block is None or block.digest == known

    async def _fetch(self, path: str, address: Address, known: bytes = b"") -> Block | None:
        """A block, or None where the server names `known` as its digest. The address of a second attempt is
        a new one: the first may have become too old."""
        url = address.url
        for attempt in range(1, ATTEMPTS + 1):
            try:
                block: Block | None = await get_block.aio(url, path, address.size, self._silence, known)
                return block
            except Damaged:
                if attempt == ATTEMPTS:
                    raise
            except (ClientError, OSError) as error:
                if attempt == ATTEMPTS:
                    raise connection_lost(f"{path} was read", error) from error
            await asyncio.sleep(0.1 * 3**attempt)
            found = await self.locate(path, address.start, address.size)
            url = next((again.url for again in found if again.size == address.size), url)
        raise AssertionError


def connection_lost(during: str, error: Exception) -> BackendError:
    """The error of a connection to the store of blocks that was lost while `during`."""
    hint = Hint("try again; https://status.modal.com says how Modal is")
    cause = str(error) or type(error).__name__
    return BackendError(f"the connection to Modal was lost while {during}", cause=cause, hint=hint)


async def _get_block(url: str, path: str, size: int, silence: float, known: bytes) -> Block | None:
    timeout = ClientTimeout(sock_connect=CONNECT, sock_read=silence)
    async with protocol.http_session().get(url, timeout=timeout, read_bufsize=_BUFFER) as response:
        if response.status >= 400:
            raise ConnectionError(f"the store of blocks answered {response.status} {response.reason}")
        found = _SHA256.search(response.headers.get("Repr-Digest", ""))
        named = base64.b64decode(found[1]) if found else None
        if known and named == known:
            return None
        chunks, length = [], 0
        async for chunk in response.content.iter_any():
            chunks.append(chunk)
            length += len(chunk)
            if length > size:
                raise _damaged(path, f"more than {size} bytes")
    if length < _BUFFER:
        return _verified(path, chunks, size, named)
    return await asyncio.to_thread(_verified, path, chunks, size, named)


async def _get_small(volume: Any, files: list[tuple[str, int]], silence: float) -> list[Block | None]:
    """All of a group in one call, since each call from another event loop costs a third of a millisecond."""

    async def get(path: str, size: int) -> Block | None:
        with suppress(Exception):  # fetched by itself, it raises what is wrong
            async with asyncio.timeout(silence):
                found = await protocol.get_file_here(volume, path, 0, size)
            if (found.start, found.len, len(found.get_urls)) == (0, size, 1):
                return await _get_block(found.get_urls[0], path, size, silence, b"")
        return None

    return await asyncio.gather(*(get(path, size) for path, size in files))


get_block = protocol.on_modals_loop(_get_block)
get_small = protocol.on_modals_loop(_get_small)


def _verified(path: str, chunks: list[bytes], size: int, named: bytes | None) -> Block:
    data = b"".join(chunks)
    digest = hashlib.sha256(data).digest()
    if named not in (None, digest):
        raise _damaged(path, "a block's SHA-256 is not the one that the server names")
    if data.endswith(b"\0"):
        digest = block_digest(data)
    return Block(data.ljust(size, b"\0"), digest)  # the server may leave out zeros at a block's end


def _damaged(path: str, cause: str) -> Damaged:
    hint = Hint("try again; if a run is just writing it, wait for the run's end")
    return Damaged(f"{path} does not arrive as it is in the volume", cause=cause, hint=hint)
