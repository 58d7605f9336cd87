"""The verifiers harness that plays episodes inside the worker's own process.

It sends the conversation to the endpoint that verifiers provides, and keeps the reply's token ids and
log-probabilities on the trace, so that the trainer need not tokenise again. verifiers' built-in chat harness
starts a program for each rollout, which takes longer than a small model's reply; its contract allows a loop
in this process as long as each call goes to its endpoint.
"""

from __future__ import annotations

import sys
from typing import Any

import httpx
import verifiers.v1 as vf
from verifiers.v1.clients import ModelContext
from verifiers.v1.configs.harness import HarnessConfig
from verifiers.v1.dialects.chat import message_to_wire
from verifiers.v1.runtimes import ProgramResult, Runtime

from remote.rollouts.chat_tools import connected
from remote.rollouts.seeds import call_seed

ID = "vfm_chat"
TURNS = "vfm_turns"
"""Key of a trace's `info` that holds its model calls: `{prompt_ids, completion_ids, logprobs}` each."""


class ChatHarnessConfig(HarnessConfig):  # type: ignore[misc]
    """The in-process chat harness."""

    tokens: bool = True
    """Request token ids and log-probabilities, and keep them; only vLLM returns them."""


class ChatHarness(vf.Harness[ChatHarnessConfig]):  # type: ignore[misc]
    """One chat completion per segment, or several where the model calls tools."""

    APPENDS_SYSTEM_PROMPT = True
    SUPPORTS_MCP = True
    SUPPORTS_RESUME = True
    EXECUTES_CODE = False
    NEEDS_CONTAINER = False

    async def launch(
        self,
        ctx: ModelContext,
        trace: vf.Trace,
        runtime: Runtime,
        endpoint: str,
        secret: str,
        mcp_urls: dict[str, str],
        data: vf.TaskData,
    ) -> ProgramResult:
        """Send the conversation; verifiers records the reply on the trace, and handles errors.

        Tool calls are answered until a reply has none.
        """
        messages = self._messages(data)
        async with connected(mcp_urls, self.config.tool_timeout) as tools:
            while True:
                body: dict[str, Any] = {"model": ctx.model, "messages": messages}
                if tools.offered:
                    body["tools"] = tools.offered
                if self.config.tokens:
                    body |= {"logprobs": True, "return_token_ids": True}
                if (seed := call_seed(trace.agent.name, trace.num_turns)) is not None:
                    body["seed"] = seed
                headers = {"Authorization": f"Bearer {secret}"}
                reply = await _http().post(f"{endpoint}/chat/completions", json=body, headers=headers)
                if reply.status_code != 200:
                    return ProgramResult(1, "", reply.text)
                if self.config.tokens:
                    trace.info.setdefault(TURNS, []).append(_turn(reply.json()))
                message = reply.json()["choices"][0]["message"]
                if not tools.offered or not message.get("tool_calls"):
                    return ProgramResult(0, "", "")
                assistant = {name: value for name, value in message.items() if value is not None}
                messages += [{"content": "", **assistant}, *await tools.answers(message["tool_calls"])]

    def _messages(self, data: vf.TaskData) -> list[dict[str, Any]]:
        system, prompt = self.resolve_prompt(data)
        head = [] if system is None else [{"role": "system", "content": system}]
        if isinstance(prompt, str):
            return [*head, {"role": "user", "content": prompt}]
        return [*head, *(message_to_wire(message) for message in prompt or [])]


def _turn(reply: dict[str, Any]) -> dict[str, Any]:
    choice = reply["choices"][0]
    content = (choice.get("logprobs") or {}).get("content") or []
    return {
        "prompt_ids": reply.get("prompt_token_ids") or [],
        "completion_ids": choice.get("token_ids") or [],
        "logprobs": [token["logprob"] for token in content],
    }


_client: httpx.AsyncClient | None = None


def _http() -> httpx.AsyncClient:
    # One pool for all episodes: opening a client takes longer than a call.
    global _client
    if _client is None:
        # The server may close an idle connection just as it is used again, so idle ones expire after a
        # second.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=64, keepalive_expiry=1.0)
        _client = httpx.AsyncClient(timeout=None, limits=limits)
    return _client


async def close() -> None:
    """Close the shared connections, before their event loop ends."""
    global _client
    if _client is not None:
        await _client.aclose()
        _client = None


def register() -> str:
    """Register the harness with verifiers, which finds plugins by top-level module name."""
    sys.modules[ID] = sys.modules[__name__]
    return ID


__all__ = ["ChatHarness"]
