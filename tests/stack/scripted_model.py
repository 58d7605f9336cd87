"""An OpenAI-compatible server on loopback whose replies a function decides, for tests of environments."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Request = dict[str, Any]
Message = dict[str, Any]
Player = Callable[[Request], Message]
"""A request's body → the assistant's message."""


class ScriptedModel:
    """The server. `requests` are the bodies that arrived; close it after use."""

    def __init__(self) -> None:
        self.player: Player = lambda request: {"content": ""}
        self.requests: list[Request] = []
        model = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                model.requests.append(request)
                reply = json.dumps(_completion(model.player(request))).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=[0.02], daemon=True).start()

    @property
    def url(self) -> str:
        """Where its protocol begins, `/v1` included."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def close(self) -> None:
        """Stop serving and free the port."""
        self._server.shutdown()
        self._server.server_close()


def tool_call(name: str, arguments: str, place: int = 0) -> Message:
    """A native tool call as a server's parser hands it out; `arguments` is JSON, or what should be."""
    function = {"name": name, "arguments": arguments}
    return {"id": f"call_{place}", "type": "function", "function": function}


def _completion(message: Message) -> dict[str, Any]:
    token = {"token": "x", "logprob": -0.5, "bytes": None, "top_logprobs": []}
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": None, **message},
        "finish_reason": "tool_calls" if message.get("tool_calls") else "stop",
        "logprobs": {"content": [token]},
        "token_ids": [7],
    }
    usage = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
    return {
        "id": "c",
        "object": "chat.completion",
        "created": 0,
        "model": "scripted",
        "choices": [choice],
        "usage": usage,
        "prompt_token_ids": [1, 2, 3],
    }
