"""What the keys of the home screen ask the app to do with runs of the table. Pure functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from textual.message import Message

from remote.contract.layout import run_path
from tui.screens import requests
from tui.store.runs.row import RunRow


@dataclass(frozen=True)
class Selection:
    """Rows of the table that an action may apply to."""

    row: RunRow | None = None
    """The row under the cursor."""
    marked: Sequence[RunRow] = ()

    @property
    def chosen(self) -> Sequence[RunRow]:
        """The marked rows, or the one under the cursor."""
        return self.marked or ([self.row] if self.row else [])


Answer = Sequence[Message] | str
"""The requests of an action, or the reason why there are none."""


def requests_of(name: str, selection: Selection) -> Answer:
    """The requests of an action such as `cancel`."""
    return _REQUESTS[name](selection)


def _compare(selection: Selection) -> Answer:
    if len(selection.marked) < 2:
        return "mark two runs or more with m, then = compares them"
    return [requests.CompareRequested(_ids(selection.marked))]


def _edit(selection: Selection) -> Answer:
    if len(selection.chosen) > 1:
        return "one run at a time can be edited: Escape drops the marks"
    return [
        requests.LaunchRequested(kind=row.kind, backend=row.backend, run_id=row.run_id)
        for row in selection.chosen
    ]


def _evaluate(selection: Selection) -> Answer:
    row = selection.row
    if row is None:
        return []
    if row.kind != "train":
        return f"{row.run_id} is an evaluation: it has no checkpoints"
    return [requests.evaluation_of(row.run_id, row.backend)]


def _propose(selection: Selection) -> Answer:
    row = selection.row
    if row is None or not row.fix_key:
        return []
    values = {row.fix_key: row.fix_value}
    return [requests.LaunchRequested(values=values, kind=row.kind, backend=row.backend, run_id=row.run_id)]


def _resume(selection: Selection) -> Answer:
    over = [row for row in selection.chosen if not row.live]
    return [requests.ResumeRequested(_ids(over))] if over else "nothing to resume: still running"


def _cancel(selection: Selection) -> Answer:
    live = [row for row in selection.chosen if row.live]
    return [requests.CancelRequested(_ids(live))] if live else "nothing to stop: already over"


def _download(selection: Selection) -> Answer:
    """One request for each volume."""
    paths: dict[tuple[str, str], list[str]] = {}
    for row in selection.chosen:
        paths.setdefault((row.backend, row.outputs), []).append(str(run_path(row.run_id)))
    return [requests.DownloadRequested(backend, volume, of) for (backend, volume), of in paths.items()]


_REQUESTS: Mapping[str, Callable[[Selection], Answer]] = {
    "launch": lambda _: [requests.LaunchRequested()],
    "demo": lambda _: [requests.LaunchRequested(requests.DEMO)],
    "compare": _compare,
    "edit": _edit,
    "evaluate": _evaluate,
    "propose": _propose,
    "rerun": lambda selection: [requests.RerunRequested(_ids(selection.chosen))],
    "resume": _resume,
    "cancel": _cancel,
    "delete": lambda selection: [requests.DeleteRequested(_ids(selection.chosen))],
    "download": _download,
    "volumes": lambda _: [requests.FilesRequested()],
    "doctor": lambda _: [requests.DoctorRequested()],
}


def _ids(rows: Sequence[RunRow]) -> list[str]:
    return [row.run_id for row in rows]
