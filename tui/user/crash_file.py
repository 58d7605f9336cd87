"""Reports of unexpected errors, appended to one file.

A report is a traceback without the values of variables, the command's arguments or its environment: any of
them may hold secrets.
"""

from __future__ import annotations

import sys
import tempfile
import time
import traceback
from pathlib import Path

from tui.private_files import make_private

NAME = "crash.txt"
_MOST_BYTES = 1_000_000  # the file is overwritten once it is larger


def crash_file(folder: Path | None) -> Path:
    """The file in the app's folder, or among temporary files where there is none."""
    return (folder or Path(tempfile.gettempdir()) / "vfm") / NAME


def append_crash(path: Path, error: BaseException, activity: str = "") -> None:
    """Append a report. Raises `OSError`."""
    make_private(path.parent)
    full = path.exists() and path.stat().st_size > _MOST_BYTES
    head = f"{time.strftime('%Y-%m-%d %H:%M:%S')} · Python {sys.version.split()[0]} · {activity}"
    with path.open("w" if full else "a", encoding="utf-8", errors="backslashreplace") as file:
        file.write(f"{head}\n{''.join(traceback.format_exception(error))}\n")
