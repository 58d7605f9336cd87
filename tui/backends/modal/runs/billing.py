"""What Modal billed for a run, and what it asks: the workspace's report and its rates.

Owns reading both. The report has an hour a line, by the run's app and tags; not every workspace gives one,
and an hour is in it once it is over: what is not known is None, and no error. The estimate beside it is
`tui/services/price.py`'s.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from remote.contract.record import RunRecord
from tui.backends.modal.session import PATIENCE, Session, within

if TYPE_CHECKING:
    from modal.types import BillingReportItem

_HOUR = timedelta(hours=1)
_TAGS = ["experimenter", "experiment", "run"]


async def billed(session: Session, run: RunRecord) -> float | None:
    """US dollars for all of a run that is over, before credits; None where no report has them.

    Raises `BackendError` where Modal cannot be asked.
    """
    start, end = _hours(run)
    if end is None or end > datetime.now(UTC):
        return None  # the report has no hour that is not over, and a part of the sum would mislead
    items = await _report(session, start, end)
    costs = [item.cost for item in items if _is_of(item, run)]
    return float(sum(costs)) if costs else None


async def rates(session: Session) -> dict[str, float]:
    """The workspace's own rates, discounts included: US dollars an hour, by Modal's names.

    None are an answer too. Raises `BackendError` where Modal cannot be asked.
    """
    client = await session.client()
    import modal
    from modal import exception

    refused = (exception.PermissionDeniedError, exception.UnimplementedError, exception.InvalidError)
    async with within(PATIENCE, "ask for its prices"):
        try:
            found = await modal.Workspace.from_context(client=client).billing.rates.aio()
        except refused:
            return {}
    return {name: float(rate) for name, rate in found.items()}


def _hours(run: RunRecord) -> tuple[datetime, datetime | None]:
    """The whole hours that a run lies in; no end where it has none yet."""
    start = datetime.fromtimestamp(run.created, UTC).replace(minute=0, second=0, microsecond=0)
    if not run.ended:
        return start, None
    end = datetime.fromtimestamp(run.ended, UTC).replace(minute=0, second=0, microsecond=0)
    return start, end + _HOUR


async def _report(session: Session, start: datetime, end: datetime) -> Iterable[BillingReportItem]:
    """The report's lines; none where the workspace, its plan or this user gets no report."""
    # The order matters: the first import takes a second, off the event loop.
    client = await session.client()
    import modal
    from modal import exception

    refused = (exception.PermissionDeniedError, exception.UnimplementedError, exception.InvalidError)
    async with within(PATIENCE, "ask for the bill"):
        try:
            here = modal.Environment.from_context(client=client)
            found: Iterable[BillingReportItem] = await here.billing.report.aio(
                start=start, end=end, resolution="h", tag_names=_TAGS
            )
        except refused:
            return []
    return found


def _is_of(item: BillingReportItem, run: RunRecord) -> bool:
    """By its app, which no other run has; or by its tag, where the record does not know the app."""
    app = run.identifiers.get("app")
    return item.object_id == app if app else item.tags.get("run") == run.run_id
