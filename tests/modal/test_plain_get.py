"""The lean GET for blocks: connections that are used again, and answers that are not plain."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tui.backends.modal.volumes import blocks, plain_get

DATA = bytes(range(256)) * 1000
WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(DATA), DATA)
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(DATA), DATA)
GONE = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"


class Store:
    """A store of blocks that gives each connection its answers, and then closes it."""

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


async def fetched(url: str, length: int = len(DATA)) -> bytes | None:
    block = await blocks.fetch(url, length, 2.0)
    assert block.data is not None
    assert block.digest == hashlib.sha256(block.data).digest()
    return bytes(block.data)


async def test_a_connection_is_used_again_and_one_that_was_closed_meanwhile_is_not_missed() -> None:
    async with store([WHOLE, WHOLE], [WHOLE]) as made:
        for _ in range(3):
            assert await fetched(made.url) == DATA
        assert made.asked == [2, 2, 1]


@pytest.mark.parametrize("answer", [CHUNKED, WHOLE.replace(b"HTTP/1.1", b"HTTP/1.0")])
async def test_what_is_not_plain_is_fetched_by_modals_own_client(answer: bytes) -> None:
    async with store([answer], [answer]) as made:
        assert await fetched(made.url) == DATA
        assert made.asked == [2, 1]


async def test_a_proxy_is_asked_by_modals_own_client(monkeypatch: pytest.MonkeyPatch) -> None:
    plain_get._has_proxy.cache_clear()
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with pytest.raises(plain_get.NotPlain):
        await plain_get.get("http://store.invalid/block", 1, 1.0)
    plain_get._has_proxy.cache_clear()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (GONE, OSError),
        (WHOLE.replace(b"\r\n\r\n", b"0\r\n\r\n", 1), blocks.Damaged),
        (WHOLE[:-1], OSError),
        (b"", OSError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n12345", blocks.Damaged),
        (
            WHOLE.replace(b"\r\n\r\n", b"\r\nRepr-Digest: sha-256=:" + b"A" * 43 + b"=:\r\n\r\n", 1),
            blocks.Damaged,
        ),
    ],
    ids=["refused", "too long", "cut", "nothing", "too short", "another digest"],
)
async def test_no_other_answer_is_taken(answer: bytes, error: type[Exception]) -> None:
    async with store([answer], [answer]) as made:
        with pytest.raises(error):
            await fetched(made.url)
