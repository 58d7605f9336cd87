"""A choice among a few words on one line, by keys or clicks: `● train  ○ evaluate`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.app import RenderResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.events import Click
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget


class Choice(Widget, can_focus=True):
    """A few words, one of which is chosen."""

    ALLOW_SELECT = False
    DEFAULT_CSS = """
    Choice { width: auto; height: 1; padding: 0 1; }
    Choice:focus { background: $primary-muted; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right,space,enter", "step(1)", "Next", show=False, id="switch.next"),
        Binding("left", "step(-1)", "Previous", show=False, id="switch.previous"),
    ]

    value = reactive("", layout=True)

    @dataclass
    class Changed(Message):
        """Another word was chosen."""

        switch: Choice
        value: str

    def __init__(self, words: Sequence[str], value: str, label: str = "", *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._words, self._label = tuple(words), label
        self.set_reactive(Choice.value, value)

    def offer(self, words: Sequence[str]) -> None:
        """Offer other words."""
        self._words = tuple(words)
        self.refresh(layout=True)

    def render(self) -> RenderResult:
        """The label, then each word with its sign."""
        return Content("  ").join(
            [*([Content.styled(self._label, "$text-muted")] if self._label else []), *self._parts()]
        )

    def _parts(self) -> list[Content]:
        on, off = "bold $accent", "$text-muted"
        return [
            Content.styled(f"{'●' if word == self.value else '○'} {word}", on if word == self.value else off)
            for word in self._words
        ]

    def action_step(self, by: int) -> None:
        """Choose the next or previous word."""
        at = self._words.index(self.value) if self.value in self._words else 0
        self._take(self._words[(at + by) % len(self._words)])

    def on_click(self, event: Click) -> None:
        """Choose the clicked word."""
        offset = event.get_content_offset(self)
        x = offset.x if offset else -1
        start = len(self._label) + 2 if self._label else 0
        for word in self._words:
            end = start + len(word) + 2
            if start <= x < end:
                self._take(word)
            start = end + 2

    def _take(self, word: str) -> None:
        if word != self.value:
            self.value = word
            self.post_message(self.Changed(self, word))
