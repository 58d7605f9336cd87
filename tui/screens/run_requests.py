"""What the keys of the run screen ask the app to do, and whether that is possible now. Pure functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from textual.message import Message

from remote.contract import layout
from remote.contract.checkpoint_names import choose
from tui.screens import requests
from tui.screens.run_summary import checkpoints_of, proposal_of
from tui.store.runs.phases import FINAL

if TYPE_CHECKING:
    from tui.services.live_run import LiveRun


def request_of(name: str, live: LiveRun, checkpoint: str = "") -> Message | None:
    """The request of an action such as `cancel`; None where the run's status rules it out.

    An evaluation is one of the named `checkpoint`, or else of the best one.
    """
    return _REQUESTS[name](live, checkpoint)


def _cancel(live: LiveRun, _: str) -> Message | None:
    return None if live.status in FINAL else requests.CancelRequested([live.record.run_id])


def _rerun(live: LiveRun, _: str) -> Message:
    return requests.RerunRequested([live.record.run_id])


def _resume(live: LiveRun, _: str) -> Message | None:
    stopped = live.over and live.status in ("failed", "cancelled")
    return requests.ResumeRequested([live.record.run_id]) if stopped else None


def _edit(live: LiveRun, _: str) -> Message:
    return _launch(live, {})


def _propose(live: LiveRun, _: str) -> Message | None:
    values = proposal_of(live)
    return _launch(live, values) if values else None


def _evaluate(live: LiveRun, checkpoint: str) -> Message | None:
    found = checkpoints_of(live)
    chosen = next((saved for saved in found if saved.name == checkpoint), None) or choose(found)
    if chosen is None:
        return None
    return requests.evaluation_of(live.record.run_id, live.record.backend, chosen.name)


def _download(live: LiveRun, _: str) -> Message:
    record = live.record
    path = str(layout.run_path(record.run_id))
    return requests.DownloadRequested(record.backend, record.outputs, [path])


def _delete(live: LiveRun, _: str) -> Message | None:
    return requests.DeleteRequested([live.record.run_id]) if live.status in FINAL else None


def _launch(live: LiveRun, values: Mapping[str, Any]) -> Message:
    record = live.record
    return requests.LaunchRequested(
        values=values, kind=record.kind, backend=record.backend, run_id=record.run_id
    )


_REQUESTS: Mapping[str, Callable[[LiveRun, str], Message | None]] = {
    "cancel": _cancel,
    "rerun": _rerun,
    "resume": _resume,
    "edit": _edit,
    "propose": _propose,
    "evaluate": _evaluate,
    "download": _download,
    "delete": _delete,
}
