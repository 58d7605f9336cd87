"""The form's fields as lines: seventy of them, of which only those that are to be seen are drawn.

Owns scrolling, the cursor, how a field looks, and stepping through choices. Typing into a field is
`form.py`'s, which lays an input over the line.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.events import Click
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
_STARTS = (*((digit, digit) for digit in "0123456789"), ("full_stop", "."), ("minus", "-"))
"""Keys and characters that a number begins with."""


class FormFields(ScrollView, can_focus=True):
    """Fields with a cursor."""

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
    FormFields { height: 1fr; background: $background; scrollbar-size-vertical: 1; overflow-x: hidden; }
    FormFields .form--section { color: $primary; text-style: bold; }
    FormFields .form--note { color: $text-muted; }
    FormFields .form--label { color: $foreground; }
    FormFields .form--value { color: $foreground; text-style: bold; }
    FormFields .form--unset { color: $text-muted; text-style: italic; }
    FormFields .form--changed { color: $accent; text-style: bold; }
    FormFields .form--source { color: $text-muted; }
    FormFields .form--problem { color: $error; }
    FormFields .form--arrow { color: $primary; text-style: bold; }
    FormFields .form--cursor { background: $panel; }
    FormFields:focus .form--cursor { background: $primary-muted; }
    FormFields:ansi .form--cursor { background: ansi_default; text-style: reverse; }
    FormFields:ansi:focus .form--cursor { background: ansi_default; text-style: reverse; }
    """
    # Priority: keys that come in one burst, as over a slow line, then act in their order, and those after
    # the one that begins typing reach the input.
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "edit", "Edit", priority=True, id="form.edit"),
        Binding("space", "step(1)", "Switch, next choice", show=False, priority=True, id="form.switch"),
        Binding("right", "step(1)", "Next choice", show=False, priority=True, id="form.next_choice"),
        Binding("left", "step(-1)", "Previous choice", show=False, priority=True, id="form.previous_choice"),
        Binding("down,j", "move(1)", "Down", show=False, priority=True, id="form.down"),
        Binding("up,k", "move(-1)", "Up", show=False, priority=True, id="form.up"),
        Binding("pagedown", "page(1)", "Page down", show=False, priority=True, id="form.page_down"),
        Binding("pageup", "page(-1)", "Page up", show=False, priority=True, id="form.page_up"),
        Binding("home,g", "first", "First field", show=False, priority=True, id="form.first"),
        Binding("end,G", "last", "Last field", show=False, priority=True, id="form.last"),
        Binding(
            "ctrl+down,right_square_bracket",
            "section(1)",
            "Next section",
            show=False,
            priority=True,
            id="form.section",
        ),
        Binding(
            "ctrl+up,left_square_bracket",
            "section(-1)",
            "Previous section",
            show=False,
            priority=True,
            id="form.section_back",
        ),
        Binding("n", "problem(1)", "Next problem", show=False, priority=True, id="form.problem"),
        Binding("N", "problem(-1)", "Previous problem", show=False, priority=True, id="form.problem_back"),
        *(
            Binding(key, f"begin({char!r})", "Begin a number anew", show=False, priority=True, system=True)
            for key, char in _STARTS
        ),
    ]

    cursor = reactive(0)

    @dataclass
    class Moved(Message):
        """The cursor is on another field, or that field changed."""

        field: Field | None

    @dataclass
    class Stepped(Message):
        """Somebody chose another value of a few."""

        key: str
        text: str

    class ProblemMissed(Message):
        """The next problem was asked for, and none is among what is shown."""

    def __init__(self, edit: Callable[[Field, str | None], None], **options: Any) -> None:
        super().__init__(**options)
        self._edit = edit
        """Begins typing into a field at once; a text takes the place of what is there."""
        self.options: Mapping[str, Sequence[str]] = {}
        """Key → values that are offered beside what can be typed."""
        self._given: Sequence[FormLine] = ()
        self._lines: list[FormLine] = []
        """What was given, with what is wrong wrapped to the width."""

    @property
    def lines(self) -> Sequence[FormLine]:
        """What is shown."""
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
            self.cursor = next(iter(self._rows()), 0)
        self.post_message(self.Moved(self.field))
        self.refresh()
        self.call_after_refresh(self._into_sight)

    def go_to(self, key: str) -> bool:
        """Put the cursor on a key's field; False where it is not shown."""
        row = next((row for row in self._rows() if self._lines[row].key == key), None)
        if row is not None:
            self.cursor = row
        return row is not None

    def choices(self, field: Field) -> Sequence[str]:
        """The values to step through; none where there is only typing."""
        if field.row.type == "choice":
            return [str(choice) for choice in field.row.choices]
        if field.row.type == "true or false":
            return ("true", "false")
        return self.options.get(field.key, ())

    def value_region(self, row: int) -> Region:
        """Where the value of a row stands on the widget."""
        label, value = self._columns(self._lines[row].depth)
        return Region(_GUTTER + label, row - self.scroll_offset.y, value, 1)

    def watch_cursor(self) -> None:
        """The cursor's line is in sight."""
        self._into_sight()
        self.post_message(self.Moved(self.field))
        self.refresh()

    def on_resize(self) -> None:
        """What is wrong is wrapped anew."""
        key = self.field.key if self.field else ""
        self._wrap()
        self.go_to(key)
        self.call_after_refresh(self._into_sight)

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

    def on_click(self, event: Click) -> None:
        """A click goes to the field; on its value it switches or edits."""
        offset = event.get_content_offset(self)
        row = offset.y + self.scroll_offset.y if offset else -1
        if offset is None or not 0 <= row < len(self._lines) or not self._lines[row].field:
            return
        if self._lines[row].kind == "field":
            on_value = self.value_region(row).contains(offset.x, offset.y)
            self.cursor = row
            if on_value:
                self.action_edit()
        else:
            self.go_to(self._lines[row].key)

    def action_begin(self, text: str) -> None:
        """Type a number anew."""
        field = self.field
        if field is not None and field.row.type in ("number", "whole number"):
            self._edit(field, text)

    def action_edit(self) -> None:
        """Type into the field, or go to the next choice where there is nothing to type."""
        field = self.field
        if field is None:
            return
        if field.row.type in ("choice", "true or false"):
            self.action_step(1)
        else:
            self._edit(field, None)

    def action_step(self, by: int) -> None:
        """The next of a field's choices."""
        field = self.field
        choices = self.choices(field) if field else ()
        if field and choices:
            at = choices.index(field.text) if field.text in choices else (-1 if by > 0 else 0)
            self.post_message(self.Stepped(field.key, choices[(at + by) % len(choices)]))

    def action_move(self, by: int) -> None:
        """To the next field."""
        rows = self._rows()
        if rows:
            at = rows.index(self.cursor) if self.cursor in rows else 0
            self.cursor = rows[max(0, min(at + by, len(rows) - 1))]

    def action_page(self, by: int) -> None:
        """A widget's height of fields."""
        self.action_move(by * max(1, self.size.height - 2))

    def action_first(self) -> None:
        """The first field."""
        self.action_move(-len(self._lines))

    def action_last(self) -> None:
        """The last field."""
        self.action_move(len(self._lines))

    def action_section(self, by: int) -> None:
        """The first field of the next outermost section."""
        heads = [n for n, line in enumerate(self._lines) if line.kind == "section" and line.depth == 0]
        here = sum(head < self.cursor for head in heads) - 1
        if heads:
            head = heads[max(0, min(here + by, len(heads) - 1))]
            self.cursor = next(row for row in self._rows() if row > head)

    def action_problem(self, by: int) -> None:
        """The next field with something wrong."""
        wrong = [row for row in self._rows() if (f := self._lines[row].field) and f.problem]
        later = (
            [row for row in wrong if row > self.cursor] if by > 0 else [r for r in wrong if r < self.cursor]
        )
        if wrong:
            self.cursor = (later or wrong)[0] if by > 0 else (later or wrong)[-1]
        else:
            self.post_message(self.ProblemMissed())

    def _into_sight(self) -> None:
        """Scroll to the cursor's line, with its heading above and what is wrong with it below."""
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
        self._lines = [one for line in self._given for one in wrapped(line, width)]
        self.virtual_size = Size(self.size.width, len(self._lines))

    def _rows(self) -> list[int]:
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

    def _field_cells(self, field: Field, depth: int, here: bool) -> Iterator[tuple[str, Style]]:
        label, value = self._columns(depth)
        sign = "✗" if field.problem else "•" if field.differs or field.is_typed else " "
        marked = self._part("form--problem" if field.problem else "form--changed")
        yield f"{sign} ", marked
        name = " " * (INDENT * depth) + field.row.path[-1]
        yield set_cell_size(_cut(name, label - 1), label), self._part("form--label")
        yield from self._value_cells(field, value, here)
        mark, word = SOURCES.get(field.source, ("?", field.source))
        said = f" {mark} {word}" if field.source != "default" else f" {mark}"
        yield set_cell_size(said, self._source_width + 1), self._part("form--source")

    def _value_cells(self, field: Field, width: int, here: bool) -> Iterator[tuple[str, Style]]:
        text, style = plain(field.text), self._value_style(field)
        if not text:
            text = "unset" if field.row.optional else "none" if field.row.type == "mapping" else "empty"
        elif field.row.type == "true or false":
            text = f"{'●' if text == 'true' else '○'} {text}"
        if here and self.choices(field) and width > 10:
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
    """A line of what is wrong as several, made safe; any other one as it is."""
    if line.kind != "problem":
        return [line]
    room = width - _GUTTER - INDENT * (line.depth + 1)
    pieces = textwrap.wrap(plain(line.text), max(room, 10)) or [""]
    return [replace(line, text=f"{'  ' if n else '✗ '}{piece}") for n, piece in enumerate(pieces)]


def _cut(text: str, width: int) -> str:
    """Text cut to a width, with an ellipsis where something is missing."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, max(width - 1, 0)) + "…" if width > 0 else ""
