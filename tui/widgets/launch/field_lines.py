"""The lines of the launch form: sections, fields and problems, of which only the visible ones are drawn."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.text.format import plain
from tui.widgets.launch.rows import INDENT, SOURCES, FormLine

if TYPE_CHECKING:
    from tui.planning.draft import Field

_GUTTER = 2
_SOURCE = 9
_NARROW_SOURCE = 7


class FieldLines(ScrollView):
    """Lines with a cursor that stands on fields."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "form--section",
        "form--note",
        "form--label",
        "form--value",
        "form--unset",
        "form--changed",
        "form--source",
        "form--problem",
        "form--arrow",
        "form--cursor",
    }
    DEFAULT_CSS = """
    FieldLines { height: 1fr; background: $background; scrollbar-size-vertical: 1; overflow-x: hidden; }
    FieldLines .form--section { color: $primary; text-style: bold; }
    FieldLines .form--note { color: $text-muted; }
    FieldLines .form--label { color: $foreground; }
    FieldLines .form--value { color: $foreground; text-style: bold; }
    FieldLines .form--unset { color: $text-muted; text-style: italic; }
    FieldLines .form--changed { color: $accent; text-style: bold; }
    FieldLines .form--source { color: $text-muted; }
    FieldLines .form--problem { color: $error; }
    FieldLines .form--arrow { color: $primary; text-style: bold; }
    FieldLines .form--cursor { background: $panel; }
    FieldLines:focus .form--cursor { background: $primary-muted; }
    FieldLines:ansi .form--cursor { background: ansi_default; text-style: reverse; }
    FieldLines:ansi:focus .form--cursor { background: ansi_default; text-style: reverse; }
    """
    cursor = reactive(0)

    @dataclass
    class Moved(Message):
        """The cursor is on another field, or its field changed."""

        field: Field | None

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.options: Mapping[str, Sequence[str]] = {}
        """Key → values that are offered for a field that takes any text."""
        self._given: Sequence[FormLine] = ()
        self._lines: list[FormLine] = []
        """The given lines, with problems wrapped to the width."""

    @property
    def lines(self) -> Sequence[FormLine]:
        """The visible lines."""
        return self._lines

    @property
    def field(self) -> Field | None:
        """The field under the cursor."""
        return self._lines[self.cursor].field if self.cursor < len(self._lines) else None

    def show(self, lines: Sequence[FormLine]) -> None:
        """Show other lines; the cursor stays on its field."""
        if lines == self._given:
            return
        key = self.field.key if self.field else ""
        self._given = lines
        self._wrap()
        if not self.go_to(key):
            self.cursor = next(iter(self.field_rows()), 0)
        self.post_message(self.Moved(self.field))
        self.refresh()
        self.call_after_refresh(self._reveal)

    def go_to(self, key: str) -> bool:
        """Put the cursor on the field of a key; False if it is not shown."""
        row = next((row for row in self.field_rows() if self._lines[row].key == key), None)
        if row is not None:
            self.cursor = row
        return row is not None

    def choices(self, field: Field) -> Sequence[str]:
        """The values to step through; none where only typing is possible."""
        if field.row.type == "choice":
            return [str(choice) for choice in field.row.choices]
        if field.row.type == "true or false":
            return ("true", "false")
        return self.options.get(field.key, ())

    def value_region(self, row: int) -> Region:
        """Region of a row's value within the widget."""
        label, value = self._columns(self._lines[row].depth)
        return Region(_GUTTER + label, row - self.scroll_offset.y, value, 1)

    def watch_cursor(self) -> None:
        """Scroll to the cursor."""
        self._reveal()
        self.post_message(self.Moved(self.field))
        self.refresh()

    def on_resize(self) -> None:
        """Wrap problems to the new width."""
        key = self.field.key if self.field else ""
        self._wrap()
        self.go_to(key)
        self.call_after_refresh(self._reveal)

    def render_line(self, y: int) -> Strip:
        """One line of the form."""
        row, width = y + self.scroll_offset.y, self.scrollable_content_region.width
        if row >= len(self._lines):
            return Strip.blank(width, self.rich_style)
        base = self.rich_style
        line = self._lines[row]
        if row == self.cursor and line.kind == "field":
            base += self._part("form--cursor")
        strip = Strip([Segment(text, base + style) for text, style in self._cells(line, row, width)])
        return strip.adjust_cell_length(width, base)

    def _reveal(self) -> None:
        """Scroll to the cursor's line, with its heading and its problems."""
        if not self._lines or not self.size.height:
            return
        top = bottom = self.cursor
        while top > 0 and self._lines[top - 1].kind in ("section", "gap"):
            top -= 1
        while bottom + 1 < len(self._lines) and self._lines[bottom + 1].kind == "problem":
            bottom += 1
        region = Region(0, top, 1, min(bottom + 1 - top, self.size.height))
        self.scroll_to_region(region, animate=False, immediate=True)

    def _wrap(self) -> None:
        width = max(self.scrollable_content_region.width, 20)
        self._lines = [piece for line in self._given for piece in wrapped(line, width)]
        self.virtual_size = Size(self.size.width, len(self._lines))

    def field_rows(self) -> list[int]:
        """The rows that are fields."""
        return [n for n, line in enumerate(self._lines) if line.kind == "field"]

    def _columns(self, depth: int) -> tuple[int, int]:
        """Widths of the label (at this depth, with its indent) and of the value."""
        width = self.scrollable_content_region.width - _GUTTER
        source = self._source_width
        label = max(min(width - source - 12, 32), 12)
        return label, max(width - label - source - 1, 4)

    @property
    def _source_width(self) -> int:
        return _SOURCE if self.scrollable_content_region.width >= 60 else _NARROW_SOURCE

    def _cells(self, line: FormLine, row: int, width: int) -> Iterator[tuple[str, Style]]:
        indent = " " * (_GUTTER + INDENT * line.depth)
        if line.kind == "section":
            yield indent + line.text, self._part("form--section")
            room = width - cell_len(indent + line.text) - 3
            if line.depth == 0 and room > 20:
                yield f"  {_cut(line.note, room)}", self._part("form--note")
        elif line.kind == "problem":
            yield _cut(indent + line.text, width), self._part("form--problem")
        elif line.kind == "note":
            yield _cut(indent + line.text, width), self._part("form--note")
        elif line.field is not None:
            yield from self._field_cells(line.field, line.depth, row == self.cursor)

    def _field_cells(self, field: Field, depth: int, has_cursor: bool) -> Iterator[tuple[str, Style]]:
        label, value = self._columns(depth)
        sign = "✗" if field.problem else "•" if field.differs or field.is_typed else " "
        marked = self._part("form--problem" if field.problem else "form--changed")
        yield f"{sign} ", marked
        name = " " * (INDENT * depth) + field.row.path[-1]
        yield set_cell_size(_cut(name, label - 1), label), self._part("form--label")
        yield from self._value_cells(field, value, has_cursor)
        mark, word = SOURCES.get(field.source, ("?", field.source))
        source = f" {mark} {word}" if field.source != "default" else f" {mark}"
        yield set_cell_size(source, self._source_width + 1), self._part("form--source")

    def _value_cells(self, field: Field, width: int, has_cursor: bool) -> Iterator[tuple[str, Style]]:
        text, style = plain(field.text), self._value_style(field)
        if not text:
            text = "unset" if field.row.optional else "none" if field.row.type == "mapping" else "empty"
        elif field.row.type == "true or false":
            text = f"{'●' if text == 'true' else '○'} {text}"
        if has_cursor and self.choices(field) and width > 10:
            yield "‹ ", self._part("form--arrow")
            shown = _cut(text, width - 4)
            yield shown, style
            yield " ›", self._part("form--arrow")
            yield " " * max(width - 4 - cell_len(shown), 0), Style()
            return
        was = f"  was {field.base or 'unset'}" if field.differs and field.is_typed else ""
        shown = _cut(text, width)
        rest = width - cell_len(shown)
        yield shown, style
        yield set_cell_size(_cut(was, rest) if len(was) <= rest else "", rest), self._part("form--note")

    def _value_style(self, field: Field) -> Style:
        if field.problem:
            return self._part("form--problem")
        if field.differs or field.is_typed:
            return self._part("form--changed")
        if not field.text:
            return self._part("form--unset")
        return self._part("form--value") if field.source != "default" else self._part("form--label")

    def _part(self, name: str) -> Style:
        return self.get_component_rich_style(name, partial=True)


def wrapped(line: FormLine, width: int) -> list[FormLine]:
    """A problem as several lines, with control characters escaped; any other line as it is."""
    if line.kind != "problem":
        return [line]
    room = width - _GUTTER - INDENT * (line.depth + 1)
    pieces = textwrap.wrap(plain(line.text), max(room, 10)) or [""]
    return [replace(line, text=f"{'  ' if n else '✗ '}{piece}") for n, piece in enumerate(pieces)]


def _cut(text: str, width: int) -> str:
    """Text cut to a width, with an ellipsis."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, max(width - 1, 0)) + "…" if width > 0 else ""
