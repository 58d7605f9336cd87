"""The failure of a run, its evidence, and what to do next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from tui.text.format import plain

_LONGEST = 600
"""Characters of a cause that are shown; the log has the rest."""


class FailurePanel(Vertical):
    """A failure; hidden if there is none. What to do next is always visible."""

    DEFAULT_CSS = """
    FailurePanel {
        height: auto; padding: 0 1; background: $error 8%; border-left: thick $error;
    }
    FailurePanel:focus-within { background: $error 14%; }
    FailurePanel Static { height: auto; }
    FailurePanel #failure-what { height: auto; max-height: 6; scrollbar-size-vertical: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "apply", "Open the form with the change", show=False, id="failure.apply"),
    ]

    class Applied(Message):
        """Open the launch form with the proposed change."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id, classes="-hidden")
        self._failure: Mapping[str, Any] | None = None

    def compose(self) -> ComposeResult:
        """What happened, and below it what to do next."""
        with VerticalScroll(id="failure-what"):
            yield Static(id="failure-message")
        yield Static(id="failure-next")

    @property
    def proposal(self) -> dict[str, Any]:
        """The change that the hint proposes: `{key: value}`, or nothing."""
        hint = (self._failure or {}).get("hint") or {}
        return {str(hint["key"]): hint.get("to")} if hint.get("key") else {}

    def show(self, failure: Mapping[str, Any] | None) -> None:
        """Show a failure (`boundary`, `cause`, `message`, `hint`), or hide."""
        if failure == self._failure:
            return
        self._failure = failure
        self.set_class(failure is None, "-hidden")
        if failure is not None:
            self.query_one("#failure-message", Static).update(what_happened(failure))
            self.query_one("#failure-next", Static).update(what_next(failure))

    def action_apply(self) -> None:
        """Ask for the form with the proposed change."""
        self.post_message(self.Applied())


def what_happened(failure: Mapping[str, Any]) -> Content:
    """Boundary and message, and the line of evidence if it says more."""
    message = _text(failure.get("message")) or "failed without a word"
    where = _text(failure.get("boundary")) or "worker"
    text = Content.styled(f"✗ {where}", "bold $error") + "  " + message
    cause = _cause(_text(failure.get("cause")))
    if cause and " ".join(cause.split()) not in " ".join(message.split()):
        text += Content.styled(f"\n  {cause}", "$text-muted")
    return text


def what_next(failure: Mapping[str, Any]) -> Content:
    """The hint, the change that it proposes, and the keys for it."""
    hint, lines = failure.get("hint") or {}, []
    if text := _text(hint.get("text")):
        lines.append(Content.styled("→ ", "bold $accent") + text)
    keys = [("!", "show it in the log"), ("R", "resume"), ("e", "edit and run again")]
    if hint.get("key"):
        lines.append(_change(hint))
        keys = [("p", "open the form with this change"), ("R", "resume"), ("!", "show it in the log")]
    return Content("\n").join([*lines, _keys(keys)])


def _change(hint: Mapping[str, Any]) -> Content:
    old, new = _text(hint.get("from")), _text(hint.get("to"))
    change = Content("  ") + Content.styled(_text(hint["key"]), "bold") + "  "
    if hint.get("from") is not None:
        change += Content.styled(old, "$text-muted") + Content.styled(" → ", "$accent")
    return change + Content.styled(new, "bold $success")


def _keys(keys: list[tuple[str, str]]) -> Content:
    labels = [
        Content.styled(key, "bold $accent") + Content.styled(f" {what}", "$text-muted") for key, what in keys
    ]
    return Content("  ") + Content("   ").join(labels)


def _text(value: Any) -> str:
    return "" if value is None else "\n".join(plain(line) for line in str(value).splitlines())


def _cause(text: str) -> str:
    """The line of a cause that says most: the last one of a traceback, else the first."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        return ""
    line = lines[-1] if lines[0].startswith("Traceback") else lines[0]
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]} …"
