"""A log's lines as rows of the screen, drawn once and kept: cut or wrapped, on the ground that they stand on.

Which lines are on the screen is `view.py`'s; how one of them looks is `render.py`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from tui.store.logs.log_file import Line
from tui.widgets.logs.render import Look, cut_rows, draw, strip_of

WIDEST = 100_000
_KEPT = 1000
"""Drawn lines that are kept."""
_LOOK = ("tag", "time", "event", "failure", "error", "warning", "hit", "more")
_MARKS = {"": " ", "cursor": "▌", "selected": "┃"}
STYLES = (*_LOOK, "cursor", "selected", "mark")
"""Component classes of the widget that is painted on, each behind `log--`."""


@dataclass(frozen=True)
class Sight:
    """How lines are seen: columns and rows for them, the column they are seen from, and so on."""

    width: int
    height: int
    left: int
    wrap: bool
    stamps: bool
    hits: Any
    """A compiled pattern over bytes whose hits are marked, or None."""


class LogPaint:
    """Draws lines for one sight, in a widget's colours as they are now."""

    def __init__(self, widget: Widget, sight: Sight) -> None:
        self.sight = sight
        self.widest = 0
        """Columns of the longest line so far, as far as is known."""
        self._console = widget.app.console
        styles = {name: _style(widget, name) for name in STYLES}
        self._look = Look(**{name: styles[name] for name in _LOOK}, hits=sight.hits, stamps=sight.stamps)
        self._mark = styles["mark"]
        self._grounds = {"": widget.rich_style}
        for name in ("cursor", "selected"):
            self._grounds[name] = self._grounds[""] + styles[name]
        self._drawn: dict[Line, list[Strip]] = {}
        self.blank = Strip.blank(sight.width + 1, self._grounds[""])

    def rows(self, line: Line) -> list[Strip]:
        """A line as rows without a ground; kept."""
        drawn = self._drawn.get(line)
        if drawn is None:
            if len(self._drawn) > _KEPT:
                self._drawn.clear()
            drawn = self._drawn[line] = self._draw(line)
        return drawn

    def on_ground(self, drawn: list[Strip], ground: str) -> list[Strip]:
        """What makes drawn lines rows of the screen: a mark before them, and a ground to stand on."""
        style, width = self._grounds[ground], self.sight.width
        gutter = Segment(_MARKS[ground], style + self._mark)
        rows = []
        for strip in drawn:  # one new strip each: they are what a frame spends its time on
            rest = Segment(" " * max(0, width - strip.cell_length), style)
            rows.append(Strip([gutter, *Segment.apply_style(strip, style), rest], width + 1))
        return rows

    def message(self, text: str) -> Strip:
        """A row of words in place of lines."""
        muted = self._grounds[""] + self._look.time
        return Strip([Segment(f" {text}", muted)]).adjust_cell_length(self.sight.width + 1, muted)

    def _draw(self, line: Line) -> list[Strip]:
        width, height, left = self.sight.width, self.sight.height, self.sight.left
        columns = width * height if self.sight.wrap else left + width
        strip = strip_of(draw(line, self._look, columns), self._console)
        if self.sight.wrap:
            rows = cut_rows(strip, width, height)
            if sum(row.cell_length for row in rows) < strip.cell_length:
                rows[-1] = self._with_more(rows[-1])
            return rows
        known = min(line.size, WIDEST) if line.size > columns else strip.cell_length
        self.widest = max(self.widest, known)
        if not left and strip.cell_length <= width:
            return [strip]
        shown = strip.crop(left, left + width)
        return [self._with_more(shown) if strip.cell_length > left + width else shown]

    def _with_more(self, strip: Strip) -> Strip:
        """A row whose last column says that there is more."""
        return Strip.join([strip.crop(0, self.sight.width - 1), Strip([Segment("›", self._look.more)], 1)])


def _style(widget: Widget, name: str) -> Style:
    """A component's style; what is see-through is mixed with the ground it stands on."""
    styles = widget.get_component_styles(f"log--{name}")
    style = styles.partial_rich_style
    if styles.has_rule("color") and styles.color.a < 1:
        style += Style(color=(widget.background_colors[1] + styles.color).rich_color)
    return style
