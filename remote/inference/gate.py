"""ASGI middleware for every endpoint of vLLM: check the key and the Host header, and count requests.

vLLM imports it by its path (`--middleware remote.inference.gate.Gate`). vLLM itself protects only `/v1`:
`/metrics` and the development endpoints that replace weights would be open to every user of the machine, and
to web pages whose name resolves to 127.0.0.1. Standard library only, since it is part of the server's start.
"""

from __future__ import annotations

import hmac
import json
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

PATH = "remote.inference.gate.Gate"
KEY_VARIABLE = "VLLM_API_KEY"
"""Variable with the key in the server's environment, which vLLM's own check of `/v1` reads too."""
ACTIVITY = "/vfm/activity"
"""Answered here: `{"outstanding": unanswered requests, "finished": answered ones}`."""
HEALTH = "/health"
"""Needs no key: whether the server is up is no secret."""
HOSTS = frozenset({"127.0.0.1", "localhost"})

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


class Gate:
    """The middleware. Raises `KeyError` where no key is set, so that the server does not start."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._key = os.environ[KEY_VARIABLE].encode()
        if not self._key:
            raise KeyError(KEY_VARIABLE)
        self._outstanding = self._finished = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Refuse the request, answer it, or pass it on."""
        if scope["type"] not in ("http", "websocket"):  # vLLM's own start and end
            return await self._app(scope, receive, send)
        path = scope["path"]
        if refused := self._refusal(path, scope["headers"]):
            return await _answer(scope, send, *refused)
        if path == ACTIVITY:
            activity = {"outstanding": self._outstanding, "finished": self._finished}
            return await _answer(scope, send, 200, activity)
        if path == HEALTH or path.startswith("/metrics"):
            return await self._app(scope, receive, send)
        self._outstanding += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._outstanding -= 1
            self._finished += 1

    def _refusal(self, path: str, headers: list[tuple[bytes, bytes]]) -> tuple[int, dict[str, Any]] | None:
        hosts = [value for name, value in headers if name == b"host"]
        if len(hosts) != 1 or hosts[0].decode("latin-1").partition(":")[0].lower() not in HOSTS:
            return 403, {"error": "this server only answers to 127.0.0.1 and localhost"}
        if path == HEALTH:
            return None
        authorization = [value for name, value in headers if name == b"authorization"]
        if len(authorization) != 1 or not hmac.compare_digest(authorization[0], b"Bearer " + self._key):
            return 401, {"error": "the key is missing or wrong"}
        return None


async def _answer(scope: Message, send: Send, status: int, body_data: dict[str, Any]) -> None:
    if scope["type"] == "websocket":
        return await send({"type": "websocket.close", "code": 1008})
    body = json.dumps(body_data).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
