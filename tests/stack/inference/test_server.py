"""A real vLLM server: it answers, says what it died of, and leaves no process."""

from __future__ import annotations

import json
import os
import signal
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from remote.contract.errors import ServerError
from remote.contract.events import PhaseEvent, decode_line
from remote.contract.spec import ExperimentSpec
from remote.inference.server import VllmServer
from remote.output.emitter import Emitter
from remote.processes import guardian
from tests.stack.conftest import engines
from tests.waiting import block_until

pytestmark = [pytest.mark.stack, pytest.mark.vllm]

SPEC = {
    "model": {"dtype": "float32"},
    "vllm": {"max_model_len": 512},
    "training": {"max_completion_length": 64},
}


def serve(model: Path, emitter: Emitter) -> VllmServer:
    return VllmServer(ExperimentSpec.model_validate(SPEC), str(model), emitter)


def title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def chat(server: VllmServer) -> Any:
    body = {
        "model": server.served_name,
        "messages": [{"role": "user", "content": "hello"}],
        "max_tokens": 8,
        "min_tokens": 8,
        "logprobs": True,
        "return_token_ids": True,
    }
    request = urllib.request.Request(
        f"{server.base_url}/v1/chat/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json", "Authorization": f"Bearer {server.key}"},
    )
    with urllib.request.urlopen(request, timeout=60) as reply:
        return json.load(reply)


def test_it_answers_and_a_killed_engine_is_named(tiny_model: Path, emitter: Emitter, tmp_path: Path) -> None:
    before = set(guardian.descendants(os.getpid()))
    with serve(tiny_model, emitter) as server:
        server.wait_ready()
        answer = chat(server)
        choice = answer["choices"][0]
        assert len(choice["token_ids"]) == len(choice["logprobs"]["content"]) == 8
        assert answer["prompt_token_ids"]
        assert all(token["logprob"] < 0 for token in choice["logprobs"]["content"])
        assert server.rss_bytes() > 500e6
        server.check()
        for pid in engines(os.getpid()) - before:
            os.kill(pid, signal.SIGKILL)
        with pytest.raises(ServerError, match=r"died while running: its process .* was killed"):
            block_until(server.check, "the failure")
    assert set(guardian.descendants(os.getpid())) <= before
    events = [decode_line(line) for line in (tmp_path / "stream.log").read_text().split("\n")]
    steps = [event.detail for event in events if isinstance(event, PhaseEvent) and event.status == "done"]
    assert steps[:6] == ["resolving", "starting engine", "loading weights", "KV cache", "warm-up", "ready"]


PLANTED = {
    **dict.fromkeys(
        ("DATABASE_URL", "MY_SERVICE_KEY", "AWS_SECRET_ACCESS_KEY", "HF_TOKEN", "EDITOR"), "canary-1234"
    ),
    "VLLM_API_KEY": "canary-5678",
}
ENDPOINTS = (
    *("/v1/models", "/v1/chat/completions", "/v1/load_lora_adapter", "/collective_rpc", "/pause", "/resume"),
    *(
        "/reset_prefix_cache",
        "/metrics",
        "/metrics/",
        "/docs",
        "/openapi.json",
        "/server_info",
        "/version",
        "/load",
    ),
)


def status(server: VllmServer, path: str, **headers: str) -> int:
    """What a request is answered with; GET and POST must be answered alike."""
    found = set()
    for body in (None, b"{}"):
        request = urllib.request.Request(f"{server.base_url}{path}", body, headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                found.add(reply.status)
        except urllib.error.HTTPError as error:
            found.add(error.code)
    return found.pop() if len(found) == 1 else 0


def test_strangers_get_nothing_and_the_server_no_secret(
    tiny_model: Path, emitter: Emitter, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in PLANTED.items():
        monkeypatch.setenv(name, value)
    before = set(guardian.descendants(os.getpid()))
    with serve(tiny_model, emitter) as server:
        server.wait_ready()
        for path in ENDPOINTS:
            assert status(server, path) == 401, path
            assert status(server, path, Host="evil.example", Authorization=f"Bearer {server.key}") == 403, (
                path
            )
        assert status(server, "/health", Host="evil.example") == 403
        request = urllib.request.Request(
            f"{server.base_url}/metrics", headers={"Authorization": f"Bearer {server.key}"}
        )
        with urllib.request.urlopen(request, timeout=60) as reply:
            assert b"vllm:generation_tokens_total" in reply.read()
        processes = set(guardian.descendants(os.getpid())) - before
        assert len(processes) >= 3
        for pid in processes:
            assert server.key not in title(pid)
            environ = Path(f"/proc/{pid}/environ").read_bytes()
            assert b"canary" not in environ, environ
    assert server.key not in (tmp_path / "stream.log").read_text()


def test_a_server_that_is_stopped_while_it_starts_leaves_no_process(
    tiny_model: Path, emitter: Emitter
) -> None:
    before = set(guardian.descendants(os.getpid()))
    server = serve(tiny_model, emitter)
    server.start()
    block_until(lambda: engines(os.getpid()) - before, "the engine", seconds=180)
    began = time.monotonic()
    server.stop()
    assert time.monotonic() - began < 10
    assert set(guardian.descendants(os.getpid())) <= before
    server.check()
