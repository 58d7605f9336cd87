"""Evaluations against a service on loopback: what is on file, what it adds up to, going on, refusals."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from remote.contract import layout
from remote.contract.errors import VfmError
from remote.contract.record import LaunchRequest
from remote.contract.spec import ExperimentSpec
from remote.output.emitter import Emitter
from remote.output.run_dir import RunDir
from tests.stack.conftest import PROJECT, tiny_spec
from tests.stack.service import Service

pytestmark = pytest.mark.stack

KEY = "sk-very-secret-0123456789"


@pytest.fixture
def service() -> Iterator[Service]:
    made = Service()
    yield made
    made.close()


class Stopped(BaseException):
    """The worker is killed."""


class Run:
    """One run directory, evaluated as the worker does it."""

    def __init__(self, home: Path, name: str, service: Service, **evaluation: Any) -> None:
        options = {"endpoint": service.url, "endpoint_key": "THEIR_KEY", "num_examples": 6, **evaluation}
        self.spec: ExperimentSpec = tiny_spec(evaluation=options)
        self.path = home / name
        self.request = LaunchRequest(
            run_id=name,
            kind="evaluate",
            spec=self.spec,
            model="theirs-large",
            environment="vf_wordle",
            outputs="out",
            cache="cache",
            run_dir=str(self.path),
            cache_dir=str(home / "cache"),
            project_dir=str(PROJECT),
        )

    def go(self, resume: str = "") -> int:
        """The exit code of a worker in this process."""
        from remote.workers.evaluation import Evaluator

        request = self.request.model_copy(update={"resume": resume})
        if not self.path.exists():
            run_dir = RunDir(self.path)
            run_dir.write_record(run_dir.create(request).moved("running"))
        fd = os.open(self.path / layout.STREAM, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        try:
            evaluator = Evaluator(request, Emitter(self.path, fd))
            evaluator._install = lambda place: None  # type: ignore[method-assign]  # it is importable already
            return evaluator.run()
        finally:
            os.close(fd)

    def lines(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.path / name).read_text().splitlines()]

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.lines(layout.EVENTS) if event["type"] == kind]

    @property
    def summary(self) -> dict[str, float]:
        return dict(json.loads((self.path / layout.EVALUATION_SUMMARY).read_text()))

    @property
    def stream(self) -> str:
        return (self.path / layout.STREAM).read_text()


@pytest.fixture(autouse=True)
def _unstopped(wordle: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker in this process may not make it deaf to signals."""
    monkeypatch.setattr("remote.workers.base.ignore_signals", lambda: None)
    monkeypatch.setenv("THEIR_KEY", KEY)


def test_episodes_are_on_file_as_verifiers_and_we_write_them_and_nothing_is_sent_on(
    tmp_path: Path, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    from verifiers.v1.trace import WireTrace
    from verifiers.v1.utils.trace_store import read_episodes

    monkeypatch.setenv("PRIME_API_KEY", "would-push")
    run = Run(tmp_path, "first", service, rollouts_per_example=2)
    assert run.go() == 0
    assert service.keys == {f"Bearer {KEY}"}
    assert {body["model"] for body in service.bodies} == {"theirs-large"}
    vllms_own = {"return_token_ids", "logprobs", "seed"}
    assert not any(vllms_own & body.keys() for body in service.bodies)
    assert not any(name.startswith("prime_runs") for name in sys.modules), "what pushes was imported"

    episodes = run.lines(layout.EVALUATION_EPISODES)
    assert Counter(e["sample"] for e in episodes) == {0: 6, 1: 6}
    assert len({(e["task"], e["sample"]) for e in episodes}) == 12
    theirs = read_episodes(run.path / layout.EVALUATION, WireTrace)
    assert [t.traces[0].reward for t in theirs] == pytest.approx([e["reward"] for e in episodes])
    assert {t.run.id for t in theirs} == {"first"}

    last = run.events("metrics")[-1]
    assert (last["step"], last["values"]) == (12, run.summary)
    assert run.summary["eval/episodes"] == 12
    parts = {name for e in episodes for name in e["rewards"]}
    assert {f"eval/{part}_standard_error" for part in parts} <= run.summary.keys()
    assert "the same; set evaluation.temperature" in run.stream
    assert KEY not in run.stream


def test_a_killed_evaluation_plays_what_is_missing_and_what_failed(tmp_path: Path, service: Service) -> None:
    import remote.evaluation.episodes as module

    lock, count = threading.Lock(), iter(range(1000))

    def third_fails(body: dict[str, Any]) -> tuple[int, str]:
        with lock:
            return (400, "too long for us") if next(count) == 2 else (200, "crane")

    service.answer = third_fails
    run = Run(tmp_path, "killed", service, rollouts_per_example=2)
    run.spec.training.concurrency = 1
    add = module.Progress.add
    added: list[Any] = []

    def killed_after_five(self: Any, episode: Any) -> None:
        if len(added) == 5:
            raise Stopped
        added.append(episode)
        add(self, episode)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module.Progress, "add", killed_after_five)
        assert run.go() == 1
    traces = run.path / layout.EVALUATION_TRACES
    written = traces.read_bytes().splitlines(keepends=True)
    assert len(written) == 6, "verifiers' line comes before ours"
    traces.write_bytes(b"".join(written) + written[0][: len(written[0]) // 2])  # and a torn one
    kept = {json.loads(line)["id"] for line in written if json.loads(line)["ok"]}
    assert len(kept) == 5
    # In the same directory, as on Modal; and by another run, which asks for more.
    RunDir(run.path).write_record(RunDir(run.path).record().model_copy(update={"status": "running"}))
    more = Run(tmp_path, "more", service, rollouts_per_example=2, num_examples=8)
    for again, wanted in ((run, 12), (more, 16)):
        before = len(service.bodies)
        service.answer = lambda body: (200, "slate")
        assert again.go(resume="" if again is run else str(run.path)) == 0, again.stream
        episodes = again.lines(layout.EVALUATION_EPISODES)
        assert len({(e["task"], e["sample"]) for e in episodes}) == len(episodes) == wanted
        assert not any(e["error"] for e in episodes)
        assert again.summary["eval/episodes"] == wanted
        there = {line["id"] for line in again.lines(layout.EVALUATION_TRACES)}
        assert kept <= there
        assert len(there) == wanted
        turns = 3
        missing = wanted - (5 if again is run else 12)
        assert len(service.bodies) - before <= missing * turns


def test_another_evaluation_is_not_gone_on_with(tmp_path: Path, service: Service) -> None:
    assert Run(tmp_path, "one", service).go() == 0
    other = Run(tmp_path, "other", service, temperature=0.7)
    assert other.go(resume=str(tmp_path / "one")) == 1
    failure = other.events("failure")[0]
    assert "evaluation.temperature: 0.0 → 0.7" in failure["message"]


@pytest.mark.parametrize(
    ("status", "words", "key"),
    [
        (401, "refuses the key in THEIR_KEY", "evaluation.endpoint_key"),
        (404, "knows no model theirs-large", "model.base_model"),
        (400, "every episode", None),
    ],
)
def test_what_a_service_refuses_is_one_failure_without_the_key(
    tmp_path: Path, service: Service, status: int, words: str, key: str | None
) -> None:
    service.answer = lambda body: (status, f"no: {body['model']} with {KEY}")
    run = Run(tmp_path, "refused", service)
    assert run.go() == 1
    failure = run.events("failure")[0]
    assert service.url in failure["message"]
    assert words in failure["message"]
    assert failure["hint"]["key"] == key
    for file in run.path.rglob("*"):
        assert not file.is_file() or KEY not in file.read_text(errors="replace"), file


def test_a_service_that_does_not_answer_is_named(tmp_path: Path, service: Service) -> None:
    service.close()
    run = Run(tmp_path, "silent", service)
    assert run.go() == 1
    assert f"{service.url}/v1 does not answer" in run.events("failure")[0]["message"]


def test_a_busy_service_is_asked_again(tmp_path: Path, service: Service) -> None:
    answers = iter([(429, "slow down")])
    service.answer = lambda body: next(answers, (200, "crane"))
    run = Run(tmp_path, "busy", service, num_examples=2)
    assert run.go() == 0
    assert run.summary["eval/episodes"] == 2


def test_the_error_bar_is_that_of_the_task_means() -> None:
    from statistics import stdev

    from remote.evaluation.scores import Finished, scores, standard_error
    from remote.rollouts.player import Played

    assert standard_error([1.0, 0.0, 1.0, 1.0], [0, 1, 2, 3]) == pytest.approx(stdev([1, 0, 1, 1]) / 2)
    clustered = standard_error([1.0, 0.0, 1.0, 1.0, 0.0, 0.0], [0, 0, 1, 1, 2, 2])
    assert clustered == pytest.approx(stdev([0.5, 1.0, 0.0]) / 3**0.5)
    assert standard_error([1.0, 1.0], [0, 0]) is None
    failed = [Finished(0, 0, Played("a", reward=1.0)), Finished(1, 0, Played("b", error="broke"))]
    assert scores(failed) == {"eval/total": 1.0, "eval/episodes": 1.0, "eval/failed": 1.0}


def test_a_wrong_endpoint_or_key_name_is_refused() -> None:
    for wrong in ({"endpoint": "https://me:pw@host/v1"}, {"endpoint": "host"}, {"endpoint_key": KEY}):
        with pytest.raises(ValueError, match=r"without user, password|not the key"):
            tiny_spec(evaluation=wrong)
    with pytest.raises(ValueError, match="both set"):
        tiny_spec(evaluation={"endpoint": "https://host", "checkpoint": "k3f9x"})


def test_checkpoints_that_cannot_be_evaluated_say_why_and_what_there_is(tmp_path: Path) -> None:
    from remote.evaluation.checkpoint_model import served
    from remote.training import checkpoints

    base = tmp_path / "models/tiny-random"
    base.mkdir(parents=True)
    folder = tmp_path / "runs/r1/checkpoints"

    def take(name: str, model: str = "builtin/tiny-random", base: Path = base) -> Any:
        return served(
            str(folder / name), model, base, spec=tiny_spec(), device="cuda", stack=ExitStack(), say=print
        )

    for step, whole in ((2, True), (4, True), (6, False)):
        made = folder / f"checkpoint-{step}"
        made.mkdir(parents=True)
        config = {"r": 8, "peft_type": "LORA", "base_model_name_or_path": str(base)}
        (made / "adapter_config.json").write_text(json.dumps(config))
        (made / "adapter_model.safetensors").write_bytes(b"weights")
        if whole:
            checkpoints.mark(made)
    checkpoints.write_best(tmp_path / "runs/r1", checkpoints.Best(2, "checkpoints/checkpoint-2", 0.5))

    model, fixed = take("checkpoint-4")
    assert (model, fixed.adapter, fixed.rank) == (base, str(folder / "checkpoint-4"), 8)
    assert take("best")[1].adapter == str(folder / "checkpoint-2")
    with pytest.raises(VfmError, match="there is no checkpoint") as missing:
        take("checkpoint-40")
    assert missing.value.hint is not None
    assert missing.value.hint.text.endswith("holds checkpoint-2 (best), checkpoint-4")
    with pytest.raises(VfmError, match="is incomplete"):
        take("checkpoint-6")
    hub = "huggingface/hub/models--Qwen--Qwen2.5-0.5B-Instruct/snapshots/abc"
    with pytest.raises(VfmError, match=r"trained on .*tiny-random, and the model .* Qwen/Qwen2\.5"):
        take("checkpoint-4", "Qwen/Qwen2.5-0.5B-Instruct", tmp_path / hub)


def test_a_merged_checkpoint_answers_as_the_adapter_does(tmp_path: Path, tiny_model: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from remote.evaluation.checkpoint_model import served
    from remote.models.load import load_for_training, save_final

    spec = tiny_spec()
    model, tokenizer = load_for_training(spec, tiny_model)
    for name, weights in model.named_parameters():
        if ".lora_B." in name:
            torch.nn.init.normal_(weights, std=0.5)
    tokenizer.pad_token = "<|pad of the checkpoint|>"
    adapter = tmp_path / "final"
    save_final(model, tokenizer, adapter)
    with ExitStack() as stack:
        copy, fixed = served(
            str(adapter), "builtin/tiny-random", tiny_model, spec=spec, device="cpu", stack=stack, say=print
        )
        assert not fixed.adapter
        merged = AutoModelForCausalLM.from_pretrained(copy, dtype=torch.float32)
        ids = torch.tensor([[5, 17, 3, 99]])
        learnt, plain = model(ids).logits, model.get_base_model()
        assert torch.allclose(merged(ids).logits, learnt, atol=1e-4)
        with model.disable_adapter():
            assert not torch.allclose(plain(ids).logits, learnt, atol=1e-2)
        assert AutoTokenizer.from_pretrained(copy).pad_token == "<|pad of the checkpoint|>"
        assert (Path(copy) / "chat_template.jinja").exists()
    assert not Path(copy).exists()
