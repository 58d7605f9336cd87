"""The timeline of a run's phases and their durations, on one line or as a chart.

`tui/store/runs/phases.py` reads them from the run's state; `timeline_layout.py` lays them out.
"""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import RenderResult
from textual.content import Content
from textual.geometry import Size
from textual.widget import Widget

from tui.store.runs.phases import Span, attempt_span, spans
from tui.store.runs.state import RunState
from tui.widgets.runs.timeline_layout import chart, line

_WIDE, _TALL, _TALLER = 96, 30, 46
"""Columns and rows of the screen from which on there is a line per phase, or one per sub-phase."""


class Timeline(Widget):
    """The phases of one run."""

    DEFAULT_CSS = "Timeline { height: auto; padding: 0 1; }"

    def __init__(
        self, state: RunState | None = None, now: float = 0.0, kind: str = "train", id: str | None = None
    ):
        super().__init__(id=id)
        self.folded: bool | None = None
        """True: one line; False: the chart; None: whichever fits."""
        self._eta: float | None = None
        self._spans: Sequence[Span] = spans(state or RunState(), kind, now, "running")
        self._attempt: Span | None = None
        self._lines: list[Content] = []

    def show(self, state: RunState, kind: str, now: float, status: str) -> None:
        """Show the phases of a run; `now` in Unix seconds."""
        self._spans, self._eta = spans(state, kind, now, status), state.eta()
        self._attempt = attempt_span(state, now, status)
        self._draw()

    def fold(self, folded: bool | None) -> None:
        """Show one line, or the chart."""
        self.folded = folded
        self._draw()

    @property
    def is_folded(self) -> bool:
        """Whether one line is shown."""
        screen = self.screen.size
        roomy = screen.width >= _WIDE and screen.height >= _TALL
        return not roomy if self.folded is None else self.folded

    def on_resize(self) -> None:
        """Lay the phases out for the new width."""
        self._draw()

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """The number of lines."""
        return len(self._laid_out(width))

    def render(self) -> RenderResult:
        """The lines."""
        return Content("\n").join(self._laid_out(self.content_size.width))

    def _draw(self) -> None:
        lines = self._laid_out(self.content_size.width)
        if lines != self._lines:
            taller = len(lines) != len(self._lines)
            self._lines = lines
            self.refresh(layout=taller)

    def _laid_out(self, width: int) -> list[Content]:
        if width <= 0 or self.is_folded:
            return [line(self._spans, max(width, 1), self._attempt)]
        unfold = self.screen.size.height >= _TALLER
        return chart(self._spans, width, eta=self._eta, unfold=unfold, attempt=self._attempt)
