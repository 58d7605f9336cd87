"""A canvas of braille dots: two by four in every cell, and in each cell the ink of what was drawn last.

Owns turning buckets of values into dots and dots into characters. Pure: an ink is a number, its colour is
the chart's matter. Lines differ by pattern as well, so that they can be told apart without colour.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import NamedTuple

from tui.store.curves import Bucket

_LEFT, _RIGHT = (0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80)
_SPANS = [
    [[sum(bits[first : last + 1]) for last in range(4)] for first in range(4)] for bits in (_LEFT, _RIGHT)
]
"""Side, first and last dot of a cell from the top → its bits."""
EMPTY = -1


class Pattern(NamedTuple):
    """Which columns of a line are drawn, over and over, and how that looks in a legend."""

    columns: str
    sample: str

    def draws(self, column: int) -> bool:
        """Whether a line of this pattern has dots in a column."""
        return self.columns[column % len(self.columns)] == "x"


PATTERNS = (
    Pattern("x", "━━━"),
    Pattern("xxxxxx   ", "╍╍╍"),
    Pattern("x  ", "┈┈┈"),
    Pattern("xxxxxx  x  ", "━╸╺"),
)
"""Solid, dashed, dotted, dash and dot."""


class Canvas:
    """`width` × `height` cells, without a dot at first."""

    def __init__(self, width: int, height: int, faint: Collection[int] = ()) -> None:
        self.width, self.height = max(0, width), max(0, height)
        self.faint = frozenset(faint)
        """Inks that give way wherever another one is drawn over them."""
        self._bits = [0] * (self.width * self.height)
        self._inks = [EMPTY] * (self.width * self.height)

    @property
    def columns(self) -> int:
        """Dots from left to right."""
        return self.width * 2

    @property
    def lines(self) -> int:
        """Dots from top to bottom."""
        return self.height * 4

    def span(self, column: int, top: int, bottom: int, ink: int) -> None:
        """Dots of one column between two lines, both included; what lies outside is cut off."""
        if top > bottom:
            top, bottom = bottom, top
        if not 0 <= column < self.columns or bottom < 0 or top >= self.lines:
            return
        top, bottom = max(top, 0), min(bottom, self.lines - 1)
        first, last, masks = top >> 2, bottom >> 2, _SPANS[column & 1]
        at = first * self.width + (column >> 1)
        for row in range(first, last + 1):
            bits = masks[top & 3 if row == first else 0][bottom & 3 if row == last else 3]
            if self._inks[at] in self.faint and ink not in self.faint:
                self._bits[at] = bits
            else:
                self._bits[at] |= bits
            self._inks[at] = ink
            at += self.width

    def curve(
        self, buckets: Sequence[Bucket], line_of: Callable[[float], int], ink: int, pattern: Pattern
    ) -> None:
        """A line through buckets; gaps stay gaps."""
        before: Bucket | None = None
        for bucket in buckets:
            if before is not None and bucket.joined:
                self._join(
                    before.column, line_of(before.last), bucket.column, line_of(bucket.first), ink, pattern
                )
            if pattern.draws(bucket.column):
                self.span(bucket.column, line_of(bucket.high), line_of(bucket.low), ink)
            before = bucket

    def rows(self) -> Iterator[list[tuple[str, int]]]:
        """Each row as runs of text and the ink they have in common."""
        for row in range(self.height):
            yield list(self._row(row * self.width))

    def _row(self, start: int) -> Iterator[tuple[str, int]]:
        text, ink = "", EMPTY
        for at in range(start, start + self.width):
            bits = self._bits[at]
            here = self._inks[at] if bits else EMPTY
            if here != ink and text:
                yield text, ink
                text = ""
            ink = here
            text += chr(0x2800 + bits) if bits else " "
        if text:
            yield text, ink

    def _join(self, x0: int, y0: int, x1: int, y1: int, ink: int, pattern: Pattern) -> None:
        """A straight line between two dots, without its last column."""
        if x1 <= x0:
            return
        slope = (y1 - y0) / (x1 - x0)
        first, last = max(x0, -1), min(x1, self.columns)
        before = y0 + slope * (first - x0)
        for x in range(first + 1, last + 1):
            now = y0 + slope * (x - x0)
            middle = (before + now) / 2
            # Each column reaches half-way to its neighbour, so that a steep line has no holes.
            if pattern.draws(x - 1):
                self.span(x - 1, round(before), round(middle), ink)
            if pattern.draws(x):
                self.span(x, round(middle), round(now), ink)
            before = now
