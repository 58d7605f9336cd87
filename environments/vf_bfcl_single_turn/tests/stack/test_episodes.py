"""vf-bfcl-single-turn as verifiers plays it: real episodes against a scripted model behind a real socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Container
from pathlib import Path
from typing import Any

import pytest
import verifiers.v1 as vf
from verifiers.v1.env import RunSlot
from verifiers.v1.utils.loaders import environment_class, load_environment, resolve_env_config

from remote.contract.errors import EnvironmentMissing
from remote.environments import errors, resolve
from remote.evaluation.scripted_model import Message, Request, ScriptedModel, tool_call
from remote.rollouts import chat_harness

PACKAGE = Path(__file__).parents[2]
resolve.activate(PACKAGE)
import breakages  # type: ignore[import-not-found]  # noqa: E402
from vf_bfcl_single_turn import entries, parser, tools  # noqa: E402

pytestmark = pytest.mark.stack
Episodes = list[vf.Episode[Any, Any, Any]]


def build(**options: Any) -> vf.Env[Any]:
    """The environment, through the config that a run makes."""
    seat = {"harness": {"id": chat_harness.register()}, "runtime": {"type": "subprocess"}}
    data = {"taskset": {"id": "vf-bfcl-single-turn", **options}, "agent": seat}
    return load_environment(resolve_env_config(data))


def play(model: ScriptedModel, only: Container[str] | None = None, **options: Any) -> Episodes:
    """Episodes of the tasks that the options choose, in their order; of some questions `only`."""
    env = build(**{"shuffle": False, "split": "all", **options})
    client = vf.EvalClientConfig(base_url=model.url, api_key_var="OPENAI_API_KEY")
    context = vf.ModelContext(model="scripted", client=client, sampling=vf.SamplingConfig(max_tokens=16))

    async def go() -> Episodes:
        async with env.serving():
            tasks = [task for task in env.taskset if only is None or task.data.id in only]
            episodes = [await env.run_slot(RunSlot(task), context) for task in tasks]
        await chat_harness.close()
        return episodes

    return asyncio.run(go())


def rewards(episode: vf.Episode[Any, Any, Any]) -> dict[str, float]:
    (trace,) = episode.traces
    assert episode.ok, [*episode.errors, *trace.errors]
    return {name: reward.score for name, reward in trace.rewards.items() if reward is not None}


def entry_of(request: Request) -> entries.Entry:
    """The question that a request asks."""
    asked = request["messages"][-1]["content"]
    asked = asked.rpartition("\n\nRequest: ")[2]  # where functions are described beside it
    return next(e for e in entries.select() if e.messages[-1]["content"] == asked)


def answer(request: Request, native: bool) -> Message:
    """The reference answer of the question that a request asks."""
    entry = entry_of(request)
    calls = breakages.reference(entry.functions, entry.ground_truth)
    if not calls:
        return {"content": "None of these functions can do that."}
    if native:
        made = [(name, json.dumps(arguments)) for call in calls for name, arguments in call.items()]
        return {"tool_calls": [tool_call(tools.tool_name(n), a, place) for place, (n, a) in enumerate(made)]}
    return {"content": json.dumps(calls)}


def test_verifiers_finds_the_taskset_and_the_environment_under_its_name() -> None:
    assert environment_class("vf-bfcl-single-turn").__name__ == "VfBfclSingleTurnEnv"
    assert type(build(num_tasks=1).taskset).__name__ == "VfBfclSingleTurnTaskset"


@pytest.mark.parametrize("category", ["simple_python", "parallel_multiple", "irrelevance", "live_multiple"])
def test_reference_answers_as_native_calls_earn_everything(model: ScriptedModel, category: str) -> None:
    model.player = lambda request: answer(request, native=True)
    for episode in play(model, categories=[category], num_tasks=3):
        assert rewards(episode) == {"correct": 1.0}
        assert episode.traces[0].metrics["format"] == episode.traces[0].metrics["functions"] == 1.0
    sent = model.requests[0]
    assert sent["tools"] == tools.as_tools(entry_of(sent).functions)
    assert all("." not in tool["function"]["name"] for tool in sent["tools"])


@pytest.mark.parametrize("category", ["multiple", "live_parallel", "live_irrelevance"])
def test_reference_answers_as_text_earn_everything(model: ScriptedModel, category: str) -> None:
    model.player = lambda request: answer(request, native=False)
    for episode in play(model, categories=[category], num_tasks=3, tools="prompt"):
        assert rewards(episode) == {"correct": 1.0}
    for sent in model.requests:
        assert "tools" not in sent
        assert sent["messages"][0]["role"] == "system"
        for function in entry_of(sent).functions:
            assert json.dumps(function, ensure_ascii=False) in sent["messages"][1]["content"]


REPLIES: dict[str, tuple[Message, float, float]] = {
    # reply → correct, number of calls (the question: a triangle's area, base 10, height 5)
    "right": ({"content": "[calculate_triangle_area(base=10, height=5)]"}, 1.0, 1),
    "native and right": (
        {"tool_calls": [tool_call("calculate_triangle_area", '{"base": 10, "height": 5, "unit": "units"}')]},
        1.0,
        1,
    ),
    "wrong value": ({"content": "[calculate_triangle_area(base=10, height=6)]"}, 0.0, 1),
    "wrong type": ({"content": "[calculate_triangle_area(base='10', height=5)]"}, 0.0, 1),
    "wrong name": ({"content": "[triangle_area(base=10, height=5)]"}, 0.0, 1),
    "twice": ({"content": "[calculate_triangle_area(base=10, height=5)]" * 2}, 0.0, 2),
    "two guesses": (
        {
            "tool_calls": [
                tool_call("calculate_triangle_area", '{"base": 10, "height": 5}', 0),
                tool_call("calculate_triangle_area", '{"base": 5, "height": 10}', 1),
            ]
        },
        0.0,
        2,
    ),
    "broken JSON": ({"tool_calls": [tool_call("calculate_triangle_area", '{"base": 10,')]}, 0.0, 1),
    "prose": ({"content": "<tool_call> calculate_triangle_area base 10 height 5 </tool_call>"}, 0.0, 0),
    "silence": ({"content": ""}, 0.0, 0),
}


@pytest.mark.parametrize("name", REPLIES)
def test_a_wrong_reply_earns_nothing(model: ScriptedModel, name: str) -> None:
    reply, correct, calls = REPLIES[name]
    model.player = lambda request: reply
    (episode,) = play(model, categories="simple", num_tasks=1)
    assert rewards(episode) == {"correct": correct}
    assert episode.traces[0].reward == correct
    assert episode.traces[0].metrics["calls"] == calls


def test_irrelevance_wants_no_call_and_relevance_some_call(model: ScriptedModel) -> None:
    for reply, earned in (({"content": "I cannot."}, (1.0, 0.0)), ({"content": "f(a=1)"}, (0.0, 1.0))):
        model.player = lambda request, reply=reply: reply  # type: ignore[misc]
        for category, worth in zip(("irrelevance", "live_relevance"), earned, strict=True):
            (episode,) = play(model, categories=[category], num_tasks=1, tools="prompt")
            assert rewards(episode) == {"correct": worth}


def test_parts_that_are_given_a_weight_are_rewarded_with_it(model: ScriptedModel) -> None:
    model.player = lambda request: {"content": "calculate_triangle_area(base=1)!"}
    options: dict[str, Any] = {
        "categories": "simple",
        "num_tasks": 1,
        "weights": {"format": 0.1, "functions": 0.2, "arguments": 0.1},
    }
    (episode,) = play(model, **options)
    assert rewards(episode) == {"correct": 0.0, "format": 0.0, "functions": 0.0, "arguments": 0.0}
    model.player = lambda request: {"content": "Well: [calculate_triangle_area(base=10)]"}
    (episode,) = play(model, **options)
    assert rewards(episode) == {"correct": 0.0, "format": 0.5, "functions": 1.0, "arguments": 0.5}
    assert episode.traces[0].reward == pytest.approx(0.3)


@pytest.mark.parametrize("where", ["native", "prompt"])
def test_an_entrys_own_system_message_and_turns_are_kept(model: ScriptedModel, where: str) -> None:
    model.player = lambda request: {"content": "I cannot."}
    roles = ["system", "user", "assistant", "user"]
    own = next(e for e in entries.load("live_irrelevance") if [m["role"] for m in e.messages] == roles)
    play(model, only=[own.id], categories=[own.category], tools=where)
    (sent,) = model.requests
    said = sent["messages"]
    assert said[2:] == own.messages[2:]
    for mine, theirs in zip(said[:2], own.messages[:2], strict=True):
        assert mine["role"] == theirs["role"]
        assert mine["content"].endswith(theirs["content"])
    assert (said[0] == own.messages[0]) is (where == "native")


def test_the_ground_truth_is_never_said_to_the_model(model: ScriptedModel) -> None:
    model.player = lambda request: {"content": ""}
    play(model, categories=["parallel"], num_tasks=5, tools="prompt", examples=2)
    assert "ground_truth" not in json.dumps(model.requests)
    roles = [message["role"] for message in model.requests[0]["messages"]]
    assert roles == ["system", "user", "assistant", "user", "assistant", "user"]


def test_functions_are_described_as_signatures(model: ScriptedModel) -> None:
    model.player = lambda request: {"content": ""}
    play(
        model,
        categories=["simple"],
        num_tasks=1,
        shuffle=False,
        split="all",
        tools="prompt",
        describe="signatures",
    )
    asked = model.requests[0]["messages"][-1]["content"]
    described = "Functions:\ncalculate_triangle_area(base: int, height: int, unit: str = ...)\n\nRequest: "
    assert asked.startswith(described)


def test_every_worked_example_is_a_right_call(model: ScriptedModel) -> None:
    model.player = lambda request: {"content": ""}
    play(model, categories=["simple"], num_tasks=1, tools="prompt", examples=3)
    replies = [m["content"] for m in model.requests[0]["messages"] if m["role"] == "assistant"]
    calls = [list(call) for reply in replies for call in parser.read(reply, []).calls]
    assert calls == [["get_weather"], ["math.power"], ["book_table"], ["book_table"]]


def test_splits_and_order_are_the_options(model: ScriptedModel) -> None:
    train, held_out = ({t.data.id for t in build(split=s).taskset} for s in ("train", "eval"))
    assert not train & held_out
    assert len(train | held_out) == 3491
    orders = [[t.data.id for t in build(seed=seed, num_tasks=50).taskset] for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"categories": ["simple_java"]}, "training.environment_args.categories.*no category is called"),
        ({"categories": []}, "name at least one category"),
        ({"tools": "both"}, "training.environment_args.tools"),
        ({"category": "simple"}, "training.environment_args.category"),
        ({"weights": {"format": 0.9}}, "at least twice"),
    ],
)
def test_unfit_options_are_refused_by_name(options: dict[str, Any], said: str) -> None:
    with pytest.raises(EnvironmentMissing, match=said), errors.user_code("vf_bfcl_single_turn"):
        build(**options)
