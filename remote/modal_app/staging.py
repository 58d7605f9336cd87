"""The staged copy of a run on Modal: a run directory on the user's machine, and its upload to the volume.

Its record also has the launcher's identifiers, which are left out of the uploaded one.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from remote.contract import layout
from remote.contract.json_text import to_portable_json
from remote.contract.record import LaunchRequest, RunRecord
from remote.output.run_dir import RunDir

FOLDER = "modal"
"""Folder of VFM_HOME for staged and cached files of runs on Modal."""
KNOWN_ON_MODAL = ("app", "page", "call")
"""Identifiers that are valid beyond this machine."""
_WHEELS = "environment"  # in the run directory


def staged(home: Path, request: LaunchRequest) -> RunDir:
    """The run directory in which a run is staged."""
    return RunDir(home / FOLDER / request.outputs / layout.run_path(request.run_id))


def wheel_of(request: LaunchRequest) -> Path | None:
    """The wheel on this machine that holds the run's environment; None: it comes from elsewhere."""
    path = Path(request.environment_source)
    return path if path.is_absolute() else None


def staged_source(request: LaunchRequest) -> str:
    """The environment's source in a container, where a wheel lies in the run directory."""
    wheel = wheel_of(request)
    return f"{_WHEELS}/{wheel.name}" if wheel else request.environment_source


def put_wheel(wheel: Path, run_dir: RunDir, request: LaunchRequest) -> None:
    """Copy the wheel to the path of `staged_source`."""
    place = run_dir.path / request.environment_source
    place.parent.mkdir(exist_ok=True)
    shutil.copyfile(wheel, place)


def known_on_modal(record: RunRecord) -> RunRecord:
    """The record without the launcher's identifiers."""
    identifiers = {name: value for name, value in record.identifiers.items() if name in KNOWN_ON_MODAL}
    return record.model_copy(update={"identifiers": identifiers})


async def upload(volume: Any, run_dir: RunDir, *names: str) -> None:
    """Upload files of a staged run to its volume (a `modal.Volume`). Raises `BackendError`."""
    from remote.modal_app import client  # takes a second

    folder = layout.run_path(run_dir.path.name)
    files = {str(folder / name): (run_dir.path / name).read_bytes() for name in names}
    if layout.RECORD in names:
        record = known_on_modal(run_dir.record())
        files[str(folder / layout.RECORD)] = to_portable_json(record.model_dump(mode="json")).encode() + b"\n"
    await client.put(volume, files)
