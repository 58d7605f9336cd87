"""Write a new project: copies of the files that a checkout has at its top, whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from remote.contract.errors import ConfigError, DiskError, Hint
from tui.settings import PACKAGES

FILES = (".env.example", "configs", "environments", "examples", "run_modal.py")
"""What makes a project. The wheel has them as package data, by `force-include` in pyproject.toml."""
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", "*.egg-info", "build", "dist", ".*_cache")


def write_project(folder: Path) -> list[str]:
    """Write a project into a folder, which is made where it is missing; returns the names that were written.

    Raises `ConfigError` where one of them is there already, and `DiskError`; then nothing was written.
    """
    if there := [name for name in FILES if os.path.lexists(folder / name)]:
        raise ConfigError(
            f"{folder} has {' and '.join(there)} already, and nothing was written",
            hint=Hint("name another folder, or move them out of the way"),
        )
    new = not folder.exists()
    moved: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".vfm-init-", dir=folder) as scratch:
            for name in FILES:
                _copy(_source() / name, Path(scratch, name))
            for name in FILES:
                os.rename(Path(scratch, name), folder / name)
                moved.append(folder / name)
    except OSError as error:
        for path in moved:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        if new:
            with suppress(OSError):
                folder.rmdir()
        where = error.filename or folder
        raise DiskError(f"no project could be written into {folder}: {error.strerror} ({where})") from error
    return list(FILES)


def _source() -> Path:
    """Where the files lie: in the package where it was installed, else at the top of the checkout."""
    packed = PACKAGES / "tui" / "project_files"
    return packed if packed.is_dir() else PACKAGES


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=_LEFT_OUT)
    else:
        shutil.copyfile(source, target)
