"""The line at the top: which screen this is, and whose experiment."""

from __future__ import annotations

from textual.app import RenderResult
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget


class VfmHeader(Widget):
    """`vfm › runs · k3f9x-wordle` at the left, `note` (experimenter and experiment) at the right."""

    DEFAULT_CSS = """
    VfmHeader { dock: top; height: 1; background: $panel; color: $foreground; padding: 0 1; }
    """
    note = reactive("")

    def on_mount(self) -> None:
        """Follow the screen's title."""
        self.watch(self.screen, "title", self._title_changed, init=False)
        self.watch(self.screen, "sub_title", self._title_changed, init=False)

    def set_note(self, note: str) -> None:
        """Set the text at the right."""
        self.note = note

    def _title_changed(self) -> None:
        self.refresh()

    def render(self) -> RenderResult:
        """Title and note, as text and never as markup."""
        width = self.content_size.width
        left = Content.styled("vfm", "bold $accent")
        for part, style in ((self.screen.title, "bold"), (self.screen.sub_title, "")):
            if part:
                left = left + Content.styled(" › ", "$text-muted") + Content.styled(part, style)
        right = Content.styled(self.note, "$text-muted")
        gap = width - left.cell_length - right.cell_length
        return left + Content(" " * gap) + right if gap > 0 else left
