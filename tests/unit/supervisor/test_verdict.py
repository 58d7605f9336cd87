"""The verdict on a worker, by what it said and how it died."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from remote.contract import layout
from remote.contract.events import EndEvent, FailureEvent, decode_line
from remote.contract.record import LaunchRequest
from remote.contract.spec import ExperimentSpec
from remote.output.emitter import Emitter
from remote.output.run_dir import RunDir
from remote.supervisor.verdict import LastEvents, StopReason, conclude, judge, last_text

DONE = LastEvents(end=EndEvent(status="done", exit_code=0))
FAILED = LastEvents(
    FailureEvent(boundary="vllm", cause="", message="m"), EndEvent(status="failed", exit_code=1)
)
STOPPED = LastEvents(end=EndEvent(status="cancelled", exit_code=130))
TOLD = LastEvents(FailureEvent(boundary="vllm", cause="", message="m"))
MUTE = LastEvents()


def request(**training: int) -> LaunchRequest:
    return request_for({"training": training})


def request_for(spec: dict[str, Any], **more: Any) -> LaunchRequest:
    made = ExperimentSpec.model_validate(spec)
    return LaunchRequest(run_id="r", spec=made, model="m", environment="e", outputs="o", cache="c", **more)


@pytest.mark.parametrize(
    ("said", "code", "asked", "status", "exit_code", "words"),
    [
        (DONE, 0, None, "done", 0, None),
        (DONE, 0, "timeout", "done", 0, None),
        (DONE, -signal.SIGKILL, None, "done", 0, None),
        (FAILED, 1, None, "failed", 1, None),
        (STOPPED, 130, "cancel", "cancelled", 130, None),
        (STOPPED, 130, "timeout", "failed", 124, "modal.timeout"),
        (MUTE, -signal.SIGTERM, "cancel", "cancelled", 143, None),
        (MUTE, -signal.SIGKILL, "timeout", "failed", 124, "modal.timeout"),
        (MUTE, -signal.SIGSEGV, None, "failed", 139, "SIGSEGV"),
        (MUTE, 0, None, "failed", 1, "code 0"),
        (MUTE, 7, None, "failed", 7, "code 7"),
        (TOLD, 7, None, "failed", 7, None),
        (LastEvents(end=EndEvent(status="paused", exit_code=9)), 9, None, "failed", 9, None),
    ],
)
def test_the_verdict(
    said: LastEvents, code: int, asked: StopReason | None, status: str, exit_code: int, words: str | None
) -> None:
    ending = judge(said, code, asked, request(), "last line")
    assert (ending.status, ending.exit_code) == (status, exit_code)
    assert (ending.error is None) == (words is None)
    assert (words or "") in str(ending.error)


def test_the_supervisor_has_the_last_word(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run_dir = RunDir(folder)
    run_dir.create(request())
    stream = folder / "logs" / "stream.log"
    with stream.open("ab") as file:
        emitter = Emitter(folder, file.fileno())
        emitter.emit(EndEvent(status="cancelled", exit_code=130))
        file.write(b"half a li")
        file.flush()
        ending = judge(STOPPED, 130, "timeout", request(), "")
        conclude(run_dir, ending, STOPPED, file.fileno())
    found = [item for item in map(decode_line, stream.read_text().split("\n")) if not isinstance(item, str)]
    assert [(event.seq, event.type) for event in found] == [(0, "end"), (1, "failure"), (2, "end")]
    assert found[-1] == EndEvent(seq=2, t=found[-1].t, status="failed", exit_code=124)
    record = run_dir.record()
    assert (record.status, record.exit_code) == ("failed", 124)
    assert record.failure is not None
    assert record.failure["hint"]["key"] == "modal.timeout"


def test_an_instruction_that_the_processor_does_not_know_points_to_the_number_format() -> None:
    found = judge(MUTE, -signal.SIGILL, None, request(), "").error
    assert found is not None
    assert "SIGILL" in found.message
    assert found.hint is not None
    assert (found.hint.key, found.hint.old, found.hint.new) == ("model.dtype", "bfloat16", "float32")


@pytest.mark.parametrize("seen", [False, None])
def test_a_kill_is_blamed_on_memory_only_with_evidence(seen: bool | None) -> None:
    found = judge(MUTE, -signal.SIGKILL, None, request(batch_size=8, num_generations=8), "", 0.0, seen).error
    assert found is not None
    assert found.hint is not None
    assert (found.message, found.hint.key) == ("the worker was killed by SIGKILL", None)
    assert found.hint.text.startswith("somebody killed it, or the system did")
    assert ("has not run out" in found.hint.text) is (seen is False)
    assert "vfm resume " in found.hint.text


@pytest.mark.parametrize("number", [signal.SIGABRT, signal.SIGSEGV])
def test_a_crash_names_the_line_that_the_process_was_in(tmp_path: Path, number: int) -> None:
    """As Python's own faulthandler writes it."""
    (tmp_path / "logs").mkdir()
    (tmp_path / layout.THREAD_STACKS).write_text(
        "Fatal Python error: Aborted\n\nThread 0x7f (most recent call first):\n"
        '  File "/usr/lib/python3.11/threading.py", line 331 in wait\n\n'
        "Current thread 0x7e (most recent call first):\n"
        '  File "/cache/environments/vf_x@1/vf_x.py", line 12 in reward\n'
        '  File "/project/remote/rollouts/player.py", line 300 in play\n'
    )
    made = request_for({}, run_dir=str(tmp_path))
    error = judge(MUTE, -number, None, made, "[vllm] INFO unpaused").error
    assert error is not None
    assert error.cause == 'File "/cache/environments/vf_x@1/vf_x.py", line 12 in reward'


def test_the_last_line_of_a_worker_is_none_of_its_server(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    stream = tmp_path / layout.STREAM
    stream.write_text("[vllm] INFO begun\n[train] about to leave\n[vllm] INFO unpaused\n")
    assert last_text(tmp_path) == "[train] about to leave"
    stream.write_text("[vllm] INFO begun\n[vllm] INFO unpaused\n")
    assert last_text(tmp_path) == "[vllm] INFO unpaused"


def test_a_smaller_batch_is_proposed_only_where_groups_stay_whole() -> None:
    halves = judge(MUTE, -signal.SIGKILL, None, request(batch_size=8, num_generations=8), "", 0.0, True).error
    assert halves is not None
    assert halves.hint is not None
    assert (halves.hint.key, halves.hint.old, halves.hint.new) == ("training.batch_size", 8, 4)
    alone = request(batch_size=8, gradient_accumulation_steps=1, num_generations=8)
    whole = judge(MUTE, -signal.SIGKILL, None, alone, "", 0.0, True).error
    assert whole is not None
    assert whole.hint is not None
    assert whole.hint.key is None


@pytest.mark.parametrize(
    ("backend", "modal", "key", "new"),
    [
        ("local", {"timeout": 600}, "modal.timeout", 1200),
        ("modal", {"timeout": 600}, "modal.timeout", 1200),
        ("modal", {"timeout": 50000}, "modal.timeout", 86400),
        ("modal", {"timeout": 86400}, "modal.retries", 6),
    ],
)
def test_a_run_out_of_time_is_told_which_key_gives_it_more(
    backend: str, modal: dict[str, int], key: str, new: int
) -> None:
    error = judge(MUTE, -9, "timeout", request_for({"modal": modal}, backend=backend), "").error
    assert error is not None
    assert error.hint is not None
    assert (error.hint.key, error.hint.new) == (key, new)
    assert "in the last of 4 attempts" in error.message


def test_a_run_over_its_budget_fails_with_the_sum_and_what_is_done_is_done() -> None:
    asked = request_for({"budget": {"max_usd": 2.5}}, usd_per_hour=4.0)
    ending = judge(STOPPED, 143, "budget", asked, "", spent=2.531)
    assert ending.status == "failed"
    assert ending.error is not None
    assert "$2.53 (at $4.00 an hour)" in ending.error.message
    assert "budget.max_usd = 2.5" in ending.error.message
    assert ending.error.hint is not None
    assert (ending.error.hint.key, ending.error.hint.new) == ("budget.max_usd", 5.0)
    assert judge(DONE, 0, "budget", asked, "", spent=2.5).status == "done"
