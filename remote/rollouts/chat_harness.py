"""The harness that plays episodes inside the worker's own process.

Owns the model calls: the conversation goes to the endpoint that verifiers hands out, and the reply's
token ids and log-probabilities are kept on the trace, so that a trainer never tokenises again. The tools
that a task serves are `chat_tools`'.
verifiers' built-in chat harness starts a program for each rollout, which costs more than a small
model's reply; its own contract allows a loop in process as long as each call goes to its endpoint.
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
"""Where a trace's `info` keeps its model calls: `{prompt_ids, completion_ids, logprobs}` each."""


class ChatHarnessConfig(HarnessConfig):  # type: ignore[misc]
    """The in-process chat harness."""

    tokens: bool = True
    """Ask the server for token ids and log-probabilities, and keep them; only ours knows how to."""


class ChatHarness(vf.Harness[ChatHarnessConfig]):  # type: ignore[misc]
    """A chat completion a segment, or several where it calls tools, with token ids and log-probabilities."""

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
        """Post the conversation; the reply lands on the trace. Errors are left to verifiers.

        A reply that calls tools which the task serves is answered, until one calls none.
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
                said = {name: value for name, value in message.items() if value is not None}
                messages += [{"content": "", **said}, *await tools.answers(message["tool_calls"])]

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
    # One pool for all episodes: opening a client a call costs more than the call.
    global _client
    if _client is None:
        # A connection that idles while the trainer computes may be closed from the other end just as it is
        # taken up again: after a second it is not taken up.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=64, keepalive_expiry=1.0)
        _client = httpx.AsyncClient(timeout=None, limits=limits)
    return _client


async def close() -> None:
    """Close the shared connections; the loop that used them is about to end."""
    global _client
    if _client is not None:
        await _client.aclose()
        _client = None


def register() -> str:
    """Make the harness known to verifiers, which finds plugins by top-level module name."""
    sys.modules[ID] = sys.modules[__name__]
    return ID


__all__ = ["ChatHarness"]
