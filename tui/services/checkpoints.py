"""Which of a training's checkpoints are there: the oldest are removed as it goes, and people move files.

Owns asking the run's volume. Whether a checkpoint's files are whole is the training's to say.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from remote.contract import layout
from remote.contract.errors import BackendError, VfmError
from remote.contract.events import CheckpointEvent

if TYPE_CHECKING:
    from remote.contract.record import RunRecord
    from tui.client import Client

_STEP = re.compile(r"checkpoint-(\d+)")


async def saved(client: Client, run: RunRecord) -> frozenset[str] | None:
    """The names of a run's checkpoints in its volume; None where that cannot be known now.

    The volume of a run on Modal gets a checkpoint some time after its event.
    """
    if run.kind != "train":
        return frozenset()
    if run.backend != "local" and not run.ended_already:
        return None
    folder = str(layout.run_path(run.run_id) / layout.CHECKPOINTS)
    try:
        entries = await client.ls(run.outputs, folder, backend=run.backend)
    except BackendError:
        return None
    except VfmError:
        return frozenset()  # there is no such folder
    return frozenset(PurePosixPath(entry.path).name for entry in entries if entry.is_dir)


def still_there(events: Sequence[CheckpointEvent], names: frozenset[str] | None) -> list[CheckpointEvent]:
    """Those of the announced checkpoints that are there; all of them where that is not known."""
    return [event for event in events if names is None or PurePosixPath(event.path).name in names]


def as_it_is(run: RunRecord, names: frozenset[str] | None) -> RunRecord:
    """The record, reaching the newest checkpoint that is there."""
    if names is None or run.reached is None or run.kind != "train":
        return run
    steps = [int(found[1]) for name in names if (found := _STEP.fullmatch(name))]
    reached = run.reached.model_copy(update={"checkpoint": max(steps, default=None)})
    return run.model_copy(update={"reached": reached})


def missing(run: RunRecord, names: frozenset[str] | None) -> str:
    """That the newest checkpoint of a run is not there any more, in words; else empty."""
    step = run.reached.checkpoint if run.reached is not None else None
    if names is None or step is None or run.kind != "train" or f"checkpoint-{step}" in names:
        return ""
    return f"the checkpoint of step {step} is not there any more"
