"""Somebody's OpenAI-compatible service on loopback, which may refuse, for tests of evaluations."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[[dict[str, Any]], tuple[int, str]]
"""A request's body → the status, and what is said."""


class Service:
    """The service. `bodies` and `keys` are what arrived; close it after use."""

    def __init__(self) -> None:
        self.answer: Answer = lambda body: (200, "crane")
        self.bodies: list[dict[str, Any]] = []
        self.keys: set[str | None] = set()
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._send(200, {"data": [{"id": "theirs-large"}]})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                service.bodies.append(body)
                service.keys.add(self.headers["Authorization"])
                status, said = service.answer(body)
                message = {"role": "assistant", "content": said}
                choice = {"index": 0, "message": message, "finish_reason": "stop"}
                whole = {
                    "id": "c",
                    "object": "chat.completion",
                    "created": 0,
                    "model": "m",
                    "choices": [choice],
                }
                self._send(status, whole if status == 200 else {"error": {"message": said}})

            def _send(self, status: int, data: Any) -> None:
                sent = json.dumps(data).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(sent)))
                self.end_headers()
                with suppress(ConnectionError):  # whoever asked may be dead by now
                    self.wfile.write(sent)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._http.serve_forever, args=[0.02], daemon=True).start()
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
