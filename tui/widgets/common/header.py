"""The line at the top: where you are, and whose work this is."""

from __future__ import annotations

from textual.app import RenderResult
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget


class TitleLine(Widget):
    """`vfm › runs · k3f9x-wordle` at the left, `note` (who and which experiment) at the right."""

    DEFAULT_CSS = """
    TitleLine { dock: top; height: 1; background: $panel; color: $foreground; padding: 0 1; }
    """
    note = reactive("")

    def on_mount(self) -> None:
        """The title follows the screen's."""
        self.watch(self.screen, "title", self._retitled, init=False)
        self.watch(self.screen, "sub_title", self._retitled, init=False)

    def introduce(self, who: str) -> None:
        """Whose work this is, once that is known."""
        self.note = who

    def _retitled(self) -> None:
        self.refresh()

    def render(self) -> RenderResult:
        """Names are text, never markup."""
        width = self.content_size.width
        left = Content.styled("vfm", "bold $accent")
        for part, style in ((self.screen.title, "bold"), (self.screen.sub_title, "")):
            if part:
                left = left + Content.styled(" › ", "$text-muted") + Content.styled(part, style)
        right = Content.styled(self.note, "$text-muted")
        gap = width - left.cell_length - right.cell_length
        return left + Content(" " * gap) + right if gap > 0 else left
