"""A filter line: opened by a key, reported as it is typed, visible while it filters.

Up and down recall earlier filters; completions are offered. Listeners decide what the words mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.suggester import Suggester
from textual.widgets import Input, Label

from tui.widgets.common.line_input import LineInput

_REMEMBERED = 20


class FilterInput(Horizontal):
    """`/ words`. Hidden while it is empty and without focus."""

    DEFAULT_CSS = """
    FilterInput { height: 1; background: $surface; padding: 0 1; display: none; }
    FilterInput.-open { display: block; }
    FilterInput Label { color: $accent; text-style: bold; width: 2; }
    FilterInput Input { height: 1; width: 1fr; border: none; padding: 0; background: $surface; }
    FilterInput Input:focus { background: $panel; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "recall(-1)", "Filter before", show=False, id="filter.before"),
        Binding("down", "recall(1)", "Filter after, or leave", show=False, id="filter.after"),
        Binding("escape", "clear", "Clear", id="filter.clear"),
    ]

    @dataclass
    class Typed(Message):
        """The text changed."""

        text: str

    @dataclass
    class Left(Message):
        """The input lost the focus by a key; its text stays."""

        text: str

    def __init__(
        self,
        text: str = "",
        history: Sequence[str] = (),
        completions: Callable[[str], Iterable[str]] | None = None,
        placeholder: str = "words, status:failed, env:wordle, reward>0.5, age<2h, -done",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._first = text
        self._placeholder = placeholder
        self.history = [line for line in history if isinstance(line, str)][-_REMEMBERED:]
        """Earlier filters, the latest last."""
        self._at, self._draft = len(self.history), ""
        self._completions = completions

    def compose(self) -> ComposeResult:
        """The slash and the input."""
        yield Label("/", markup=False)
        suggester = _Words(self._completions) if self._completions else None
        yield LineInput(
            self._first,
            compact=True,
            select_on_focus=False,
            suggester=suggester,
            placeholder=self._placeholder,
        )

    def on_mount(self) -> None:
        """Show a restored filter."""
        self.set_class(bool(self._first), "-open")

    @property
    def text(self) -> str:
        """The filter."""
        return next((typed.value for typed in self.query(Input)), self._first)

    @text.setter
    def text(self, text: str) -> None:
        self._first = text
        for typed in self.query(Input):
            typed.value = text
            self.set_class(bool(text), "-open")

    def open(self) -> None:
        """Show the line and focus it, so that the very next key is typed here."""
        self.add_class("-open")
        typed = self.query_one(Input)
        typed.cursor_position = len(typed.value)
        self.screen.set_focus(typed)

    def clear(self) -> None:
        """Clear the filter."""
        self._remember()
        self.query_one(Input).value = ""
        self._close()

    def action_clear(self) -> None:
        """Clear the filter."""
        self.clear()

    def action_recall(self, by: int) -> None:
        """Recall an earlier or later filter; past the latest, the one being typed."""
        if by > 0 and self._at >= len(self.history):
            self._close()
            return
        typed = self.query_one(Input)
        if self._at == len(self.history):
            self._draft = typed.value
        self._at = max(0, min(self._at + by, len(self.history)))
        typed.value = self.history[self._at] if self._at < len(self.history) else self._draft
        typed.cursor_position = len(typed.value)

    @on(Input.Changed)
    def _changed(self, event: Input.Changed) -> None:
        event.stop()
        self.post_message(self.Typed(event.value))

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._remember()
        self._close()

    def _close(self) -> None:
        self.set_class(bool(self.text), "-open")
        self.post_message(self.Left(self.text))

    def _remember(self) -> None:
        if text := self.text.strip():
            self.history = [*(line for line in self.history if line != text), text][-_REMEMBERED:]
        self._at = len(self.history)


class _Words(Suggester):
    """Completes the last word; the right arrow accepts it."""

    def __init__(self, completions: Callable[[str], Iterable[str]]) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._completions = completions

    async def get_suggestion(self, value: str) -> str | None:
        """The whole line with its last word completed."""
        head, _, word = value.rpartition(" ")
        sign = word[:1] if word[:1] in ("-", "!") else ""
        begun = word[len(sign) :]
        if not begun:
            return None
        found = next((w for w in self._completions(begun) if w.lower().startswith(begun.lower())), None)
        return None if found is None else f"{head}{' ' if head else ''}{sign}{begun}{found[len(begun) :]}"
