"""The environments of docs/porting_environments.md: as the document has them, played with real verifiers."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from remote.contract.spec import ExperimentSpec
from remote.environments import resolve
from remote.evaluation.scripted_model import Message, Request, ScriptedModel, tool_call

pytestmark = pytest.mark.stack
ROOT = Path(__file__).parents[3]
PORTING = ROOT / "examples" / "porting"
DOCUMENT = ROOT / "docs" / "porting_environments.md"
Play = Callable[..., Any]


def blocks() -> list[tuple[str, str]]:
    """The document's code by the file that stands above it."""
    return re.findall(
        r"`(examples/porting/\S+)`:\n\n```(?:python|toml)\n(.*?)```", DOCUMENT.read_text(), re.S
    )


def test_every_file_is_in_the_document_as_it_is() -> None:
    shown = dict(blocks())
    files = {*PORTING.glob("before/*.py"), *PORTING.glob("vf_*/vf_*/*.py")}
    assert {ROOT / name for name in shown} >= files
    for name, text in shown.items():
        assert text == (ROOT / name).read_text(), name


@pytest.fixture
def play(model: ScriptedModel, monkeypatch: pytest.MonkeyPatch) -> Iterator[Play]:
    """Plays a ported environment's first tasks against a player."""
    from remote.rollouts.player import Rollouts

    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OPENAI_API_KEY", "unused")
    opened: list[Rollouts] = []

    def play(name: str, player: Callable[[Request], Message], count: int = 1, **args: Any) -> list[Any]:
        resolve.activate(PORTING / name)
        model.player = player
        opened.append(Rollouts(name, args, ExperimentSpec(), model))
        return list(opened[-1].play(opened[-1].tasks()[:count], temperature=1.0))

    yield play
    for rollouts in opened:
        rollouts.close()


def last(request: Request) -> str:
    return str(request["messages"][-1]["content"])


def test_a_single_turn(play: Play) -> None:
    def right(request: Request) -> Message:
        a, b = re.findall(r"\d+", last(request))
        return {"content": f"<answer> {int(a) + int(b)} </answer>"}

    assert [one.rewards for one in play("vf_sums", right, 3)] == [{"correct": 1.0, "tagged": 0.2}] * 3
    [plain] = play("vf_sums", lambda request: {"content": "0"})
    assert plain.rewards == {"correct": 0.0, "tagged": 0.0}
    assert plain.messages[0] == {"role": "system", "content": "Answer with the sum in <answer> tags."}


def test_several_turns(play: Play) -> None:
    def halve(request: Request) -> Message:
        low, high = 1, 100
        said = [message["content"] for message in request["messages"]]
        for guess, answer in zip(said[2::2], said[3::2], strict=False):
            low, high = (int(guess) + 1, high) if answer == "Higher." else (low, int(guess) - 1)
        return {"content": str((low + high) // 2)}

    for one in play("vf_higher", halve, 3):
        guesses = sum(message["role"] == "assistant" for message in one.messages)
        assert one.error is None
        assert one.rewards == {"found": 1.0, "quick": pytest.approx(0.5 / guesses)}
    [lost] = play("vf_higher", lambda request: {"content": "none"}, turns=2)
    assert lost.rewards == {"found": 0.0, "quick": 0.0}
    assert [message["content"] for message in lost.messages if message["role"] == "user"] == [
        "Which number?",
        "That is no number.",
    ]


def test_tools(play: Play) -> None:
    def look_up(request: Request) -> Message:
        if request["messages"][-1]["role"] == "tool":
            return {"content": last(request)}
        city = re.findall(r"in (\w+)\?", last(request))[0]
        name = request["tools"][0]["function"]["name"]
        return {"tool_calls": [tool_call(name, json.dumps({"city": city}))]}

    [one] = play("vf_cities", look_up)
    assert one.error is None
    assert one.rewards == {"correct": 1.0, "looked_up": 0.2}
    assert [message["content"] for message in one.messages if message["role"] == "tool"] == ["129000"]
