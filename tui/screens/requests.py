"""What screens ask of the app: messages that bubble up from wherever a key was pressed.

Owns the vocabulary between screens, so that no screen imports another one. `tui/app.py` answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from textual.message import Message

if TYPE_CHECKING:
    from tui.store.runs.row import RunRow


DEMO = "configs/local_demo.yaml"
"""The config that a newcomer begins with."""


@dataclass
class RunRequested(Message):
    """Somebody wants to see a run."""

    run_id: str


@dataclass
class LaunchRequested(Message):
    """Somebody wants the launch form, filled in.

    With `run_id` it is that run again: its config, and what had been typed over it. `values` (dotted key →
    value) come on top, such as the change that a failure's hint proposes.
    """

    config: str | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    kind: str = "train"
    backend: str | None = None
    run_id: str | None = None
    field: str | None = None
    """Dotted key of the field that the form opens at."""
    by: str = "hint"
    """Who types the values: the hint of a failure, or the run."""


def evaluation_of(run_id: str, backend: str, checkpoint: str = "") -> LaunchRequested:
    """The form for an evaluation of a training's checkpoint: of the best one, where none is named."""
    value = f"{run_id}:{checkpoint}" if checkpoint else run_id
    return LaunchRequested(
        values={"evaluation.checkpoint": value}, kind="evaluate", backend=backend, run_id=run_id, by="run"
    )


@dataclass
class CompareRequested(Message):
    """Somebody wants these runs over one another."""

    run_ids: Sequence[str]


@dataclass
class FilesRequested(Message):
    """Somebody wants to see volumes, or one path of one."""

    backend: str | None = None
    volume: str | None = None
    path: str = ""


@dataclass
class DoctorRequested(Message):
    """Somebody wants to know what is set up."""


@dataclass
class RerunRequested(Message):
    """The same runs once more, without asking."""

    run_ids: Sequence[str]


@dataclass
class ResumeRequested(Message):
    """These runs, which are over, should go on where they are."""

    run_ids: Sequence[str]


@dataclass
class CancelRequested(Message):
    """These runs should stop; the app asks first."""

    run_ids: Sequence[str]


@dataclass
class DeleteRequested(Message):
    """These runs' files should go; the app asks first, and names what goes."""

    run_ids: Sequence[str]


@dataclass
class DownloadRequested(Message):
    """A file or folder of a volume should come to this machine; the app asks where to."""

    backend: str
    volume: str
    path: str
    more: Sequence[str] = ()
    """Other paths of the same volume, to the same place."""


@dataclass
class RunsListed(Message):
    """The home screen has a fresh list of runs."""

    rows: Sequence[RunRow]
