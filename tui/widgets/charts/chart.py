"""One chart: name and latest value, axes, lines of braille, and the cursor.

`plot.py` lays it out; the grid sets its view (x range, smoothing, cursor), which all charts share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from textual import events
from textual.color import Color
from textual.geometry import Region
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from tui.store.charts import axes
from tui.store.charts.curves import Curve, Points
from tui.store.charts.metric_order import is_noisy, is_reward
from tui.text.format import named
from tui.widgets.charts.palette import run_colour, run_letter
from tui.widgets.charts.plot import ChartLine, ChartView, Plot, cell_of, plot, x_of
from tui.widgets.charts.styles import ChartPalette, Looks, cells, cut_values


class Chart(Widget, can_focus=True):
    """A chart of a metric, with a line for each run that has it."""

    DEFAULT_CSS = """
    Chart { height: 1fr; width: 1fr; padding: 0 1; background: $surface; }
    Chart:focus { background-tint: $primary 7%; }
    """
    view: reactive[ChartView] = reactive(ChartView())

    @dataclass
    class Pointed(Message):
        """The mouse is over an x."""

        chart: Chart
        x: float

    @dataclass
    class Chosen(Message):
        """Show this chart alone, or all of them again."""

        chart: Chart

    def __init__(self, metric: str, unit: str = "", **options: Any) -> None:
        super().__init__(**options)
        self.metric, self.unit = metric, unit
        self.lines: list[ChartLine] = []
        self._clocks: list[Points | None] = []
        self._alone = True
        self._strips: list[Strip] = []
        self._strips_key: object = None
        self._plot: Plot | None = None
        self._plot_key: object = None
        self._looks: Looks | None = None

    def add_line(self, label: str, mark: int, points: Points, clock: Points | None, *, alone: bool) -> None:
        """One more run; a run that is `alone` needs no letter and has the theme's own colour.

        `clock` tells the Unix seconds of each step, for charts over time; None where x is time already.
        """
        self._alone = alone
        place = sum(line.mark < mark for line in self.lines)
        self.lines.insert(place, ChartLine(label, mark, Curve(points)))
        self._clocks.insert(place, clock)
        self.refresh()

    def drop_line(self, mark: int) -> None:
        """Remove a run's line; other lines keep their style."""
        remaining = [pair for pair in zip(self.lines, self._clocks, strict=True) if pair[0].mark != mark]
        self.lines, self._clocks = [line for line, _ in remaining], [clock for _, clock in remaining]
        self.refresh()

    def refresh_data(self) -> bool:
        """Draw again if a series grew; returns whether one did."""
        grew = any(line.curve.behind for line in self.lines)
        if grew:
            self.refresh()
        return grew

    def xs(self) -> Sequence[float]:
        """Every x that the cursor can be on."""
        self._refresh_curves()
        if len(self.lines) == 1:
            return self.lines[0].curve.raw.xs
        return sorted({x for line in self.lines for x in line.curve.raw.xs})

    def render_lines(self, crop: Region) -> list[Strip]:
        """The rows, drawn again if something changed."""
        self._draw()
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        """One row."""
        return self._strips[y] if y < len(self._strips) else Strip.blank(self.size.width, self.rich_style)

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Move the cursor to the mouse."""
        self._point(event)

    def on_click(self, event: events.Click) -> None:
        """Set the cursor; a double click enlarges."""
        self._point(event)
        if event.chain == 2:
            self.post_message(self.Chosen(self))

    def _point(self, event: events.MouseEvent) -> None:
        offset = event.get_content_offset(self)
        if offset is None or self._plot is None:
            return
        cell = offset.x - self._plot.margin
        if 0 <= cell < self._plot.width:
            self.post_message(self.Pointed(self, x_of(cell, self.view, self._plot.width)))

    @property
    def _smoothing(self) -> float:
        return self.view.smoothing if is_noisy(self.metric) else 0.0

    def _refresh_curves(self) -> None:
        view = self.view
        for line, clock in zip(self.lines, self._clocks, strict=True):
            line.curve.shown_as(self._smoothing, view.log, clock if view.by_time else None)
            line.curve.refresh()

    def _draw(self) -> None:
        self._refresh_curves()
        size, view = self.size, replace(self.view, cursor=None)
        counts = tuple((line.mark, line.curve.count, line.curve.points.rewritten) for line in self.lines)
        key = (size, view, counts)
        if key != self._plot_key or self._plot is None:
            margin = self._plot.margin if self._plot is not None else 6
            self._plot = plot(self.lines, view, size.width, max(2, size.height - 1), margin)
            self._plot_key = key
        theme = (self.app.theme, self.has_focus, self.rich_style, len(self.lines))
        if self._looks is None or self._looks.key != theme:
            self._looks = Looks(self, self._palette, theme, self._colours())
        look = (key, self.view.cursor, theme)
        if look != self._strips_key:
            self._strips = self._render_plot(self._plot, self._looks)
            self._strips_key = look

    @property
    def _palette(self) -> Widget:
        """The ancestor that has the styles of all charts."""
        return next(node for node in self.ancestors if isinstance(node, ChartPalette))

    def _colours(self) -> list[Color]:
        """The colour of each line."""
        if self._alone:
            name = "chart--reward" if is_reward(self.metric) else "chart--line"
            return [self._palette.get_component_styles(name).color]
        dark = self.app.current_theme.dark
        return [Color.parse(run_colour(line.mark, dark)) for line in self.lines]

    def _render_plot(self, plot: Plot, looks: Looks) -> list[Strip]:
        cursor = None if self.view.cursor is None else cell_of(self.view.cursor, self.view, plot.width)
        signs: dict[int, dict[int, tuple[str, int]]] = {}
        for (row, cell), sign in (*plot.signs.items(), *self._cursor_signs(plot, cursor).items()):
            signs.setdefault(row, {})[cell] = sign
        rows = [self._title(plot, looks)]
        for row, runs in enumerate(plot.rows):
            label = plot.labels.get(row, "")
            axis = "┤" if label else "│"
            segments = [Segment(f"{label:>{plot.margin - 1}}", looks.axis), Segment(axis, looks.grid)]
            segments += cells(runs, bool(label), signs.get(row, {}), cursor, looks)
            rows.append(segments)
        rows += self._x_axis(plot, looks)
        width = self.size.width
        title = Strip(rows[0]).adjust_cell_length(width, looks.base)  # a name may have wide characters
        return [title, *(looks.filled(row, width) for row in rows[1:])]

    def _cursor_signs(self, plot: Plot, cursor: int | None) -> dict[tuple[int, int], tuple[str, int]]:
        """A dot where each line meets the cursor."""
        signs = {}
        for index, line in enumerate(self.lines):
            found = line.curve.line.at(self.view.cursor) if self.view.cursor is not None else None
            cell = cell_of(found[0], self.view, plot.width) if cursor is not None and found else None
            if found is not None and cell is not None:
                signs[plot.row_of(found[1]), cell] = ("●", index)
        return signs

    def _title(self, plot: Plot, looks: Looks) -> list[Segment]:
        """The name at the left; at the right the latest value of each run, or the one at the cursor."""
        width = self.size.width
        values = self._values(looks)
        room = width - sum(segment.cell_length for segment in values) - 2
        name = named(self.metric)
        if cell_len(name) > room:
            name = f"{set_cell_size(name, max(room - 1, 1))}…"
        left = [Segment(name, looks.name)]
        if plot.holes:
            what = "not above 0" if self.view.log else "NaN or infinite"
            note = f"  × {plot.holes} {what}"
            if cell_len(name) + len(note) <= room:
                left.append(Segment(note, looks.hole))
        used = sum(segment.cell_length for segment in left + values)
        return [*left, Segment(" " * max(1, width - used), looks.base), *values]

    def _values(self, looks: Looks) -> list[Segment]:
        found: list[Segment] = []
        for index, line in enumerate(self.lines):
            text, note = self._value(line)
            if not self._alone:
                found.append(Segment(f"{'  ' if found else ''}{run_letter(line.mark)} ", looks.ink(index)))
            found.append(Segment(f"{text}{self.unit}", looks.ink(index) + looks.value))
            if note and self._alone:
                found.append(Segment(note, looks.note))
        most = self.size.width - min(len(self.metric), 12) - 3
        return found if self._alone else cut_values(found, most, looks)

    def _value(self, line: ChartLine) -> tuple[str, str]:
        """A run's measured value, never smoothed, and its x unless that is the cursor's."""
        cursor = self.view.cursor
        if cursor is None:
            latest = line.curve.latest
            return ("–" if latest is None else axes.short(latest)), ""
        found = line.curve.value_at(cursor)
        if found is None:
            return "–", ""
        x, value = found
        where = axes.clock_text(x) if self.view.by_time else axes.step_text(x)
        return axes.short(value), f" @ {where}"

    def _x_axis(self, plot: Plot, looks: Looks) -> list[list[Segment]]:
        tall = self.size.height - 1 - plot.height >= 2
        marks = {cell for cell, _ in plot.x_labels}
        rows = []
        if tall:
            line = "".join("┬" if cell in marks else "─" for cell in range(plot.width))
            rows.append([Segment(f"{' ' * (plot.margin - 1)}└{line}", looks.grid)])
        text, end = "", 0
        for cell, label in plot.x_labels:
            at = min(plot.margin + cell - len(label) // 2, self.size.width - len(label))
            if at >= end:
                text += " " * (at - len(text)) + label
                end = len(text) + 2
        rows.append([Segment(text, looks.axis)])
        return rows
