"""Who may ask the server what, as its middleware decides: every request, whichever endpoint it is for."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from remote.inference.gate import ACTIVITY, KEY_VARIABLE, Gate

ENDPOINTS = (
    *("/v1/models", "/v1/chat/completions", "/v1/load_lora_adapter", "/collective_rpc", "/pause", "/resume"),
    *(
        "/reset_prefix_cache",
        "/metrics",
        "/docs",
        "/openapi.json",
        "/health/",
        "//health",
        "/HEALTH",
        "/",
        ACTIVITY,
    ),
)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    async def served(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"served"})

    monkeypatch.setenv(KEY_VARIABLE, "right")
    return Gate(served)


def asked(gate: Gate, path: str, *headers: tuple[str, str], method: str = "POST", kind: str = "http") -> Any:
    """The first message that comes back: a status, or a closed web socket."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError("nothing is read of a request that is refused")

    named = [(name.lower().encode(), value.encode()) for name, value in headers]
    scope = {"type": kind, "path": path, "method": method, "headers": named}
    asyncio.run(gate(scope, receive, send))
    return sent[0].get("status", sent[0]["type"])


HERE = ("Host", "127.0.0.1:8000")
KEY = ("Authorization", "Bearer right")


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "DELETE"])
@pytest.mark.parametrize("path", ENDPOINTS)
def test_nothing_is_served_without_the_key(gate: Gate, path: str, method: str) -> None:
    assert asked(gate, path, HERE, KEY, method=method) == 200
    wrong = (
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        "Bearer righ",
        "Bearer rightt",
        "Basic right",
        "right",
        "Bearer é",
    )
    assert asked(gate, path, HERE, method=method) == 401
    for value in wrong:
        assert asked(gate, path, HERE, ("Authorization", value), method=method) == 401
    assert asked(gate, path, HERE, KEY, ("Authorization", "Bearer wrong"), method=method) == 401


def test_whether_it_is_up_is_no_secret(gate: Gate) -> None:
    assert asked(gate, "/health", HERE, method="GET") == 200
    assert asked(gate, "/health", ("Host", "localhost"), method="GET") == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "localhost.", "", "[::1]"]
)
@pytest.mark.parametrize("path", ["/health", *ENDPOINTS])
def test_a_page_that_rebinds_its_name_is_refused_whatever_it_knows(gate: Gate, path: str, host: str) -> None:
    assert asked(gate, path, ("Host", host), KEY) == 403
    assert asked(gate, path, HERE, ("Host", host), KEY) == 403
    assert asked(gate, path, KEY) == 403


def test_a_web_socket_needs_the_key_too(gate: Gate) -> None:
    assert asked(gate, "/v1/realtime", HERE, kind="websocket") == "websocket.close"


def test_a_server_without_a_key_serves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "")
    with pytest.raises(KeyError):
        Gate(lambda *_: None)  # type: ignore[arg-type]


def test_requests_under_way_and_over_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        open_gate = asyncio.Event()

        async def waits(scope: Any, receive: Any, send: Any) -> None:
            await open_gate.wait()

        gate = Gate(waits)
        replies: list[Any] = []

        async def send(message: Any) -> None:
            replies.append(message)

        def scope(path: str) -> Any:
            headers = [(b"host", b"127.0.0.1"), (b"authorization", b"Bearer right")]
            return {"type": "http", "path": path, "headers": headers}

        async def counts() -> Any:
            replies.clear()
            await gate(scope(ACTIVITY), send, send)  # type: ignore[arg-type]
            return json.loads(replies[1]["body"])

        under_way = [asyncio.ensure_future(gate(scope("/v1/x"), send, send)) for _ in range(2)]  # type: ignore[arg-type]
        await asyncio.sleep(0)
        assert await counts() == {"outstanding": 2, "finished": 0}
        under_way[0].cancel()
        await asyncio.wait(under_way[:1])
        open_gate.set()
        await asyncio.wait(under_way)
        assert await counts() == {"outstanding": 0, "finished": 2}

    monkeypatch.setenv(KEY_VARIABLE, "right")
    asyncio.run(story())
