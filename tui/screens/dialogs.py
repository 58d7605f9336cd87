"""Dialogs over the screen: confirm, enter a text, enter a path."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen, ScreenResultType
from textual.widgets import Button, Input, OptionList, Static
from textual.widgets.option_list import Option

from tui.text.format import first_lines, plain
from tui.widgets.common.line_input import LineInput
from tui.widgets.common.path_input import PathInput, Role

MOST_LINES = 10
"""Lines of a question, at most; of more it gives the number."""


class Dialog(ModalScreen[ScreenResultType]):
    """A framed question; `question()` yields the widgets between title and buttons."""

    DEFAULT_CSS = """
    Dialog { align: center middle; background: $background 55%; }
    Dialog #dialog {
        width: 72; max-width: 94%; height: auto; max-height: 95%;
        border: round $primary; background: $surface; padding: 1 2 0 2;
    }
    Dialog #dialog-title { text-style: bold; padding-bottom: 1; }
    Dialog #dialog-buttons { height: 1; align-horizontal: right; margin: 1 0; }
    Dialog Button.-style-default {
        min-width: 8; height: 1; margin-left: 2; border: none; padding: 0 1;
        background: $panel; color: $foreground; text-style: none; background-tint: $foreground 0%;
        &:hover { background: $primary-muted; }
        &:focus { background: $primary; color: $background; text-style: bold; }
        &.-danger:focus { background: $error; }
    }
    Dialog Button:ansi:focus { text-style: reverse; }
    Dialog Input.-textual-compact { background: $panel; padding: 0 1; }
    Dialog Input:focus { background-tint: $foreground 0%; }
    Dialog .-hidden { display: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "no", "Do not", show=False, id="ask.no"),
        Binding("left", "app.focus_previous", "Previous button", show=False, id="ask.previous"),
        Binding("right", "app.focus_next", "Next button", show=False, id="ask.next"),
    ]

    def __init__(self, title: str, yes: str, *, key: str, danger: bool = False) -> None:
        super().__init__()
        self._title, self._yes, self._key, self._danger = plain(title), yes, key, danger

    def compose(self) -> ComposeResult:
        """Title, question, buttons."""
        with Vertical(id="dialog"):
            yield Static(Content(self._title), id="dialog-title")
            yield from self.question()
            with Horizontal(id="dialog-buttons"):
                yield Button(_label("No" if self._danger else "Cancel", "esc"), id="no", compact=True)
                yield from self.more_buttons()
                classes = "-danger" if self._danger else ""
                yield Button(_label(self._yes, self._key), id="yes", compact=True, classes=classes)

    def question(self) -> ComposeResult:
        """Widgets between title and buttons."""
        yield from ()

    def more_buttons(self) -> ComposeResult:
        """Buttons other than yes and no."""
        yield from ()

    def answer(self) -> ScreenResultType | None:
        """The result of yes; None while there is none."""
        raise NotImplementedError

    def refusal(self) -> ScreenResultType | None:
        """The result of no."""
        return None

    def action_yes(self) -> None:
        """Return the answer, if there is one."""
        answer = self.answer()
        if answer is not None:
            self.dismiss(answer)

    def action_no(self) -> None:
        """Return the refusal."""
        self.dismiss(self.refusal())

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        event.stop()
        if event.button.id == "yes":
            self.action_yes()
        else:
            self.action_no()


class Confirm(Dialog[bool]):
    """Yes or no, with the things concerned. Enter presses the focused button: no, at first."""

    DEFAULT_CSS = """
    Confirm #what { color: $text-muted; height: auto; text-wrap: nowrap; text-overflow: ellipsis; }
    """
    AUTO_FOCUS = "#no"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "yes", "Yes", show=False, id="ask.yes"),
        Binding("n", "no", "No", show=False, id="ask.n"),
    ]

    def __init__(self, title: str, what: Sequence[str], yes: str = "Yes") -> None:
        super().__init__(title, yes, key="y", danger=True)
        self._what = what

    def question(self) -> ComposeResult:
        """The things concerned, one per line."""
        if self._what:
            lines = first_lines([plain(line) for line in self._what], MOST_LINES)
            yield Static(Content("\n").join(map(Content, lines)), id="what")

    def answer(self) -> bool:
        """Yes."""
        return True

    def refusal(self) -> bool:
        """No."""
        return False


class ConfirmStop(Confirm):
    """Confirm stopping runs; `now` is set if they are to end at once, saving nothing."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("k", "now", "At once", show=False, id="ask.now")]

    def __init__(self, title: str, what: Sequence[str]) -> None:
        super().__init__(title, what, yes="Stop")
        self.now = False

    def more_buttons(self) -> ComposeResult:
        """A button for runs that hang."""
        yield Button(_label("At once, saving nothing", "k"), id="now", compact=True, classes="-danger")

    def action_now(self) -> None:
        """Answer yes, and at once."""
        self.now = True
        self.action_yes()

    @on(Button.Pressed, "#now")
    def _pressed_now(self, event: Button.Pressed) -> None:
        event.stop()
        event.prevent_default()
        self.action_now()


class AskText(Dialog[str | None]):
    """Enter a line of text; None if cancelled. An empty line is not accepted."""

    AUTO_FOCUS = "Input"

    def __init__(self, title: str, default: str = "", *, yes: str = "OK") -> None:
        super().__init__(title, yes, key="⏎")
        self._default = default

    def question(self) -> ComposeResult:
        """The input."""
        yield LineInput(self._default, compact=True, select_on_focus=False)

    def answer(self) -> str | None:
        """The typed text."""
        return self.query_one(Input).value.strip() or None

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.action_yes()


class AskPath(AskText):
    """Enter a path on this machine; returned absolute, None if cancelled. Tab completes."""

    DEFAULT_CSS = """
    AskPath #note { color: $text-muted; padding: 0 1; height: 1; }
    AskPath #offers.-textual-compact {
        height: auto; max-height: 8; border: none; background: $panel; margin-top: 1; padding: 0 1;
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "choose", "To the offered names", show=False, id="ask.choose"),
    ]

    def __init__(self, title: str, default: str = "", *, yes: str = "OK", role: Role = "into") -> None:
        super().__init__(title, default, yes=yes)
        self._role = role

    def question(self) -> ComposeResult:
        """The input, a note, and completions."""
        yield PathInput(self._default, role=self._role)
        yield Static("", id="note")
        yield OptionList(id="offers", classes="-hidden", compact=True)

    def answer(self) -> str | None:
        """The typed path, absolute."""
        path = self.query_one(PathInput).path
        return str(path) if path else None

    @on(PathInput.Looked)
    def _looked(self, event: PathInput.Looked) -> None:
        event.stop()
        tab = " · ↓ to choose" if event.names else " · Tab completes"
        self.query_one("#note", Static).update(Content(f"{event.note}{tab}"))
        self._offer(event.names)

    def action_choose(self) -> None:
        """Focus the completions, if there are any."""
        offers = self.query_one("#offers", OptionList)
        if not offers.has_class("-hidden"):
            offers.highlighted = 0
            offers.focus()

    def _offer(self, names: Sequence[str]) -> None:
        offers = self.query_one("#offers", OptionList)
        offers.set_options(Option(Content(plain(name)), id=name) for name in names)
        offers.set_class(not names, "-hidden")

    @on(OptionList.OptionSelected)
    def _taken(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        path = self.query_one(PathInput)
        path.value = str(event.option_id)
        path.cursor_position = len(path.value)
        path.focus()


def _label(text: str, key: str) -> Content:
    return Content.assemble(text, "  ", (key, "dim"))
