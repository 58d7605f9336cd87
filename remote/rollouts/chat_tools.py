"""Connect the chat harness to the tools that a task serves over MCP, and call them.

verifiers starts and ends the tool servers; vLLM's tool parser reads the calls from replies.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from remote.contract.json_text import from_json


class Tools:
    """The tools of one conversation."""

    def __init__(self, offered: list[dict[str, Any]], dispatch: Any, servers: Any) -> None:
        self.offered = offered
        """Their definitions in requests; empty where the task has none."""
        self._dispatch, self._servers = dispatch, servers

    async def answers(self, calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """A message for each of a reply's calls, in order; invalid calls are answered with an error."""
        return [
            {
                "role": "tool",
                "tool_call_id": call.get("id", ""),
                "content": await self._answer(call.get("function", {})),
            }
            for call in calls
        ]

    async def _answer(self, function: dict[str, Any]) -> Any:
        from verifiers.v1.harnesses.utils.mcp import call_mcp

        name = function.get("name")
        try:
            arguments = from_json(function.get("arguments") or "{}")
        except ValueError as error:
            return f"error: the arguments are not JSON ({error})"
        if not isinstance(arguments, dict):
            return "error: the arguments must be a JSON object"
        if name not in self._dispatch:
            return f"error: there is no tool {name!r}"
        try:
            return await call_mcp(self._servers, self._dispatch, name, arguments)
        except Exception as error:  # after six attempts; a tool that raises is an answer
            raise ConnectionError(f"the server of the tool {name} is gone ({_innermost(error)})") from None


def _innermost(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"


@asynccontextmanager
async def connected(urls: Mapping[str, str], timeout: float) -> AsyncIterator[Tools]:
    """Connect to tool servers (name → URL) for one conversation. `timeout`: seconds per call."""
    if not urls:
        yield Tools([], {}, {})
        return
    from verifiers.v1.harnesses.utils.mcp import connect_mcp  # MCP's client takes a second to import

    async with AsyncExitStack() as stack:
        servers = {name: {"url": url, "timeout": timeout} for name, url in urls.items()}
        yield Tools(*await connect_mcp({"mcpServers": servers}, stack))
