"""What events add up to."""

from __future__ import annotations

import math
from itertools import count

import pytest

from remote.contract.events import (
    AttemptEvent,
    CheckpointEvent,
    EndEvent,
    FailureEvent,
    MetricsEvent,
    PhaseEvent,
    ProgressEvent,
    RestartEvent,
    RolloutEvent,
    SystemEvent,
    UnknownEvent,
)
from tui.store.charts.series import Metrics
from tui.store.runs.state import RunState


def phase(seq: int, t: float, name: str, status: str, detail: str | None = None) -> PhaseEvent:
    return PhaseEvent(seq=seq, t=t, phase=name, status=status, detail=detail)


def test_phases_and_their_details_have_times() -> None:
    state = RunState().add_all(
        [
            phase(0, 10, "image", "started"),
            phase(2, 12, "image", "done", "reused"),
            phase(3, 13, "vllm", "started"),
            phase(4, 14, "vllm", "started", "loading weights"),
            phase(5, 15, "train", "started"),
            phase(6, 17, "vllm", "done", "loading weights"),
        ]
    )
    image, vllm = state.phases["image"], state.phases["vllm"]
    assert (image.status, image.seconds) == ("done", 2)
    assert (image.note, image.details) == ("reused", {})
    assert vllm.ended is None
    assert vllm.details["loading weights"].seconds == 3
    assert state.phase is state.phases["train"]


def test_everything_else_is_kept_too() -> None:
    checkpoint = CheckpointEvent(seq=3, step=2, path="checkpoints/checkpoint-2")
    failure = FailureEvent(seq=7, boundary="vllm", cause="c", message="m")
    state = RunState().add_all(
        [
            ProgressEvent(seq=0, done=2, total=40, what="steps"),
            MetricsEvent(seq=1, step=1, values={"reward": 0.1, "loss": 2}),
            MetricsEvent(seq=2, step=2, values={"reward": 0.3}),
            checkpoint,
            SystemEvent(seq=4, values={"memory_gb": 3}),
            RolloutEvent(seq=5, step=2, task="crane", messages=[], rewards={}, reward=0.5),
            UnknownEvent(seq=6, data={}),
            failure,
        ]
    )
    assert (state.step, state.total_steps, state.metrics) == (2, 40, {"reward": 0.3, "loss": 2})
    assert (state.checkpoints, state.failure) == ([checkpoint], failure)
    assert (state.system, state.rollouts) == ({"memory_gb": 3}, 1)


def test_what_was_open_ends_with_the_run() -> None:
    state = RunState().add_all(
        [phase(0, 1, "train", "started"), EndEvent(seq=1, t=5, status="failed", exit_code=1)]
    )
    assert (state.phases["train"].status, state.phases["train"].ended) == ("failed", 5)


@pytest.mark.parametrize(
    "saved", [[], [CheckpointEvent(seq=7, t=5, step=4, path="checkpoints/checkpoint-4")]]
)
def test_what_a_lost_machine_did_is_done_again(saved: list[CheckpointEvent]) -> None:
    """Its times stay, up to when it was last heard of; the steps go on from a checkpoint."""
    failure = FailureEvent(seq=8, t=6, boundary="vllm", cause="c", message="m")
    state = RunState().add_all(
        [
            phase(0, 0, "image", "started"),
            phase(1, 1, "image", "done"),
            phase(2, 1, "vllm", "started"),
            phase(3, 3, "vllm", "done"),
            phase(4, 3, "train", "started"),
            MetricsEvent(seq=5, t=5, step=7, values={"reward": 0.5}),
            ProgressEvent(seq=6, t=5, done=7, total=10, what="steps"),
            *saved,
            failure,
            AttemptEvent(seq=1_000_000, t=100, number=2, why="preempted"),
            phase(1_000_001, 101, "vllm", "started"),
        ]
    )
    begins = 4 if saved else 0
    assert (state.attempt, state.failure, state.step) == (2, None, begins)
    assert state.progress["steps"].done == begins
    assert {name: (p.started, p.ended) for name, p in state.phases.items()} == {
        "image": (0, 1),
        "vllm": (101, None),
    }
    assert state.earlier == {"vllm": [(1, 3)], "train": [(3, 6)]}
    assert state.eta(10) is None  # the pace across the gap would say nothing
    assert state.add(MetricsEvent(seq=1_000_002, t=110, step=5, values={"reward": 0.5}))
    assert state.step == 5


def test_a_server_that_starts_again_in_mid_run_is_under_way_until_it_answers() -> None:
    why = "vLLM hangs: it has not answered for 300 s"
    state = RunState().add_all(
        [
            phase(0, 1, "vllm", "started"),
            phase(1, 3, "vllm", "done"),
            phase(2, 3, "train", "started"),
            RestartEvent(seq=3, t=50, number=1, why=why),
            phase(4, 50, "vllm", "started"),
        ]
    )
    assert state.phase is not None
    assert state.phase.name == "vllm"
    assert (state.restarts, state.restarted and state.restarted.why) == (1, why)
    assert state.earlier == {"vllm": [(1, 3)]}
    state.add(phase(5, 90, "vllm", "done"))
    assert state.phase.name == "train"
    assert state.attempt == 1


def test_a_supervisors_last_word_outranks_the_workers() -> None:
    ends = [
        EndEvent(seq=0, status="cancelled", exit_code=130),
        EndEvent(seq=1, status="failed", exit_code=124),
    ]
    state = RunState().add_all(ends)
    assert state.end == ends[1]


def test_the_estimate_follows_the_pace_of_the_latest_steps() -> None:
    state, seq = RunState(), count()
    assert state.eta(100) is None
    for step in range(1, 51):
        t = step * 100.0 if step <= 25 else 2500 + (step - 25) * 2.0
        state.add(MetricsEvent(seq=next(seq), t=t, step=step, values={}))
    assert state.eta() is None
    assert state.eta(60) == pytest.approx(20)
    state.add(ProgressEvent(seq=next(seq), t=2600, done=50, total=55, what="steps"))
    assert state.eta() == pytest.approx(10)
    state.add(EndEvent(seq=next(seq), status="done", exit_code=0))
    assert state.eta() is None


def test_metrics_become_series_and_rows_by_step() -> None:
    metrics = Metrics(
        MetricsEvent(step=step, values=values)
        for step, values in [(0, {"a": 1.0}), (2, {"a": 3.0, "b": 1.0}), (1, {"a": 2.0}), (2, {"a": 4.0})]
    )
    assert (metrics.series["a"].steps, metrics.series["a"].values) == ([0, 1, 2], [1, 2, 4])
    assert metrics.rows() == [
        {"step": 0, "values": {"a": 1}},
        {"step": 1, "values": {"a": 2}},
        {"step": 2, "values": {"a": 4, "b": 1}},
    ]


@pytest.mark.parametrize(("total", "known"), [(20, 20), (20.0, 20), (0, None), (-1, None)])
def test_steps_there_will_be(total: float, known: int | None) -> None:
    state = RunState().add_all([ProgressEvent(done=1, total=total, what="steps", t=1)])
    assert state.total_steps == known


@pytest.mark.parametrize("total", [math.inf, -math.inf, math.nan])
def test_a_count_without_an_end_is_a_total_that_is_not_known(total: float) -> None:
    steps = [MetricsEvent(step=step, values={}, t=step) for step in (1, 2)]
    state = RunState().add_all([*steps, ProgressEvent(done=1, total=total, what="steps", t=1)])
    assert (state.total_steps, state.eta()) == (None, None)
