"""A canvas of braille dots, two by four per cell; each cell has the ink that was drawn last. Pure.

Inks are numbers. Lines also differ by pattern, so that they can be told apart without colour.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from tui.store.charts.curves import Bucket


def _codes(column: tuple[int, int, int, int]) -> list[int]:
    """Four dots of a column as bits, the uppermost first → the bits of a braille character."""
    return [sum(bit for place, bit in enumerate(column) if dots & (8 >> place)) for dots in range(16)]


_LEFT, _RIGHT = _codes((0x01, 0x02, 0x04, 0x40)), _codes((0x08, 0x10, 0x20, 0x80))
_CELLS = [" ", *(chr(0x2800 + code) for code in range(1, 256))]
EMPTY = -1


class Pattern(NamedTuple):
    """Which columns of a line are drawn, repeatedly, and a sample for the legend."""

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
_SOLID = PATTERNS[0]


class Scale(NamedTuple):
    """Maps values to lines of dots, counted from the top."""

    high: float
    """The value of the uppermost line."""
    factor: float
    """Lines per unit of the value."""

    def line(self, value: float) -> int:
        """The line of a value."""
        return round((self.high - value) * self.factor)


class Canvas:
    """`width` × `height` cells, without a dot at first.

    A column of dots is one whole number, a bit for each dot with the uppermost first: a line through ten
    cells costs no more than a dot, and four bits are what a cell has of a column.
    """

    def __init__(self, width: int, height: int, faint: Collection[int] = ()) -> None:
        self.width, self.height = max(0, width), max(0, height)
        self.columns, self.lines = self.width * 2, self.height * 4
        """Dots from left to right, and from top to bottom."""
        self.faint = frozenset(faint)
        """Inks that are drawn below all others: a cell with another ink does not show them."""
        self._dots: dict[int, list[int]] = {}

    def span(self, column: int, top: int, bottom: int, ink: int) -> None:
        """Draw the dots of a column between two lines, both included, clipped to the canvas."""
        if top > bottom:
            top, bottom = bottom, top
        if 0 <= column < self.columns:
            self._of(ink)[column] |= self._column(top, bottom)

    def curve(self, buckets: Sequence[Bucket], scale: Scale, ink: int, pattern: Pattern) -> None:
        """Draw a line through buckets; gaps stay gaps."""
        upper, factor = scale
        dots, columns = self._of(ink), self.columns
        before, end = None, 0  # the column before, and the line of dots that it ends on
        for column, first, low, high, last, joined in buckets:
            if low == high:
                top = bottom = begin = stop = round((upper - low) * factor)
            else:
                top, bottom = round((upper - high) * factor), round((upper - low) * factor)
                begin, stop = round((upper - first) * factor), round((upper - last) * factor)
            if joined and before is not None:
                # A column reaches to where the one before ends, so that a steep line has no holes.
                if column - before != 1:
                    end = self._join(before, end, column, begin, ink, pattern)
                if end < top:
                    top = end
                elif end > bottom:
                    bottom = end
            if 0 <= column < columns and (pattern is _SOLID or pattern.draws(column)):
                dots[column] |= self._column(top, bottom)
            before, end = column, stop

    def rows(self) -> Iterator[list[tuple[str, int]]]:
        """Each row as pieces of text of one ink."""
        cells = self.width * self.height
        codes, inks = [0] * cells, [EMPTY] * cells
        for ink in sorted(self._dots, key=lambda ink: ink not in self.faint):
            self._put(ink, codes, inks)
        for row in range(self.height):
            at = slice(row * self.width, (row + 1) * self.width)
            text = "".join([_CELLS[code] for code in codes[at]])
            yield list(_runs(text, inks[at]))

    def _column(self, top: int, bottom: int) -> int:
        """The dots from one line down to another, as the bits of a column."""
        if top < 0:
            top = 0
        if bottom >= self.lines:
            bottom = self.lines - 1
        return ((2 << (bottom - top)) - 1) << (self.lines - 1 - bottom) if top <= bottom else 0

    def _of(self, ink: int) -> list[int]:
        if ink not in self._dots:
            self._dots[ink] = [0] * self.columns
        return self._dots[ink]

    def _put(self, ink: int, codes: list[int], inks: list[int]) -> None:
        """Draw dots of an ink over the present ones."""
        dots, width, faint = self._dots[ink], self.width, self.faint
        for cell in range(width):
            left, right = dots[2 * cell], dots[2 * cell + 1]
            both = left | right
            if not both:
                continue
            last = (both.bit_length() - 1) >> 2  # rows are counted from below, as bits are
            for row in range(((both & -both).bit_length() - 1) >> 2, last + 1):
                code = _LEFT[(left >> (row << 2)) & 15] | _RIGHT[(right >> (row << 2)) & 15]
                if code:
                    at = (self.height - 1 - row) * width + cell
                    codes[at] = code if inks[at] in faint else codes[at] | code
                    inks[at] = ink

    def _join(self, x0: int, y0: int, x1: int, y1: int, ink: int, pattern: Pattern) -> int:
        """Draw a straight line between two columns, without them; returns the line that it reaches."""
        if x1 <= x0:
            return y1
        slope = (y1 - y0) / (x1 - x0)
        first, last = max(x0 + 1, 0), min(x1, self.columns)
        before = y0 + slope * (first - 1 - x0)
        for x in range(first, last):
            now = y0 + slope * (x - x0)
            if pattern.draws(x):
                self.span(x, round(before), round(now), ink)
            before = now
        return round(before)


def _runs(text: str, inks: Sequence[int]) -> Iterator[tuple[str, int]]:
    start = 0
    for at in range(1, len(inks)):
        if inks[at] != inks[at - 1]:
            yield text[start:at], inks[start]
            start = at
    if inks:
        yield text[start:], inks[start]
