"""vf-gsm8k, installed as a run installs it and played by verifiers against a scripted model."""

from __future__ import annotations

import asyncio
import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow
import pytest
import verifiers.v1 as vf
from pyarrow import parquet
from verifiers.v1.env import RunSlot
from verifiers.v1.utils.loaders import load_environment, resolve_env_config

from remote.contract.errors import EnvironmentMissing
from remote.environments import errors, resolve
from remote.evaluation.scripted_model import ScriptedModel
from remote.rollouts import chat_harness

ENVIRONMENTS = Path(__file__).parents[3]
pytestmark = pytest.mark.stack


@pytest.fixture(scope="module", autouse=True)
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The overlay that the package is installed into, with reasoning-gym and nothing else."""
    target = tmp_path_factory.mktemp("overlay")
    resolve.install("vf_gsm8k", ENVIRONMENTS, target, lambda line: None)
    resolve.activate(target)
    yield target
    sys.path.remove(str(target))


def build(**options: Any) -> vf.Env[Any]:
    """The environment, through the config that a run makes."""
    seat = {"harness": {"id": chat_harness.register()}, "runtime": {"type": "subprocess"}}
    data = {"taskset": {"id": "vf-gsm8k", **options}, "agent": seat}
    return load_environment(resolve_env_config(data))


def play(model: ScriptedModel, **options: Any) -> list[tuple[Any, Any]]:
    """The task and the trace of one episode of each task."""
    env = build(**options)
    client = vf.EvalClientConfig(base_url=model.url, api_key_var="OPENAI_API_KEY")
    context = vf.ModelContext(model="scripted", client=client, sampling=vf.SamplingConfig(max_tokens=16))

    async def go() -> list[tuple[Any, Any]]:
        async with env.serving():
            tasks = list(env.taskset)
            episodes = [await env.run_slot(RunSlot(task), context) for task in tasks]
        await chat_harness.close()
        return [(task, episode.traces[0]) for task, episode in zip(tasks, episodes, strict=True)]

    return asyncio.run(go())


def rewards(trace: Any) -> dict[str, float]:
    assert not trace.errors, trace.errors
    return {name: reward.score for name, reward in trace.rewards.items() if reward is not None}


def sum_of(request: dict[str, Any]) -> int:
    """What the last message's sum comes to."""
    terms = re.findall(r"([+-]?) ?(\d+)", request["messages"][-1]["content"])
    return sum(int(sign + number) for sign, number in terms)


def test_it_brings_reasoning_gym_without_what_that_never_uses_here(installed: Path) -> None:
    there = {path.name for path in installed.iterdir()}
    assert {"vf_gsm8k", "reasoning_gym"} <= there
    assert not there & {"matplotlib", "pycosat", "sympy", "numpy"}


def test_a_right_number_earns_everything_and_a_near_one_nothing(model: ScriptedModel) -> None:
    options: dict[str, Any] = {"source": "chain_sum", "reply": "boxed", "num_tasks": 3}
    model.player = lambda request: {"content": rf"That is \boxed{{{sum_of(request)}.00}}"}
    for _, trace in play(model, **options):
        assert rewards(trace) == {"correct": 1.0}
        assert trace.metrics["format"] == 1.0
    model.player = lambda request: {"content": rf"{sum_of(request)} or \boxed{{{sum_of(request) + 1}}}"}
    for _, trace in play(model, **options):
        assert trace.reward == 0.0


def test_word_problems_are_judged_by_their_own_answers(model: ScriptedModel) -> None:
    answers: dict[str, str] = {}
    model.player = lambda request: {
        "content": f"<answer>${answers[request['messages'][-1]['content']]}.00</answer>"
    }
    options: dict[str, Any] = {"reply": "tagged", "num_tasks": 40, "examples": 1}
    for task in build(**options).taskset:
        answers[task.data.prompt[-1].content] = task.data.answer
    assert [rewards(trace) for _, trace in play(model, **options)] == [{"correct": 1.0}] * 40
    roles = [message["role"] for message in model.requests[0]["messages"]]
    assert roles == ["system", "user", "assistant", "user"]


def test_the_form_is_rewarded_where_it_has_a_weight(model: ScriptedModel) -> None:
    model.player = lambda request: {"content": "It is 1000"}
    ((_, trace),) = play(model, source="chain_sum", reply="plain", num_tasks=1, weights={"format": 0.2})
    assert rewards(trace) == {"correct": 0.0, "format": 0.5}
    assert trace.reward == pytest.approx(0.1)


@pytest.mark.parametrize("options", [{}, {"split_by": "question"}, {"source": "chain_sum"}])
def test_held_out_problems_are_others_whatever_the_seed(options: dict[str, Any]) -> None:
    def questions(split: str, seed: int) -> list[str]:
        return [t.data.prompt for t in build(split=split, seed=seed, num_tasks=300, **options).taskset]

    train = {question for seed in (0, 1) for question in questions("train", seed)}
    assert not train & {question for seed in (0, 1) for question in questions("eval", seed)}
    assert questions("train", 0) == questions("train", 0) != questions("train", 1)


def test_every_sum_of_two_digits_is_on_one_side_with_its_other_order() -> None:
    sides = {
        split: {t.data.prompt for t in build(source="chain_sum", split=split).taskset}
        for split in ("train", "eval")
    }
    assert {split: len(tasks) for split, tasks in sides.items()} == {"train": 157, "eval": 43}
    swapped = {f"What is {b} + {a}?" for a, b in (re.findall(r"\d", q) for q in sides["eval"] if "+" in q)}
    assert swapped <= sides["eval"]
    prompts = importlib.import_module("vf_gsm8k.prompts")
    task = next(iter(build(source="chain_sum").taskset)).data
    problem = prompts.Problem(task.prompt, task.answer)
    assert {example.question for example in prompts.examples(problem, 5, True)} <= sides["train"]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the hub's copies on a machine that cannot reach the hub; it is empty."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return tmp_path


def test_gsm8k_itself_is_read_from_the_hubs_files(hub: Path) -> None:
    commit = "0" * 40
    refs, files = (hub / "datasets--openai--gsm8k" / part for part in ("refs", f"snapshots/{commit}/main"))
    for folder in (refs, files):
        folder.mkdir(parents=True)
    (refs / "main").write_text(commit)
    solution = "Two dozen are 2*12=<<2*12=24>>24.\n#### 1,024"
    rows = pyarrow.table({"question": ["How many?", "And now?"], "answer": [solution, "2\n3\n4\n#### 9"]})
    parquet.write_table(rows, files / "test-00000-of-00001.parquet")
    (task,) = build(source="gsm8k", split="eval", max_steps=2).taskset
    assert (task.data.prompt, task.data.answer) == ("How many?", "1,024")
    assert task.data.working == "Two dozen are 2*12=24."


def test_without_the_hub_it_says_what_to_do(hub: Path) -> None:
    said = r"openai/gsm8k cannot be had from the Hugging Face hub .*set source to gsm_symbolic"
    with pytest.raises(EnvironmentMissing, match=said), errors.user_code("vf_gsm8k"):
        list(build(source="gsm8k").taskset)


def test_unfit_options_are_refused_by_name() -> None:
    for options, said in (
        ({"source": "math"}, "training.environment_args.source"),
        ({"weights": {"format": 0.9}}, "at least twice"),
        ({"terms": 1}, "training.environment_args.terms"),
        ({"reply": "equation"}, "reply: equation is for source: chain_sum"),
    ):
        with pytest.raises(EnvironmentMissing, match=said), errors.user_code("vf_gsm8k"):
            build(**options)
