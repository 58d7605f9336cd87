"""Charts with one cursor over all of them, and the keys that move it, go to other charts and enlarge one."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace

from textual import on
from textual.binding import Binding, BindingType
from textual.message import Message

from tui.store.charts.window import nearest, step_cursor
from tui.widgets.charts.chart import Chart
from tui.widgets.charts.grid import ChartGrid

_FAR = 0.05
"""Fraction of the visible points that the cursor moves with Shift."""


class ChartBrowser(ChartGrid):
    """A grid of charts with a cursor. A subclass binds `browser_keys`."""

    class Browsed(Message):
        """The cursor moved, or the charts are shown in another way."""

    def move_cursor(self, x: float | None) -> None:
        """Put the cursor of all charts on an x, or remove it."""
        if x != self.view.cursor:
            self.view = replace(self.view, cursor=x)
            self.post_message(self.Browsed())

    def close(self) -> bool:
        """Remove the cursor, or else end the enlargement; False if there is neither."""
        if self.view.cursor is not None:
            self.move_cursor(None)
        elif self.one is not None:
            self.show_one(None)
        else:
            return False
        return True

    def focus_chart(self, scroll_visible: bool = True) -> bool:
        """Focus the chart that had the focus, or the first one; False if there is none."""
        chart = self.focused or next(iter(self.shown), None)
        if chart is not None:
            self.screen.set_focus(chart, scroll_visible)
        return chart is not None

    def action_cursor(self, by: int) -> None:
        """Move the cursor to the next or previous point of the focused chart."""
        if xs := self._visible_points():
            self.move_cursor(step_cursor(xs, self.view.cursor, by))

    def action_cursor_far(self, by: int) -> None:
        """Move the cursor by several points."""
        self.action_cursor(by * max(1, math.ceil(len(self._visible_points()) * _FAR)))

    def action_cursor_end(self, index: int) -> None:
        """Move the cursor to the first (0) or last (-1) visible point."""
        if xs := self._visible_points():
            self.move_cursor(xs[index])

    def action_go(self, by: int) -> None:
        """Focus the chart below or above."""
        self.go(by)

    def action_page(self, by: int) -> None:
        """Focus the chart a page below or above."""
        self.go(by, pages=True)

    def action_enlarge(self) -> None:
        """Show the focused chart alone, or all of them again."""
        if self.focused is not None:
            self._enlarge(self.focused)

    @on(Chart.Pointed)
    def _pointed(self, event: Chart.Pointed) -> None:
        event.stop()
        if (x := nearest(event.chart.xs(), event.x)) is not None:
            self.move_cursor(x)

    @on(Chart.Chosen)
    def _chosen(self, event: Chart.Chosen) -> None:
        event.stop()
        self._enlarge(event.chart)

    def _enlarge(self, chart: Chart) -> None:
        self.show_one(None if self.one is not None else chart.metric)

    def _visible_points(self) -> Sequence[float]:
        chart = self.focused or next(iter(self.shown), None)
        xs = chart.xs() if chart is not None else []
        first, last = bisect_left(xs, self.view.low), bisect_left(xs, self.view.high + 1e-9)
        return xs[first:last]


def browser_keys(area: str) -> list[BindingType]:
    """Bindings of a `ChartBrowser`, with ids such as `charts.left`."""
    return [
        Binding("left,h", "cursor(-1)", "Cursor left", show=False, id=f"{area}.left"),
        Binding("right,l", "cursor(1)", "Cursor right", show=False, id=f"{area}.right"),
        Binding("shift+left,H", "cursor_far(-1)", "Cursor far left", show=False, id=f"{area}.far_left"),
        Binding("shift+right,L", "cursor_far(1)", "Cursor far right", show=False, id=f"{area}.far_right"),
        Binding("home", "cursor_end(0)", "Cursor to the first step", show=False, id=f"{area}.first"),
        Binding("end", "cursor_end(-1)", "Cursor to the last step", show=False, id=f"{area}.last"),
        Binding("up,k", "go(-1)", "Chart above", show=False, id=f"{area}.up"),
        Binding("down,j", "go(1)", "Chart below", show=False, id=f"{area}.down"),
        Binding("pageup", "page(-1)", "Page up", show=False, id=f"{area}.page_up"),
        Binding("pagedown", "page(1)", "Page down", show=False, id=f"{area}.page_down"),
        Binding("enter", "enlarge", "Enlarge", id=f"{area}.enlarge"),
    ]
