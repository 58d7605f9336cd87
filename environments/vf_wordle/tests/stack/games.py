"""Games of vf-wordle through verifiers itself, against the scripted model."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import verifiers.v1 as vf
from verifiers.v1.env import RunSlot
from verifiers.v1.utils.loaders import load_environment, resolve_env_config

from remote.environments import resolve
from remote.evaluation.scripted_model import Request, ScriptedModel
from remote.rollouts import chat_harness

PACKAGE = Path(__file__).parents[2]
resolve.activate(PACKAGE)

Player = Callable[[list[dict[str, str]]], str]
"""What was said so far → what the player says."""
Episodes = list[vf.Episode[Any, Any, Any]]


def build(max_turns: int | None = None, **options: Any) -> vf.Env[Any]:
    """The environment, through the config that a run makes."""
    seat = {"harness": {"id": chat_harness.register()}, "runtime": {"type": "subprocess"}}
    data = {"taskset": {"id": "vf-wordle", **options}, "agent": {**seat, "max_turns": max_turns}}
    return load_environment(resolve_env_config(data))


def play(model: ScriptedModel, player: Player | None, *, count: int = 1, **options: Any) -> Episodes:
    """Episodes of the first tasks; without a player the model's own plays."""
    if player is not None:
        model.player = spoken(player)
    env = build(num_tasks=count, **options)
    client = vf.EvalClientConfig(base_url=model.url, api_key_var="OPENAI_API_KEY")
    context = vf.ModelContext(model="scripted", client=client, sampling=vf.SamplingConfig(max_tokens=16))

    async def go() -> Episodes:
        async with env.serving():
            episodes = [await env.run_slot(RunSlot(task), context) for task in env.taskset]
        await chat_harness.close()
        return episodes

    return asyncio.run(go())


def spoken(player: Player) -> Callable[[Request], dict[str, Any]]:
    """A player that speaks, as the scripted model wants it."""
    return lambda request: {"content": player(request["messages"])}


def parts(episode: vf.Episode[Any, Any, Any]) -> dict[str, float]:
    """Reward parts of an episode that went well."""
    (trace,) = episode.traces
    assert episode.ok, [*episode.errors, *trace.errors]
    return {name: reward.score for name, reward in trace.rewards.items() if reward is not None}
