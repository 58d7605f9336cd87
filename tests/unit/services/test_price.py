"""What a run costs by the time that its machines took, and what `vfm show` and `vfm runs` say of it."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from remote.contract.errors import BackendError
from remote.contract.events import AttemptEvent
from remote.contract.record import Attempt, RunRecord
from tui.cli.follow import closing
from tui.cli.show import as_dict, as_text, cost_of
from tui.client import Client
from tui.services.price import estimate, machine_seconds
from tui.store.runs.state import RunState

PREEMPTED = Attempt(started=100, ended=1000, why="preempted")


def record(*attempts: Attempt, **fields: Any) -> RunRecord:
    names = {"kind": "train", "backend": "modal", "environment": "e", "model": "m", "outputs": "v"}
    return RunRecord(**{"run_id": "r", "status": "running", **names, "attempts": attempts, **fields})


@pytest.mark.parametrize(
    ("run", "seconds"),
    [
        (record(status="pending"), None),
        (record(started=100), 4900),
        (record(started=100, ended=400, status="done"), 300),
        (record(Attempt(started=100)), 4900),
        (record(PREEMPTED), 900),  # it waits for another machine
        (record(PREEMPTED, Attempt(started=4000), started=100), 1900),
        (record(PREEMPTED, Attempt(started=4000), started=100, ended=4500, status="failed"), 1400),
        (record(Attempt(started=100), Attempt(started=4000, ended=4100), ended=4100), 4000),
        (record(Attempt(started=9000)), 0),  # the machine's clock is ahead
    ],
)
def test_only_time_with_a_machine_costs(run: RunRecord, seconds: float | None) -> None:
    assert machine_seconds(run, 5000) == seconds
    assert estimate(run, 5000) is None
    priced = run.model_copy(update={"usd_per_hour": 3.6})
    assert estimate(priced, 5000) == (None if seconds is None else pytest.approx(seconds / 1000))


class Billing:
    """A backend that is asked for nothing but a bill."""

    def __init__(self, bill: float | BackendError | None) -> None:
        self.bill = bill

    async def billed(self, run: RunRecord) -> float | None:
        if isinstance(self.bill, BackendError):
            raise self.bill
        return self.bill


DONE = {"started": 100.0, "ended": 4500.0, "status": "done", "usd_per_hour": 3.6}


@pytest.mark.parametrize(
    ("bill", "words"),
    [
        (0.41, "est. $1.40 (23 min 20 s at $3.60 an hour) · Modal billed $0.41"),
        (None, "est. $1.40 (23 min 20 s at $3.60 an hour)"),
        (BackendError("no answer"), "at $3.60 an hour) · no bill: no answer"),
    ],
)
def test_a_run_that_is_over_shows_the_bill_beside_the_estimate(
    bill: float | BackendError | None, words: str
) -> None:
    run = record(PREEMPTED, Attempt(started=4000), created=50, **DONE)
    state = RunState().add_all([AttemptEvent(seq=7, number=2, why="preempted")])
    client = Client(None, {"modal": cast(Any, Billing(bill))})
    cost = asyncio.run(cost_of(client, run))
    told = as_text(run, state, cost)
    assert words in told
    assert "attempt:     2 (the machine was preempted)" in told
    document = as_dict(run, state, cost)
    assert document["estimated_usd"] == pytest.approx(1.4)
    assert document["billed_usd"] == (bill if isinstance(bill, float) else None)
    assert document["state"]["attempt"] == 2
    assert "done after 1 h 14 min, est. $1.40." in closing(run)


def test_a_run_under_way_is_not_billed_yet() -> None:
    run = record(Attempt(started=100), usd_per_hour=3.6)
    client = Client(None, {"modal": cast(Any, Billing(9.0))})
    cost = asyncio.run(cost_of(client, run))
    assert cost.billed is None
    assert cost.estimated is not None
    here = record(backend="local", started=1.0, ended=2.0, status="done")
    assert asyncio.run(cost_of(client, here)).estimated is None
