"""Base class of all screens: a header above, a footer with the keys below, and UI state that is saved."""

from __future__ import annotations

from typing import ClassVar

from textual import getters
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.screen import Screen

from tui.screens.app_base import AppBase
from tui.widgets.common.footer import VfmFooter
from tui.widgets.common.header import VfmHeader


class VfmScreen(Screen[None]):
    """A screen of vfm-tui. Subclasses give `TITLE`, `HELP` and `body()`."""

    HELP: ClassVar[str] = ""
    """Markdown that F1 shows: what this screen is for and what its keys do."""
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-normal"), (150, "-wide")]  # noqa: RUF012 - Textual's own way
    VERTICAL_BREAKPOINTS = [(0, "-short"), (30, "-tall")]  # noqa: RUF012 - Textual's own way
    DEFAULT_CSS = """
    VfmScreen { background: $background; }
    VfmScreen .panel {
        border: round $panel; border-title-color: $text-muted; border-subtitle-color: $text-muted;
        padding: 0 1;
    }
    VfmScreen .panel:focus-within { border: round $primary; border-title-color: $primary; }
    VfmScreen.-short .panel, VfmScreen.-narrow .panel {
        border: none; border-top: solid $panel; padding: 0;
    }
    VfmScreen.-short .panel:focus-within, VfmScreen.-narrow .panel:focus-within {
        border: none; border-top: solid $primary;
    }
    VfmScreen .-hidden { display: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Back", show=False, id="screen.back"),
    ]
    app = getters.app(AppBase)
    run_id: str = ""
    """The run that the screen is about, on a screen about one run."""

    def compose(self) -> ComposeResult:
        """Header, body, footer."""
        header = VfmHeader()
        self.watch(self.app, "experiment_label", header.set_note)
        yield header
        yield from self.body()
        yield VfmFooter()

    def body(self) -> ComposeResult:
        """Widgets between header and footer."""
        yield from ()

    async def _dispatch_message(self, message: Message) -> None:
        """A message handler that raises does not end the screen."""
        try:
            await super()._dispatch_message(message)
        except Exception as error:
            if not self.app.survives(error):
                raise

    def action_back(self) -> None:
        """Return to the screen below; the home screen stays."""
        if len(self.app.screen_stack) > 1 and self.app.screen is self:
            self.save_ui_state()
            self.app.pop_screen()

    def save_ui_state(self) -> None:
        """Save what the next session should restore; called before the screen or the app closes."""
