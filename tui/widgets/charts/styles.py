"""Styles of charts, and rows of cells as segments in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.containers import Container
from textual.strip import Strip
from textual.widget import Widget

from tui.widgets.charts.braille import EMPTY
from tui.widgets.charts.plot import FAINT, HOLE

_FAINTNESS = 0.4
_CURSOR = 0.15
_QUIET = ("axis", "grid", "note", "cursor")


class ChartPalette(Container):
    """Container with the styles of all its charts, so that they are computed once."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "chart--name",
        "chart--chosen",
        "chart--line",
        "chart--reward",
        "chart--axis",
        "chart--grid",
        "chart--cursor",
        "chart--hole",
        "chart--note",
    }
    DEFAULT_CSS = """
    ChartPalette > .chart--name { color: $foreground; text-style: bold; }
    ChartPalette > .chart--chosen { color: $primary; text-style: bold underline; }
    ChartPalette > .chart--line { color: $primary; }
    ChartPalette > .chart--reward { color: $accent; }
    ChartPalette > .chart--axis { color: $foreground 60%; }
    ChartPalette > .chart--grid { color: $foreground 25%; }
    ChartPalette > .chart--cursor { color: $foreground 60%; }
    ChartPalette > .chart--hole { color: $error; text-style: bold; }
    ChartPalette > .chart--note { color: $foreground 60%; }
    """


class Looks:
    """The styles of a chart in one theme, from its palette and the colours of its lines."""

    def __init__(self, chart: Widget, palette: Widget, key: object, colours: Sequence[Color]) -> None:
        self._ansi = chart.app.current_theme.ansi
        self.key = key
        """Theme, focus and whatever else the styles depend on."""
        self.base = chart.rich_style
        self._ground, self._palette, self._colours = chart.background_colors[1], palette, colours
        self._inks: dict[int, Style] = {}
        self.name, self.value, self.note = (
            self._part("chosen" if chart.has_focus else "name"),
            Style(bold=True),
            self._part("note"),
        )
        self.axis, self.grid, self.hole = self._part("axis"), self._part("grid"), self._part("hole")
        self.at_cursor = Style(bgcolor=self._ground.blend(chart.styles.color, _CURSOR).rich_color)
        self.cursor = self._part("cursor") + self.at_cursor

    def ink(self, ink: int) -> Style:
        """The style of an ink: a line, its faint raw values, or the sign of a hole."""
        if ink not in self._inks:
            self._inks[ink] = self.hole if ink == HOLE else self._line(ink)
        return self._inks[ink]

    def filled(self, row: list[Segment], width: int) -> Strip:
        """A row padded to the width; each character takes one cell."""
        used = sum([len(segment.text) for segment in row])
        if used > width:
            return Strip(row, used).adjust_cell_length(width)
        return Strip([*row, Segment(" " * (width - used), self.base)] if used < width else row, width)

    def _part(self, name: str) -> Style:
        styles = self._palette.get_component_styles(f"chart--{name}")
        # The sixteen colours of a terminal do not blend: what should be quieter than text is dim.
        quiet = Style(dim=True) if self._ansi and name in _QUIET else Style()
        return self.base + Style(color=(self._ground + styles.color).rich_color) + styles.text_style + quiet

    def _line(self, ink: int) -> Style:
        colour, faint = self._colours[ink % FAINT], ink >= FAINT
        if faint and not self._ansi:
            colour = self._ground.blend(colour, _FAINTNESS)
        return self.base + Style(color=colour.rich_color, dim=True if faint and self._ansi else None)


def cells(
    runs: Sequence[tuple[str, int]],
    ticked: bool,
    signs: Mapping[int, tuple[str, int]],
    cursor: int | None,
    looks: Looks,
) -> list[Segment]:
    """A row of dots, with signs and the cursor over it, and a thin line at a tick."""
    stops = sorted({*signs, *(() if cursor is None else (cursor,))})
    segments: list[Segment] = []
    at = 0
    for text, ink in runs:
        begin, end = at, at + len(text)
        for stop in stops:
            if at <= stop < end:
                segments += _stretch(text[begin - at : stop - at], ink, ticked, looks)
                segments.append(_stopped(text[stop - at], ink, signs.get(stop), stop == cursor, looks))
                begin = stop + 1
        segments += _stretch(text[begin - at :], ink, ticked, looks)
        at = end
    for stop in stops:
        if stop >= at and stop in signs:  # right of the dots: a letter at a line's end
            sign, ink = signs[stop]
            segments.append(Segment(" " * (stop - at) + sign, looks.ink(ink)))
            at = stop + 1
    return segments


def cut_values(values: list[Segment], most: int, looks: Looks) -> list[Segment]:
    """As many letters with their values as fit, and an ellipsis if there are more."""
    if sum(segment.cell_length for segment in values) <= most:
        return values
    while values and sum(segment.cell_length for segment in values) > most - 3:
        values = values[:-2]
    return [*values, Segment("  …", looks.note)]


def _stopped(dots: str, ink: int, sign: tuple[str, int] | None, at_cursor: bool, looks: Looks) -> Segment:
    """One cell with a sign, the cursor, or both."""
    if sign is not None:
        style = looks.ink(sign[1])
        return Segment(sign[0], style + looks.at_cursor if at_cursor else style)
    return Segment("│", looks.cursor) if ink == EMPTY else Segment(dots, looks.ink(ink) + looks.at_cursor)


def _stretch(text: str, ink: int, ticked: bool, looks: Looks) -> list[Segment]:
    if not text:
        return []
    if ink == EMPTY:
        return [Segment("┈" * len(text) if ticked else text, looks.grid)]
    return [Segment(text, looks.ink(ink))]
