"""The trainer on a real server: masks, the guard, failed episodes, what TRL is told."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from remote.contract.errors import ScriptError, SyncError, VfmError
from remote.output.emitter import Emitter
from tests.stack.conftest import PROJECT, tiny_spec

pytestmark = [pytest.mark.stack, pytest.mark.vllm]


def served(server: Any, **training: Any) -> Iterator[Any]:
    """The environment, played on a server until the test is over."""
    from remote.rollouts.player import Rollouts

    spec = tiny_spec(training={**tiny_spec().training.model_dump(), **training})
    made = Rollouts("vf_wordle", spec.training.environment_args, spec, server)
    yield made
    made.close()


@pytest.fixture
def rollouts(reload_server: Any, wordle: None) -> Iterator[Any]:
    yield from served(reload_server)


@pytest.fixture
def terse(reload_server: Any, wordle: None) -> Iterator[Any]:
    """Replies of one token: what a random model says in several is seldom text that reads back the same."""
    yield from served(reload_server, max_completion_length=1)


def test_masks_of_several_turns_are_the_chat_templates_token_by_token(terse: Any, tiny_model: Path) -> None:
    from transformers import AutoTokenizer

    from remote.rollouts.token_rows import to_row

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    played = terse.play(terse.tasks()[:40], temperature=1.0)
    assert not [p.error for p in played if p.error]
    checked = 0
    for episode in played:
        row = to_row(episode.turns, 4096)
        assert row is not None
        spoken = [m for m in episode.messages if m["role"] == "assistant"]
        assert len(episode.turns) == len(spoken) > 1
        if row.rewritten:
            continue
        whole = row.prompt_ids + row.completion_ids
        for index, turn in enumerate(episode.turns):
            # The frame around the replies is exactly what the chat template puts there.
            before = episode.messages[: _place(episode.messages, index)]
            rendered = tokenizer.apply_chat_template(before, add_generation_prompt=True, return_dict=False)
            assert turn["prompt_ids"] == rendered == whole[: len(rendered)]
            first = len(rendered) - len(row.prompt_ids)
            mine = len(turn["completion_ids"])
            assert row.env_mask[first : first + mine] == [1] * mine
            assert row.env_mask[:first].count(1) == sum(
                len(t["completion_ids"]) for t in episode.turns[:index]
            )
        own = [t for t, mine in zip(row.completion_ids, row.env_mask, strict=True) if mine]
        assert own == [t for turn in episode.turns for t in turn["completion_ids"]]
        assert row.prompt_ids + row.completion_ids == [
            *episode.turns[-1]["prompt_ids"],
            *episode.turns[-1]["completion_ids"],
        ]
        checked += 1
    assert checked >= 3, "too many histories were rewritten: hardly anything was compared"


def _place(messages: list[dict[str, Any]], reply: int) -> int:
    return [i for i, m in enumerate(messages) if m["role"] == "assistant"][reply]


class _NoSync:
    """A weight sync that is switched off: the server keeps what it had."""

    def __init__(self, real: Any) -> None:
        self._real = real
        self.model = real.model
        self.calls = 0

    def sync_weights(self) -> None:
        self.calls += 1
        if self.calls == 1:  # start from the same weights
            self._real.sync_weights()


def _train(
    tmp_path: Path,
    server: Any,
    model_dir: Path,
    rollouts: Any,
    emitter: Emitter,
    *,
    off: bool = False,
    script: Any = None,
    model: dict[str, Any] | None = None,
    **over: Any,
) -> Any:
    from remote.models.load import load_for_training
    from remote.rollouts.recorder import Recorder
    from remote.training.run import TrainingRun, train
    from remote.training.weight_sync import make_sync

    spec = tiny_spec(training={**tiny_spec().training.model_dump(), "steps": 8, **over}, model=model or {})
    learner, tokenizer = load_for_training(spec, model_dir)
    real = make_sync("merged", learner, server, model_dir, spec, "cpu")
    try:
        sync: Any = _NoSync(real) if off else real
        recorder = Recorder(emitter, tmp_path, 2)
        run = TrainingRun(spec, tmp_path, "test", learner, tokenizer, rollouts, sync, recorder, "cpu")
        (script or train)(run)
        return recorder
    finally:
        real.close()


def metrics(run_dir: Path) -> dict[int, dict[str, float]]:
    found: dict[int, dict[str, float]] = {}
    for line in (run_dir / "events.jsonl").read_text().splitlines():
        event = json.loads(line)
        if event["type"] == "metrics":
            found.setdefault(event["step"], {}).update(event["values"])
    return found


def test_the_guard_catches_a_sync_that_is_switched_off(
    tmp_path: Path, reload_server: Any, tiny_model: Path, rollouts: Any, emitter: Emitter
) -> None:
    with pytest.raises(SyncError, match="nats a token") as caught:
        _train(tmp_path, reload_server, tiny_model, rollouts, emitter, off=True)
    assert caught.value.hint is not None
    assert caught.value.hint.key == "training.max_logp_difference"


def test_a_run_in_step_trains_accounts_for_its_time_and_goes_on_where_it_was_interrupted(
    tmp_path: Path,
    reload_server: Any,
    tiny_model: Path,
    rollouts: Any,
    emitter: Emitter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from remote.processes.signals import Interrupted

    play, plays = rollouts.play, iter(range(1, 9))

    def interrupted_in_step_3(tasks: Any, **how: Any) -> Any:
        if next(plays) == 3:
            (tmp_path / "rollouts/step-000003.jsonl").write_text("half of it\n")
            raise Interrupted
        return play(tasks, **how)

    monkeypatch.setattr(rollouts, "play", interrupted_in_step_3)
    with pytest.raises(Interrupted):
        _train(tmp_path, reload_server, tiny_model, rollouts, emitter, steps=3, save_steps=3)
    monkeypatch.undo()
    first = metrics(tmp_path)
    assert sorted(first) == [1, 2]
    for values in first.values():
        assert values["sync/logp_difference"] < 1e-4
        parts = sum(values[f"time/{part}"] for part in ("rollout", "sync", "train", "other"))
        assert parts == pytest.approx(values["time/step"], rel=1e-6)
    # Killed while it saved the next one: a folder that only looks like a checkpoint.
    shutil.copytree(tmp_path / "checkpoints/checkpoint-2", tmp_path / "checkpoints/checkpoint-3")
    (tmp_path / "checkpoints/checkpoint-3/optimizer.pt").write_bytes(b"")

    resumed = _train(tmp_path, reload_server, tiny_model, rollouts, emitter, steps=3, save_steps=3)
    assert resumed.step == 3
    after = metrics(tmp_path)
    assert sorted(after) == [1, 2, 3]
    assert {step: after[step] for step in first} == first, "steps before the interruption were repeated"
    assert after[3]["num_tokens"] > after[2]["num_tokens"]
    assert after[3]["sync/logp_difference"] < 1e-4
    assert len((tmp_path / "rollouts/step-000003.jsonl").read_text().splitlines()) == 8
    assert (tmp_path / "checkpoints/checkpoint-3/complete.json").exists()


def test_failed_episodes_are_counted_and_train_nothing(
    tmp_path: Path,
    reload_server: Any,
    tiny_model: Path,
    rollouts: Any,
    emitter: Emitter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    play = rollouts.play

    def half_fail(tasks: Any, **how: Any) -> Any:
        played = play(tasks, **how)
        for episode in played[::2]:
            episode.error = "broken on purpose"
        return played

    monkeypatch.setattr(rollouts, "play", half_fail)
    _train(tmp_path, reload_server, tiny_model, rollouts, emitter, steps=1)
    values = metrics(tmp_path)[1]
    assert values["episodes/failed"] == 4
    lines = (tmp_path / "rollouts/step-000001.jsonl").read_text().splitlines()
    saved = [json.loads(line) for line in lines]
    good = [episode["reward"] for episode in saved if episode["error"] is None]
    assert values["reward"] == pytest.approx(sum(good) / len(good), abs=1e-6)


def test_a_step_in_which_every_episode_fails_ends_the_run_with_the_cause(
    tmp_path: Path,
    reload_server: Any,
    tiny_model: Path,
    rollouts: Any,
    emitter: Emitter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from remote.rollouts.player import Played

    monkeypatch.setattr(
        rollouts, "play", lambda tasks, **_: [Played(task="x", error="KeyError: 'marks'") for _ in tasks]
    )
    with pytest.raises(VfmError, match="every episode of step 1 failed: KeyError: 'marks'"):
        _train(tmp_path, reload_server, tiny_model, rollouts, emitter, steps=1)


SCRIPT = """
from transformers import TrainerCallback
from remote.training.grpo import VfmTrainer

class Halved(VfmTrainer):
    losses = 0

    def _compute_loss(self, model, inputs):
        Halved.losses += 1
        return super()._compute_loss(model, inputs) * 0.5

class Watch(TrainerCallback):
    def on_log(self, args, state, control, **_):
        raise LookupError("after one step")

def by_rank(step, tasks, episodes):
    assert [str(task.data.name) for task in tasks] == [episode.task for episode in episodes]
    for rank, episode in enumerate(episodes):
        episode.reward = float(rank + step)

def train(run):
    tasks = run.tasks()[:2]
    assert not {t.data.name for t in run.held_out()} & {t.data.name for t in tasks}
    arguments = run.arguments(shuffle_dataset=False, adam_beta2=0.5)
    trainer = run.trainer(
        arguments, tasks, on_episodes=by_rank, callbacks=[Watch()], trainer_class=Halved
    )
    run.note({"mine/beta2": trainer.args.adam_beta2})
    trainer.train()
"""


def test_a_script_changes_tasks_rewards_arguments_and_loss_and_its_callback_is_to_blame(
    tmp_path: Path, reload_server: Any, tiny_model: Path, rollouts: Any, emitter: Emitter
) -> None:
    from remote.training.script import Script

    said: list[str] = []
    script = Script("scripts/mine.py", SCRIPT, tmp_path, said.append).load()
    with pytest.raises(ScriptError, match=r"mine\.py failed: LookupError: after one step") as raised:
        _train(tmp_path, reload_server, tiny_model, rollouts, emitter, script=script, steps=3)
    line = SCRIPT.splitlines().index('        raise LookupError("after one step")') + 1
    assert raised.value.cause == f"scripts/mine.py:{line}: LookupError: after one step"
    assert not [text for text in said if "/remote/" in text]
    assert sys.modules["training_script"].Halved.losses == 1
    values = metrics(tmp_path)[1]
    assert values["mine/beta2"] == 0.5
    assert values["reward"] == 4.5
    saved = [json.loads(text) for text in (tmp_path / "rollouts/step-000001.jsonl").open()]
    assert [one["reward"] for one in saved] == [float(rank + 1) for rank in range(8)]
    names = [str(task.data.name) for task in rollouts.tasks()[:2]]
    assert [one["task"] for one in saved] == [names[0]] * 4 + [names[1]] * 4


def test_what_the_server_goes_by_too_is_not_for_a_script_to_change(tmp_path: Path) -> None:
    from remote.training.run import TrainingRun
    from remote.training.script import Script

    run = TrainingRun(tiny_spec(), tmp_path, "test", *[None] * 5, "cpu")  # type: ignore[arg-type, call-arg]
    script = Script("mine.py", "def train(run):\n    run.arguments(temperature=2)\n", tmp_path, print).load()
    with pytest.raises(ScriptError, match="cannot change temperature") as raised:
        script(run)
    assert raised.value.cause.startswith("mine.py:2: ")
    assert raised.value.hint is not None
    assert raised.value.hint.text == "set training.temperature in the config"


def test_a_failure_of_the_training_is_not_the_scripts(
    tmp_path: Path,
    reload_server: Any,
    tiny_model: Path,
    rollouts: Any,
    emitter: Emitter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from remote.training.grpo import VfmTrainer
    from remote.training.script import Script

    def broken(*_: Any, **how: Any) -> None:
        raise ArithmeticError("a bug of the trainer's")

    monkeypatch.setattr(VfmTrainer, "training_step", broken)
    text = (PROJECT / "examples/grpo/train_wordle.py").read_text()
    script = Script("examples/grpo/train_wordle.py", text, PROJECT, print).load()
    with pytest.raises(ArithmeticError, match="a bug of the trainer's"):
        _train(tmp_path, reload_server, tiny_model, rollouts, emitter, script=script, steps=1)
