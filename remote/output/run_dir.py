"""Read and write the files of a run directory atomically, and turn errors of writing into failures."""

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
"""Variable with the name of the outputs volume, in a container on Modal."""
TEMPORARY = ".tmp"
_TEMPORARY = re.compile(rf"\..+\.[a-z0-9_]{{8}}{re.escape(TEMPORARY)}")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def write_atomic(path: Path, text: str) -> None:
    """Replace a file, so that readers see the old or the new text and never a part, even after a power cut.

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
    """fsync a file or a folder. Raises `OSError`."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # not every file system supports it
            raise
    finally:
        os.close(fd)


def sync_tree(folder: Path) -> None:
    """fsync a folder and everything in it. Raises `OSError`."""
    for path in (*folder.rglob("*"), folder):
        if path.is_file() or path.is_dir():
            sync(path)


def is_temporary(path: Path) -> bool:
    """Whether a file is an unfinished one of `write_atomic`."""
    return _TEMPORARY.fullmatch(path.name) is not None


def remove_temporaries(run_dir: Path) -> None:
    """Remove the unfinished files of killed processes, in the folders where `write_atomic` writes."""
    folders = (run_dir, *(run_dir / name for name in (layout.SCRIPT, layout.EVALUATION, layout.CHECKPOINTS)))
    for folder in (*folders, *(run_dir / layout.CHECKPOINTS).glob("*/")):
        for file in folder.glob(f".*{TEMPORARY}"):
            if is_temporary(file):
                file.unlink(missing_ok=True)


def is_disk_full(error: BaseException) -> bool:
    """Whether the disk is full, by an error's number or the messages of safetensors and torch."""
    message = str(error)
    by_message = "No space left on device" in message or (
        "inline_container" in message and "unexpected pos" in message
    )
    return getattr(error, "errno", None) in _FULL or by_message


def is_disk_full_behind(error: BaseException | None) -> bool:
    """Whether an error, or one in its chain of causes, means that the disk is full."""
    while error is not None:
        if isinstance(error, DiskError) or is_disk_full(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def disk_error(error: BaseException, where: Path | str) -> DiskError:
    """The failure for an error while writing `where`."""
    full = is_disk_full(error)
    reason = "the disk is full" if full else getattr(error, "strerror", None) or str(error)
    hint = _when_full() if full else _HINTS.get(getattr(error, "errno", None) or 0, _OTHER_HINT)
    return DiskError(f"cannot write {where}: {reason}", cause=str(error), hint=Hint(hint))


def _when_full() -> str:
    volume = os.environ.get(VOLUME)
    if volume is None:
        return "free some space, or move VFM_HOME to a disk that has it"
    return (
        f"the volume {volume} is full: delete runs that are not needed (vfm rm {volume}:runs/RUN), or use a "
        "new one by setting another EXPERIMENT_NAME"
    )


_OTHER_HINT = "check that path, or move VFM_HOME to another disk"
_GONE, _DENIED, _IN_THE_WAY = (
    "a folder of this path is missing: was it deleted or moved while it was in use?",
    "check who owns it and may write it (ls -ld), or move VFM_HOME",
    "a file stands where a folder is needed: remove it, or move VFM_HOME",
)
_HINTS = {
    errno.ENOENT: _GONE,
    errno.ESTALE: _GONE,
    errno.EACCES: _DENIED,
    errno.EPERM: _DENIED,
    errno.EROFS: "the disk is read-only: move VFM_HOME to another one",
    errno.ENOTDIR: _IN_THE_WAY,
    errno.EEXIST: _IN_THE_WAY,
    errno.EISDIR: "a folder stands where a file is needed: remove it, or move VFM_HOME",
}
"""errno → what to do about it."""


def as_disk_error(error: VfmError | OSError, where: Path) -> VfmError:
    """An `OSError` as a failure; a `VfmError` as it is."""
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
        """Write the resolved config with the origin of its values."""
        spec = request.model_dump(mode="json", include={"spec", "provenance", "config_path"})
        self.write_json(layout.SPEC, shown_value("", spec))

    def write_request(self, request: LaunchRequest) -> None:
        """Write the request.

        Nothing in it is redacted, since the worker needs its values; the plan ensures that it holds no
        secret.
        """
        write_atomic(self.path / layout.REQUEST, to_portable_json(request.model_dump(mode="json")) + "\n")

    def write_json(self, name: str, data: Any) -> None:
        """Write a JSON file of the run directory, without secrets."""
        write_atomic(self.path / name, to_json(redact.data(data), indent=2) + "\n")

    def record(self) -> RunRecord:
        """Read the record. Raises `OSError`, `ValueError`."""
        return RunRecord.model_validate_json(read_plain(self.path / layout.RECORD))

    def write_record(self, record: RunRecord) -> RunRecord:
        """Write the record, with secrets removed from its failure, the only field with text of others."""
        safe = record.model_copy(update={"failure": redact.data(record.failure)})
        write_atomic(self.path / layout.RECORD, to_portable_json(safe.model_dump(mode="json")) + "\n")
        return record

    def request(self) -> LaunchRequest:
        """Read the request. Raises `OSError`, `ValueError`."""
        return LaunchRequest.model_validate_json(read_plain(self.path / layout.REQUEST))
