"""`vfm resume`: what it refuses and why, what may change, and that it is offered where it helps."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.cli.conftest import Vfm, wait_for


def record(vfm: Vfm, run_id: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(vfm("show", run_id, "--json").stdout)
    return found


def run_dir(vfm: Vfm, run_id: str) -> Path:
    return next(vfm.home.glob(f"volumes/*/runs/{run_id}"))


def interrupted(vfm: Vfm) -> str:
    """A run of the small config that a power cut ended after the checkpoint of step 2 of 3."""
    following = vfm.start(
        "launch", str(vfm.config), script=f"saved:2/3 lines:1 wait:{vfm.folder / 'never'} end:done"
    )
    wait_for(following, "line 0")
    found = json.loads(vfm("runs", "--json").stdout)[0]
    for name in ("pid", "worker_pid"):
        os.kill(int(found["identifiers"][name]), signal.SIGKILL)
    _, said = following.communicate()
    assert "interrupted at step 2 of 3" in said
    assert f"vfm resume {found['run_id']}" in said
    return str(found["run_id"])


def test_an_interrupted_run_is_offered_and_resumed_in_its_own_directory(vfm: Vfm) -> None:
    run_id = interrupted(vfm)
    offer = f"{run_id} was interrupted at step 2 of 3: vfm resume {run_id}"
    assert offer in vfm("runs").stderr
    assert f"vfm resume {run_id}" in vfm("show", run_id).stdout
    done = vfm("resume", run_id[:4], "--set", "training.steps=5", script="lines:2 end:done")
    assert done.returncode == 0, done.stderr
    assert "it continues from the checkpoint of step 2" in done.stderr
    assert f"Run {run_id}: done" in done.stderr
    assert done.stdout.count("[train] line") == 2, "the attempt's own lines, not those of before"
    after = record(vfm, run_id)
    assert [attempt["why"] for attempt in after["attempts"]] == ["lost", "done"]  # type: ignore[attr-defined]
    spec = json.loads((run_dir(vfm, run_id) / "spec.json").read_text())
    assert spec["spec"]["training"]["steps"] == 5
    assert spec["provenance"]["training.steps"] == {"layer": "set", "where": "--set training.steps=5"}
    assert json.loads((run_dir(vfm, run_id) / "request.json").read_text())["spec"] == spec["spec"]
    assert "resume" not in vfm("runs").stderr


def test_a_checkpoint_that_is_gone_is_neither_listed_nor_promised(vfm: Vfm) -> None:
    """It was pruned, or somebody moved it away."""
    assert vfm.launch(script="saved:1/3 saved:2/3 failure:broken exit:1").returncode == 1
    run_id = json.loads(vfm("runs", "--json").stdout)[0]["run_id"]
    checkpoints = run_dir(vfm, run_id) / "checkpoints"
    (checkpoints / "checkpoint-2").rename(vfm.folder / "elsewhere")
    shown = vfm("show", run_id).stdout
    assert "step 1 · checkpoints/checkpoint-1" in shown
    assert "checkpoints/checkpoint-2" not in shown
    assert "the checkpoint of step 2 is not there any more" in shown
    assert "(it continues from the checkpoint of step 1)" in shown
    state = json.loads(vfm("show", run_id, "--json").stdout)["state"]
    assert [saved["step"] for saved in state["checkpoints"]] == [1]
    (checkpoints / "checkpoint-1").rmdir()
    resumed = vfm("resume", run_id, script="lines:1 failure:broken exit:1")
    assert "the checkpoint of step 2 is not there any more" in resumed.stderr
    assert "starts again at step 0" in resumed.stderr
    checkpoints.rmdir()
    assert json.loads(vfm("show", run_id, "--json").stdout)["state"]["checkpoints"] == []


def test_a_run_that_failed_twice_at_the_same_step_is_not_offered_to_be_resumed(vfm: Vfm) -> None:
    """Its worker ended without a word; after other steps, or with another code, it may go on."""
    first = vfm.launch(script="saved:1/3 exit:0")
    assert "vfm resume" in first.stderr
    elsewhere = vfm("resume", "last", script="saved:2/3 exit:0")
    assert "vfm resume" in elsewhere.stderr
    otherwise = vfm("resume", "last", script="exit:9")
    assert "vfm resume" in otherwise.stderr
    again = vfm("resume", "last", script="exit:9")
    assert again.returncode == 1
    assert "its last two attempts failed at the same place" in again.stderr
    shown = vfm("show", "last").stdout
    assert "vfm resume" not in again.stderr + shown
    assert "ended with code 9" in shown


def test_a_done_run_is_resumed_only_to_do_more(vfm: Vfm) -> None:
    launched = vfm.launch(script="saved:3/3 end:done")
    assert launched.returncode == 0
    refused = vfm("resume", "last")
    assert refused.returncode == 2
    assert "is done: there is nothing to resume" in refused.stderr
    assert "--set training.steps=6" in refused.stderr
    more = vfm("resume", "last", "--set", "training.steps=4", script="end:done")
    assert more.returncode == 0, more.stderr


def test_a_run_whose_environments_secrets_are_gone_is_not_resumed(vfm: Vfm) -> None:
    named = ("--set", "training.environment_secrets=[SEARCH_API_KEY]")
    script, key = "saved:1/3 failure:broken exit:1", "canary-0123456789"
    assert vfm("launch", str(vfm.config), *named, script=script, SEARCH_API_KEY=key).returncode == 1
    refused = vfm("resume", "last", script="end:done")
    assert refused.returncode == 2
    assert "SEARCH_API_KEY" in refused.stderr
    assert ".env" in refused.stderr
    assert [run["status"] for run in json.loads(vfm("runs", "--json").stdout)] == ["failed"]
    done = vfm("resume", "last", script="end:done", SEARCH_API_KEY=key)
    assert done.returncode == 0, done.stderr
    assert key not in refused.stderr + done.stderr


def test_a_run_that_is_alive_is_watched_and_not_resumed(vfm: Vfm) -> None:
    following = vfm.start("launch", str(vfm.config), script=f"lines:1 wait:{vfm.folder / 'go'} end:done")
    wait_for(following, "line 0")
    refused = vfm("resume", "last")
    (vfm.folder / "go").touch()
    assert refused.returncode == 2
    assert "is still running: there is nothing to resume" in refused.stderr
    assert "--follow" in refused.stderr
    following.communicate()


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("training.learning_rate=1", "training.learning_rate cannot change in mid-run: it would be another"),
        ("training.environment=gsm8k", "training.environment cannot change in mid-run"),
        ("training.batch_size=1000", "a step of"),
        ("training.steps=1", "has done 2 steps already"),
        ("training.stepz=1", "training.steps"),
        ("training.steps=many", "training.steps"),
        ("vllm.gpu_memory_utilization=7", "vllm.gpu_memory_utilization"),
        ("steps", "KEY=VALUE"),
    ],
)
def test_what_would_make_another_run_of_it_is_refused_by_name(
    resumable: tuple[Vfm, str], word: str, said: str
) -> None:
    vfm, run_id = resumable
    refused = vfm("resume", run_id, "--set", word)
    assert refused.returncode == 2, refused.stderr
    assert said in refused.stderr
    assert record(vfm, run_id)["status"] == "failed", "a refusal changes nothing"


def test_a_refusal_repeats_no_secret(resumable: tuple[Vfm, str]) -> None:
    vfm, run_id = resumable
    secret = "sk-0123456789abcdef"
    refused = vfm("resume", run_id, "--set", f"training.environment_args.api_key={secret}")
    assert refused.returncode == 2
    assert "cannot change in mid-run" in refused.stderr
    assert secret not in refused.stdout + refused.stderr


@pytest.fixture(scope="module")
def resumable(tmp_path_factory: pytest.TempPathFactory) -> tuple[Vfm, str]:
    vfm = Vfm(tmp_path_factory.mktemp("resumable") / "shell")
    return vfm, interrupted(vfm)


def test_a_cancelled_run_says_how_it_is_resumed(vfm: Vfm) -> None:
    following = vfm.start(
        "launch", str(vfm.config), script=f"polite saved:1/3 lines:1 wait:{vfm.folder / 'go'}"
    )
    wait_for(following, "line 0")
    vfm("cancel", "last")
    _, said = following.communicate()
    run_id = json.loads(vfm("runs", "--json").stdout)[0]["run_id"]
    assert f"vfm resume {run_id}   (it continues from the checkpoint of step 1)" in said
