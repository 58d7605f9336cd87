"""The frame that every screen has: a title line above, the keys that work now below.

Owns the frame and what F1 shows. What lies between is each screen's.
"""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.screen import Screen

from tui.screens.app_base import Desk, desk
from tui.widgets.common.footer import KeyBar
from tui.widgets.common.header import TitleLine


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

    @property
    def desk(self) -> Desk:
        """The app, as screens see it."""
        return desk(self)

    def compose(self) -> ComposeResult:
        """Title, body, keys."""
        title = TitleLine()
        self.watch(self.app, "who", title.introduce)
        yield title
        yield from self.body()
        yield KeyBar()

    def body(self) -> ComposeResult:
        """What lies between title and keys."""
        yield from ()

    async def _dispatch_message(self, message: Message) -> None:
        """A handler that breaks does not take the screen along."""
        try:
            await super()._dispatch_message(message)
        except Exception as error:
            if not self.desk.survives(error):
                raise

    def action_back(self) -> None:
        """To the screen below; the home screen stays."""
        if len(self.app.screen_stack) > 1 and self.app.screen is self:
            self.remember()
            self.app.pop_screen()

    def remember(self) -> None:
        """Keep what the next time should know; called before the screen goes, and before the app does."""
