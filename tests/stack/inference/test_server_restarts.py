"""A server that dies or hangs under its users: its work is repeated, and nothing goes on record twice."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from remote.contract import layout
from remote.contract.errors import ServerError
from remote.evaluation.scripted_model import ScriptedModel
from remote.inference.command import Sync
from remote.output.emitter import Emitter
from tests.stack.conftest import engines, tiny_spec
from tests.waiting import block_until

pytestmark = pytest.mark.stack

TASKS = 6


class Mortal:
    """A server that dies at some requests, and can be started again, at another address, so many times."""

    served_name = "scripted"
    key = "k"

    def __init__(self, dies_at: set[int], starts: int = 9) -> None:
        self._dies_at, self._starts = dies_at, starts
        self._asked = 0
        self.renewed = self.came_through = 0
        self._start()

    def _start(self) -> None:
        self._model = ScriptedModel()
        self._model.player = self._reply
        self.base_url, self._dead = self._model.base_url, False

    def _reply(self, request: Any) -> Any:
        self._asked += 1
        if self._asked in self._dies_at:
            self._dead = True
        if self._dead:
            raise ConnectionError  # the connection is closed without an answer
        return {"content": "crane"}

    def lost(self) -> bool:
        return self._dead

    def renew(self) -> None:
        assert self._dead, "a server that lives was to be started again"
        if self.renewed == self._starts:
            raise ServerError("no start is left")
        self.close()
        self.renewed += 1
        self._start()

    def proven(self) -> None:
        self.came_through += 1

    def close(self) -> None:
        self._model.close()


@pytest.fixture
def mortal(wordle: None) -> Iterator[Callable[..., Mortal]]:
    made: list[Mortal] = []

    def make(*args: Any) -> Mortal:
        made.append(Mortal(*args))
        return made[-1]

    yield make
    for server in made:
        server.close()


def rollouts(server: Any) -> Any:
    from remote.rollouts.player import Rollouts

    training = {"environment_args": {"turns": 1, "reply": "plain"}, "concurrency": 2}
    spec = tiny_spec(training={**tiny_spec().training.model_dump(), **training})
    return Rollouts("vf_wordle", spec.training.environment_args, spec, server, tokens=False)


@pytest.mark.parametrize("dies_at", [{1}, {4}, {TASKS}, {2, 5, 9}])
def test_episodes_that_a_death_interrupts_are_all_repeated(
    mortal: Callable[..., Mortal], dies_at: set[int]
) -> None:
    server = mortal(dies_at)
    player = rollouts(server)
    synced: list[str] = []
    player.on_new_server = lambda: synced.append(server.base_url)
    played = player.play(player.tasks()[:TASKS], temperature=0.0)
    player.close()
    assert [p.error for p in played] == [None] * TASKS
    assert len({p.task for p in played}) == TASKS
    assert server.renewed == len(synced) == len(set(synced)) >= 1
    assert server.came_through == 1


def test_what_has_been_handed_over_is_not_handed_over_again(mortal: Callable[..., Mortal]) -> None:
    server = mortal({3, 7})
    player = rollouts(server)
    handed: list[int] = []

    async def on_episode(place: int, episode: Any, played: Any) -> None:
        assert played.error is None
        handed.append(place)

    player.play(player.tasks()[:TASKS], temperature=0.0, on_episode=on_episode)
    player.close()
    assert sorted(handed) == list(range(TASKS))
    assert server.renewed == 2


def test_a_server_that_is_well_is_not_blamed_for_an_episode_that_fails(mortal: Callable[..., Mortal]) -> None:
    server = mortal(set())
    player = rollouts(server)
    server._model.player = lambda request: 1 / 0  # type: ignore[assignment,return-value]
    played = player.play(player.tasks()[:2], temperature=0.0)
    player.close()
    assert all(p.error for p in played)
    assert server.renewed == 0


def test_the_limit_ends_it(mortal: Callable[..., Mortal]) -> None:
    server = mortal(set(range(1, 99)), 2)
    player = rollouts(server)
    with pytest.raises(ServerError, match="no start is left"):
        player.play(player.tasks()[:TASKS], temperature=0.0)
    player.close()
    assert server.renewed == 2


# --- real servers ------------------------------------------------------------------------------------------


def numbers(folder: Path, kind: str) -> list[Any]:
    lines = (folder / layout.EVENTS).read_text().splitlines()
    return [event for event in map(json.loads, lines) if event["type"] == kind]


def end_engine(server: Any, signum: int, when: Callable[[], object]) -> None:
    """Signal a server's engine as soon as something is the case."""
    pids = engines(server._process.group)
    assert pids

    def watch() -> None:
        block_until(when, "the moment", seconds=600)
        for pid in pids:
            os.kill(pid, signum)

    threading.Thread(target=watch, daemon=True).start()


@pytest.fixture
def server(
    way: Sync,
    request: pytest.FixtureRequest,
    tiny_model: Path,
    emitter: Emitter,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Any]:
    """The server that other tests use too; where it is to hang, one of its own that is soon known to."""
    from remote.inference.server import VllmServer

    if way == "merged":
        server = request.getfixturevalue("reload_server")
        monkeypatch.setattr(server, "_emit", emitter)
        yield server
    else:
        spec = tiny_spec(vllm={"weight_sync": way, "stall_timeout": 15})
        with VllmServer(spec, str(tiny_model), emitter) as server:
            server.wait_ready()
            yield server


@pytest.mark.vllm
@pytest.mark.parametrize("way", ["merged", "adapter"])
def test_a_training_goes_on_with_the_present_weights(
    way: Sync, server: Any, tmp_path: Path, tiny_model: Path, wordle: None, emitter: Emitter
) -> None:
    """Killed in one step, stopped in a later one; the guard compares every token's log-probability."""
    import signal

    from remote.models.load import load_for_training
    from remote.rollouts.player import Rollouts
    from remote.rollouts.recorder import Recorder
    from remote.training.run import TrainingRun, train
    from remote.training.weight_sync import make_sync

    spec = tiny_spec(vllm={"weight_sync": way})
    model, tokenizer = load_for_training(spec, tiny_model)
    recorder = Recorder(emitter, tmp_path, 2)
    player = Rollouts("vf_wordle", spec.training.environment_args, spec, server)
    sync = make_sync(way, model, server, tiny_model, spec, "cpu")
    signum = signal.SIGKILL if way == "merged" else signal.SIGSTOP
    end_engine(server, signum, lambda: recorder.step >= 1)
    train(TrainingRun(spec, tmp_path, "one", model, tokenizer, player, sync, recorder, "cpu"))
    player.close()
    sync.close()
    (restart,) = numbers(tmp_path, "restart")
    assert restart["why"].startswith("vLLM died" if way == "merged" else "vLLM hangs")
    metrics = [event for event in numbers(tmp_path, "metrics") if event["step"]]
    assert [event["step"] for event in metrics] == [1, 2, 3]
    assert all(event["values"]["sync/logp_difference"] < 1e-4 for event in metrics)
    for step in (1, 2, 3):
        episodes = [
            json.loads(line) for line in (tmp_path / layout.rollouts_path(step)).read_text().splitlines()
        ]
        assert len(episodes) == spec.episodes_per_step
        assert not any(episode["error"] for episode in episodes)
    told = [event["seq"] for event in map(json.loads, (tmp_path / layout.EVENTS).read_text().splitlines())]
    assert told == list(range(len(told)))
