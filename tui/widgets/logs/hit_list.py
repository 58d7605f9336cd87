"""The hits of a search, as a list beside the log."""

from __future__ import annotations

from typing import Any

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from tui.store.logs.search import LogMatches
from tui.text.format import plain
from tui.widgets.logs.view import LogView


class HitList(Vertical):
    """A title and the lines that match."""

    DEFAULT_CSS = """
    HitList { height: 40%; }
    HitList Static { height: 1; background: $panel; color: $text-muted; padding: 0 1; }
    """

    def __init__(self, hits: LogMatches, **options: Any) -> None:
        super().__init__(**options)
        self._hits = hits

    def compose(self) -> ComposeResult:
        """Title and lines."""
        yield Static()
        yield LogView(self._hits, id="log-hits")

    @property
    def view(self) -> LogView:
        """The lines."""
        return self.query_one(LogView)

    def open(self, hits: LogMatches, offset: int | None, regex: Any) -> None:
        """Show hits, with the cursor on the one at a byte offset or the next one."""
        self.display = True
        self.view.follow = False
        self.view.hits = regex
        self.view.show(hits)
        if offset is not None and len(hits):
            self.view.go_to(hits.row_of(offset))
        self.view.focus()

    def update(self, hits: LogMatches, pattern: str) -> None:
        """Show more hits, or others."""
        if self.view.rows is hits:
            self.view.grown()
        else:
            self.view.show(hits)
        title = f"{len(hits):,} hits of {plain(pattern)} · Enter: to the log · h: close"
        self.query_one(Static).update(Content(title), layout=False)
