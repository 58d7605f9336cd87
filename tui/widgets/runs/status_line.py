"""The status lines of a run: status and progress; configuration and results; scores of an evaluation."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from textual.app import RenderResult
from textual.content import Content
from textual.geometry import Size
from textual.widget import Widget

from tui.planning.price_text import estimated
from tui.text.format import age, duration, number, plain, status_text

STATUS_STYLES = {
    "pending": "$text-muted",
    "running": "bold $accent",
    "done": "bold $success",
    "failed": "bold $error",
    "cancelled": "bold $warning",
}
BAR_STYLES = {"done": "$success", "failed": "$error", "cancelled": "$warning"}
_DOT = Content.styled(" · ", "$text-disabled")


@dataclass(frozen=True)
class RunSummary:
    """The contents of the status lines."""

    status: str
    doing: str = ""
    """The present activity; empty once the run is over."""
    environment: str = ""
    model: str = ""
    backend: str = ""
    step: int | None = None
    total: int | None = None
    eta: float | None = None
    """Seconds."""
    reward: float | None = None
    scores: str = ""
    """Scores of an evaluation: the reward and each part, with standard errors."""
    failed: int = 0
    """Episodes of an evaluation that failed."""
    elapsed: float | None = None
    """Seconds."""
    ended_ago: float | None = None
    """Seconds since the end."""
    cost: float | None = None
    """USD so far, estimated."""
    attempt: str = ""
    """Number of the attempt and its cause; empty for the first one."""


class RunStatus(Widget):
    """Status lines of one run."""

    DEFAULT_CSS = "RunStatus { height: auto; padding: 0 1; }"

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._summary = RunSummary("pending")

    def show(self, summary: RunSummary) -> None:
        """Show a summary, if it changed."""
        if summary != self._summary:
            grows = bool(summary.scores) != bool(self._summary.scores)
            self._summary = summary
            self.refresh(layout=grows)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Two lines, or three."""
        return 2 + bool(self._summary.scores)

    def render(self) -> RenderResult:
        """The lines, fitted to the width."""
        width, run = self.content_size.width, self._summary
        lines = [first_line(run, width), second_line(run, width)]
        return Content("\n").join([*lines, scores_line(run, width)] if run.scores else lines)


def first_line(run: RunSummary, width: int) -> Content:
    """Status and activity at the left; steps, a bar and the time left at the right."""
    left = Content.styled(status_text(plain(run.status)), STATUS_STYLES.get(run.status, "bold"))
    activity = run.doing or _ended(run)
    if activity:
        left += Content(f"  {plain(activity)}")
    figures = _progress(run)
    left += _attempt(run, width - left.cell_length - figures.cell_length)
    room = width - left.cell_length - figures.cell_length - 4
    if run.total and room >= 10:
        share = (run.step or 0) / run.total
        figures = bar(share, min(room, 40), BAR_STYLES.get(run.status, "$accent")) + " " + figures
    return _ends(left, figures, width)


def second_line(run: RunSummary, width: int) -> Content:
    """Configuration at the left, results at the right; where room is short, the least important go."""
    facts = [Content(plain(run.environment)), Content.styled(plain(run.model), "$text-muted")]
    if run.backend:
        facts.append(Content.styled(plain(run.backend), "$text-muted"))
    right = list(_figures(run))
    while len(facts) + len(right) > 1 and _DOT.join(facts + right).cell_length > width:
        (facts if len(facts) > 1 else right).pop()
    return _ends(_DOT.join(facts), _DOT.join(right), width)


def scores_line(run: RunSummary, width: int) -> Content:
    """Scores of an evaluation at the left, number of episodes at the right."""
    first, *parts = plain(run.scores).split(" · ")
    left = _DOT.join([Content.styled(first, "bold"), *map(Content, parts)])
    failed = Content.styled(f", {run.failed:,} failed", "$warning") if run.failed else Content("")
    return _ends(left, Content.styled(f"{run.step or 0:,} episodes", "$text-muted") + failed, width)


def bar(share: float, cells: int, style: str = "$accent") -> Content:
    """A progress bar of thin lines, with a resolution of half a cell."""
    halves = round(max(0.0, min(share, 1.0)) * cells * 2)
    done = "━" * (halves // 2) + ("╸" if halves % 2 else "")
    return Content.styled(done, style) + Content.styled("─" * (cells - len(done)), "$text-disabled")


def roughly(seconds: float) -> str:
    """A rounded duration: `40 s`, `12 min`, `2 h 10 min`."""
    minutes = round(seconds / 60)
    return f"{minutes} min" if seconds >= 59.5 and minutes < 60 else duration(seconds)


def _progress(run: RunSummary) -> Content:
    if run.step is None and not run.total:
        return Content("")
    steps = Content.styled(f"{run.step or 0:,}", "bold")
    if run.total:
        steps += f"/{run.total:,}" + Content.styled(
            f"  {100 * (run.step or 0) / run.total:.0f} %", "$text-muted"
        )
    if run.eta is not None:
        steps += Content.styled("  ETA ", "$text-muted") + roughly(run.eta)
    return steps


def _attempt(run: RunSummary, room: int) -> Content:
    """The attempt, and its cause if there is room."""
    if not run.attempt:
        return Content("")
    attempt = _DOT + Content.styled(plain(run.attempt), "$warning")
    return attempt if attempt.cell_length <= room else _DOT + Content.styled(_short(run.attempt), "$warning")


def _short(attempt: str) -> str:
    return plain(attempt.partition(" (")[0])


def _figures(run: RunSummary) -> Iterable[Content]:
    if run.reward is not None and not run.scores:
        yield Content.styled("reward ", "$text-muted") + Content.styled(
            number(run.reward), "bold" if math.isfinite(run.reward) else "bold $error"
        )
    if run.elapsed is not None:
        yield Content(duration(run.elapsed))
    if run.cost is not None:
        yield Content(estimated(run.cost))


def _ended(run: RunSummary) -> str:
    return "" if run.ended_ago is None else f"{age(run.ended_ago)} ago"


def _ends(left: Content, right: Content, width: int) -> Content:
    gap = width - left.cell_length - right.cell_length
    if gap > 0:
        return left + " " * gap + right
    return left.truncate(width, ellipsis=True)
