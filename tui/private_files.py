"""Files and folders that only this user may read. Everything here blocks and raises `OSError`."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def make_private(folder: Path) -> None:
    """Create a folder and missing ones above it, for this user alone; existing ones keep their mode."""
    for path in reversed((folder, *folder.parents)):
        if not path.exists():
            path.mkdir(mode=0o700, exist_ok=True)
    folder.mkdir(exist_ok=True)  # names a file that stands in its place


def write_private(path: Path, text: str) -> None:
    """Write a file that a reader sees whole, old or new, whoever else writes it."""
    make_private(path.parent)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
