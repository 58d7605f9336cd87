"""What becomes of an error that nobody foresaw: a toast, a report in a file, and the app goes on.

Owns the report, and telling each error once. Errors that a user can act on (`VfmError`) are told by
whoever catches them.
"""

from __future__ import annotations

import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from textual.app import App
from textual.worker import Worker, WorkerState
from textual.worker_manager import WorkerManager

from tui.settings import make_private
from tui.text.format import plain

NAME = "crash.txt"
_FULL = 1_000_000  # bytes after which the file is begun anew
_MOST = 20  # reports of one session: an error in a timer comes ten times a second


class Unexpected:
    """The errors of one session."""

    def __init__(self, folder: Path | None, toast: Callable[[str], None]) -> None:
        self.path = (folder or Path(tempfile.gettempdir()) / "vfm") / NAME
        """Where reports go."""
        self._toast = toast
        self._seen: set[str] = set()

    def tell(self, error: BaseException, doing: str = "") -> None:
        """A toast and a report; the same error from the same place is told once."""
        text = self.write(error, doing)
        if text is not None:
            self._toast(text)

    def write(self, error: BaseException, doing: str = "") -> str | None:
        """Report to the file; returns what to say, or None where it was said before."""
        where = traceback.extract_tb(error.__traceback__)[-1:]
        name = f"{type(error).__name__} {where}"
        if name in self._seen or len(self._seen) >= _MOST:
            return None
        self._seen.add(name)
        what = plain(f"{type(error).__name__}: {error}".splitlines()[0])
        try:
            self._append(error, doing)
            report = f"the report is in {self.path}"
        except OSError as refused:
            report = f"and no report could be written ({refused.strerror or refused})"
        return f"something unexpected went wrong{f' ({doing})' if doing else ''}: {what} · {report}"

    def _append(self, error: BaseException, doing: str) -> None:
        """A traceback without the values of variables, which may be secrets."""
        path = self.path
        make_private(path.parent)
        full = path.exists() and path.stat().st_size > _FULL
        text = "".join(traceback.format_exception(error))
        with path.open("w" if full else "a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(
                f"{time.strftime('%Y-%m-%d %H:%M:%S')} · Python {sys.version.split()[0]} · {doing}\n{text}\n"
            )


class ToldWorkers(WorkerManager):
    """Workers whose unforeseen errors are told; without this nobody would hear of them."""

    def __init__(self, app: App[None], unexpected: Unexpected) -> None:
        super().__init__(app)
        self._unexpected = unexpected

    def add_worker(self, worker: Worker[Any], start: bool = True, exclusive: bool = True) -> None:
        """Look at how it ended."""
        super().add_worker(worker, start, exclusive)
        if worker._task is not None:
            worker._task.add_done_callback(lambda _: self._ended(worker))

    def _ended(self, worker: Worker[Any]) -> None:
        from remote.contract.errors import VfmError

        foreseen = worker.error is None or isinstance(worker.error, VfmError)
        if worker.state is WorkerState.ERROR and not worker.exit_on_error and not foreseen:
            assert worker.error is not None
            self._unexpected.tell(worker.error, worker.description)
