"""Messages by which screens ask the app to open a screen or start an action; `tui/app.py` answers them.

They bubble up from wherever a key was pressed, so that no screen imports another one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from textual.message import Message

if TYPE_CHECKING:
    from tui.store.runs.row import RunRow


DEMO = "configs/local_demo.yaml"
"""Config of the demo, the first thing that a new user runs."""


@dataclass
class RunRequested(Message):
    """Open the screen of a run."""

    run_id: str


@dataclass
class LaunchRequested(Message):
    """Open the launch form.

    With `run_id` it is filled in with that run's config and overrides. `values` (dotted key → value) override
    them, such as the change that a failure's hint proposes.
    """

    config: str | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    kind: str = "train"
    backend: str | None = None
    run_id: str | None = None
    field: str | None = None
    """Dotted key of the field that gets the focus."""
    by: str = "hint"
    """Origin of `values`: the hint of a failure, or the run."""


def evaluation_of(run_id: str, backend: str, checkpoint: str = "") -> LaunchRequested:
    """A request for the form of an evaluation of a checkpoint; of the best one where none is named."""
    value = f"{run_id}:{checkpoint}" if checkpoint else run_id
    return LaunchRequested(
        values={"evaluation.checkpoint": value}, kind="evaluate", backend=backend, run_id=run_id, by="run"
    )


@dataclass
class CompareRequested(Message):
    """Open the comparison of these runs."""

    run_ids: Sequence[str]


@dataclass
class FilesRequested(Message):
    """Open the volumes, or a path in one of them."""

    backend: str | None = None
    volume: str | None = None
    path: str = ""


@dataclass
class DoctorRequested(Message):
    """Open the doctor."""


@dataclass
class RerunRequested(Message):
    """Launch the same runs again, without asking."""

    run_ids: Sequence[str]


@dataclass
class ResumeRequested(Message):
    """Resume these runs, which are over, from their newest checkpoints."""

    run_ids: Sequence[str]


@dataclass
class CancelRequested(Message):
    """Stop these runs; the app asks first."""

    run_ids: Sequence[str]


@dataclass
class DeleteRequested(Message):
    """Delete these runs' files; the app asks first, naming what is deleted."""

    run_ids: Sequence[str]


@dataclass
class DownloadRequested(Message):
    """Download files and folders of a volume; the app asks where to."""

    backend: str
    volume: str
    paths: Sequence[str]


@dataclass
class RunsListed(Message):
    """The home screen listed the runs anew."""

    rows: Sequence[RunRow]
