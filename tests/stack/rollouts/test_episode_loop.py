"""Episodes end, whatever an environment's code does, and say what they ended of: class, reward and line.

Each environment here misbehaves in one way in the episodes of its task `bad`; those of `good` are to go well.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from remote.contract.errors import EnvironmentMissing, VfmError
from remote.evaluation.scripted_model import ScriptedModel, plausible, tool_call
from remote.rollouts.player import Played, Rollouts
from tests.stack.conftest import PROJECT, tiny_spec

pytestmark = pytest.mark.stack

MODULE = """
import asyncio, sys, time, threading, socket
import verifiers.v1 as vf

class Options(vf.TasksetConfig):
    port: int = 0

class Data(vf.TaskData):
    port: int = 0

{more}

class SayTask(vf.Task[Data]):
{hooks}

class SayTaskset(vf.Taskset[SayTask, Options]):
    def load(self):
        return [SayTask(Data(name=n, prompt="Say a word.", port=self.config.port)) for n in ("good", "bad")]

__all__ = {exported}
"""
REWARD = """
@vf.reward(weight=1.0)
async def part(self, trace: vf.Trace) -> float:
    if self.data.name == "good":
        return 0.5
    {body}
"""
Make = Callable[..., Rollouts]


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: ScriptedModel) -> Iterator[Make]:
    """Makes an environment of the body of a reward, or of hooks of its own, and serves it."""
    from remote.environments import resolve

    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    monkeypatch.setenv("OPENAI_API_KEY", "unused")
    resolve.activate(tmp_path)
    model.player = plausible()
    made: list[Rollouts] = []

    def make(
        body: str = "return 0.5",
        *,
        hooks: str = "",
        more: str = "",
        env: str = "",
        limit: float = 1.0,
        **args: Any,
    ) -> Rollouts:
        name = f"vfm_odd_{abs(hash((body, hooks, more)))}"
        hooks = hooks or REWARD.format(body=textwrap.indent(body, "    ").strip())
        exported = ["SayTaskset", env] if env else ["SayTaskset"]
        text = MODULE.format(hooks=textwrap.indent(hooks, "    "), more=more, exported=exported)
        (tmp_path / f"{name}.py").write_text(text)
        spec = tiny_spec(training={"episode_timeout": limit})
        made.append(Rollouts(name, args, spec, model, say=print))
        return made[-1]

    yield make
    for rollouts in made:
        rollouts.close()


def play(rollouts: Rollouts) -> tuple[Played, Played]:
    good, bad = rollouts.play(rollouts.tasks(), temperature=1.0)
    return good, bad


def error_of(rollouts: Rollouts) -> str:
    """What the bad episode failed of, while the good one went well."""
    good, bad = play(rollouts)
    assert (good.error, good.reward) == (None, 0.5)
    assert bad.error is not None
    print(bad.error)
    return bad.error


FRAGILE = """
import os

class Fragile(vf.Toolset[vf.ToolsetConfig]):
    TOOL_PREFIX = "fragile"

    @vf.tool
    def say(self, word: str) -> str:
        if word == "die":
            os._exit(3)
        return word

if __name__ == "__main__":
    Fragile.run()
"""
SERVED = """
@classmethod
def toolsets(cls, config):
    return [Fragile(vf.ToolsetConfig())]

@vf.reward(weight=1.0)
async def part(self, trace: vf.Trace) -> float:
    return 0.5
"""


def test_a_tool_server_that_dies_fails_its_episode_and_the_run_goes_on(
    environment: Make, model: ScriptedModel
) -> None:
    words = iter(["die"])

    def call_a_tool(request: dict[str, Any]) -> dict[str, Any]:
        if request["messages"][-1]["role"] == "tool":
            return {"content": "done"}
        given = json.dumps({"word": next(words, "live")})
        return {"tool_calls": [tool_call(request["tools"][0]["function"]["name"], given)]}

    model.player = call_a_tool
    rollouts = environment(hooks=SERVED, more=FRAGILE, limit=60.0)
    errors = [played.error for played in play(rollouts) if played.error]
    print(errors)
    assert len(errors) == 1
    assert "the server of the tool fragile_say is gone (ConnectError: " in errors[0]
    assert "site-packages" not in errors[0]
    assert [(played.error, played.reward) for played in play(rollouts)] == [(None, 0.5)] * 2


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("sys.exit(3)", "sys.exit(3)"),
        ("exec('import sys; sys.exit()')", "sys.exit("),  # of None, or of 0 once wandb has been imported
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("await asyncio.to_thread(sys.exit, 4)", "sys.exit(4)"),
        ("await asyncio.gather(asyncio.sleep(0), asyncio.to_thread(exit))", "sys.exit"),
        ("raise asyncio.CancelledError", "CancelledError"),
        ("asyncio.current_task().cancel(); await asyncio.sleep(9)", "CancelledError"),
        ("raise type('Odd', (BaseException,), {})('odd one')", "odd one"),
    ],
)
def test_what_ends_a_program_ends_one_episode(body: str, said: str, environment: Make) -> None:
    rollouts = environment(body, limit=30)
    for _ in range(2):  # and the loop lives on
        error = error_of(rollouts)
        assert said in error
        assert f'{rollouts.module}.py", line ' in error


@pytest.mark.parametrize(
    "body",
    [
        "await asyncio.sleep(10**6)",
        "await asyncio.get_running_loop().create_future()",
        "await asyncio.gather(asyncio.sleep(0), asyncio.sleep(10**6))",
        "asyncio.create_task(asyncio.to_thread(sys.exit)); await asyncio.Event().wait()",
        # Refuses to be cancelled for a while.
        "\n".join(
            [
                "while True:",
                "    try:",
                "        await asyncio.sleep(10**6)",
                "    except asyncio.CancelledError:",
                "        pass",
            ]
        ),
    ],
)
def test_an_endless_wait_fails_its_episode_with_the_line(
    body: str, environment: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("remote.rollouts.player.GRACE", 0.2)
    rollouts = environment(body)
    error = error_of(rollouts)
    assert "training.episode_timeout = 1 seconds" in error
    assert f'{rollouts.module}.py", line ' in error
    assert "in part" in error


@pytest.mark.parametrize(
    "body",
    [
        "while True: pass",
        "exec('while True: pass')",
        "for _ in range(10**9): time.sleep(0.01)",
        "\n".join(
            ["while True:", "    try:", "        time.sleep(0.01)", "    except ValueError:", "        pass"]
        ),
    ],
)
def test_python_that_blocks_the_loop_is_interrupted_and_the_others_go_on(
    body: str, environment: Make
) -> None:
    rollouts = environment(body)
    for _ in range(2):
        error = error_of(rollouts)
        assert "training.episode_timeout" in error
        assert f'{rollouts.module}.py", line ' in error


@pytest.mark.parametrize("body", ["time.sleep(10**6)", "threading.Event().wait()", "block(self.data.port)"])
def test_code_that_cannot_be_interrupted_ends_the_run_with_its_line(
    body: str, environment: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("remote.rollouts.episode_loop.INTERRUPTIONS", 2)
    more = "def block(port): socket.create_connection(('127.0.0.1', port)).recv(1)"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        rollouts = environment(body, more=more, port=silent.getsockname()[1])
        with pytest.raises(VfmError) as found:
            play(rollouts)
        assert f'{rollouts.module}.py", line ' in found.value.cause
        assert found.value.boundary == "rollout"
        began = time.monotonic()
        rollouts.close()
        assert time.monotonic() - began < 5


def test_a_start_that_never_ends_is_an_environment_that_is_not_ready(environment: Make) -> None:
    more = """
from verifiers.v1.envs.single_agent import SingleAgentEnv, SingleAgentEnvConfig

class SlowEnv(SingleAgentEnv):
    async def start(self):
        await asyncio.sleep(10**6)
"""
    with pytest.raises(EnvironmentMissing) as found:
        environment(more=more, env="SlowEnv")
    assert "training.episode_timeout = 1 seconds" in found.value.message
    assert "in start" in found.value.cause


@pytest.mark.parametrize(
    ("hooks", "said"),
    [
        ("return None", "the reward part of SayTask is None, not a number"),
        ("return [0.5]", "the reward part of SayTask is a list, not a number"),
        ("return 'high'", "the reward part of SayTask is the text 'high', not a number"),
        ("return asyncio.sleep(0)", "the reward part of SayTask is a coroutine (await it), not a number"),
        ("return float('nan')", "the reward part of SayTask is nan"),
        ("return float('inf')", "the reward part of SayTask is inf"),
        ("return {'a': 1.0, 'b': float('-inf')}", "the reward b of SayTask is -inf"),
        ("return 1e308 * 10", "the reward part of SayTask is inf"),
        ("return '1.0'", "the reward part of SayTask is the text '1.0', not a number"),
        ("return 10**400", "the reward part of SayTask is beyond the largest number"),
        ("return {'a': 1.0, 'b': None}", "the reward b of SayTask is None, not a number"),
        ("trace.record_reward('mine', '2')", "the reward mine of SayTask is the text '2', not a number"),
    ],
)
def test_a_reward_that_is_no_finite_number_fails_its_episode_by_class_and_name(
    hooks: str, said: str, environment: Make
) -> None:
    rollouts = environment(hooks, limit=30)
    error = error_of(rollouts)
    assert said in error
    assert f'{rollouts.module}.py", line ' in error


@pytest.mark.parametrize(
    ("hook", "said"),
    [
        (
            "async def score(self, trace: vf.Trace) -> float:\n    return 0.5",
            "the reward score of SayTask hides verifiers' own method Task.score: give it another name",
        ),
        (
            "async def part(self, trace: vf.Trace) -> float:\n    yield 0.5",
            "the reward part of SayTask yields: it has to return its number",
        ),
    ],
)
def test_a_reward_that_cannot_be_called_as_one_is_named_with_its_line(
    hook: str, said: str, environment: Make
) -> None:
    rollouts = environment(hooks=f"@vf.reward(weight=1.0)\n{hook}\n", limit=30)
    _, bad = play(rollouts)
    assert said in str(bad.error)
    assert f'{rollouts.module}.py", line ' in str(bad.error)


@pytest.mark.parametrize("call", ["os._exit(0)", "os.abort()"])
def test_a_reward_that_would_end_the_process_fails_its_episode_alone(call: str, environment: Make) -> None:
    rollouts = environment(f"import os; {call}", limit=30)
    good, bad = play(rollouts)
    assert good.error is None
    assert f"the environment's code called {call}, which ends the whole process" in str(bad.error)
    assert f'{rollouts.module}.py", line ' in str(bad.error)


def test_a_reward_that_is_not_asynchronous_is_named_with_its_line(environment: Make) -> None:
    hooks = "@vf.reward(weight=1.0)\ndef part(self, trace: vf.Trace) -> float:\n    return 0.5\n"
    rollouts = environment(hooks=hooks)
    _, bad = play(rollouts)
    assert "the reward part of SayTask is not asynchronous: write async def part" in str(bad.error)
    assert f'{rollouts.module}.py", line ' in str(bad.error)


def test_metrics_that_are_no_finite_numbers_are_told_apart(environment: Make) -> None:
    hooks = REWARD.format(body="return 1.0") + (
        "\n@vf.metric\nasync def odd(self) -> float:\n    return float('nan')\n"
        "\n@vf.metric\nasync def even(self) -> float:\n    return 2.0\n"
    )
    good, _ = play(environment(hooks=hooks, limit=30))
    assert (good.error, good.metrics, good.not_finite) == (None, {"even": 2.0}, {"odd": "nan"})


def test_what_is_inside_an_exception_group_is_told(environment: Make) -> None:
    body = """
async def boom():
    raise ValueError("the reason")
async with asyncio.TaskGroup() as group:
    group.create_task(boom())
"""
    rollouts = environment(body, limit=30)
    error = error_of(rollouts)
    assert "ValueError: the reason" in error
    assert f'{rollouts.module}.py", line ' in error


ALONE = """
import os, sys
from pathlib import Path
from remote.environments import resolve as environments
from remote.contract.spec import ExperimentSpec
from remote.rollouts.player import Rollouts
from remote.evaluation.scripted_model import ScriptedModel

folder = Path(sys.argv[1])
environments.activate(folder)
spec = ExperimentSpec.model_validate({"training": {"episode_timeout": 1}})
file = (folder / "logs" / "thread_stacks.txt").open("w")
rollouts = Rollouts("vfm_greedy", {}, spec, ScriptedModel(), thread_stacks=file)
rollouts.play(rollouts.tasks(), temperature=1.0)
"""


def test_code_that_lets_no_python_run_ends_the_process_with_its_line(tmp_path: Path) -> None:
    from remote.contract.record import LaunchRequest
    from remote.supervisor.verdict import LastEvents, judge

    hooks = REWARD.format(body="__import__('re').match(r'(a+)+$', 'a' * 60 + 'b')")  # years, in C
    text = MODULE.format(hooks=textwrap.indent(hooks, "    "), more="", exported=["SayTaskset"])
    (tmp_path / "vfm_greedy.py").write_text(text)
    (tmp_path / "logs").mkdir()
    program = f"import remote.rollouts.episode_loop as loop; loop.BEYOND = 1.0\n{ALONE}"
    env = {**os.environ, "PYTHONPATH": str(PROJECT), "OPENAI_API_KEY": "unused"}
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], env=env, check=False, timeout=100)
    assert done.returncode == 1
    names = {name: "x" for name in ("run_id", "environment", "model", "outputs", "cache")}
    spec = tiny_spec(training={"episode_timeout": 1})
    request = LaunchRequest(spec=spec, run_dir=str(tmp_path), **names)
    error = judge(LastEvents(), 1, None, request, "").error
    assert error is not None
    assert "training.episode_timeout = 1 seconds" in error.message
    assert 'vfm_greedy.py", line' in error.cause
    (tmp_path / "logs/thread_stacks.txt").write_text("")
    error = judge(LastEvents(), 1, None, request, "").error
    assert error is not None
    assert "without saying why" in error.message
