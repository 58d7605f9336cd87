"""An input for one line that accepts pasted text of several lines."""

from __future__ import annotations

from textual import events
from textual.widgets import Input


class LineInput(Input):
    """An input; Textual's own takes the first line of a paste and drops the others."""

    def joined(self, lines: list[str]) -> str:
        """Join pasted lines, none of them empty."""
        return " ".join(lines)

    def _on_paste(self, event: events.Paste) -> None:
        event.prevent_default()
        event.stop()
        lines = [line for line in event.text.splitlines() if line.strip()]
        text = lines[0] if len(lines) == 1 else self.joined([line.rstrip() for line in lines])
        if text:
            self.replace(text, *self.selection)
