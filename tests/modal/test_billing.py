"""The billed costs of a run, by the real client."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from grpclib import Status
from modal_proto import api_pb2 as pb

from remote.contract.errors import BackendError
from remote.contract.record import RunRecord
from tests.modal.cloud import Cloud
from tui.backends.modal.backend import ModalBackend
from tui.client import Client
from tui.planning.prices import prices
from tui.settings import Settings

HOUR = 3600
BEGAN = time.time() // HOUR * HOUR - 5 * HOUR
"""A whole hour, some hours ago."""


def run(**fields: Any) -> RunRecord:
    """A run that took an hour and a half and is over."""
    names = {"kind": "train", "backend": "modal", "environment": "e", "model": "m", "outputs": "v"}
    times = {"created": BEGAN + 1800, "ended": BEGAN + 1800 + 5400, "status": "done"}
    return RunRecord(**{"run_id": "mine", **names, **times, "identifiers": {"app": "ap-mine"}, **fields})


def line(app: str, hour: int, cost: str, **tags: str) -> pb.WorkspaceBillingReportItem:
    """A line of the report: an hour of an app."""
    made = pb.WorkspaceBillingReportItem(object_id=app, cost=cost, tags=tags)
    made.interval.FromSeconds(int(BEGAN) + hour * HOUR)
    return made


@pytest.fixture
def backend(cloud: Cloud, tmp_path: Path) -> ModalBackend:
    """The backend over a workspace whose report has two hours of the run, and more of others."""
    cloud.billing.extend(
        [
            line("ap-mine", 0, "0.25", run="mine"),
            line("ap-mine", 1, "0.16", run="mine"),
            line("ap-other", 1, "7", run="other"),
            line("ap-mine", 9, "70", run="mine"),
        ]
    )
    return ModalBackend(tmp_path / "home", tmp_path)


def test_the_bill_of_a_run_is_that_of_its_app_or_of_its_tag(backend: ModalBackend) -> None:
    assert asyncio.run(backend.billed(run())) == pytest.approx(0.41)
    assert asyncio.run(backend.billed(run(identifiers={}))) == pytest.approx(0.41)
    assert asyncio.run(backend.billed(run(run_id="another", identifiers={}))) is None


def test_an_hour_that_is_not_over_is_not_on_the_bill_yet(backend: ModalBackend) -> None:
    assert asyncio.run(backend.billed(run(status="running", ended=None))) is None
    assert asyncio.run(backend.billed(run(ended=time.time()))) is None


@pytest.mark.parametrize(
    "status", [Status.PERMISSION_DENIED, Status.UNIMPLEMENTED, Status.FAILED_PRECONDITION]
)
def test_a_workspace_without_a_report_is_no_error(
    cloud: Cloud, backend: ModalBackend, status: Status
) -> None:
    cloud.faults.errors["WorkspaceBillingReport"] = status
    assert asyncio.run(backend.billed(run())) is None


def test_a_wrong_token_is_an_error(cloud: Cloud, backend: ModalBackend) -> None:
    cloud.faults.wrong_token = True
    with pytest.raises(BackendError, match="not signed in"):
        asyncio.run(backend.billed(run()))


RATES = {"gpu_hour_cost_h100": "2.75", "gpu_hour_cost_a100_80gb": "1.5", "cpu_hour_cost": "0.04"}


async def test_plans_take_the_workspaces_own_prices_and_ask_for_them_once_a_day(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(project_dir=tmp_path, home=tmp_path / "home", config_dir=tmp_path / "config")
    client = Client.default(settings)
    assert prices(settings).gpu["H100"] == pytest.approx(3.9492)
    cloud.state.rates.update(RATES)
    await client.volumes_of("modal")  # as the doctor does, and others who ask Modal anything
    table = prices(settings)
    assert (table.gpu["H100"], table.gpu["H100!"], table.gpu["A100-80GB"]) == (2.75, 2.75, 1.5)
    assert (table.cpu, table.memory, table.source) == (0.04, 0.007992, "modal billing rates")
    assert table.gpu["T4"] == pytest.approx(0.5904), "what it does not tell is the list's"
    cloud.state.rates["gpu_hour_cost_h100"] = "9"
    await client.backend("modal").fetch_prices()
    assert prices(settings).gpu["H100"] == 2.75
    (settings.config_dir).mkdir()
    (settings.config_dir / "prices.toml").write_text("[gpu]\nH100 = 1\n")
    assert prices(settings).gpu["H100"] == 1
    later = time.time() + 25 * HOUR
    monkeypatch.setattr(time, "time", lambda: later)
    assert prices(settings).gpu["A100-80GB"] == pytest.approx(2.4984), "yesterday's do not count"


@pytest.mark.parametrize("trouble", ["refused", "unreachable"])
async def test_without_the_workspaces_prices_there_is_the_list(
    cloud: Cloud, tmp_path: Path, trouble: str
) -> None:
    if trouble == "refused":
        cloud.faults.errors["WorkspaceBillingRates"] = Status.PERMISSION_DENIED
    else:
        cloud.faults.network = "refuse"
    settings = Settings(project_dir=tmp_path, home=tmp_path / "home", config_dir=tmp_path / "config")
    await Client.default(settings).backend("modal").fetch_prices()
    assert prices(settings).gpu["H100"] == pytest.approx(3.9492)
