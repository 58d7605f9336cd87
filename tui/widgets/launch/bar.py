"""The bar above the launch form: train or evaluate, backend, number of changes and problems, button."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widgets import Button, Static

from tui.widgets.common.choice import Choice

if TYPE_CHECKING:
    from remote.contract.record import Kind

BACKENDS = ("local", "modal")


class LaunchBar(Horizontal):
    """`● train ○ evaluate  on ● local ○ modal       • 2 changed  ▶ Launch`."""

    DEFAULT_CSS = """
    LaunchBar { height: 1; background: $surface; padding: 0 1; }
    LaunchBar Choice { margin-right: 1; }
    LaunchBar #space { width: 1fr; height: 1; color: $text-muted; text-align: right; padding: 0 1; }
    LaunchBar #launch {
        height: 1; min-width: 18; border: none; background: $primary; color: $background; text-style: bold;
        padding: 0 1; background-tint: $foreground 0%;
        &:focus { background: $accent; text-style: bold; }
        &:hover { background: $accent; }
        &:disabled { background: $panel; color: $text-muted; }
    }
    """

    launching = reactive(False, init=False)
    """Whether a launch is under way."""

    class Aimed(Message):
        """Another kind or backend was chosen."""

    class Pressed(Message):
        """The button was pressed."""

    def __init__(self, backend: str, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._backend = backend

    def compose(self) -> ComposeResult:
        """Kind, backend, state of the form, button."""
        yield Choice(("train", "evaluate"), "train", id="kind")
        yield Choice(tuple(dict.fromkeys((*BACKENDS, self._backend))), self._backend, "on", id="backend")
        yield Static("", id="space")
        yield Button(_label("Launch", "^l"), id="launch", compact=True)

    @property
    def kind(self) -> Kind:
        """The chosen kind."""
        return "evaluate" if self.query_one("#kind", Choice).value == "evaluate" else "train"

    @property
    def backend(self) -> str:
        """The chosen backend."""
        return self.query_one("#backend", Choice).value

    def aim(self, kind: str, backend: str) -> None:
        """Choose kind and backend."""
        self.query_one("#kind", Choice).value = kind
        where = self.query_one("#backend", Choice)
        where.offer(tuple(dict.fromkeys((*BACKENDS, backend))))
        where.value = backend

    def step(self, which: str) -> None:
        """Choose the next `kind` or `backend`."""
        self.query_one(f"#{which}", Choice).action_step(1)

    def say(self, wrong: int = 0, changed: int = 0) -> None:
        """Show the number of problems and of changed fields."""
        short = self.screen.has_class("-narrow")
        states = [
            f"✗ {wrong}{'' if short else ' to mend'}" if wrong else "",
            f"• {changed}{'' if short else ' changed'}" if changed else "",
        ]
        self.query_one("#space", Static).update(Content("  ".join(filter(None, states))), layout=False)

    def watch_launching(self, launching: bool) -> None:
        """Disable the button while a launch is under way."""
        if self.is_attached:
            button = self.query_one("#launch", Button)
            button.label = _label("launching…") if launching else _label("Launch", "^l")
            button.disabled = launching

    @on(Choice.Changed)
    def _switched(self, event: Choice.Changed) -> None:
        event.stop()
        self.post_message(self.Aimed())

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        event.stop()
        self.post_message(self.Pressed())


def _label(text: str, key: str = "") -> Content:
    return Content.assemble(f"▶ {text}", (f"  {key}" if key else "", "dim"))
