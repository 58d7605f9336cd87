"""The lines above and below a log: sources, filter and search; position, counts and modes.

Signs and words carry the meaning; colours only help.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual.content import Content

from tui.store.logs.query import CHOICES, LogControls
from tui.store.logs.search import LogMatches
from tui.text.format import plain
from tui.widgets.logs.view import LogView

_SHORTEST = 12
_QUIET = "$foreground 60%"


@dataclass(frozen=True)
class LogStatus:
    """Position in a log, and what is shown of it."""

    controls: LogControls
    follow: bool
    row: int
    """The cursor's row, from 0."""
    shown: int
    """Number of lines that match."""
    total: int
    """Number of all lines."""
    hit: int | None = None
    """Number of the hit under the cursor, from 0; None without one."""
    hits: int = 0
    selected: int = 0
    searched: float = 1.0
    """Fraction of the log that was searched."""
    note: str = ""
    modes: Sequence[str] = ()

    @classmethod
    def of(
        cls, view: LogView, controls: LogControls, shown: LogMatches, hits: LogMatches | None, note: str
    ) -> LogStatus:
        """The status of a view."""
        log_file, line = shown.log_file, view.line
        return cls(
            controls=controls,
            follow=view.follow,
            row=view.cursor,
            shown=len(shown),
            total=log_file.lines,
            hit=hits.index(line.offset) if hits is not None and line is not None else None,
            hits=len(hits) if hits is not None else 0,
            selected=view.selection[1] - view.selection[0] + 1 if view.selected_from is not None else 0,
            searched=1.0 if shown.is_done else shown.scanned / max(1, log_file.end),
            note=note,
            modes=[name for name, on in (("times", view.stamps), ("wrap", view.wrap)) if on],
        )

    def above(self, width: int) -> Content:
        """Sources at the left, filter and search at the right."""
        names = [
            Content.styled(f" {name} ", "bold $primary reverse" if name == self.controls.source else "")
            for name in CHOICES
        ]
        left = Content("").join(names)
        return _apart(left, self._patterns(width - left.cell_length - 2), width)

    def below(self, width: int) -> Content:
        """Following or paused, position, counts; modes at the right."""
        state = ("● following", "bold $text-success") if self.follow else ("‖ paused", "bold $text-warning")
        parts = [Content.styled(*state), Content(self._position())]
        if self.selected:
            parts.append(Content.styled(f"{self.selected:,} selected · y copies", "bold"))
        if self.searched < 1:
            parts.append(Content(f"searching {self.searched:.0%}"))
        if self.note:
            parts.append(Content.styled(self.note, "bold"))
        return _apart(Content(" · ").join(parts), Content.styled(" ".join(self.modes), _QUIET), width)

    def _position(self) -> str:
        narrowed = self.shown != self.total
        if self.follow:
            return f"{self.shown:,} of {self.total:,} lines" if narrowed else _lines(self.total)
        if not self.shown:
            return f"no line of {self.total:,}"
        of_all = f" (of {self.total:,})" if narrowed else ""
        below = max(0, self.shown - 1 - self.row)
        return f"line {self.row + 1:,} of {self.shown:,}{of_all} · {below:,} below"

    def _patterns(self, width: int) -> Content:
        parts = []
        if self.controls.filter:
            off = "" if self.controls.filter_on else " off"
            parts.append((f"filter{off} ", self.controls.filter, ""))
        if self.controls.search:
            which = f"{self.hit + 1:,} of {self.hits:,}" if self.hit is not None else f"{self.hits:,}"
            parts.append(("search ", self.controls.search, f" {which}"))
        room = width - sum(len(before) + len(after) + 2 for before, _, after in parts)
        each = max(_SHORTEST, room // max(1, len(parts)))
        pieces = [
            Content.assemble(before, (_shortened(plain(text), each), "bold $accent"), after)
            for before, text, after in parts
        ]
        return Content("  ").join(pieces)


def source_at(column: int) -> str | None:
    """The source whose name is at a column of the line above."""
    for name in CHOICES:
        if 0 <= column < len(name) + 2:
            return name
        column -= len(name) + 2
    return None


def _lines(count: int) -> str:
    return f"{count:,} line{'s' * (count != 1)}"


def _shortened(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _apart(left: Content, right: Content, width: int) -> Content:
    """Two texts at the two ends of a line; what does not fit is cut at the right."""
    gap = max(2, width - left.cell_length - right.cell_length) if right.cell_length else 0
    return Content("").join([left, Content(" " * gap), right])
