"""The prompt of a log pane, for a filter, a search or a place; earlier answers can be recalled.

`pane.py` acts on the answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Static

from tui.widgets.common.line_input import LineInput

PROMPTS = {"filter": "filter /", "search": "search /", "place": "go to  "}
HELP = {
    "filter": "a pattern: only lines that match are shown",
    "search": "a pattern: what matches is marked, n and N go from hit to hit",
    "place": "line 1200, 40%, a time 14:05 or 14:05:30",
}
_REMEMBERED = 20


class LogPrompt(Horizontal):
    """A line to type into; visible while something is asked."""

    DEFAULT_CSS = """
    LogPrompt { split: bottom; height: 1; background: $panel; }
    LogPrompt Static { width: auto; padding: 0 0 0 1; color: $primary; text-style: bold; }
    LogPrompt Input { width: 1fr; height: 1; border: none; padding: 0; background: $panel; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "recall(-1)", "Earlier pattern", show=False, id="log.earlier"),
        Binding("down", "recall(1)", "Later pattern", show=False, id="log.later"),
    ]

    @dataclass
    class Typed(Message):
        """The text changed."""

        what: str
        text: str

    @dataclass
    class Answered(Message):
        """Enter was pressed."""

        what: str
        text: str

    def __init__(self, past: Mapping[str, list[str]], **options: Any) -> None:
        super().__init__(**options)
        self.what, self.before = "filter", ""
        """What is asked (a key of `PROMPTS`), and the answer before it was asked."""
        self._past = past

    def compose(self) -> ComposeResult:
        """Question and input."""
        yield Static()
        yield LineInput(compact=True)

    @property
    def is_open(self) -> bool:
        """Whether something is being asked."""
        return self.is_mounted and self.screen.focused is self.query_one(Input)

    def ask(self, what: str, before: str) -> None:
        """Ask, offering the present answer or else the latest one; the very next key is typed here."""
        self.what, self.before = what, before
        past, asked = self._past[what], self.query_one(Input)
        self.query_one(Static).update(Content(PROMPTS[what]))
        asked.placeholder = HELP[what]
        with self.prevent(Input.Changed):
            asked.value = before or (past[-1] if past and what != "place" else "")
        self.display = True
        self.screen.set_focus(asked)
        asked.action_select_all()

    def remember(self, text: str) -> None:
        """Keep an answer, to be recalled."""
        past = self._past[self.what]
        if text:
            past[:] = [*(other for other in past if other != text), text][-_REMEMBERED:]

    def action_recall(self, by: int) -> None:
        """Recall an earlier or later answer."""
        asked, past = self.query_one(Input), self._past[self.what]
        at = (past.index(asked.value) if asked.value in past else len(past)) + by
        if past:
            asked.value = past[max(0, at)] if at < len(past) else ""
            asked.cursor_position = len(asked.value)

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self.post_message(self.Typed(self.what, event.value))

    @on(Input.Submitted)
    def _answered(self, event: Input.Submitted) -> None:
        event.stop()
        self.post_message(self.Answered(self.what, event.value))


class LogMessage(Static):
    """An error about an answer or about the log."""

    DEFAULT_CSS = """
    LogMessage {
        split: bottom; height: auto; max-height: 3; color: $error; background: $panel; padding: 0 1;
    }
    """

    def show(self, text: str) -> None:
        """Show a text, or hide."""
        self.update(Content(text))
        self.display = bool(text)


def past_of(remembered: object) -> dict[str, list[str]]:
    """Earlier answers from a saved state; invalid ones are ignored."""
    given = remembered if isinstance(remembered, dict) else {}
    kept = {what: given.get(what) for what in PROMPTS}
    return {
        what: [str(text) for text in past][-_REMEMBERED:] if isinstance(past, list) else []
        for what, past in kept.items()
    }
