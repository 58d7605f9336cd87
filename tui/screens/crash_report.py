"""Unexpected errors: a notification, a report in a file, and the app goes on.

Errors that a user can act on (`VfmError`) are handled where they are caught.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from textual.app import App
from textual.worker import Worker, WorkerState
from textual.worker_manager import WorkerManager

from remote.contract.errors import VfmError
from tui.text.format import plain
from tui.user.crash_file import append_crash, crash_file

_MOST_REPORTS = 20  # of one session: an error in a timer may come ten times a second


class CrashReporter:
    """Reports each unexpected error of a session once."""

    def __init__(self, folder: Path | None, notify: Callable[[str], None]) -> None:
        self.path = crash_file(folder)
        """File that reports are appended to."""
        self._notify = notify
        self._seen: set[str] = set()

    def report(self, error: BaseException, activity: str = "") -> None:
        """Write a report and notify; errors of one kind from one place are reported once."""
        text = self.write(error, activity)
        if text is not None:
            self._notify(text)

    def write(self, error: BaseException, activity: str = "") -> str | None:
        """Write a report; returns the text of the notification, or None for a repeated error."""
        place = traceback.extract_tb(error.__traceback__)[-1:]
        key = f"{type(error).__name__} {place}"
        if key in self._seen or len(self._seen) >= _MOST_REPORTS:
            return None
        self._seen.add(key)
        summary = plain(f"{type(error).__name__}: {error}".splitlines()[0])
        try:
            append_crash(self.path, error, activity)
            report = f"the report is in {self.path}"
        except OSError as refused:
            report = f"and no report could be written ({refused.strerror or refused})"
        return f"an unexpected error{f' ({activity})' if activity else ''}: {summary} · {report}"


class ReportingWorkerManager(WorkerManager):
    """A WorkerManager that reports uncaught worker exceptions, which Textual would drop."""

    def __init__(self, app: App[Any], reporter: CrashReporter) -> None:
        super().__init__(app)
        self._reporter = reporter

    def add_worker(self, worker: Worker[Any], start: bool = True, exclusive: bool = True) -> None:
        """Add a worker whose exception is reported when it ends."""
        super().add_worker(worker, start, exclusive)
        if worker._task is not None:
            worker._task.add_done_callback(lambda _: self._ended(worker))

    def _ended(self, worker: Worker[Any]) -> None:
        error = worker.error
        if error is None or isinstance(error, VfmError) or worker.exit_on_error:
            return
        if worker.state is WorkerState.ERROR:
            self._reporter.report(error, worker.description)
