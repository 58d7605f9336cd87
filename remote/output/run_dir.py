"""A run directory on disk: its record, spec and request, each written whole or not at all.

Owns reading and writing those files where the run runs. Where files lie is `contract/layout`'s;
events and log lines are `emit`'s.
"""

from __future__ import annotations

import errno
import os
import re
import tempfile
from pathlib import Path
from typing import Any

from remote.contract import layout
from remote.contract.errors import DiskError, Hint, VfmError
from remote.contract.json_text import to_json, to_portable_json
from remote.contract.plain_files import read_plain
from remote.contract.record import LaunchRequest, RunRecord
from remote.contract.redaction import shown_value
from remote.output import redact

VOLUME = "VFM_VOLUME"
"""Names the outputs volume to what runs in a container of Modal's."""
TEMPORARY = ".tmp"
_TEMPORARY = re.compile(rf"\..+\.[a-z0-9_]{{8}}{re.escape(TEMPORARY)}")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def write_atomic(path: Path, text: str) -> None:
    """Write a file that a reader sees whole: old or new, never half, not even after a power cut.

    Raises `DiskError`.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=TEMPORARY)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        sync(path.parent)
    except OSError as error:
        raise disk_error(error, path) from error


def sync(path: Path) -> None:
    """Have the bytes of a file, or the names in a folder, on the disk itself. Raises `OSError`."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # a file system that cannot is not waited for
            raise
    finally:
        os.close(fd)


def sync_tree(folder: Path) -> None:
    """The same for a folder and all that it holds."""
    for path in (*folder.rglob("*"), folder):
        if path.is_file() or path.is_dir():
            sync(path)


def is_temporary(path: Path) -> bool:
    """Whether a file is one that `write_atomic` had not finished."""
    return _TEMPORARY.fullmatch(path.name) is not None


def remove_temporaries(run_dir: Path) -> None:
    """Remove what writers that were killed left behind, in the folders where `write_atomic` writes."""
    folders = (run_dir, *(run_dir / name for name in (layout.SCRIPT, layout.EVALUATION, layout.CHECKPOINTS)))
    for folder in (*folders, *(run_dir / layout.CHECKPOINTS).glob("*/")):
        for file in folder.glob(f".*{TEMPORARY}"):
            if is_temporary(file):
                file.unlink(missing_ok=True)


def is_disk_full(error: BaseException) -> bool:
    """Whether an error means that there is no room.

    safetensors, in Rust, says so in words alone, and torch's writer that its file is too short.
    """
    said = str(error)
    in_words = "No space left on device" in said or ("inline_container" in said and "unexpected pos" in said)
    return getattr(error, "errno", None) in _FULL or in_words


def is_disk_full_behind(error: BaseException | None) -> bool:
    """Whether there is no room, by an error or by one that it was raised for."""
    while error is not None:
        if isinstance(error, DiskError) or is_disk_full(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def disk_error(error: BaseException, where: Path | str) -> DiskError:
    """The failure that an error of writing there stands for."""
    full = is_disk_full(error)
    what = "the disk is full" if full else getattr(error, "strerror", None) or str(error)
    hint = _when_full() if full else _HINTS.get(getattr(error, "errno", None) or 0, _OTHER_HINT)
    return DiskError(f"cannot write {where}: {what}", cause=str(error), hint=Hint(hint))


def _when_full() -> str:
    volume = os.environ.get(VOLUME)
    if volume is None:
        return "free some space, or move VFM_HOME to a disk that has it"
    return (
        f"the volume {volume} takes no more: delete runs that are not needed (vfm rm {volume}:runs/RUN), or "
        "take a new one by another EXPERIMENT_NAME"
    )


_OTHER_HINT = "look at that path, or move VFM_HOME to another disk"
_GONE, _DENIED, _IN_THE_WAY = (
    "a folder on the way is gone: was it deleted or moved while it was in use?",
    "see whose it is and whether it may be written (ls -ld), or move VFM_HOME",
    "something that is no folder stands where one is needed: remove it, or move VFM_HOME",
)
_HINTS = {
    errno.ENOENT: _GONE,
    errno.ESTALE: _GONE,
    errno.EACCES: _DENIED,
    errno.EPERM: _DENIED,
    errno.EROFS: "the disk is read-only: move VFM_HOME to one that is not",
    errno.ENOTDIR: _IN_THE_WAY,
    errno.EEXIST: _IN_THE_WAY,
    errno.EISDIR: "a folder stands where a file is needed: remove it, or move VFM_HOME",
}
"""What to do about an error of writing, by its number."""


def as_disk_error(error: VfmError | OSError, where: Path) -> VfmError:
    """An error of the file system as a failure; one that is a failure already, as it is."""
    return error if isinstance(error, VfmError) else disk_error(error, error.filename or where)


class RunDir:
    """The directory of one run: `runs/<id>/` in its outputs volume."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def create(self, request: LaunchRequest) -> RunRecord:
        """Write request, resolved spec with provenance, and the first record."""
        record = RunRecord.of(request)
        self.path.mkdir(parents=True, exist_ok=True)
        for folder in (layout.LOGS, layout.ROLLOUTS, layout.CHECKPOINTS):
            (self.path / folder).mkdir(exist_ok=True)
        self.write_spec(request)
        self.write_request(request)
        self.write_record(record)
        return record

    def write_spec(self, request: LaunchRequest) -> None:
        """The resolved config, and where its values come from."""
        spec = request.model_dump(mode="json", include={"spec", "provenance", "config_path"})
        self.write_json(layout.SPEC, shown_value("", spec))

    def write_request(self, request: LaunchRequest) -> None:
        """What was asked for, with the paths that it has where the run runs.

        Nothing in it is redacted, since the worker obeys it: the plan sees to it that it holds no secret.
        """
        write_atomic(self.path / layout.REQUEST, to_portable_json(request.model_dump(mode="json")) + "\n")

    def write_json(self, name: str, data: Any) -> None:
        """One JSON file of the run directory, without secrets."""
        write_atomic(self.path / name, to_json(redact.data(data), indent=2) + "\n")

    def record(self) -> RunRecord:
        """The record as it stands."""
        return RunRecord.model_validate_json(read_plain(self.path / layout.RECORD))

    def write_record(self, record: RunRecord) -> RunRecord:
        """Replace the record. Of its fields the failure alone repeats what others have said."""
        safe = record.model_copy(update={"failure": redact.data(record.failure)})
        write_atomic(self.path / layout.RECORD, to_portable_json(safe.model_dump(mode="json")) + "\n")
        return record

    def request(self) -> LaunchRequest:
        """What was asked for."""
        return LaunchRequest.model_validate_json(read_plain(self.path / layout.REQUEST))
