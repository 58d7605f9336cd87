"""GET for blocks: bytes go from the socket to where they stay, over connections that are used again.

Owns the plain case, which is nearly every one: HTTP/1.1, no proxy, status 200, a length. Whatever is not
plain is said to be so, and left to `modal_http.py`, which costs several times as much, its import included.
Runs on Modal's event loop.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import defaultdict
from functools import cache
from urllib.parse import SplitResult, urlsplit

CONNECT = 10.0
_HEAD = 64 * 1024
_idle: defaultdict[tuple[str, str], list[_Connection]] = defaultdict(list)


class NotPlain(Exception):
    """An answer that another client has to be asked for."""


class TooLong(Exception):
    """An answer that is longer than it should be."""


class Answer:
    """The answer to one GET: header fields at once, the body when it has been read."""

    def __init__(self, connection: _Connection, fields: dict[str, str], length: int) -> None:
        self._connection, self.fields, self.length = connection, fields, length

    async def body(self, silence: float) -> bytearray:
        """All of it. Raises `OSError` where it breaks off or nothing comes for so many seconds."""
        data = await self._connection.body(silence)
        _idle[self._connection.place].append(self._connection)
        return data

    def leave(self) -> None:
        """Do without the body."""
        self._connection.close()


async def get(url: str, most: int, silence: float) -> Answer:
    """Ask for a block of at most so many bytes. Raises `OSError`, `TooLong` and `NotPlain`."""
    parts = urlsplit(url)
    if _has_proxy(parts.scheme, parts.hostname or ""):
        raise NotPlain
    place = (parts.scheme, parts.netloc)
    while _idle[place]:
        try:
            return await _asked(_idle[place].pop(), parts, most, silence)
        except ConnectionError:
            pass  # it was closed while nobody used it: the next one
    async with asyncio.timeout(CONNECT):
        connection = await _connected(parts, place)
    return await _asked(connection, parts, most, silence)


async def _asked(connection: _Connection, parts: SplitResult, most: int, silence: float) -> Answer:
    try:
        fields = await connection.ask(parts, silence)
        length = int(fields.get("content-length", "-1"))
        if length < 0 or "transfer-encoding" in fields or "content-encoding" in fields:
            raise NotPlain
        if length > most:
            raise TooLong(f"{length} bytes instead of {most}")
        connection.expect(length)
        return Answer(connection, fields, length)
    except BaseException:
        connection.close()
        raise


async def _connected(parts: SplitResult, place: tuple[str, str]) -> _Connection:
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    context = await asyncio.to_thread(_context) if secure else None
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(
        lambda: _Connection(place), parts.hostname or "", port, ssl=context
    )
    return connection


@cache
def _context() -> ssl.SSLContext:
    import certifi

    return ssl.create_default_context(cafile=certifi.where())


@cache
def _has_proxy(scheme: str, host: str) -> bool:
    from urllib.request import getproxies, proxy_bypass

    proxies = getproxies()
    return bool(proxies.get(scheme) or proxies.get("all")) and not proxy_bypass(host)


class _Connection(asyncio.BufferedProtocol):
    """A connection to the store of blocks, which answers one question after the other."""

    def __init__(self, place: tuple[str, str]) -> None:
        self.place = place
        self._transport: asyncio.Transport | None = None
        self._scratch = memoryview(bytearray(_HEAD))
        self._head = b""
        self._body: bytearray | None = None
        self._view = self._scratch
        self._got = 0
        self._moved = asyncio.Event()
        self._lost: BaseException | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.BaseProtocol`."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        """See `asyncio.BaseProtocol`."""
        self._lost = error or ConnectionError("the connection was closed")
        self._moved.set()

    def get_buffer(self, _hint: int) -> memoryview:
        """Where the next bytes go: straight into the block, once it has begun."""
        return self._scratch if self._body is None or self._is_whole() else self._view[self._got :]

    def buffer_updated(self, size: int) -> None:
        """So many bytes have come."""
        if self._body is None:
            self._head += self._scratch[:size]
        elif self._is_whole():
            self.close()  # nobody asked for these
        else:
            self._got += size
        self._moved.set()

    async def ask(self, parts: SplitResult, silence: float) -> dict[str, str]:
        """Send a GET; the header fields of its answer, in small letters."""
        self._head, self._body = b"", None
        if self._transport is None or self._transport.is_closing():
            raise ConnectionError("the connection was closed")
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._transport.write(f"GET {target} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode("ascii"))
        while b"\r\n\r\n" not in self._head:
            if len(self._head) > _HEAD:
                raise NotPlain
            await self._move(silence)
        head, _, self._head = self._head.partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        if status.split(" ")[:2] != ["HTTP/1.1", "200"]:
            raise NotPlain
        pairs = [line.partition(":") for line in lines]
        return {name.strip().lower(): value.strip() for name, _, value in pairs}

    def expect(self, length: int) -> None:
        """Let the body come, now that its length is known."""
        self._body = bytearray(length)
        self._view = memoryview(self._body)
        self._got = min(length, len(self._head))
        self._view[: self._got] = self._head[: self._got]
        if len(self._head) > length:
            self.close()

    async def body(self, silence: float) -> bytearray:
        """The body, when it is whole."""
        try:
            while not self._is_whole():
                await self._move(silence)
        except BaseException:
            self.close()
            raise
        assert self._body is not None
        data, self._view = self._body, self._scratch
        return data

    def close(self) -> None:
        """Give the connection up."""
        if self._transport is not None:
            self._transport.abort()

    def _is_whole(self) -> bool:
        return self._body is not None and self._got >= len(self._body)

    async def _move(self, silence: float) -> None:
        """Wait for more bytes."""
        self._moved.clear()
        if self._lost is None:
            async with asyncio.timeout(silence):
                await self._moved.wait()
        if self._lost is not None and not self._is_whole():
            raise ConnectionError(str(self._lost)) from self._lost
