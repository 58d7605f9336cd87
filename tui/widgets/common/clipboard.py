"""Copying: text goes to the terminal as an escape sequence (OSC 52), which never answers.

Owns stating that something was sent. Whether the terminal takes it is told by the app, as far as that is
known.
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
    """Send a text to the terminal's clipboard, and say so."""
    widget.app.copy_to_clipboard(text)
    widget.post_message(Copied(what))
