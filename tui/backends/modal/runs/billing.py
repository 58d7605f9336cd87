"""The workspace's billing report and its rates, by `modal.billing`.

The report has one line for an hour and an app, once the hour is over, and not every workspace gets one: what
it does not say is None, and no error. The estimate of a run's costs is `tui/services/price.py`'s.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from remote.contract.record import RunRecord
from tui.backends.modal.session import CALL_SECONDS, Session, within

if TYPE_CHECKING:
    from modal.types import BillingReportItem

_HOUR = timedelta(hours=1)
_TAGS = ["experimenter", "experiment", "run"]


async def billed(session: Session, run: RunRecord) -> float | None:
    """US dollars that a run which is over has cost, before credits; None where no report says so.

    Raises `BackendError`.
    """
    start, end = _hours(run)
    if end is None or end > datetime.now(UTC):
        return None  # a sum without the run's last hour would mislead
    items = await _report(session, start, end)
    costs = [item.cost for item in items if _is_of(item, run)]
    return float(sum(costs)) if costs else None


async def rates(session: Session) -> dict[str, float]:
    """The workspace's rates, discounts included: US dollars an hour, by Modal's names for resources.

    Empty where the workspace does not tell them. Raises `BackendError`.
    """
    client = await session.client()
    import modal
    from modal import exception

    refused = (exception.PermissionDeniedError, exception.UnimplementedError, exception.InvalidError)
    async with within(CALL_SECONDS, "ask for its prices"):
        try:
            found = await modal.Workspace.from_context(client=client).billing.rates.aio()
        except refused:
            return {}
    return {name: float(rate) for name, rate in found.items()}


def _hours(run: RunRecord) -> tuple[datetime, datetime | None]:
    """Begin and end of the whole hours in which a run ran; no end while it runs."""
    start = datetime.fromtimestamp(run.created, UTC).replace(minute=0, second=0, microsecond=0)
    if not run.ended:
        return start, None
    end = datetime.fromtimestamp(run.ended, UTC).replace(minute=0, second=0, microsecond=0)
    return start, end + _HOUR


async def _report(session: Session, start: datetime, end: datetime) -> Iterable[BillingReportItem]:
    """The report's lines; none where the workspace, its plan or this user gets no report."""
    # First the client, which imports modal off the event loop.
    client = await session.client()
    import modal
    from modal import exception

    refused = (exception.PermissionDeniedError, exception.UnimplementedError, exception.InvalidError)
    async with within(CALL_SECONDS, "ask for the bill"):
        try:
            here = modal.Environment.from_context(client=client)
            found: Iterable[BillingReportItem] = await here.billing.report.aio(
                start=start, end=end, resolution="h", tag_names=_TAGS
            )
        except refused:
            return []
    return found


def _is_of(item: BillingReportItem, run: RunRecord) -> bool:
    """Whether a line is a run's: by its app, or by its tag where the record has no app."""
    app = run.identifiers.get("app")
    return item.object_id == app if app else item.tags.get("run") == run.run_id
