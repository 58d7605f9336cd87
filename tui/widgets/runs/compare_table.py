"""A table of runs side by side: a row for each key or result, a column for each run.

Names of rows and runs do not scroll; one run is chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.color import Color
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.text.format import fit, plain
from tui.widgets.charts.braille import PATTERNS
from tui.widgets.charts.palette import run_colour, run_letter

_NARROWEST, _WIDEST = 14, 60
_WIDEST_KEY = 38
_GAP = 2
_SIGN = 6
"""Cells of a run's letter and line sample, before its name."""


@dataclass(frozen=True)
class Cell:
    """A value of a run."""

    text: str
    strong: bool = False
    """Whether it is emphasised: a value unlike most, or the best one."""
    bad: bool = False


@dataclass(frozen=True)
class TableRow:
    """A row; without cells, a heading or a remark."""

    label: str
    cells: tuple[Cell, ...] = ()
    remark: bool = False


@dataclass(frozen=True)
class Column:
    """The column of a run."""

    mark: int
    label: str


@dataclass
class _Layout:
    key: int
    widths: list[int] = field(default_factory=list)

    def start(self, column: int) -> int:
        """First cell of a column, counted from the end of the names of rows."""
        return sum(width + _GAP for width in self.widths[:column])


class CompareTable(ScrollView, can_focus=True):
    """A table with a column for each run."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "compare--heading",
        "compare--key",
        "compare--usual",
        "compare--strong",
        "compare--bad",
        "compare--remark",
        "compare--chosen",
    }
    DEFAULT_CSS = """
    CompareTable { height: auto; scrollbar-size-vertical: 1; scrollbar-size-horizontal: 1; }
    CompareTable > .compare--heading { color: $primary; text-style: bold; }
    CompareTable > .compare--key { color: $foreground 75%; }
    CompareTable > .compare--usual { color: $foreground 60%; }
    CompareTable > .compare--strong { color: $accent; text-style: bold; }
    CompareTable > .compare--bad { color: $error; }
    CompareTable > .compare--remark { color: $foreground 60%; text-style: italic; }
    CompareTable > .compare--chosen { background: $foreground 6%; }
    CompareTable:focus > .compare--chosen { background: $primary 18%; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "choose(-1)", "Run to the left", show=False, id="compare.left"),
        Binding("right,l", "choose(1)", "Run to the right", show=False, id="compare.right"),
        Binding("up,k", "scroll_up", "Up", show=False, id="compare.up"),
        Binding("down,j", "scroll_down", "Down", show=False, id="compare.down"),
        Binding("enter", "open", "Open run", show=False, id="compare.enter"),
    ]
    chosen: reactive[int] = reactive(0)
    """Number of the chosen column."""

    @dataclass
    class Opened(Message):
        """Open the run of a column."""

        mark: int

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.columns: list[Column] = []
        self.rows: list[TableRow] = []
        self._layout = _Layout(0)
        self._natural: list[int] = []

    @property
    def chosen_column(self) -> Column | None:
        """The chosen column."""
        return self.columns[self.chosen] if self.chosen < len(self.columns) else None

    def show(self, columns: Sequence[Column], rows: Sequence[TableRow]) -> None:
        """Show other runs, or other rows."""
        if (list(columns), list(rows)) == (self.columns, self.rows):
            return
        self.columns, self.rows = list(columns), list(rows)
        self.chosen = max(0, min(self.chosen, len(columns) - 1))
        keys = [cell_len(plain(row.label)) for row in rows if row.cells]
        self._layout = _Layout(min(max(keys, default=0), _WIDEST_KEY) + _GAP)
        self._natural = []
        for place, column in enumerate(columns):
            texts = [cell_len(plain(row.cells[place].text)) + 2 for row in rows if row.cells]
            self._natural.append(
                min(max([cell_len(plain(column.label)) + _SIGN, _NARROWEST, *texts]), _WIDEST)
            )
        self._fit()
        self.refresh(layout=True)

    def on_resize(self, _: events.Resize) -> None:
        """Fit the columns to the new width."""
        self._fit()

    def _fit(self) -> None:
        """Make columns as wide as their values, or cut values, those of the chosen run last."""
        natural, columns = self._natural, self.columns
        widths = [
            min(width, max(len(column.label) + _SIGN, _NARROWEST))
            for width, column in zip(natural, columns, strict=True)
        ]
        left = self.size.width - self._layout.key - _GAP * len(widths) - sum(widths)
        for place in sorted(range(len(widths)), key=lambda place: place != self.chosen):
            more = max(0, min(natural[place] - widths[place], left))
            widths[place] += more
            left -= more
        self._layout.widths = widths
        self.virtual_size = Size(self._layout.key + self._layout.start(len(widths)), len(self.rows) + 1)

    def get_content_width(self, container: Size, viewport: Size) -> int:
        """The width of all columns."""
        return self._layout.key + sum(width + _GAP for width in self._natural)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """The number of rows."""
        return self.virtual_size.height + (self.virtual_size.width > width)

    def render_line(self, y: int) -> Strip:
        """The names of the runs, then the visible rows."""
        scroll_x, scroll_y = self.scroll_offset
        width = self.scrollable_content_region.width
        if y == 0:
            names, values = Segment(" " * self._layout.key), self._run_names()
        else:
            at = y - 1 + scroll_y
            if at >= len(self.rows):
                return Strip.blank(width, self.rich_style)
            row = self.rows[at]
            if not row.cells:
                look = self._look("remark" if row.remark else "heading")
                return self._finished(Strip([Segment(_cut(row.label, width), look)]), width)
            names, values = self._row_name(row.label), self._values(row)
        room = max(0, width - self._layout.key)
        return self._finished(Strip([names, *Strip(values).crop(scroll_x, scroll_x + room)]), width)

    def watch_chosen(self) -> None:
        """Scroll to the chosen run."""
        self._fit()
        start, widths = self._layout.start(self.chosen), self._layout.widths
        if not widths:
            return
        room = self.scrollable_content_region.width - self._layout.key
        left = self.scroll_offset.x
        if start < left:
            self.scroll_to(x=start, animate=False)
        elif start + widths[self.chosen] > left + room:
            self.scroll_to(x=start + widths[self.chosen] - room, animate=False)
        self.refresh()

    def action_choose(self, by: int) -> None:
        """Choose the run at the left or right."""
        self.chosen = max(0, min(self.chosen + by, len(self.columns) - 1))

    def action_open(self) -> None:
        """Open the chosen run."""
        if self.chosen_column is not None:
            self.post_message(self.Opened(self.chosen_column.mark))

    def on_click(self, event: events.Click) -> None:
        """Choose a run; a double click opens it."""
        at = event.x - self._layout.key + self.scroll_offset.x
        for place, width in enumerate(self._layout.widths):
            if self._layout.start(place) <= at < self._layout.start(place) + width + _GAP:
                self.chosen = place
                if event.chain == 2:
                    self.action_open()

    def _run_names(self) -> list[Segment]:
        dark = self.app.current_theme.dark
        segments = []
        for place, (column, width) in enumerate(zip(self.columns, self._layout.widths, strict=True)):
            colour = Style(color=run_colour(column.mark, dark), bold=True)
            sample = PATTERNS[column.mark % len(PATTERNS)].sample
            chosen = self._ground(place)
            sign = f"{run_letter(column.mark)} {sample} "
            name = _cut(column.label, width - len(sign))
            under = Style(underline=True, bold=True) if place == self.chosen else Style(bold=True)
            segments += [Segment(sign, colour + chosen), Segment(name, under + chosen)]
            rest = width - cell_len(sign) - cell_len(name)
            segments += [Segment(" " * rest, chosen), Segment(" " * _GAP)]
        return segments

    def _row_name(self, label: str) -> Segment:
        width = self._layout.key - _GAP
        return Segment(fit(label, width) + " " * _GAP, self._look("key"))

    def _values(self, row: TableRow) -> list[Segment]:
        segments = []
        for place, (cell, width) in enumerate(zip(row.cells, self._layout.widths, strict=True)):
            look = self._look("bad" if cell.bad else "strong" if cell.strong else "usual")
            text = f"{'▸' if cell.strong else ' '} {fit(cell.text, width - 2)}"
            segments += [Segment(text, look + self._ground(place)), Segment(" " * _GAP)]
        return segments

    def _ground(self, place: int) -> Style:
        if place != self.chosen or len(self.columns) < 2:
            return Style()
        tint = self.get_component_styles("compare--chosen").background
        return Style(bgcolor=(self._background + tint).rich_color)

    @property
    def _background(self) -> Color:
        return self.background_colors[1]

    def _look(self, name: str) -> Style:
        styles = self.get_component_styles(f"compare--{name}")
        return Style(color=(self._background + styles.color).rich_color) + styles.text_style

    def _finished(self, strip: Strip, width: int) -> Strip:
        base = self.rich_style
        return strip.apply_style(base).adjust_cell_length(width, base)


def _cut(text: str, width: int) -> str:
    return fit(text, width).rstrip() if width > 0 else ""
