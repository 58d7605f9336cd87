"""A block from a store that answers badly: only a whole and verified one is taken."""

from __future__ import annotations

import asyncio
import hashlib
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import ClientError

from remote.contract.errors import DiskError
from tui.backends.modal.volumes import blocks

DATA = bytes(range(256)) * 1000
WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(DATA), DATA)
LONGER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s0" % (len(DATA) + 1, DATA)
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(DATA), DATA)
NAMED = WHOLE.replace(
    b"\r\n\r\n", b"\r\nRepr-Digest: sha-256=:%s:\r\n\r\n" % b64encode(hashlib.sha256(DATA).digest()), 1
)
GONE = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"


class Store:
    """A store of blocks that sends each connection its answers, and then closes it."""

    def __init__(self, *connections: list[bytes]) -> None:
        self._connections = list(connections)
        self.asked: list[int] = []
        self.url = ""

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = len(self._connections)
        for one in self._connections.pop(0) if self._connections else ():
            await reader.readuntil(b"\r\n\r\n")
            self.asked.append(number)
            writer.write(one)
            await writer.drain()
        writer.close()


@asynccontextmanager
async def store(*connections: list[bytes]) -> AsyncIterator[Store]:
    made = Store(*connections)
    server = await asyncio.start_server(made.answer, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/block?signature=x"
    async with server:
        yield made


async def fetched(url: str) -> bytes:
    block = await blocks.get_block.aio(url, "runs/r1/a", len(DATA), 2.0, b"")
    assert block.digest == hashlib.sha256(block.data).digest()
    return bytes(block.data)


@pytest.mark.parametrize("answer", [WHOLE, CHUNKED, NAMED], ids=["whole", "chunked", "named"])
async def test_a_block_is_taken_whichever_way_it_comes(answer: bytes) -> None:
    async with store([answer]) as made:
        assert await fetched(made.url) == DATA


async def test_a_connection_is_used_again() -> None:
    async with store([WHOLE, WHOLE], [WHOLE]) as made:
        for _ in range(3):
            assert await fetched(made.url) == DATA
        assert made.asked == [2, 2, 1]


async def test_a_block_that_is_here_already_is_not_carried_over() -> None:
    head = NAMED.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"  # nothing comes after it
    async with store([head]) as made:
        digest = hashlib.sha256(DATA).digest()
        assert await blocks.get_block.aio(made.url, "runs/r1/a", len(DATA), 2.0, digest) is None


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (GONE, OSError),
        (LONGER, DiskError),
        (WHOLE[:-1], (OSError, ClientError)),
        (b"", (OSError, ClientError)),
        (CHUNKED[:-5], (OSError, ClientError)),
        (NAMED.replace(DATA[:9], b"another !"), DiskError),
    ],
    ids=["refused", "too long", "cut", "nothing", "cut in chunks", "another digest"],
)
async def test_no_other_answer_is_taken(answer: bytes, error: type[Exception]) -> None:
    async with store([answer], [answer]) as made:
        with pytest.raises(error):
            await fetched(made.url)
