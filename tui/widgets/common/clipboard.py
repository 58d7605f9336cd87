"""Copy to the clipboard by an escape sequence (OSC 52), to which terminals never answer.

The app confirms that a text was sent, and warns where it is known not to arrive.
"""

from __future__ import annotations

from dataclasses import dataclass

from textual.message import Message
from textual.widget import Widget


@dataclass
class Copied(Message):
    """`what` was sent to the terminal's clipboard."""

    what: str


def copy(widget: Widget, text: str, what: str) -> None:
    """Send a text to the terminal's clipboard, and report it by `Copied`."""
    widget.app.copy_to_clipboard(text)
    widget.post_message(Copied(what))
