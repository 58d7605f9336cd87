"""A run's temporary folders: one on the temporary disk for all its processes, one in memory for weights.

Their names follow from the run directory, so that any process of the run can remove them, since killed ones
cannot. They hold sockets, whose paths may have at most 107 bytes.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import shutil
import stat
import tempfile
import time
from contextlib import suppress
from pathlib import Path

LONGEST_BASE = 40
"""Maximum length of the temporary directory's path, which leaves room for a socket's name."""
MEMORY = Path("/dev/shm")
ROOMY = 8 << 30
"""Bytes that must be free in memory for weights to be written there."""


def variables(run_dir: Path) -> dict[str, str]:
    """Environment variables that put the temporary files of a run's processes into its own folder.

    Empty where the folder cannot be created, or belongs to another user. Compiled kernels are still shared
    with other runs.
    """
    base = str(_base(run_dir))
    folder = _created(folder_in(Path(base if len(base) <= LONGEST_BASE else "/tmp"), run_dir))
    if folder is None:
        return {}
    kernels = os.environ.get("TORCHINDUCTOR_CACHE_DIR") or f"{base}/torchinductor_{_user()}"
    return {"TMPDIR": str(folder), "TORCHINDUCTOR_CACHE_DIR": kernels}


def for_weights(run_dir: Path) -> Path | None:
    """A folder in memory for weights that are sent to the server; None where there is too little memory."""
    if not MEMORY.is_dir() or shutil.disk_usage(MEMORY).free <= ROOMY:
        return None
    return _created(folder_in(MEMORY, run_dir))


def remove(run_dir: Path, patience: float = 10.0) -> None:
    """Remove the folders. Processes that are still ending may write there for `patience` seconds."""
    deadline = time.monotonic() + patience
    for base in {_base(run_dir), Path("/tmp"), MEMORY}:
        folder = folder_in(base, run_dir)
        while _is_ours(folder):
            shutil.rmtree(folder, ignore_errors=True)
            if not _is_ours(folder) or time.monotonic() >= deadline:
                break
            time.sleep(0.05)


def folder_in(base: Path, run_dir: Path) -> Path:
    """Path of a run's folder in a temporary directory, whether it exists or not."""
    digest = hashlib.sha256(str(run_dir.resolve()).encode(errors="surrogateescape")).hexdigest()
    return base / f"vfm-{digest[:12]}"


def _base(run_dir: Path) -> Path:
    """The temporary directory; for the run's own processes, the parent of theirs."""
    temporary = Path(tempfile.gettempdir())
    return temporary.parent if temporary.name == folder_in(temporary, run_dir).name else temporary


def _created(folder: Path) -> Path | None:
    with suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        if _is_ours(folder):
            folder.chmod(0o700)
            return folder
    return None


def _is_ours(folder: Path) -> bool:
    """Whether it is a folder of this user, and not a link, since other users may create entries there."""
    try:
        status = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return str(os.geteuid())
