"""A run's temporary folders: one on the temporary disk for all its processes, one in memory for weights.

Owns where they lie. Their name follows from the run directory alone, so whoever is left of a run can remove
them: processes that are killed cannot. Sockets are made in there, whose paths have at most 107 bytes.
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
"""Characters of a temporary directory's path that leave room for a socket's name."""
MEMORY = Path("/dev/shm")
ROOMY = 8 << 30
"""Bytes that are free in memory where weights are written there."""


def variables(run_dir: Path) -> dict[str, str]:
    """What a run's processes are started with, so that they keep their temporary files to themselves.

    Empty where the folder cannot be made, or somebody else's lies there. Compiled kernels are shared with
    other runs all the same.
    """
    base = str(_base(run_dir))
    folder = _made(folder_in(Path(base if len(base) <= LONGEST_BASE else "/tmp"), run_dir))
    if folder is None:
        return {}
    kernels = os.environ.get("TORCHINDUCTOR_CACHE_DIR") or f"{base}/torchinductor_{_user()}"
    return {"TMPDIR": str(folder), "TORCHINDUCTOR_CACHE_DIR": kernels}


def for_weights(run_dir: Path) -> Path | None:
    """A folder in memory for weights on their way to the server; None where there is too little room."""
    if not MEMORY.is_dir() or shutil.disk_usage(MEMORY).free <= ROOMY:
        return None
    return _made(folder_in(MEMORY, run_dir))


def remove(run_dir: Path, patience: float = 10.0) -> None:
    """Remove what is left of the folders; processes that are still ending have so many seconds for it."""
    deadline = time.monotonic() + patience
    for base in {_base(run_dir), Path("/tmp"), MEMORY}:
        folder = folder_in(base, run_dir)
        while _is_ours(folder):
            shutil.rmtree(folder, ignore_errors=True)
            if not _is_ours(folder) or time.monotonic() >= deadline:
                break
            time.sleep(0.05)


def folder_in(base: Path, run_dir: Path) -> Path:
    """Where a run's folder lies in a temporary directory, if there is one."""
    digest = hashlib.sha256(str(run_dir.resolve()).encode(errors="surrogateescape")).hexdigest()
    return base / f"vfm-{digest[:12]}"


def _base(run_dir: Path) -> Path:
    """The temporary directory, also for a process of the run's, to which the run's own folder is that."""
    here = Path(tempfile.gettempdir())
    return here.parent if here.name == folder_in(here, run_dir).name else here


def _made(folder: Path) -> Path | None:
    with suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        if _is_ours(folder):
            folder.chmod(0o700)
            return folder
    return None


def _is_ours(folder: Path) -> bool:
    """Whether it is a folder of this user's, and no link: anybody may write beside it."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return str(os.geteuid())
