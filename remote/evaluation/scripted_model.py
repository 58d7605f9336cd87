"""An OpenAI-compatible server on loopback whose replies come from a function instead of a model.

It shows that an environment plays, not how hard its tasks are.
"""

from __future__ import annotations

import itertools
import json
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from remote.contract.json_text import from_json

Request = dict[str, Any]
Message = dict[str, Any]
Player = Callable[[Request], Message]
"""A request's body → the assistant's message."""

NAME = "scripted"
"""The served name of the model."""
_ANSWERS = ("42", "crane", "I do not know.", "yes", "The answer is 7.")
_CALLS = 2  # replies of a conversation that call a tool
_TAG = re.compile(r"<([A-Za-z]\w*)>")
_OF_TYPE: dict[str, Any] = {
    "string": "Paris",
    "integer": 3,
    "number": 1.5,
    "boolean": True,
    "array": [],
    "object": {},
    "null": None,
}


class ScriptedModel:
    """The server. `requests` are the bodies received; call `close` after use."""

    def __init__(self) -> None:
        self.player: Player = lambda request: {"content": ""}
        self.requests: list[Request] = []
        model = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request = from_json(self.rfile.read(int(self.headers["Content-Length"])))
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
    def base_url(self) -> str:
        """`http://127.0.0.1:PORT`, without `/v1`."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def key(self) -> str:
        """Any value: it checks none."""
        return "unused-by-a-scripted-model"

    @property
    def served_name(self) -> str:
        """The model's name in requests."""
        return NAME

    @property
    def url(self) -> str:
        """The base URL of its API, with `/v1`."""
        return f"{self.base_url}/v1"

    def close(self) -> None:
        """Stop serving and free the port."""
        self._server.shutdown()
        self._server.server_close()


def plausible() -> Player:
    """A player that cycles through short answers, in the tags of the prompt, and calls the offered tools."""
    turns, lock = itertools.count(), threading.Lock()

    def play(request: Request) -> Message:
        with lock:
            turn = next(turns)
        tools = request.get("tools") or []
        replies = sum(1 for m in request.get("messages", []) if m.get("role") == "assistant")
        if tools and replies < _CALLS:  # then a text, which ends the conversation
            return {"tool_calls": [call_of(tools[turn % len(tools)])]}
        answer = _ANSWERS[turn % len(_ANSWERS)]
        tags = list(dict.fromkeys(_TAG.findall(_text(request))))
        return {"content": "".join(f"<{tag}>{answer}</{tag}>" for tag in tags) or answer}

    return play


def call_of(tool: dict[str, Any]) -> dict[str, Any]:
    """A call of an offered tool, with arguments of its types."""
    function = tool.get("function", {})
    return tool_call(str(function.get("name", "")), json.dumps(value_of(function.get("parameters") or {})))


def value_of(schema: dict[str, Any]) -> Any:
    """A value that a JSON schema allows; for the simple schemas of tools."""
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    if schema.get("enum"):
        return schema["enum"][0]
    if some := schema.get("anyOf") or schema.get("oneOf"):
        return value_of(some[0])
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "array" and isinstance(schema.get("items"), dict):
        return [value_of(schema["items"])]
    if kind == "object":
        needed = schema.get("required", list(schema.get("properties", {})))
        return {name: value_of(schema["properties"][name]) for name in needed if name in schema["properties"]}
    return _OF_TYPE.get(kind, "Paris")


def tool_call(name: str, arguments: str, place: int = 0) -> Message:
    """A tool call as vLLM's parsers return it. `arguments`: JSON, or text that should be."""
    function = {"name": name, "arguments": arguments}
    return {"id": f"call_{place}", "type": "function", "function": function}


def _text(request: Request) -> str:
    contents = [m.get("content") for m in request.get("messages", []) if m.get("role") != "assistant"]
    return "\n".join(part if isinstance(part, str) else json.dumps(part) for part in contents)


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
        "model": NAME,
        "choices": [choice],
        "usage": usage,
        "prompt_token_ids": [1, 2, 3],
    }
