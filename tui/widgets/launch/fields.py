"""The fields of the launch form with keys: moving, stepping through choices, starting to type.

`form.py` lays an input over the field that is typed into.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from textual.binding import Binding, BindingType
from textual.events import Click
from textual.message import Message

from tui.widgets.launch.field_lines import FieldLines

if TYPE_CHECKING:
    from tui.planning.draft import Field

_STARTS = (*((digit, digit) for digit in "0123456789"), ("full_stop", "."), ("minus", "-"))
"""Keys and characters that a number begins with."""


class FormFields(FieldLines, can_focus=True):
    """Fields that can be edited."""

    # Priority: keys that arrive together, as over a slow line, then act in order, and those after the one
    # that starts typing reach the input.
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
            Binding(key, f"begin({char!r})", "Replace the number", show=False, priority=True, system=True)
            for key, char in _STARTS
        ),
    ]

    @dataclass
    class Stepped(Message):
        """Another choice was taken."""

        key: str
        text: str

    class ProblemMissed(Message):
        """The next problem was requested, and no visible field has one."""

    def __init__(self, edit: Callable[[Field, str | None], None], **options: Any) -> None:
        super().__init__(**options)
        self._edit = edit
        """Starts typing into a field; a text replaces the field's."""

    def on_click(self, event: Click) -> None:
        """Put the cursor on the clicked field; on its value, edit or switch it."""
        offset = event.get_content_offset(self)
        row = offset.y + self.scroll_offset.y if offset else -1
        if offset is None or not 0 <= row < len(self.lines) or not self.lines[row].field:
            return
        if self.lines[row].kind == "field":
            on_value = self.value_region(row).contains(offset.x, offset.y)
            self.cursor = row
            if on_value:
                self.action_edit()
        else:
            self.go_to(self.lines[row].key)

    def action_begin(self, text: str) -> None:
        """Replace a number, beginning with this character."""
        field = self.field
        if field is not None and field.row.type in ("number", "whole number"):
            self._edit(field, text)

    def action_edit(self) -> None:
        """Type into the field, or take its next choice."""
        field = self.field
        if field is None:
            return
        if field.row.type in ("choice", "true or false"):
            self.action_step(1)
        else:
            self._edit(field, None)

    def action_step(self, by: int) -> None:
        """Take the next or previous choice of the field."""
        field = self.field
        choices = self.choices(field) if field else ()
        if field and choices:
            at = choices.index(field.text) if field.text in choices else (-1 if by > 0 else 0)
            self.post_message(self.Stepped(field.key, choices[(at + by) % len(choices)]))

    def action_move(self, by: int) -> None:
        """Move the cursor by fields."""
        rows = self.field_rows()
        if rows:
            at = rows.index(self.cursor) if self.cursor in rows else 0
            self.cursor = rows[max(0, min(at + by, len(rows) - 1))]

    def action_page(self, by: int) -> None:
        """Move the cursor by the visible fields."""
        self.action_move(by * max(1, self.size.height - 2))

    def action_first(self) -> None:
        """Move the cursor to the first field."""
        self.action_move(-len(self.lines))

    def action_last(self) -> None:
        """Move the cursor to the last field."""
        self.action_move(len(self.lines))

    def action_section(self, by: int) -> None:
        """Move the cursor to the first field of another section."""
        heads = [n for n, line in enumerate(self.lines) if line.kind == "section" and line.depth == 0]
        section = sum(head < self.cursor for head in heads) - 1
        if heads:
            head = heads[max(0, min(section + by, len(heads) - 1))]
            self.cursor = next(row for row in self.field_rows() if row > head)

    def action_problem(self, by: int) -> None:
        """Move the cursor to the next or previous field with a problem."""
        wrong = [row for row in self.field_rows() if (f := self.lines[row].field) and f.problem]
        later = (
            [row for row in wrong if row > self.cursor] if by > 0 else [r for r in wrong if r < self.cursor]
        )
        if wrong:
            self.cursor = (later or wrong)[0] if by > 0 else (later or wrong)[-1]
        else:
            self.post_message(self.ProblemMissed())
