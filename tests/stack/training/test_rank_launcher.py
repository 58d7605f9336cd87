"""Two trainers on this machine's CPU: the same training as by one, on the same episodes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from remote.contract import layout
from remote.contract.exit_codes import FAILED, SERVER_LOST
from remote.contract.record import LaunchRequest
from remote.contract.spec import ExperimentSpec
from remote.output.emitter import Emitter
from tests.stack.conftest import PROJECT, engines, tiny_spec
from tests.waiting import block_until

pytestmark = [pytest.mark.stack, pytest.mark.vllm]

STEPS = 3
CHAT = "/v1/chat/completions"


class Tape:
    """A server between the trainers and the real one, which remembers every reply and can give it again."""

    def __init__(self, real: Any) -> None:
        self.served_name, self.weight_sync, self.device = real.served_name, real.weight_sync, real.device
        self.key = real.key
        self.replaying = False
        self.replies: deque[tuple[Any, bytes]] = deque()
        self._real = real.base_url
        self._listen()

    def _listen(self) -> None:
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
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.key}"}
        request = urllib.request.Request(self._real + path, data=body, headers=headers, method="POST")
        with urllib.request.urlopen(request, timeout=60) as reply:
            return bytes(reply.read())

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        tape = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # it holds every reply back for 40 ms

            def do_GET(self) -> None:
                self.send_response(200)  # it is well
                self.send_header("Content-Length", "0")
                self.end_headers()

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
    training["environment_args"] = {"turns": 2, "reply": "plain"}
    # One episode after the other: a prompt does not tell which task it belongs to, only its place does.
    return tiny_spec(training={**training, "batch_size": 4, "eval_examples": 2, "concurrency": 1})


SCRIPT = "examples/grpo/train_wordle.py"
"""What the two train by; the one has the built-in training, which is to be the same."""


def prepare(folder: Path, spec: ExperimentSpec | None = None) -> LaunchRequest:
    """A run directory, and the environment where the worker puts it."""
    from remote.output.run_dir import RunDir

    request = LaunchRequest(
        run_id="two",
        spec=spec or spec_of(),
        model="builtin/tiny-random",
        environment="vf_wordle",
        script=SCRIPT,
        script_text=(PROJECT / SCRIPT).read_text(),
        outputs="outputs",
        cache="cache",
        run_dir=str(folder),
        cache_dir=str(folder / "cache"),
        project_dir=str(PROJECT),
    )
    RunDir(folder).create(request)
    # By a process of its own: this one has the environment on its path already, as other tests need it.
    program = (
        "import sys\nfrom remote.contract.record import LaunchRequest\n"
        "from remote.environments import resolve\n"
        "request = LaunchRequest.model_validate_json(open(sys.argv[1], 'rb').read()); "
        "resolve.provide(resolve.place(request), print)"
    )
    env = {**os.environ, "PYTHONPATH": str(PROJECT)}
    subprocess.run([sys.executable, "-c", program, str(folder / layout.REQUEST)], check=True, env=env)
    return request


@contextmanager
def two_trainers(folder: Path, model: Path, tape: Any) -> Iterator[Any]:
    """The trainers that the worker starts where VFM_TRAINERS says so."""
    from remote.output.run_dir import RunDir
    from remote.training.gpu_placement import place
    from remote.training.rank_launcher import Trainers

    fd = os.open(folder / "logs/stream.log", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    placement = place(spec_of(), "train", "cpu", {"VFM_TRAINERS": "2"})
    trainers = Trainers(RunDir(folder), placement, Emitter(folder, fd))
    try:
        trainers.start(model, tape)
        trainers.ready(tape.base_url)
        yield trainers
    finally:
        trainers.stop()
        os.close(fd)


def by_one(folder: Path, model_dir: Path, tape: Tape) -> None:
    """The same training in this process, on the episodes that the two trained on."""
    from remote.models.load import load_for_training, save_final
    from remote.rollouts.player import Rollouts
    from remote.rollouts.recorder import Recorder
    from remote.training.run import TrainingRun, train
    from remote.training.weight_sync import make_sync

    spec = spec_of()
    model, tokenizer = load_for_training(spec, model_dir)
    rollouts = Rollouts("vf_wordle", spec.training.environment_args, spec, tape)
    sync = make_sync("merged", model, tape, model_dir, spec, "cpu")
    fd = os.open(os.devnull, os.O_WRONLY)
    try:
        recorder = Recorder(Emitter(folder, fd), folder, 2)
        train(TrainingRun(spec, folder, "one", model, tokenizer, rollouts, sync, recorder, "cpu"))
        save_final(model, tokenizer, folder / layout.FINAL)
    finally:
        sync.close()
        rollouts.close()
        os.close(fd)


def events(folder: Path, kind: str = "") -> list[dict[str, Any]]:
    file = folder / layout.EVENTS
    told = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    return [event for event in told if kind in ("", event["type"])]


def numbers(folder: Path) -> dict[int, dict[str, float]]:
    """Every number of each step that is no time."""
    found: dict[int, dict[str, float]] = {}
    for event in events(folder, "metrics"):
        found.setdefault(event["step"], {}).update(event["values"])
    timed = ("time/", "tokens_per_second")
    return {s: {k: v for k, v in values.items() if not k.startswith(timed)} for s, values in found.items()}


def episodes(folder: Path, path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / path).read_text().splitlines()]


def replies_until(step: int, folder: Path) -> int:
    """How many replies all episodes up to a step took."""
    files = [f"{layout.ROLLOUTS}/held-out-000000.jsonl", *map(layout.rollouts_path, range(1, step + 1))]
    every = [message for file in files for one in episodes(folder, file) for message in one["messages"]]
    return sum(message["role"] == "assistant" for message in every)


def test_two_trainers_that_are_interrupted_learn_what_one_learns_in_one_go(
    tmp_path: Path, tape: Tape, tiny_model: Path
) -> None:
    two, one = tmp_path / "two", tmp_path / "one"
    for folder in (two, one):
        folder.mkdir()
    prepare(two)
    with two_trainers(two, tiny_model, tape) as trainers:
        block_until(lambda: len(events(two, "metrics")) > 1, "the first step", seconds=300)
        trainers.save_and_stop(signal.SIGUSR2)
    (kept,) = [event["step"] for event in events(two, "checkpoint")]
    assert 1 <= kept < STEPS
    before, tape.replies = list(tape.replies), deque()
    with two_trainers(two, tiny_model, tape) as trainers:
        trainers.wait()
    tape.replies.extendleft(reversed(before[: replies_until(kept, two)]))
    tape.replaying = True
    by_one(one, tiny_model, tape)
    assert not tape.replies, "one trainer asked for fewer replies"
    same_events_and_episodes(two, one)
    same_weights(two, one)


class Mortal(Tape):
    """The same, but it dies at some chats, and answers at another address once it was started again."""

    def __init__(self, real: Any, dies_at: set[int]) -> None:
        super().__init__(real)
        self.dies_at, self.chats, self.posts = dies_at, 0, list[str]()
        self.dead, self.came_through = False, 0

    def answer(self, path: str, body: bytes) -> bytes:
        self.posts.append(path)
        self.chats += path == CHAT
        if path == CHAT and self.chats in self.dies_at:
            self.dead = True
            self._http.socket.close()  # nobody gets in any more
        if self.dead:
            raise ConnectionError
        return super().answer(path, body)

    def lost(self) -> bool:
        return self.dead

    def renew(self) -> None:
        self.posts.append("renew")
        self.close()
        self._listen()
        self.dead = False

    def proven(self) -> None:
        self.came_through += 1


def test_two_trainers_go_on_with_a_server_that_is_started_again(
    tmp_path: Path, reload_server: Any, wordle: None, tiny_model: Path
) -> None:
    prepare(tmp_path)
    server = Mortal(reload_server, {replies_of_a_step() + 3})
    with two_trainers(tmp_path, tiny_model, server) as trainers:
        trainers.wait(server)
    server.close()
    after = server.posts[server.posts.index("renew") + 1 :]
    assert after.index("/collective_rpc") < after.index(CHAT), "episodes began before the weights were there"
    assert server.came_through == 1
    told = events(tmp_path)
    assert [event["seq"] for event in told] == list(range(len(told)))
    trained = [event for event in events(tmp_path, "metrics") if "loss" in event["values"]]
    assert [event["step"] for event in trained] == [1, 2, 3]
    values = numbers(tmp_path)
    assert all(values[step]["sync/logp_difference"] < 1e-4 for step in (1, 2, 3))
    for step in range(1, STEPS + 1):
        played = episodes(tmp_path, layout.rollouts_path(step))
        assert len(played) == spec_of().episodes_per_step
        assert not any(episode["error"] for episode in played)


def replies_of_a_step() -> int:
    """At most: the held-out tasks' and a step's episodes, of two turns each."""
    return 2 * (spec_of().training.eval_examples + spec_of().episodes_per_step)


def test_a_trainer_that_is_killed_costs_no_step(tmp_path: Path, tape: Tape, tiny_model: Path) -> None:
    from remote.contract.errors import VfmError
    from remote.training import checkpoints

    prepare(tmp_path)
    with two_trainers(tmp_path, tiny_model, tape) as trainers:
        block_until(lambda: len(events(tmp_path, "metrics")) > 1, "the first step", seconds=300)
        os.kill(trainers._processes[1].group, signal.SIGKILL)
        with pytest.raises(VfmError, match="trainer 2 of 2 was killed"):
            trainers.wait()
    newest = checkpoints.newest(tmp_path)
    assert newest is not None
    last = max(event["step"] for event in events(tmp_path, "metrics"))
    assert checkpoints.step_of(newest) == last


def kill_engine_after(step: int, folder: Path) -> None:
    """Kill the engine of the vLLM that is to start as soon as so many steps are trained."""
    of_others = engines(os.getpid())

    def watch() -> None:
        block_until(lambda: trained(folder)[-1:] >= [step], f"step {step}", seconds=300)
        for pid in engines(os.getpid()) - of_others:
            os.kill(pid, signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


def trained(folder: Path) -> list[int]:
    return [event["step"] for event in events(folder, "metrics") if "loss" in event["values"]]


def test_a_server_that_dies_once_too_often_is_followed_by_an_attempt_and_then_by_the_way_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole worker, with its own vLLM and two trainers."""
    from remote.output.run_dir import RunDir
    from remote.training import checkpoints
    from remote.workers.base import GOES_ON
    from remote.workers.training import Training

    spec = spec_of()
    training = spec.training.model_copy(update={"steps": 50, "eval_examples": 0})
    vllm = spec.vllm.model_copy(update={"restarts": 0})
    request = prepare(tmp_path, spec.model_copy(update={"training": training, "vllm": vllm}))
    run_dir = RunDir(tmp_path)
    run_dir.write_record(run_dir.record().moved("running"))
    monkeypatch.setattr("remote.workers.base.ignore_signals", lambda: None)
    monkeypatch.setenv("VFM_TRAINERS", "2")
    kept = 0
    for goes_on, code in (("1", SERVER_LOST), ("", FAILED)):
        monkeypatch.setenv(GOES_ON, goes_on)
        kill_engine_after(kept + 1, tmp_path)
        fd = os.open(tmp_path / layout.STREAM, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        try:
            assert Training(request, Emitter(tmp_path, fd)).run() == code
        finally:
            os.close(fd)
        newest = checkpoints.newest(tmp_path)
        assert newest is not None
        assert trained(tmp_path) == list(range(1, checkpoints.step_of(newest) + 1)), (
            "no step lost or repeated"
        )
        assert checkpoints.step_of(newest) > kept
        kept = checkpoints.step_of(newest)
        assert run_dir.record().status == ("running" if goes_on else "failed")
    (failure,) = events(tmp_path, "failure")
    assert failure["boundary"] == "vllm"
    assert failure["message"].startswith("vLLM died")
    assert f"go on from the checkpoint of step {kept}: vfm resume two" in failure["hint"]["text"]


def same_events_and_episodes(two: Path, one: Path) -> None:
    told = events(two)
    assert [event["seq"] for event in told] == list(range(len(told)))
    phases = [(event["phase"], event["status"]) for event in events(two, "phase")]
    assert phases == [("train", "started")] + [(p, s) for p in ("train", "save") for s in ("started", "done")]
    for step in range(1, STEPS + 1):
        played = episodes(two, layout.rollouts_path(step))
        assert len(played) == spec_of().episodes_per_step
        assert played == episodes(one, layout.rollouts_path(step))
    mine, theirs = numbers(two), numbers(one)
    assert sorted(mine) == sorted(theirs) == list(range(STEPS + 1))
    for step, values in theirs.items():
        assert mine[step] == pytest.approx(values, rel=1e-3, abs=1e-4), f"step {step}"
        # The worse of the two: each compares its own weights with those of the server.
        assert mine[step].get("sync/logp_difference", 0.0) < 1e-4


def same_weights(two: Path, one: Path) -> None:
    from safetensors.torch import load_file

    assert (two / layout.checkpoint_path(STEPS) / "rng_state_1.pth").exists(), "there was no second trainer"
    learnt, expected = (load_file(f / layout.FINAL / "adapter_model.safetensors") for f in (two, one))
    assert learnt.keys() == expected.keys()
    for name, tensor in expected.items():
        difference = (learnt[name] - tensor).norm() / tensor.norm()
        assert difference < 1e-3, f"{name}: {difference:.2g}"
