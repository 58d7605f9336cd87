"""The HTTP side: contents that are too large for messages, and the blocks of volumes' files.

Every address has a token of its own.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web
from modal_proto import api_pb2 as pb

from tests.modal.cloud.faults import Faults
from tests.modal.cloud.state import State, missing, new_id
from tests.modal.cloud.wire import caller

BLOCK = 8 * 1024 * 1024
"""The size of a volume's blocks, Modal's own."""
_CHUNK = 1 << 18


@dataclass
class Piece:
    """A part of a file, or a file to be written (`size` 0). bare: sent without the zeros at its end."""

    path: Path
    start: int = 0
    size: int = 0
    bare: bool = False
    held: bytes | None = None
    """The contents at the time of the request, for a small file: Modal's blocks never change."""


class Blobs:
    """The RPCs of large contents, and the addresses of all contents and blocks."""

    def __init__(self, state: State, faults: Faults) -> None:
        self._state = state
        self._faults = faults
        self._pieces: dict[str, Piece] = {}
        self._runner: web.AppRunner | None = None
        self._port = 0
        self.public_port = 0
        """The port that clients use; containers use this one's."""

    async def start(self) -> int:
        """Listen; returns the port."""
        app = web.Application(client_max_size=1 << 40)
        app.router.add_get("/{token}", self._get)
        app.router.add_put("/{token}", self._put)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self._port = self._runner.addresses[0][1]
        return self._port

    async def stop(self) -> None:
        """Close the port."""
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def have_digests(self) -> bool:
        """Whether blocks name their digest; only such a block may be sent without the zeros at its end."""
        return self._faults.block_digests

    def url(self, piece: Piece) -> str:
        """An address to read or write the piece, for the caller of the present RPC."""
        token = secrets.token_urlsafe(16)
        self._pieces[token] = piece
        return f"http://127.0.0.1:{self._port if caller.get() else self.public_port}/{token}"

    async def BlobCreate(self, request: pb.BlobCreateRequest) -> pb.BlobCreateResponse:
        blob_id = new_id("bl")
        urls = pb.UploadUrlList(items=[self.url(Piece(self._state.store / blob_id))])
        return pb.BlobCreateResponse(blob_ids=[blob_id], upload_urls=urls)

    async def BlobGet(self, request: pb.BlobGetRequest) -> pb.BlobGetResponse:
        path = self._state.store / request.blob_id
        if not path.is_file():
            raise missing(f"Blob {request.blob_id}")
        return pb.BlobGetResponse(download_url=self.url(Piece(path, 0, path.stat().st_size)))

    async def _get(self, request: web.Request) -> web.StreamResponse:
        piece = self._pieces.get(request.match_info["token"])
        if piece is None or not piece.path.is_file():
            raise web.HTTPNotFound
        self._state.serving += 1
        try:
            return await self._answer(request, piece)
        finally:
            self._state.serving -= 1

    async def _answer(self, request: web.Request, piece: Piece) -> web.StreamResponse:
        await asyncio.sleep(self._faults.block_delay)
        data = piece.held
        if data is None:
            with piece.path.open("rb") as file:
                file.seek(piece.start)
                data = file.read(piece.size)
        return await self._send(request, piece.path, data.rstrip(b"\0") if piece.bare else data)

    async def _send(self, request: web.Request, path: Path, data: bytes) -> web.StreamResponse:
        headers = {"Content-Length": str(len(data))}
        if self.have_digests:
            digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
            headers["Repr-Digest"] = f"sha-256=:{digest}:"
        if truncated := self._now("truncate_blocks") and len(data) > 1:
            data = data[: len(data) // 2]
        if self._now("damage_blocks"):
            data = bytes([data[0] ^ 1]) + data[1:]
        if stalled := self._now("stall_blocks"):
            data = data[: len(data) // 2]
        response = web.StreamResponse(headers=headers)
        with suppress(ConnectionError):  # clients may leave
            await response.prepare(request)
            for at in range(0, len(data), _CHUNK):
                await response.write(data[at : at + _CHUNK])
                self._state.served.append((path, len(data[at : at + _CHUNK])))
        while stalled and request.transport is not None:
            await asyncio.sleep(0.05)
        if truncated and request.transport is not None:
            request.transport.close()
        return response

    def _now(self, fault: str) -> bool:
        """Whether a fault of a limited number happens now."""
        left = int(getattr(self._faults, fault))
        setattr(self._faults, fault, max(0, left - 1))
        return left > 0

    async def _put(self, request: web.Request) -> web.Response:
        piece = self._pieces.get(request.match_info["token"])
        if piece is None:
            raise web.HTTPNotFound
        digest = hashlib.md5()
        part = piece.path.with_suffix(".part")
        with part.open("wb") as file:
            async for chunk in request.content.iter_chunked(1 << 20):
                digest.update(chunk)
                file.write(chunk)
        part.replace(piece.path)
        return web.Response(headers={"ETag": f'"{digest.hexdigest()}"'})
