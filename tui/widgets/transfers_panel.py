"""Downloads and uploads, a line each: how far, how fast, how much longer.

Owns how a job looks and which keys change it. The jobs are `tui/transfers.py`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.events import Click
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.transfers import Job, Transfers
from tui.widgets.run_columns import fit, middle
from tui.words import duration, escape_controls, plain, size

SIGNS = {"waiting": "○", "running": "●", "paused": "‖", "done": "✓", "failed": "✗", "cancelled": "■"}
_WIDE = 100
"""Columns from which names, bars and states are shown in full."""
_ROWS, _FEW = 6, 3
"""Jobs that are seen at once, on a tall and on a short terminal."""


class TransfersPanel(ScrollView, can_focus=True):
    """The jobs; hidden where there are none."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "jobs--cursor",
        "jobs--bar",
        "jobs--rest",
        "jobs--quiet",
        "jobs--done",
        "jobs--failed",
        "jobs--running",
        "jobs--paused",
    }
    DEFAULT_CSS = """
    TransfersPanel { height: auto; background: $background; scrollbar-size-vertical: 1; overflow-x: hidden; }
    TransfersPanel .jobs--cursor { background: $panel; }
    TransfersPanel:focus .jobs--cursor { background: $primary-muted; }
    TransfersPanel:ansi .jobs--cursor { background: ansi_default; text-style: underline; }
    TransfersPanel:ansi:focus .jobs--cursor { background: ansi_default; text-style: reverse; }
    TransfersPanel .jobs--bar { color: $primary; }
    TransfersPanel .jobs--rest { color: $text-disabled; }
    TransfersPanel .jobs--quiet { color: $text-muted; }
    TransfersPanel .jobs--done { color: $success; }
    TransfersPanel .jobs--failed { color: $error; }
    TransfersPanel .jobs--running { color: $primary; }
    TransfersPanel .jobs--paused { color: $warning; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p,space", "pause", "Pause / go on", id="jobs.pause"),
        Binding("c", "cancel", "Cancel", id="jobs.cancel"),
        Binding("r", "retry", "Try again", id="jobs.retry"),
        Binding("x,delete", "clear", "Clear what is over", id="jobs.clear"),
        Binding("down,j", "move(1)", "Down", show=False, id="jobs.down"),
        Binding("up,k", "move(-1)", "Up", show=False, id="jobs.up"),
    ]

    cursor = reactive(0, init=False)

    @dataclass
    class Wanted(Message):
        """A job should be paused, resumed or cancelled: off the message queue, since it may take a moment."""

        job: Job
        what: str

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._transfers: Transfers | None = None

    @property
    def jobs(self) -> list[Job]:
        """What is shown, the newest first."""
        return self._transfers.jobs[::-1] if self._transfers else []

    @property
    def job(self) -> Job | None:
        """The job under the cursor."""
        return self.jobs[self.cursor] if self.cursor < len(self.jobs) else None

    def show(self, transfers: Transfers) -> None:
        """There is news of the jobs."""
        self._transfers = transfers
        count = len(self.jobs)
        self.styles.height = min(max(count, 1), _FEW if self.screen.has_class("-short") else _ROWS)
        self.virtual_size = Size(0, count)
        self.cursor = max(0, min(self.cursor, count - 1))
        self.refresh()
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys that can do nothing to this job are not offered."""
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

    def watch_cursor(self) -> None:
        """What is under the cursor stands out."""
        self.refresh()
        self.refresh_bindings()

    def action_move(self, by: int) -> None:
        """To another job."""
        self.cursor = max(0, min(self.cursor + by, len(self.jobs) - 1))
        top, height = self.scroll_offset.y, self.scrollable_content_region.height
        if not top <= self.cursor < top + height:
            self.scroll_to(y=self.cursor - (height - 1 if by > 0 else 0), animate=False, immediate=True)

    def action_pause(self) -> None:
        """Stop for a while, or go on."""
        if self.job is not None:
            self.post_message(self.Wanted(self.job, "resume" if self.job.state == "paused" else "pause"))

    def action_cancel(self) -> None:
        """Give it up; what has arrived stays."""
        if self.job is not None:
            self.post_message(self.Wanted(self.job, "cancel"))

    def action_retry(self) -> None:
        """Once more, from where it broke off."""
        if self.job is not None:
            self.post_message(self.Wanted(self.job, "resume"))

    def action_clear(self) -> None:
        """Forget what is over."""
        if self._transfers is not None:
            self._transfers.clear()

    def on_click(self, event: Click) -> None:
        """A click puts the cursor; a second one pauses or goes on."""
        at = self.scroll_offset.y + event.y
        if at < len(self.jobs):
            self.cursor = at
            if event.chain == 2 and self.check_action("pause", ()):
                self.action_pause()

    def render_line(self, y: int) -> Strip:
        """A job."""
        width, at = self.scrollable_content_region.width, self.scroll_offset.y + y
        if at >= len(self.jobs):
            return Strip.blank(width, self.rich_style)
        style = self.rich_style
        if at == self.cursor:
            style += self._look("cursor")
        return Strip(self._draw(self.jobs[at], width)).adjust_cell_length(width).apply_style(style)

    def _draw(self, job: Job, width: int) -> list[Segment]:
        known = f"jobs--{job.state}" in self.COMPONENT_CLASSES
        look = self._look(job.state if known else "quiet")
        name, cells = (28, 16) if width >= _WIDE else (18, 10)
        full = round(job.fraction * cells)
        parts = [
            Segment(f" {'↓' if job.direction == 'download' else '↑'} "),
            Segment(f"{middle(escape_controls(job.name), name)} "),
            Segment("━" * full, self._look("done" if job.state == "done" else "bar")),
            Segment("─" * (cells - full), self._look("rest")),
            Segment(f" {job.fraction:4.0%}  "),
            Segment(f"{SIGNS[job.state]} {job.state:<9}" if width >= _WIDE else SIGNS[job.state], look),
        ]
        used = sum(cell_len(part.text) for part in parts)
        unsaid = width < _WIDE and job.state in ("waiting", "paused", "cancelled")
        text = " · ".join(filter(None, [job.state if unsaid else "", _said(job)]))
        said = Segment(f" {fit(text, max(width - used - 1, 0))}", look if job.error else self._look("quiet"))
        return [*parts, said]

    def _look(self, name: str) -> Style:
        return self.get_component_rich_style(f"jobs--{name}", partial=True)


def _said(job: Job) -> str:
    """What is worth knowing of a job in its state."""
    if job.error:
        return plain(f"{job.error.message}{f' · {job.error.hint.text}' if job.error.hint else ''}")
    much = f"{size(job.done)} of {size(job.total)}" if job.total else ""
    if job.state == "done":
        there = f"{job.skipped:,} files were there already" if job.skipped else ""
        return " · ".join(filter(None, [size(job.done), there, escape_controls(job.where)]))
    parts = [much]
    if job.speed is not None:
        parts.append(f"{size(job.speed)}/s")
    if job.eta is not None:
        parts.append(f"{duration(job.eta)} left")
    parts.append(escape_controls(job.current.rpartition("/")[2]) if job.state == "running" else "")
    return " · ".join(filter(None, parts))
