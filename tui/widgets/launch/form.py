"""The launch form: a search line, the fields, an input over the field being edited, and help below.

After each `Typed` the screen shows the fields again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input, Static

from tui.text.format import plain
from tui.widgets.common.line_input import LineInput
from tui.widgets.launch.fields import FormFields
from tui.widgets.launch.rows import FormLine, lay_out, legend, source_text

if TYPE_CHECKING:
    from tui.config.schema import Row
    from tui.planning.draft import Field


class FieldInput(LineInput):
    """The input over the value of one field."""

    row: Row | None = None
    """The schema's row of the field."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave(False)", "Undo typing", show=False, id="field.undo"),
        Binding("enter", "leave(True)", "Done", id="field.done"),
        Binding("down,tab", "leave(True, 1)", "Done, next field", show=False, id="field.next"),
        Binding("up,shift+tab", "leave(True, -1)", "Done, field above", show=False, id="field.previous"),
    ]

    @dataclass
    class Left(Message):
        """Typing ended: keep it or undo it, then move the cursor by so many fields."""

        keep: bool
        by: int

    def joined(self, lines: list[str]) -> str:
        """Join pasted lines; those of a mapping stay its entries."""
        if self.row is None or self.row.type != "mapping":
            return super().joined(lines)
        from tui.config.field_text import mapping_line

        return mapping_line(self.row, lines)

    def action_leave(self, keep: bool, by: int = 0) -> None:
        """End typing."""
        self.post_message(self.Left(keep, by))


class SearchInput(LineInput):
    """The search over fields."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave(True)", "Clear the search", show=False, id="search.clear"),
        Binding("enter,down", "leave(False)", "To the fields", show=False, id="search.done"),
    ]

    @dataclass
    class Left(Message):
        """Searching ended."""

        clear: bool

    def action_leave(self, clear: bool) -> None:
        """End searching."""
        self.post_message(self.Left(clear))


class Form(Widget):
    """The fields of a launch."""

    DEFAULT_CSS = """
    Form { layout: vertical; layers: below above; height: 1fr; }
    Form SearchInput { height: 1; background: $panel; padding: 0 1; margin-bottom: 1; }
    Form FieldInput {
        layer: above; position: absolute; height: 1; padding: 0;
        background: $primary-muted; color: $foreground;
    }
    Form Input:focus { background-tint: $foreground 0%; }
    Form FieldInput:focus { background: $primary-muted; }
    Form #help { height: 7; padding: 0 0 0 2; border-top: solid $panel; color: $text-muted; }
    .-short Form #help { height: 5; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "search", "Search", priority=True, id="form.search"),
        Binding("c", "changed_only", "Changed only", priority=True, id="form.changed_only"),
        Binding("escape", "clear", "Clear the search", show=False, id="form.clear"),
    ]

    @dataclass
    class Typed(Message):
        """A field's text changed; None resets the field."""

        key: str
        text: str | None

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.query_text = ""
        self.changed_only = False
        self._fields: Sequence[Field] = ()
        self._sections: Mapping[str, str] = {}
        self._general: Sequence[str] = ()
        self._editing: Field | None = None
        """The field being edited, as it was before."""

    def compose(self) -> ComposeResult:
        """Search, fields, help; the input is laid over the fields."""
        search = SearchInput(placeholder="search keys, help and values", compact=True)
        search.display = False
        yield search
        yield FormFields(self._edit)
        editor = FieldInput(compact=True, select_on_focus=False)
        editor.display = False
        yield editor
        yield Static(id="help")

    @property
    def fields(self) -> FormFields:
        """The fields."""
        return self.query_one(FormFields)

    def show(self, fields: Sequence[Field], sections: Mapping[str, str], general: Sequence[str] = ()) -> None:
        """Show fields."""
        self._fields, self._sections, self._general = fields, sections, general
        self._lay_out()

    def go_to(self, key: str) -> None:
        """Put the cursor on a field; a search that hides it is cleared."""
        if not self.fields.go_to(key):
            self._search("")
            self.changed_only = False
            self._lay_out()
            self.fields.go_to(key)
        self.fields.focus()

    def focus(self, scroll_visible: bool = True) -> Self:
        """Focus the fields."""
        self.fields.focus(scroll_visible)
        return self

    def stop_editing(self) -> None:
        """Keep what was typed, and focus the fields."""
        if self._editing is not None:
            self._finish(keep=True)
            self.fields.focus()

    def action_search(self) -> None:
        """Open the search."""
        search = self.query_one(SearchInput)
        search.display = True
        self.screen.set_focus(search)

    def action_changed_only(self) -> None:
        """Show only changed fields, or all."""
        self.changed_only = not self.changed_only
        self._lay_out()

    def action_clear(self) -> None:
        """Clear the search."""
        self._search("")
        self.changed_only = False
        self._lay_out()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Escape is the screen's where there is nothing to clear; letters belong to a focused input."""
        if action == "clear":
            return bool(self.query_text or self.changed_only)
        return not (isinstance(self.app.focused, Input) and action in ("search", "changed_only"))

    @on(SearchInput.Changed, "SearchInput")
    def _searched(self, event: Input.Changed) -> None:
        event.stop()
        self.query_text = event.value
        self._lay_out()

    @on(SearchInput.Left)
    def _search_left(self, event: SearchInput.Left) -> None:
        event.stop()
        if event.clear:
            self._search("")
        self.query_one(SearchInput).display = bool(self.query_text)
        self._lay_out()
        self.fields.focus()

    @on(FormFields.Stepped)
    def _stepped(self, event: FormFields.Stepped) -> None:
        event.stop()
        self.post_message(self.Typed(event.key, event.text))

    @on(FormFields.Moved)
    def _moved(self, event: FormFields.Moved) -> None:
        event.stop()
        self.query_one("#help", Static).update(help_text(event.field), layout=False)

    @on(FormFields.ProblemMissed)
    def _problem_missed(self, event: FormFields.ProblemMissed) -> None:
        event.stop()
        if first := next((field for field in self._fields if field.problem), None):
            self.go_to(first.key)

    def _edit(self, field: Field, text: str | None) -> None:
        """Lay the input over the field, and focus it at once: the next key is typed there."""
        if self._editing is not None:
            self._finish(keep=True)
        self._editing = field
        editor = self.query_one(FieldInput)
        editor.row = field.row
        with editor.prevent(Input.Changed):
            editor.value = field.text
        editor.display = True
        self.screen.set_focus(editor)
        self._place()
        if text is not None:
            editor.value = text
        editor.cursor_position = len(editor.value)

    @on(FieldInput.Changed, "FieldInput")
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        if self._editing is not None:
            self.post_message(self.Typed(self._editing.key, event.value))

    @on(FieldInput.Left)
    def _left(self, event: FieldInput.Left) -> None:
        event.stop()
        self._finish(keep=event.keep)
        self.fields.focus()
        self.fields.action_move(event.by)

    @on(FieldInput.Blurred, "FieldInput")
    def _blurred(self, event: Input.Blurred) -> None:
        """Keep what was typed when another widget is clicked."""
        event.stop()
        self._finish(keep=True)

    def on_resize(self) -> None:
        """Keep the input over its field."""
        self.call_after_refresh(self._place)

    def _finish(self, *, keep: bool) -> None:
        before, self._editing = self._editing, None
        self.query_one(FieldInput).display = False
        if before is not None and not keep:
            self.post_message(self.Typed(before.key, before.text if before.is_typed else None))

    def _search(self, text: str) -> None:
        self.query_text = text
        search = self.query_one(SearchInput)
        with search.prevent(Input.Changed):
            search.value = text
        search.display = bool(text)

    def _lay_out(self) -> None:
        lines = lay_out(
            self._fields,
            self._sections,
            query=self.query_text,
            changed_only=self.changed_only,
            general=self._general,
        )
        if self._editing is not None and all(line.key != self._editing.key for line in lines):
            # The search hides the field.
            self._finish(keep=True)
        self.fields.show(lines or [FormLine("note", no_fields(self.query_text, self.changed_only))])
        shown = sum(line.kind == "field" for line in lines)
        count = f"{shown} of {len(self._fields)} fields" if self.query_text or self.changed_only else ""
        self.border_subtitle = f"{count}: changed only" if self.changed_only else count or legend(lines)
        self.call_after_refresh(self._place)

    def _place(self) -> None:
        """Lay the input over the value of the field under the cursor."""
        if self._editing is None or not self.is_mounted:
            return
        fields, editor = self.fields, self.query_one(FieldInput)
        region = fields.value_region(fields.cursor)
        top = fields.region.y - self.content_region.y
        editor.styles.offset = (region.x, top + region.y)
        editor.styles.width = region.width


def no_fields(query: str, changed_only: bool) -> str:
    """Why no field is shown."""
    if query:
        which = "no changed field" if changed_only else "no field"
        return f"{which} has {plain(query)!r}: escape clears it"
    return "nothing is changed: c shows every field" if changed_only else ""


def help_text(field: Field | None) -> Content:
    """Help on a field: source of its value, problem, purpose, and the values it takes."""
    if field is None:
        return Content("")
    lines = [
        Content.styled(field.key, "bold $foreground")
        + Content.styled(f"  {plain(source_text(field))}", "$secondary")
    ]
    if field.problem:
        lines.append(Content.styled(f"✗ {plain(field.problem)}", "$error"))
    elif len(field.text) > 12:
        lines.append(Content.styled(plain(field.text), "$foreground"))
    return Content("\n").join([*lines, Content(field.row.help), Content(f"Takes {field.row.expected}.")])
