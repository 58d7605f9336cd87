"""vf-wordle as verifiers plays it: real episodes against a scripted model behind a real socket."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import verifiers.v1 as vf
from verifiers.v1.env import RunSlot
from verifiers.v1.utils.loaders import environment_class, load_environment, resolve_env_config

from remote import chat_harness, environments
from remote.contract.errors import EnvironmentMissing

environments.activate(Path(__file__).parents[2] / "environments" / "vf_wordle")
from vf_wordle import rules, scoring, words  # noqa: E402

pytestmark = pytest.mark.stack
Messages = list[dict[str, str]]
Player = Callable[[Messages], str]


class Model:
    """An OpenAI-compatible server on loopback whose replies a function decides."""

    def __init__(self) -> None:
        self.player: Player = lambda messages: ""
        self.conversations: list[Messages] = []
        self.status = 200
        model = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                model.conversations.append(body["messages"])
                reply = json.dumps(_completion(model.player(body["messages"]))).encode()
                self.send_response(model.status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/v1"


def _completion(text: str) -> dict[str, Any]:
    token = {"token": text, "logprob": -0.5, "bytes": None, "top_logprobs": []}
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "finish_reason": "stop",
        "logprobs": {"content": [token]},
        "token_ids": [7],
    }
    usage = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
    return {
        "id": "c",
        "object": "chat.completion",
        "created": 0,
        "model": "scripted",
        "choices": [choice],
        "usage": usage,
        "prompt_token_ids": [1, 2, 3],
    }


@pytest.fixture
def model() -> Iterator[Model]:
    model = Model()
    yield model
    model.server.shutdown()
    model.server.server_close()


def build(max_turns: int | None = None, **options: Any) -> vf.Env[Any]:
    """The environment, through the config that a run makes."""
    seat = {"harness": {"id": chat_harness.register()}, "runtime": {"type": "subprocess"}}
    data = {"taskset": {"id": "vf-wordle", **options}, "agent": {**seat, "max_turns": max_turns}}
    return load_environment(resolve_env_config(data))


def play(model: Model, player: Player, *, count: int = 1, **options: Any) -> list[vf.Episode[Any, Any, Any]]:
    """Episodes of the first tasks, played by a scripted player."""
    model.player = player
    env = build(num_tasks=count, **options)
    client = vf.EvalClientConfig(base_url=model.url, api_key_var="OPENAI_API_KEY")
    context = vf.ModelContext(model="scripted", client=client, sampling=vf.SamplingConfig(max_tokens=16))

    async def go() -> list[vf.Episode[Any, Any, Any]]:
        async with env.serving():
            episodes = [await env.run_slot(RunSlot(task), context) for task in env.taskset]
        await chat_harness.close()
        return episodes

    return asyncio.run(go())


def parts(episode: vf.Episode[Any, Any, Any]) -> dict[str, float]:
    (trace,) = episode.traces
    assert episode.ok, [*episode.errors, *trace.errors]
    return {name: reward.score for name, reward in trace.rewards.items() if reward is not None}


def solver(form: str) -> Player:
    """Knows the word list, and of the answer only what it is told."""

    def reply(messages: Messages) -> str:
        said = "\n".join(m["content"] for m in messages if m["role"] == "user")
        seen = re.findall(r"^((?:[a-z] ){4}[a-z])\n((?:[GYX] ){4}[GYX])$", said, re.MULTILINE)
        facts = [(guess.replace(" ", ""), marks.replace(" ", "")) for guess, marks in seen]
        fits = (w for w in words.answers() if all(rules.feedback(g, w) == m for g, m in facts))
        return f"<guess>{next(fits)}</guess>" if form == "tagged" else next(fits)

    return reply


def test_verifiers_finds_the_taskset_and_the_environment_under_its_name() -> None:
    assert environment_class("vf-wordle").__name__ == "VfWordleEnv"
    assert type(build().taskset).__name__ == "VfWordleTaskset"


@pytest.mark.parametrize("form", ["tagged", "plain"])
def test_a_player_who_heeds_the_marks_wins(model: Model, form: str) -> None:
    for episode in play(model, solver(form), count=3, turns=10, reply=form):
        (trace,) = episode.traces
        earned = parts(episode)
        used = trace.metrics["turns_used"]
        assert earned["solved"] == earned["letters"] == earned["real_word"] == earned["format"] == 1.0
        assert earned["turns"] == pytest.approx((10 - used + 1) / 10)
        assert used == trace.num_turns > 1


def test_the_right_word_at_once_earns_every_part_in_full(model: Model) -> None:
    (answer,) = words.tasks("train", limit=1)
    (episode,) = play(model, lambda _: answer, turns=1, reply="plain", first_letter_hint=True)
    assert parts(episode) == dict.fromkeys(scoring.WEIGHTS, 1.0)
    assert episode.traces[0].reward == pytest.approx(sum(scoring.WEIGHTS.values()))


def test_silence_earns_nothing_and_still_ends(model: Model) -> None:
    (episode,) = play(model, lambda _: "", turns=3)
    assert set(parts(episode).values()) == {0.0}
    assert episode.traces[0].metrics["turns_used"] == 3


def test_chatter_earns_nothing_where_tags_are_asked_for(model: Model) -> None:
    (episode,) = play(model, lambda _: "I think it may be a bird.", turns=2)
    assert set(parts(episode).values()) == {0.0}


def test_saying_the_same_word_again_earns_nothing_more(model: Model) -> None:
    (answer,) = words.tasks("train", limit=1)
    wrong = next(w for w in words.answers() if not set(w) & set(answer))
    (episode,) = play(model, lambda _: wrong, turns=4, reply="plain")
    assert parts(episode) == {"solved": 0, "turns": 0, "letters": 0, "real_word": 0.25, "format": 0.25}
    assert episode.traces[0].metrics["repeated"] == 3
    assert f"You said {wrong} before." in model.conversations[-1][-1]["content"]


def test_a_limit_of_the_run_ends_a_game_early_and_it_is_scored_as_it_stands(model: Model) -> None:
    guesses = iter(["crane", "spoil", "dumpy"])
    (episode,) = play(model, lambda _: next(guesses), turns=4, reply="plain", max_turns=2)
    assert parts(episode)["real_word"] == 0.5
    assert episode.traces[0].metrics["turns_used"] == 2


def test_weights_are_recorded_with_the_parts(model: Model) -> None:
    (episode,) = play(model, lambda _: "crane", turns=1, reply="plain", weights={"format": 0.3})
    rewards = episode.traces[0].rewards
    assert rewards["format"] is not None
    assert rewards["format"].weight == 0.3
    assert rewards["solved"] is not None
    assert rewards["solved"].weight == scoring.WEIGHTS["solved"]


def test_a_failed_model_call_leaves_no_reward(model: Model) -> None:
    model.status = 400
    (episode,) = play(model, lambda _: "crane", turns=1, reply="plain")
    assert not episode.ok
    assert not episode.traces[0].rewards


def test_the_one_turn_prompt_is_short_and_has_a_system_message(model: Model) -> None:
    (answer,) = words.tasks("train", limit=1)
    play(model, lambda _: "crane", turns=1, reply="plain", first_letter_hint=True)
    system, user = model.conversations[0]
    assert system == {"role": "system", "content": "Answer with one five-letter word."}
    assert user["content"] == f"Starts with {answer[0].upper()}:"


def test_examples_come_before_the_question_and_give_nothing_away(model: Model) -> None:
    (answer,) = words.tasks("train", limit=1)
    play(model, lambda _: "crane", turns=1, reply="plain", first_letter_hint=True, examples=2)
    roles = [m["role"] for m in model.conversations[0]]
    assert roles == ["system", "user", "assistant", "user", "assistant", "user"]
    replies = [m["content"] for m in model.conversations[0] if m["role"] == "assistant"]
    assert all(word[0] != answer[0] for word in replies)


def test_the_answer_is_never_said_to_the_player(model: Model) -> None:
    (answer,) = words.tasks("train", limit=1)
    guesses = iter([w for w in words.answers() if w != answer])
    play(model, lambda _: f"<guess>{next(guesses)}</guess>", turns=5)
    assert answer not in json.dumps(model.conversations)


def test_the_splits_share_no_answer() -> None:
    train, held_out = ({t.data.answer for t in build(split=s).taskset} for s in ("train", "eval"))
    assert train.isdisjoint(held_out)
    assert len(train) > 2000
    assert len(held_out) > 500


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"turns": 11}, "training.environment_args.turns"),
        ({"turn": 6}, "training.environment_args.turn"),
        ({"weights": {"solve": 1}}, "no reward part is called solve"),
        ({"weights": {"solved": 0.1}}, "must be above 0 and no less than"),
    ],
)
def test_unfit_options_are_refused_by_name(options: dict[str, Any], said: str) -> None:
    with pytest.raises(EnvironmentMissing, match=said), environments.user_code("vf_wordle"):
        build(**options)
