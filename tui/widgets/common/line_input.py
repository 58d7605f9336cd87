"""A line to type into: what is pasted comes whole, though it had several lines."""

from __future__ import annotations

from textual import events
from textual.widgets import Input


class LineInput(Input):
    """Textual's input takes the first line of a paste and drops the others without a word."""

    def joined(self, lines: list[str]) -> str:
        """The pasted lines, of which none is empty, as one."""
        return " ".join(lines)

    def _on_paste(self, event: events.Paste) -> None:
        event.prevent_default()
        event.stop()
        lines = [line for line in event.text.splitlines() if line.strip()]
        text = lines[0] if len(lines) == 1 else self.joined([line.rstrip() for line in lines])
        if text:
            self.replace(text, *self.selection)
