"""vf-tool-test, installed with the package that it needs and played by verifiers against a scripted model."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import verifiers.v1 as vf
from verifiers.v1.env import RunSlot
from verifiers.v1.utils.loaders import load_environment, resolve_env_config

from remote.contract.errors import EnvironmentMissing
from remote.environments import errors, resolve
from remote.evaluation.scripted_model import ScriptedModel, tool_call
from remote.rollouts import chat_harness

ENVIRONMENTS = Path(__file__).parents[3]
pytestmark = pytest.mark.stack


@pytest.fixture(scope="module", autouse=True)
def said(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """What the install says; the package can be imported while it lasts."""
    target, lines = tmp_path_factory.mktemp("overlay"), list[str]()
    resolve.install("vf_tool_test", ENVIRONMENTS, target, lines.append)
    resolve.activate(target)
    yield lines
    sys.path.remove(str(target))


def play(model: ScriptedModel, wrong: bool = False, **options: Any) -> list[Any]:
    """The traces of one episode of each task, whose replies are right, or all but right."""
    env = build(**options)
    client = vf.EvalClientConfig(base_url=model.url, api_key_var="OPENAI_API_KEY")
    context = vf.ModelContext(model="scripted", client=client, sampling=vf.SamplingConfig(max_tokens=16))
    native = options.get("tools") != "prompt"

    async def go() -> list[Any]:
        traces = []
        async with env.serving():
            for task in env.taskset:
                reply = answer(task.data.ground_truth, native, wrong)
                model.player = lambda request, reply=reply: reply  # type: ignore[misc]
                (trace,) = (await env.run_slot(RunSlot(task), context)).traces
                assert not trace.errors, trace.errors
                traces.append(trace)
        await chat_harness.close()
        return traces

    return asyncio.run(go())


def build(**options: Any) -> vf.Env[Any]:
    """The environment, through the config that a run makes."""
    seat = {"harness": {"id": chat_harness.register()}, "runtime": {"type": "subprocess"}}
    return load_environment(resolve_env_config({"taskset": {"id": "vf-tool-test", **options}, "agent": seat}))


def answer(ground_truth: list[dict[str, Any]], native: bool, wrong: bool) -> dict[str, Any]:
    """The reply that makes the calls of the ground truth; a wrong one adds an argument to each."""
    calls = [
        (name, {argument: values[0] for argument, values in arguments.items()} | ({"x": 1} if wrong else {}))
        for call in ground_truth
        for name, arguments in call.items()
    ]
    if native:
        return {
            "tool_calls": [tool_call(name, json.dumps(given), i) for i, (name, given) in enumerate(calls)]
        }
    return {"content": json.dumps([{"name": name, "arguments": given} for name, given in calls])}


def test_it_says_what_it_is_and_brings_what_it_needs(said: list[str]) -> None:
    assert "vf_tool_test is the legacy name of vf-bfcl-single-turn, which has taken its place" in said
    assert any("vf_tool_test needs vf_bfcl_single_turn: installing it from" in line for line in said)


@pytest.mark.parametrize("tools", ["native", "prompt"])
def test_right_calls_earn_everything_and_nearly_right_ones_nothing(model: ScriptedModel, tools: str) -> None:
    options: dict[str, Any] = {"tools": tools, "num_tasks": 6, "calls": 2}
    for wrong in (False, True):
        for trace in play(model, wrong, **options):
            rewards = {name: reward.score for name, reward in trace.rewards.items() if reward is not None}
            assert rewards == {"correct": float(not wrong)}
            assert trace.metrics["functions"] == 1.0
    assert all(("tools" in request) is (tools == "native") for request in model.requests)


def test_unfit_options_are_refused_by_name() -> None:
    with (
        pytest.raises(EnvironmentMissing, match=r"training\.environment_args\.functions"),
        errors.user_code("vf_tool_test"),
    ):
        build(functions=9)
