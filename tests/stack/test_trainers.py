"""Two trainers on this machine's CPU: the same training as by one, on the same episodes."""

from __future__ import annotations

import json
import os
import threading
import urllib.request
from collections import deque
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from remote.contract import layout
from remote.contract.record import LaunchRequest
from remote.contract.spec import ExperimentSpec
from remote.emit import Emitter
from tests.stack.conftest import PROJECT, tiny_spec

pytestmark = [pytest.mark.stack, pytest.mark.vllm]

STEPS = 2
CHAT = "/v1/chat/completions"


class Tape:
    """A server between the trainers and the real one, which remembers every reply and can give it again."""

    def __init__(self, real: Any) -> None:
        self.served_name, self.weight_sync, self.device = real.served_name, real.weight_sync, real.device
        self.replaying = False
        self.replies: deque[tuple[Any, bytes]] = deque()
        self._real = real.base_url
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.base_url = f"http://127.0.0.1:{self._http.server_address[1]}"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def answer(self, path: str, body: bytes) -> bytes:
        if path != CHAT:
            return b"{}" if self.replaying else self._ask(path, body)
        prompt = json.loads(body)["messages"]
        if self.replaying:
            then, reply = self.replies.popleft()
            assert prompt == then, "another episode is played at this place"
            return reply
        reply = self._ask(path, body)
        self.replies.append((prompt, reply))
        return reply

    def _ask(self, path: str, body: bytes) -> bytes:
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self._real + path, data=body, headers=headers, method="POST")
        with urllib.request.urlopen(request, timeout=60) as reply:
            return bytes(reply.read())

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        tape = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                reply = tape.answer(self.path, body)
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            def log_message(self, *_: Any) -> None:
                pass

        return Handler

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def tape(reload_server: Any, wordle: None) -> Iterator[Tape]:
    made = Tape(reload_server)
    yield made
    made.close()


def spec_of() -> ExperimentSpec:
    training = {**tiny_spec().training.model_dump(), "gradient_accumulation_steps": 2, "steps": STEPS}
    # One episode after the other: a prompt does not tell which task it belongs to, only its place does.
    return tiny_spec(training={**training, "batch_size": 4, "eval_examples": 2, "concurrency": 1})


def by_two(folder: Path, model: Path, tape: Tape) -> None:
    """The training by two processes, as the worker has it where VFM_TRAINERS says so."""
    from remote.gpus import place
    from remote.run_dir import RunDir
    from remote.trainers import Trainers

    spec = spec_of()
    request = LaunchRequest(
        run_id="two",
        spec=spec,
        model="builtin/tiny-random",
        environment="vf_wordle",
        outputs="outputs",
        cache="cache",
        run_dir=str(folder),
        cache_dir=str(folder / "cache"),
        project_dir=str(PROJECT),
    )
    RunDir(folder).create(request)
    (folder / "cache/environments").mkdir(parents=True)
    (folder / "cache/environments/vf_wordle").symlink_to(PROJECT / "environments/vf_wordle")
    fd = os.open(folder / "logs/stream.log", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    placement = place(spec, "train", "cpu", {"VFM_TRAINERS": "2"})
    trainers = Trainers(RunDir(folder), placement, Emitter(folder, fd))
    try:
        trainers.start(model, tape)
        trainers.ready(tape.base_url)
        trainers.wait()
    finally:
        trainers.stop()
        os.close(fd)


def by_one(folder: Path, model_dir: Path, tape: Tape) -> None:
    """The same training in this process, on the episodes that the two trained on."""
    from remote.models import load_for_training, save_final
    from remote.recorder import Recorder
    from remote.rollouts import Rollouts
    from remote.train import train
    from remote.weight_sync import make_sync

    tape.replaying = True
    spec = spec_of()
    model, tokenizer = load_for_training(spec, model_dir)
    rollouts = Rollouts("vf_wordle", spec.training.environment_args, spec, tape)
    sync = make_sync("merged", model, tape, model_dir, spec, "cpu")
    fd = os.open(os.devnull, os.O_WRONLY)
    try:
        recorder = Recorder(Emitter(folder, fd), folder, 2)
        train(spec, folder, "one", model, tokenizer, rollouts, sync, recorder, "cpu")
        save_final(model, tokenizer, folder / layout.FINAL)
    finally:
        sync.close()
        rollouts.close()
        os.close(fd)


def events(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / layout.EVENTS).read_text().splitlines()]


def numbers(folder: Path) -> dict[int, dict[str, float]]:
    """Every number of each step that is no time."""
    found: dict[int, dict[str, float]] = {}
    for event in events(folder):
        if event["type"] == "metrics":
            found.setdefault(event["step"], {}).update(event["values"])
    timed = ("time/", "tokens_per_second")
    return {s: {k: v for k, v in values.items() if not k.startswith(timed)} for s, values in found.items()}


def test_two_trainers_learn_what_one_learns(tmp_path: Path, tape: Tape, tiny_model: Path) -> None:
    from safetensors.torch import load_file

    two, one = tmp_path / "two", tmp_path / "one"
    for folder in (two, one):
        folder.mkdir()
    by_two(two, tiny_model, tape)
    by_one(one, tiny_model, tape)
    assert not tape.replies, "one trainer played other episodes, or fewer"

    told = events(two)
    assert [event["seq"] for event in told] == list(range(len(told)))
    phases = [(event["phase"], event["status"]) for event in told if event["type"] == "phase"]
    assert phases == [("train", "started"), ("train", "done"), ("save", "started"), ("save", "done")]
    for step in range(1, STEPS + 1):
        episodes = (two / layout.rollouts_path(step)).read_text().splitlines()
        assert len(episodes) == spec_of().episodes_per_step

    mine, theirs = numbers(two), numbers(one)
    assert sorted(mine) == sorted(theirs) == list(range(STEPS + 1))
    for step, values in theirs.items():
        assert mine[step] == pytest.approx(values, rel=1e-3, abs=1e-4), f"step {step}"
        # The worse of the two: each compares its own weights with those of the server.
        assert mine[step].get("sync/logp_difference", 0.0) < 1e-4
    assert {f"rng_state_{rank}.pth" for rank in (0, 1)} <= {
        file.name for file in (two / layout.checkpoint_path(STEPS)).iterdir()
    }
    learnt, expected = (load_file(f / layout.FINAL / "adapter_model.safetensors") for f in (two, one))
    assert learnt.keys() == expected.keys()
    for name, tensor in expected.items():
        difference = (learnt[name] - tensor).norm() / tensor.norm()
        assert difference < 1e-3, f"{name}: {difference:.2g}"
