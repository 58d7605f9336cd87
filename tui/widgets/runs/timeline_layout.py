"""Layout of a run's phases: on one line, or as a chart with a time axis. Pure functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.cells import cell_len
from textual.content import Content

from tui.store.runs.phases import Span, under_way
from tui.text.format import duration, pad, plain

AGAIN = "↻"
"""Sign of an attempt after the first."""
SIGNS = {"done": "✓", "now": "●", "failed": "✗", "cancelled": "■", "ahead": "○"}
STYLES = {
    "done": "$success",
    "now": "bold $accent",
    "failed": "bold $error",
    "cancelled": "$warning",
    "ahead": "$text-disabled",
}
NAMES = {**STYLES, "done": "$foreground", "ahead": "$text-disabled"}
BARS = {**STYLES, "done": "$secondary", "now": "$accent", "failed": "$error"}
_GAP = "  "
_LEAST_BAR = 12
_BEFORE_BARS = 17
"""Cells of a line of the chart beside name and bar: sign, duration and gaps."""


def short(seconds: float) -> str:
    """`0.4s`, `42s`, `3m05s`, `2h10m`."""
    if seconds < 9.95:
        return f"{max(seconds, 0.0):.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    return (
        f"{whole // 60}m{whole % 60:02d}s" if whole < 3600 else f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    )


# --- one line --------------------------------------------------------------------------------------


def line(found: Sequence[Span], width: int, attempt: Span | None = None) -> Content:
    """All phases on one line, each with as many details as fit; before them the attempt."""
    shown: Content = Content("")
    again = [] if attempt is None else [Content.styled(f"{AGAIN} {plain(attempt.name)}", "$warning")]
    for pieces in _ways(found):
        shown = Content(_GAP).join([*again, *pieces])
        if shown.cell_length <= width:
            return shown
    return shown.truncate(width, ellipsis=True)


def _ways(found: Sequence[Span]) -> list[list[Content]]:
    """Forms of a phase, from the longest to the shortest."""
    current = under_way(found)
    begun = [span for span in found if span.state != "ahead"]
    ahead = [span for span in found if span.state == "ahead"]
    also = [Content.styled(f"○ {len(ahead)} ahead", STYLES["ahead"])] if ahead else []

    def pieces(spans: Sequence[Span], lengths: Callable[[Span], bool]) -> list[Content]:
        return [_piece(span, lengths(span), span is current) for span in spans]

    def is_open(span: Span) -> bool:
        return span is current or span.state == "now"

    return [
        pieces(found, lambda _: True),
        pieces(found, is_open),
        pieces(begun, is_open) + also,
        pieces([span for span in begun if is_open(span)], is_open) + also,
    ]


def _piece(span: Span, length: bool, unfold: bool) -> Content:
    piece = _head(span)
    if length and span.seconds is not None:
        piece += Content.styled(f" {short(span.seconds)}", "$text-muted")
    if unfold and span.part is not None:
        piece += Content.styled(f" · {plain(span.part.name)}", NAMES[span.part.state])
        if length and span.part.seconds is not None:
            piece += Content.styled(f" {short(span.part.seconds)}", "$text-muted")
    return piece


def _head(span: Span, width: int = 0) -> Content:
    sign = Content.styled(SIGNS[span.state], STYLES[span.state])
    return sign + " " + Content.styled(pad(span.name, width), NAMES[span.state])


# --- a chart ---------------------------------------------------------------------------------------


def chart(
    found: Sequence[Span],
    width: int,
    *,
    eta: float | None = None,
    unfold: bool = False,
    attempt: Span | None = None,
) -> list[Content]:
    """A line per phase: sign, name, duration, and a bar on an axis from the start of the run.

    The axis ends now, or `eta` seconds later, with the expected time dashed. The phase that is under way or
    failed shows its sub-phases, on one line or (`unfold`) one each. Earlier attempts than `attempt` are thin.
    """
    rows: list[Content] = []
    current = under_way(found)
    begun = [span for span in found if span.state != "ahead" or span.earlier]
    names = max([cell_len(plain(span.name)) for span in [*begun, *([attempt] if attempt else [])]], default=0)
    if unfold and current is not None:
        names = max([names, *(cell_len(plain(part.name)) + 2 for part in current.parts)])
    axis = _Axis.of(begun, width - names - _BEFORE_BARS, eta)
    if attempt is not None:
        rows.append(_again(attempt, names, axis))
    for span in begun:
        rows.append(_row(span, names, axis))
        if span is current and span.parts and span.state != "done":
            rows += _parts(span, names, axis, width, unfold)
    ahead = [span for span in found if span not in begun]
    if ahead:
        rows.append(Content(_GAP).join([_head(span) for span in ahead]).truncate(width, ellipsis=True))
    return rows


def _row(span: Span, names: int, axis: _Axis, indent: str = "") -> Content:
    took = "" if span.seconds is None else duration(span.seconds)
    head = indent + _head(span, names - len(indent)) + Content.styled(f"  {took:>11}  ", "$text-muted")
    return head + axis.draw(span)


def _again(attempt: Span, names: int, axis: _Axis) -> Content:
    """The start of the attempt, and its cause."""
    name = Content.styled(f"{AGAIN} {pad(attempt.name, names)}", "$warning")
    since = "" if attempt.seconds is None else duration(attempt.seconds)
    pieces = name + Content.styled(f"  {since:>11}  ", "$text-muted")
    return pieces + axis.mark(attempt.start or 0.0, plain(attempt.note))


def _parts(span: Span, names: int, axis: _Axis, width: int, unfold: bool) -> list[Content]:
    if unfold:
        return [_row(part, names, axis, indent=_GAP) for part in span.parts]
    pieces = [_piece(part, True, False) for part in span.parts]
    shown = Content("  └ ") + Content(_GAP).join(pieces)
    while shown.cell_length > width and len(pieces) > 1:  # the latest are what matters
        pieces = pieces[1:]
        shown = Content("  └ … ") + Content(_GAP).join(pieces)
    return [shown.truncate(width, ellipsis=True)]


class _Axis:
    """Seconds → half cells."""

    def __init__(self, start: float, end: float, cells: int, eta: float | None) -> None:
        self._start, self._cells, self._eta = start, cells, eta
        self._per_half = max(end - start, 1e-9) / max(cells * 2, 1)

    @classmethod
    def of(cls, found: Sequence[Span], cells: int, eta: float | None) -> _Axis:
        """The axis of all these spans."""
        starts = [span.start for span in found if span.start is not None]
        starts += [start for span in found for start, _ in span.earlier]
        ends = [span.end for span in found if span.end is not None]
        ends += [end for span in found for _, end in span.earlier]
        end = max(ends, default=0.0) + (eta or 0.0)
        return cls(min(starts, default=0.0), end, cells, eta)

    def draw(self, span: Span) -> Content:
        """The bar of a span, at least half a cell long, with its note; before it the `earlier` spans."""
        bar = Content("")
        if self._cells < _LEAST_BAR:
            return bar
        for start, end in span.earlier:
            first, last = self._half(start) // 2, max(self._half(end) // 2, self._half(start) // 2 + 1)
            first = max(first, bar.cell_length)
            bar += Content(" " * (first - bar.cell_length))
            bar += Content.styled("─" * (min(last, self._cells) - first), BARS[span.state])
        if span.start is None or span.end is None:
            return bar
        first = max(min(self._half(span.start), self._cells * 2 - 1), bar.cell_length * 2)
        last = max(self._half(span.end), first + 1)
        bar += Content(" " * (first // 2 - bar.cell_length))
        bar += Content.styled(_heavy(first, last), BARS[span.state])
        if span.state == "now" and self._eta:
            rest = self._cells - bar.cell_length
            return bar + Content.styled("╌" * rest, "$text-disabled")
        if span.note and bar.cell_length + len(span.note) + 1 <= self._cells:
            bar += Content.styled(f" {plain(span.note)}", "$text-disabled")
        return bar

    def mark(self, t: float, note: str) -> Content:
        """A moment on the axis, with its label on the side that has room."""
        if self._cells < _LEAST_BAR:
            return Content.styled(note, "$text-muted")
        at = min(self._half(t) // 2, self._cells - 1)
        tick, label = Content.styled("╷", "$warning"), Content.styled(note, "$text-muted")
        if at + 2 + label.cell_length <= self._cells:
            return Content(" " * at) + tick + " " + label
        room = max(at - 1, 0)
        return Content(" " * (room - label.cell_length)) + label.truncate(room, ellipsis=True) + " " + tick

    def _half(self, t: float) -> int:
        return max(0, min(int((t - self._start) / self._per_half), self._cells * 2))


def _heavy(first: int, last: int) -> str:
    """A heavy line from one half cell up to another."""
    left = "╺" if first % 2 else ""
    right = "╸" if last % 2 else ""
    if left and last == first + 1:
        return left
    return left + "━" * ((last - last % 2 - first - first % 2) // 2) + right
