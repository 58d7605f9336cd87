"""Downloads and uploads, one line each: progress, speed, time left; keys pause, cancel and retry them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message

from tui.backends.destination import Occupied
from tui.services.transfers import Job, Transfers
from tui.text.format import duration, fit, one_line, plain, size
from tui.widgets.common.row_list import RowList, moving
from tui.widgets.runs.columns import middle

SIGNS = {"waiting": "○", "running": "●", "paused": "‖", "done": "✓", "failed": "✗", "cancelled": "■"}
_WIDE = 100
"""Columns from which names, bars and states have their full width."""
_ROWS, _FEW = 6, 3
"""Visible jobs, on a tall and on a short terminal."""


class TransfersPanel(RowList):
    """The transfers; hidden if there are none."""

    HEADER = 0
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "rows--bar",
        "rows--rest",
        "rows--done",
        "rows--failed",
        "rows--running",
        "rows--paused",
    }
    DEFAULT_CSS = """
    TransfersPanel { height: auto; }
    TransfersPanel .rows--bar { color: $primary; }
    TransfersPanel .rows--rest { color: $text-disabled; }
    TransfersPanel .rows--done { color: $success; }
    TransfersPanel .rows--failed { color: $error; }
    TransfersPanel .rows--running { color: $primary; }
    TransfersPanel .rows--paused { color: $warning; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p,space", "pause", "Pause / resume", id="jobs.pause"),
        Binding("c", "cancel", "Cancel", id="jobs.cancel"),
        Binding("r", "retry", "Try again", id="jobs.retry"),
        Binding("x,delete", "clear", "Clear what is over", id="jobs.clear"),
        *moving("jobs", "transfer"),
    ]

    @dataclass
    class Wanted(Message):
        """Pause, resume or cancel a job."""

        job: Job
        what: str

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._transfers: Transfers | None = None

    @property
    def jobs(self) -> list[Job]:
        """The jobs, the newest first."""
        return self._transfers.jobs[::-1] if self._transfers else []

    @property
    def count(self) -> int:
        """Number of jobs."""
        return len(self.jobs)

    @property
    def job(self) -> Job | None:
        """The job under the cursor."""
        return self.jobs[self.cursor] if self.cursor < len(self.jobs) else None

    def show(self, transfers: Transfers) -> None:
        """Show the jobs."""
        self._transfers = transfers
        count = len(self.jobs)
        self.styles.height = min(max(count, 1), _FEW if self.screen.has_class("-short") else _ROWS)
        self.virtual_size = Size(0, count)
        self.cursor = max(0, min(self.cursor, count - 1))
        self.refresh()
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only what can be done to the job under the cursor."""
        job = self.job
        if action == "pause":
            return job is not None and not job.over
        if action == "cancel":
            return job is not None and not job.over
        if action == "retry":
            return job is not None and job.state in ("failed", "cancelled")
        if action == "clear":
            return any(job.over for job in self.jobs)
        return True

    def watch_cursor(self, before: int, now: int) -> None:
        """Offer the keys for another job."""
        super().watch_cursor(before, now)
        self.refresh_bindings()

    def action_pause(self) -> None:
        """Pause, or go on."""
        if self.job is not None:
            self.post_message(self.Wanted(self.job, "resume" if self.job.state == "paused" else "pause"))

    def action_cancel(self) -> None:
        """Cancel; what was copied stays."""
        if self.job is not None:
            self.post_message(self.Wanted(self.job, "cancel"))

    def action_retry(self) -> None:
        """Start again, from where it stopped."""
        if self.job is not None:
            self.post_message(self.Wanted(self.job, "resume"))

    def action_clear(self) -> None:
        """Remove finished jobs from the list."""
        if self._transfers is not None:
            self._transfers.clear()

    def clicked(self, x: int, twice: bool) -> None:
        """A double click pauses or resumes."""
        if twice and self.check_action("pause", ()):
            self.action_pause()

    def draw_row(self, at: int, width: int) -> list[Segment]:
        """The line of a job."""
        job = self.jobs[at]
        look = self.look("quiet" if job.state in ("waiting", "cancelled") else job.state)
        name, cells = (28, 16) if width >= _WIDE else (18, 10)
        full = round(job.fraction * cells)
        parts = [
            Segment(f" {'↓' if job.direction == 'download' else '↑'} "),
            Segment(f"{middle(job.name, name)} "),
            Segment("━" * full, self.look("done" if job.state == "done" else "bar")),
            Segment("─" * (cells - full), self.look("rest")),
            Segment(f" {job.fraction:4.0%}  "),
            Segment(f"{SIGNS[job.state]} {job.state:<9}" if width >= _WIDE else SIGNS[job.state], look),
        ]
        used = sum(cell_len(part.text) for part in parts)
        unsaid = width < _WIDE and job.state in ("waiting", "paused", "cancelled")
        text = " · ".join(filter(None, [job.state if unsaid else "", _details(job)]))
        details = Segment(
            f" {fit(text, max(width - used - 1, 0))}", look if job.error else self.look("quiet")
        )
        return [*parts, details]


def _details(job: Job) -> str:
    """Details of a job, by its state."""
    if isinstance(job.error, Occupied):
        return plain(f"{job.error.message} · try again to replace what differs")
    if job.error:
        return plain(one_line(job.error))
    much = f"{size(job.done)} of {size(job.total)}" if job.total else ""
    if job.state == "done":
        return " · ".join([size(job.done), *job.notes, plain(job.where)])
    parts = [much]
    if job.speed is not None:
        parts.append(f"{size(job.speed)}/s")
    if job.eta is not None:
        parts.append(f"{duration(job.eta)} left")
    parts.append(plain(job.current.rpartition("/")[2]) if job.state == "running" else "")
    return " · ".join(filter(None, parts))
