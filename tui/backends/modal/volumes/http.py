"""The store of blocks, asked by the HTTP client of Modal's library: proxies, redirections, uploads.

Owns what `plain_get.py` does not do. Runs on Modal's event loop. Import it in a thread: it takes a moment.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout
from modal._utils.http_utils import ClientSessionRegistry

from tui.backends.modal.volumes.plain_get import CONNECT, TooLong

SLOWEST = 50_000
"""Bytes a second below which an upload counts as broken off."""
_sessions: Any = ClientSessionRegistry


async def get(url: str, most: int, silence: float) -> tuple[dict[str, str], bytearray]:
    """Header fields and body. Raises `OSError` and `TooLong`."""
    async with _asked("GET", url, silence) as response:
        data = bytearray()
        async for chunk in response.content.iter_any():
            data += chunk
            if len(data) > most:
                raise TooLong(f"more than {most} bytes")
        return {name.lower(): value for name, value in response.headers.items()}, data


async def put(url: str, data: bytes, silence: float) -> bytes:
    """Send a block; returns the store's receipt. Raises `OSError`."""
    patience = silence + len(data) / SLOWEST
    async with asyncio.timeout(patience), _asked("PUT", url, silence, data=data) as response:
        return await response.read()


@asynccontextmanager
async def _asked(method: str, url: str, silence: float, **more: Any) -> AsyncIterator[ClientResponse]:
    patience = ClientTimeout(sock_connect=CONNECT, sock_read=silence)
    session: ClientSession = _sessions.get_session()
    try:
        async with session.request(method, url, timeout=patience, **more) as response:
            if response.status >= 400:
                raise ConnectionError(f"the store of blocks answered {response.status} {response.reason}")
            yield response
    except ClientError as error:
        raise ConnectionError(str(error) or type(error).__name__) from error
