"""What of Modal's volumes has no public API: where the blocks of a file are, and fetching one.

With `sending.py` the only module that uses Modal's own stubs. Its functions run on the event loop that
Modal's library has, which holds its connections, and are called from any other. Import it off the event
loop: it takes a moment.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import importlib
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import modal
from modal._utils.async_utils import synchronize_api
from modal_proto import api_pb2

from tui.backends.modal.volumes import plain_get
from tui.backends.modal.volumes.part_file import BLOCK

if TYPE_CHECKING:
    from modal.volume import _Volume

on_modals_loop: Any = synchronize_api
_SHA256 = re.compile(r"(?:^|,)\s*sha-256=:([A-Za-z0-9+/]{43}=):")
_IN_A_THREAD = 1 << 20
"""Bytes from which a digest is worth a thread of its own."""


class Damaged(Exception):
    """A block did not come as it is in the volume."""


Missing = modal.exception.NotFoundError
"""There is no such file any more."""


LOST = OSError
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


NOTHING = Block(bytearray(), hashlib.sha256().digest())
"""All of an empty file."""


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
    the server says the same, nothing is carried over. Raises `Damaged`, or `LOST`.
    """
    block: Block = await _fetch.aio(url, length, silence, known)
    return block


@dataclass(frozen=True)
class Small:
    """A file of one block that is asked for as a whole, and what the server may call the one that is here."""

    path: str
    size: int
    known: frozenset[bytes]


async def fetch_all(volume: modal.Volume, files: list[Small], silence: float) -> list[Block | None]:
    """Small files, all at once. None: it did not come well, whatever the reason; ask for it by itself."""
    found: list[Block | None] = await _fetch_all.aio(volume, files, silence)
    return found


async def digest_of(url: str, silence: float) -> bytes | None:
    """What the server calls the block behind an address, if it says so. Nothing is carried over.

    Raises `LOST`.
    """
    digest: bytes | None = await _digest_of.aio(url, silence)
    return digest


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
    try:
        named, data = await _get(url, length, silence, known)
    except plain_get.TooLong as error:
        raise Damaged(str(error)) from error
    if data is None and named:
        return Block(None, named)
    data = data or bytearray()
    digest = await _digest(data)
    if named not in (None, digest):
        raise Damaged("its checksum is not the one that the server names")
    if len(data) < length:
        if named is None:
            raise Damaged(f"{len(data)} bytes of {length}")
        data.extend(bytes(length - len(data)))
        digest = await _digest(data)
    return Block(data, digest)


async def _get(
    url: str, length: int, silence: float, known: frozenset[bytes] | None
) -> tuple[bytes | None, bytearray | None]:
    """What the server calls a block, and the block, unless it is known here (None: no block is wanted)."""
    try:
        answer = await plain_get.get(url, length, silence)
        named = _named(answer.fields)
        if known is None or named in known:
            answer.leave()
            return named, None
        return named, await answer.body(silence)
    except plain_get.NotPlain:
        http = await asyncio.to_thread(importlib.import_module, "tui.backends.modal.volumes.http")
        fields, data = await http.get(url, length, silence)
        return _named(fields), data


async def _fetch_all_there(volume: _Volume, files: list[Small], silence: float) -> list[Block | None]:
    return await asyncio.gather(*(_fetch_small(volume, file, silence) for file in files))


async def _fetch_small(volume: _Volume, file: Small, silence: float) -> Block | None:
    request = api_pb2.VolumeGetFile2Request(
        volume_id=volume.object_id, path=file.path, len=file.size, client_pads_blocks=True
    )
    with suppress(Exception):  # each has its say when the file is asked for by itself
        async with asyncio.timeout(
            silence
        ):  # the bare call: what Modal wraps around it is a third of its cost
            answer = await volume.client._stub.VolumeGetFile2.wrapped_method(request)
        if (answer.start, answer.len, len(answer.get_urls)) == (0, file.size, 1):
            return await _fetch_there(answer.get_urls[0], file.size, silence, file.known)
    return None


async def _digest_of_there(url: str, silence: float) -> bytes | None:
    try:
        return (await _get(url, BLOCK, silence, None))[0]
    except plain_get.TooLong:
        return None


_locate = on_modals_loop(_locate_there)
_fetch = on_modals_loop(_fetch_there)
_fetch_all = on_modals_loop(_fetch_all_there)
_digest_of = on_modals_loop(_digest_of_there)


async def _digest(data: bytearray) -> bytes:
    if len(data) < _IN_A_THREAD:
        return hashlib.sha256(data).digest()
    return await asyncio.to_thread(lambda: hashlib.sha256(data).digest())


def _named(fields: dict[str, str]) -> bytes | None:
    found = _SHA256.search(fields.get("repr-digest", ""))
    return base64.b64decode(found[1]) if found else None
