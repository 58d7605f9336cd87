"""The runs table: ten thousand rows, of which only those that are to be seen are drawn.

Owns scrolling, the cursor, marks, the order, and applying a filter. What a run shows in a column is
`run_columns.py`'s; what the rows are, and what becomes of them, is the screen's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.events import Click, MouseScrollDown, MouseScrollUp
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.store.run_filter import RunFilter
from tui.store.run_rows import Key, RunRow, sort_rows
from tui.widgets.run_columns import BY_NAME, MARK, MARK_WIDTH, Layout, cell, fit, lay_out, longest

_HEADER = 1
_WHEEL = 3  # lines that a notch of the wheel goes


class RunTable(ScrollView, can_focus=True):
    """Runs, one a line, under a header."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "runs--header",
        "runs--sorted",
        "runs--cursor",
        "runs--mark",
        "runs--id",
        "runs--quiet",
        "runs--rest",
        "runs--spark",
        "runs--pending",
        "runs--running",
        "runs--done",
        "runs--failed",
        "runs--cancelled",
    }
    DEFAULT_CSS = """
    RunTable { height: 1fr; background: $background; scrollbar-size-vertical: 1; overflow-x: hidden; }
    RunTable .runs--header { color: $text-muted; background: $surface; }
    RunTable .runs--sorted { color: $foreground; text-style: bold; }
    RunTable .runs--cursor { background: $panel; }
    RunTable:focus .runs--cursor { background: $primary-muted; }
    RunTable:ansi .runs--cursor { background: ansi_default; text-style: underline; }
    RunTable:ansi:focus .runs--cursor { background: ansi_default; text-style: reverse; }
    RunTable .runs--mark { color: $accent; text-style: bold; }
    RunTable .runs--id { text-style: bold; }
    RunTable .runs--quiet { color: $text-muted; }
    RunTable .runs--rest { color: $text-disabled; }
    RunTable .runs--spark { color: $secondary; }
    RunTable .runs--pending { color: $warning; }
    RunTable .runs--running { color: $primary; }
    RunTable .runs--done { color: $success; }
    RunTable .runs--failed { color: $error; }
    RunTable .runs--cancelled { color: $text-muted; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "Open", id="runs.open"),
        Binding("down,j", "move(1)", "Down", show=False, id="runs.down"),
        Binding("up,k", "move(-1)", "Up", show=False, id="runs.up"),
        Binding("pagedown,ctrl+f", "page(1)", "Page down", show=False, id="runs.page_down"),
        Binding("pageup,ctrl+b", "page(-1)", "Page up", show=False, id="runs.page_up"),
        Binding("home,g", "to(0)", "First run", show=False, id="runs.first"),
        Binding("end,G", "to(-1)", "Last run", show=False, id="runs.last"),
        Binding("m", "mark", "Mark", id="runs.mark"),
        Binding("space", "mark(1)", "Mark, go on", show=False, id="runs.mark_on"),
        Binding("M", "mark_all", "Mark all shown, or none", show=False, id="runs.mark_all"),
        Binding("s,greater_than_sign", "sort_next(1)", "Sort by the next column", show=False, id="runs.sort"),
        Binding(
            "less_than_sign", "sort_next(-1)", "Sort by the column before", show=False, id="runs.sort_back"
        ),
        Binding("S", "reverse", "Reverse the order", show=False, id="runs.reverse"),
    ]

    cursor = reactive(0, init=False)

    @dataclass
    class Opened(Message):
        """Somebody wants to see a run."""

        row: RunRow

    @dataclass
    class Moved(Message):
        """The cursor is on another run, on other news of it, or on none."""

        row: RunRow | None

    @dataclass
    class Marked(Message):
        """Other runs are marked."""

        rows: Sequence[RunRow]

    @dataclass
    class Sorted(Message):
        """The order has changed."""

        column: str
        reverse: bool

    def __init__(self, now: Callable[[], float], column: str = "age", reverse: bool = False, **options: Any):
        super().__init__(**options)
        self._now = now
        self.sort_column = column if column in BY_NAME else "age"
        self.sort_reverse = reverse
        self.rows: Sequence[RunRow] = ()
        """All runs, shown or not."""
        self.shown: list[RunRow] = []
        """The runs that the filter lets through, in order."""
        self.filter = RunFilter()
        self._marks: set[Key] = set()
        self._wanted: Key | None = None
        self._layout: Layout = ()
        self._longest: Mapping[str, int] = {}
        self._painted: dict[int, tuple[RunRow, str]] = {}
        self._looks: dict[str, Style] = {}
        self.empty = ""
        """What is said where no run is shown."""

    @property
    def row(self) -> RunRow | None:
        """The run under the cursor."""
        return self.shown[self.cursor] if self.cursor < len(self.shown) else None

    @property
    def marked(self) -> list[RunRow]:
        """The marked runs, those first that are shown, in the order of the table."""
        if not self._marks:
            return []
        found = {row.key: row for row in self.shown if row.key in self._marks}
        hidden = [row for row in self.rows if row.key in self._marks and row.key not in found]
        return [*found.values(), *hidden]

    @property
    def chosen(self) -> list[RunRow]:
        """What an action is for: the marked runs, or the one under the cursor."""
        return self.marked or ([self.row] if self.row else [])

    def show(self, rows: Sequence[RunRow]) -> None:
        """Other rows, or news of them; the cursor stays on its run."""
        self.rows = rows
        self._longest = longest(rows)
        self._arrange()

    def filter_by(self, chosen: RunFilter) -> None:
        """Show only what a filter lets through."""
        self.filter = chosen
        self._arrange()

    def sort_by(self, column: str, reverse: bool | None = None) -> None:
        """Another order; without a direction it is the one that people look for."""
        self.sort_column = column
        self.sort_reverse = BY_NAME[column].high_first if reverse is None else reverse
        self._arrange(keep_view=False)
        self.refresh()
        self.post_message(self.Sorted(self.sort_column, self.sort_reverse))

    def unmark(self) -> None:
        """No run is marked any more."""
        self._marks.clear()
        self._remarked()

    def tick(self) -> None:
        """Time has passed: repaint the lines on which that shows."""
        for y, (row, shown) in self._painted.items():
            if shown != self._clocks(row):
                self.refresh(Region(0, y, self.size.width, 1))

    def render_line(self, y: int) -> Strip:
        """The header, or a run."""
        width = self.scrollable_content_region.width
        if y == 0:
            return self._header(width)
        at = self.scroll_offset.y + y - _HEADER
        if at >= len(self.shown):
            self._painted.pop(y, None)
            return self._blank(y, width)
        row = self.shown[at]
        self._painted[y] = (row, self._clocks(row))
        return self._draw(row, width, at == self.cursor)

    def notify_style_update(self) -> None:
        """Colours have changed."""
        super().notify_style_update()
        self._looks.clear()

    def on_resize(self) -> None:
        """Columns come and go with the room that there is."""
        self._painted.clear()
        self._fit_view()
        self.refresh()

    def watch_cursor(self, before: int, now: int) -> None:
        """The line that it left, the line that it is on."""
        self._reveal()
        for at in (before, now):
            self.refresh(Region(0, at - self.scroll_offset.y + _HEADER, self.size.width, 1))

    def action_open(self) -> None:
        """See the run under the cursor."""
        if self.row is not None:
            self.post_message(self.Opened(self.row))

    def action_move(self, by: int) -> None:
        """Some lines up or down."""
        self._go(self.cursor + by)

    def action_page(self, by: int) -> None:
        """As many lines as there are to be seen."""
        self._go(self.cursor + by * max(1, self._page - 1))

    def action_to(self, at: int) -> None:
        """A line by number, from the end where it is negative."""
        self._go(at if at >= 0 else len(self.shown) + at)

    def action_mark(self, then: int = 0) -> None:
        """Mark the run under the cursor, or unmark it; then go on."""
        if self.row is not None:
            self._marks ^= {self.row.key}
            self._remarked()
            self._go(self.cursor + then)

    def action_mark_all(self) -> None:
        """Mark every run that is shown; where they all are, none."""
        keys = {row.key for row in self.shown}
        self._marks = self._marks - keys if keys <= self._marks else self._marks | keys
        self._remarked()

    def action_sort_next(self, by: int) -> None:
        """The next column that is to be seen."""
        names = [column.name for column, _, _ in self._layout] or [self.sort_column]
        at = names.index(self.sort_column) if self.sort_column in names else -1
        self.sort_by(names[(at + by) % len(names)])

    def action_reverse(self) -> None:
        """The other way round."""
        self.sort_by(self.sort_column, not self.sort_reverse)

    def on_click(self, event: Click) -> None:
        """The header sorts, the first cells mark, a line takes the cursor, twice opens it."""
        if event.y == 0:
            self._sort_at(event.x)
            return
        at = self.scroll_offset.y + event.y - _HEADER
        if at < len(self.shown):
            self._go(at)
            if event.x < MARK_WIDTH:
                self.action_mark()
            elif event.chain == 2:
                self.action_open()

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        """The lines go, and take the cursor with them where it would be lost."""
        self._wheel(event, _WHEEL)

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        """The same, upwards."""
        self._wheel(event, -_WHEEL)

    @property
    def _page(self) -> int:
        return max(1, self.scrollable_content_region.height - _HEADER)

    def _wheel(self, event: MouseScrollDown | MouseScrollUp, by: int) -> None:
        event.stop()
        event.prevent_default()
        if self.max_scroll_y == 0:
            self._go(self.cursor + (1 if by > 0 else -1))
            return
        top = max(0, min(self.scroll_offset.y + by, int(self.max_scroll_y)))
        self.scroll_to(y=top, animate=False, immediate=True)
        self._go(max(top, min(self.cursor, top + self._page - 1)))

    def _go(self, at: int) -> None:
        at = max(0, min(at, len(self.shown) - 1))
        moved = at != self.cursor
        self.cursor = at
        self._wanted = self.row.key if self.row else None
        if moved:
            self.post_message(self.Moved(self.row))

    def _arrange(self, *, keep_view: bool = True) -> None:
        """Filter and sort anew. The cursor stays on its run, and the run where it is on the screen."""
        before, was = self.row, self.cursor
        self.shown = sort_rows(
            self.filter.apply(self.rows, self._now()), self.sort_column, reverse=self.sort_reverse
        )
        self._fit_view()
        at = self._find(self._wanted)
        if at is None:
            at = max(0, min(was, len(self.shown) - 1))
            if self._wanted is None and self.shown:
                self._wanted = self.shown[at].key
        top = self.scroll_offset.y
        if keep_view and top > 0 and at != was:
            self.scroll_to(y=max(0, top + at - was), animate=False, immediate=True)
        self.cursor = at
        self._reveal()
        self._repaint()
        if self.row is not before:
            self.post_message(self.Moved(self.row))

    def _find(self, key: Key | None) -> int | None:
        if key is None:
            return None
        same = (at for at, row in enumerate(self.shown) if row.run_id == key[2] and row.key == key)
        return next(same, None)

    def _fit_view(self) -> None:
        self._layout = lay_out(self.scrollable_content_region.width - 1, self._longest)
        self.virtual_size = Size(0, len(self.shown) + _HEADER)

    def _reveal(self) -> None:
        top = self.scroll_offset.y
        if self.cursor < top:
            self.scroll_to(y=self.cursor, animate=False, immediate=True)
        elif self.cursor >= top + self._page:
            self.scroll_to(y=self.cursor - self._page + 1, animate=False, immediate=True)

    def _repaint(self) -> None:
        """Only the lines that are not as they were."""
        top = self.scroll_offset.y
        for y in range(_HEADER, self.size.height):
            at = top + y - _HEADER
            row = self.shown[at] if at < len(self.shown) else None
            known = self._painted.get(y)
            if row is not (known[0] if known else None) or row is None:
                self.refresh(Region(0, y, self.size.width, 1))

    def _remarked(self) -> None:
        self.refresh()
        self.post_message(self.Marked(self.marked))

    def _sort_at(self, x: int) -> None:
        for column, start, width in self._layout:
            if start <= x < start + width + 1:
                again = column.name == self.sort_column
                self.sort_by(column.name, not self.sort_reverse if again else None)

    def _clocks(self, row: RunRow) -> str:
        """What of a line changes as time goes by."""
        now = self._now()
        return "".join(
            text for column in ("age", "progress") for text, _ in cell(BY_NAME[column], row, 17, now)
        )

    def _look(self, name: str) -> Style:
        """The style of that name; a status that this version does not know looks like any text."""
        if name not in self._looks:
            known = f"runs--{name}" in self.COMPONENT_CLASSES
            self._looks[name] = self._made_look(f"runs--{name}") if known else Style.null()
        return self._looks[name]

    def _made_look(self, name: str) -> Style:
        """Its own colours over whatever lies behind, and its own text style."""
        mixed, own = self.get_visual_style(name).rich_style, self.get_component_styles(name)
        background = mixed.bgcolor if own.has_rule("background") else None
        return Style(color=mixed.color, bgcolor=background) + own.text_style

    def _header(self, width: int) -> Strip:
        parts, at = [], 0
        for column, start, cells in self._layout:
            parts.append(Segment(" " * (start - at)))
            title, style = column.title if cells >= len(column.title) else column.short, Style.null()
            if column.name == self.sort_column:
                title = f"{fit(title, min(len(title), cells - 1))}{'▼' if self.sort_reverse else '▲'}"
                style = self._look("sorted")
            parts.append(Segment(title.rjust(cells) if column.right else fit(title, cells), style))
            at = start + cells
        return self._line(parts, width, self.rich_style + self._look("header"))

    def _draw(self, row: RunRow, width: int, under_cursor: bool) -> Strip:
        now, at = self._now(), MARK_WIDTH
        cursor = self._look("cursor") if under_cursor else Style.null()
        # A reversed line has one colour: several would be as many backgrounds.
        look = (lambda _: Style.null()) if cursor.reverse else self._look
        mark = MARK if row.key in self._marks else " "
        parts = [Segment(f"{mark:<{MARK_WIDTH}}", look("mark"))]
        for column, start, cells in self._layout:
            parts.append(Segment(" " * (start - at)))
            parts += [Segment(text, look(style)) for text, style in cell(column, row, cells, now)]
            at = start + cells
        return self._line(parts, width, self.rich_style + cursor)

    def _blank(self, y: int, width: int) -> Strip:
        said = self.empty if y == _HEADER + 1 and not self.shown else ""
        return self._line([Segment(fit(f"  {said}", width), self._look("quiet"))], width, self.rich_style)

    def _line(self, parts: list[Segment], width: int, style: Style) -> Strip:
        return Strip(parts).adjust_cell_length(width).apply_style(style)
