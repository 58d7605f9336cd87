"""vf-wordle as verifiers plays it: real episodes against a scripted model behind a real socket."""

from __future__ import annotations

import json
from typing import Any

import pytest
from verifiers.v1.utils.loaders import environment_class

from environments.vf_wordle.tests.stack.games import build, parts, play
from remote.contract.errors import EnvironmentMissing
from remote.environments import errors
from remote.evaluation.scripted_model import ScriptedModel

from vf_wordle import scoring, words  # isort: skip

pytestmark = pytest.mark.stack


def test_verifiers_finds_the_taskset_and_the_environment_under_its_name() -> None:
    assert environment_class("vf-wordle").__name__ == "VfWordleEnv"
    assert type(build().taskset).__name__ == "VfWordleTaskset"


def test_the_right_word_at_once_earns_every_part_in_full(model: ScriptedModel) -> None:
    (answer,) = words.tasks("train", limit=1)
    (episode,) = play(model, lambda _: answer, turns=1, reply="plain", first_letter_hint=True)
    assert parts(episode) == dict.fromkeys(scoring.WEIGHTS, 1.0)
    assert episode.traces[0].reward == pytest.approx(sum(scoring.WEIGHTS.values()))


def test_silence_earns_nothing_and_still_ends(model: ScriptedModel) -> None:
    (episode,) = play(model, lambda _: "", turns=3)
    assert set(parts(episode).values()) == {0.0}
    assert episode.traces[0].metrics["turns_used"] == 3


def test_chatter_earns_nothing_where_tags_are_asked_for(model: ScriptedModel) -> None:
    (episode,) = play(model, lambda _: "I think it may be a bird.", turns=2)
    assert set(parts(episode).values()) == {0.0}


def test_saying_the_same_word_again_earns_nothing_more(model: ScriptedModel) -> None:
    (answer,) = words.tasks("train", limit=1)
    wrong = next(w for w in words.answers() if not set(w) & set(answer))
    (episode,) = play(model, lambda _: wrong, turns=4, reply="plain")
    assert parts(episode) == {"solved": 0, "turns": 0, "letters": 0, "real_word": 0.25, "format": 0.25}
    assert episode.traces[0].metrics["repeated"] == 3
    assert f"You said {wrong} before." in model.requests[-1]["messages"][-1]["content"]


def test_a_limit_of_the_run_ends_a_game_early_and_it_is_scored_as_it_stands(model: ScriptedModel) -> None:
    guesses = iter(["crane", "spoil", "dumpy"])
    (episode,) = play(model, lambda _: next(guesses), turns=4, reply="plain", max_turns=2)
    assert parts(episode)["real_word"] == 0.5
    assert episode.traces[0].metrics["turns_used"] == 2


def test_weights_are_recorded_with_the_parts(model: ScriptedModel) -> None:
    (episode,) = play(model, lambda _: "crane", turns=1, reply="plain", weights={"format": 0.3})
    rewards = episode.traces[0].rewards
    assert rewards["format"] is not None
    assert rewards["format"].weight == 0.3
    assert rewards["solved"] is not None
    assert rewards["solved"].weight == scoring.WEIGHTS["solved"]


def test_a_failed_model_call_leaves_no_reward(model: ScriptedModel) -> None:
    model.close()
    (episode,) = play(model, lambda _: "crane", turns=1, reply="plain")
    assert not episode.ok
    assert not episode.traces[0].rewards


def test_the_one_turn_prompt_is_short_and_has_a_system_message(model: ScriptedModel) -> None:
    (answer,) = words.tasks("train", limit=1)
    play(model, lambda _: "crane", turns=1, reply="plain", first_letter_hint=True)
    system, user = model.requests[0]["messages"]
    assert system == {"role": "system", "content": "Answer with one five-letter word."}
    assert user["content"] == f"Starts with {answer[0].upper()}:"


def test_examples_come_before_the_question_and_give_nothing_away(model: ScriptedModel) -> None:
    (answer,) = words.tasks("train", limit=1)
    play(model, lambda _: "crane", turns=1, reply="plain", first_letter_hint=True, examples=2)
    roles = [m["role"] for m in model.requests[0]["messages"]]
    assert roles == ["system", "user", "assistant", "user", "assistant", "user"]
    replies = [m["content"] for m in model.requests[0]["messages"] if m["role"] == "assistant"]
    assert all(word[0] != answer[0] for word in replies)


def test_the_answer_is_never_said_to_the_player(model: ScriptedModel) -> None:
    (answer,) = words.tasks("train", limit=1)
    guesses = iter([w for w in words.answers() if w != answer])
    play(model, lambda _: f"<guess>{next(guesses)}</guess>", turns=5)
    assert answer not in json.dumps(model.requests)


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
        ({"word_length": 3}, "training.environment_args.word_length"),
        ({"word_length": 8}, "training.environment_args.word_length"),
        ({"hard_mode": True, "turns": 1}, "training.environment_args.hard_mode: .*turns of 2 or more"),
        ({"thinking": True, "examples": 1}, "training.environment_args.examples: .*thinking at false"),
        ({"weights": {"solve": 1}}, "no reward part is called solve"),
        ({"weights": {"solved": 0.1}}, "must be above 0 and no less than"),
    ],
)
def test_unfit_options_are_refused_by_name(options: dict[str, Any], said: str) -> None:
    with pytest.raises(EnvironmentMissing, match=said), errors.user_code("vf_wordle"):
        build(**options)
