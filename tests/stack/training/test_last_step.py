"""Whatever ends a training, its last whole step is a checkpoint that it can go on from."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from remote.contract import layout
from remote.contract.errors import DiskError, ServerError
from remote.output.emitter import Emitter
from remote.processes.signals import Cancelled, Interrupted
from remote.training import checkpoints
from tests.stack.conftest import tiny_spec

pytestmark = [pytest.mark.stack, pytest.mark.vllm]


ENDS = [
    RuntimeError("out of memory"),
    ServerError("vLLM died"),
    KeyboardInterrupt(),
    SystemExit(3),
    Cancelled(),
    Interrupted(),
]


def attempt(folder: Path, model_dir: Path, server: Any, ends: BaseException | None, at: int = 2) -> None:
    """One go at a training, which ends with the episodes of a step."""
    from remote.models.load import load_for_training
    from remote.rollouts.player import Rollouts
    from remote.rollouts.recorder import Recorder
    from remote.training.run import TrainingRun
    from remote.training.weight_sync import make_sync

    spec = tiny_spec(vllm={"weight_sync": "merged"}, training={"steps": len(ENDS) + 1})
    model, tokenizer = load_for_training(spec, model_dir)
    player = Rollouts("vf_wordle", spec.training.environment_args, spec, server)
    sync = make_sync("merged", model, server, model_dir, spec, "cpu")
    with open(os.devnull, "w") as nowhere:
        recorder = Recorder(Emitter(folder, nowhere.fileno()), folder, 0)
        run = TrainingRun(spec, folder, "one", model, tokenizer, player, sync, recorder, "cpu")

        def on_episodes(step: int, tasks: Any, episodes: Any) -> None:
            if step == at and ends is not None:
                raise ends

        try:
            run.trainer(on_episodes=on_episodes).train()
        finally:
            sync.close()
            player.close()


def steps(folder: Path) -> list[int]:
    lines = (folder / layout.EVENTS).read_text().splitlines()
    return [event["step"] for event in map(json.loads, lines) if event["type"] == "metrics" and event["step"]]


def test_whatever_ends_it_the_last_whole_step_is_kept_and_gone_on_from(
    tmp_path: Path, tiny_model: Path, reload_server: Any, wordle: None
) -> None:
    """One training that is ended in each way, a step further each time."""
    for step, ends in enumerate(ENDS, start=1):
        with pytest.raises(type(ends)):
            attempt(tmp_path, tiny_model, reload_server, ends, at=step + 1)
        newest = checkpoints.newest(tmp_path)
        assert newest is not None, ends
        assert checkpoints.step_of(newest) == step, ends
        assert {"optimizer.pt", "scheduler.pt", "rng_state.pth"} <= {file.name for file in newest.iterdir()}
    attempt(tmp_path, tiny_model, reload_server, None)
    assert steps(tmp_path) == list(range(1, len(ENDS) + 2))


@pytest.mark.parametrize("ends", [DiskError("full"), OSError(errno.ENOSPC, "No space left on device")])
def test_a_full_disk_is_not_filled_further(
    ends: BaseException, tmp_path: Path, tiny_model: Path, reload_server: Any, wordle: None
) -> None:
    with pytest.raises(type(ends)):
        attempt(tmp_path, tiny_model, reload_server, ends)
    assert checkpoints.newest(tmp_path) is None


def test_what_cannot_be_saved_does_not_hide_why_it_ended(
    tmp_path: Path, tiny_model: Path, reload_server: Any, wordle: None
) -> None:
    (tmp_path / layout.CHECKPOINTS).mkdir()
    (tmp_path / layout.checkpoint_path(1)).write_text("in the way")
    with pytest.raises(ServerError, match="vLLM died"):
        attempt(tmp_path, tiny_model, reload_server, ServerError("vLLM died"))
