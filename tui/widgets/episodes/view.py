"""One episode: its rewards, and the conversation."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from tui.store.episodes.files import Episode
from tui.widgets.episodes.layout import conversation, worth


class EpisodeView(VerticalScroll):
    """An episode, laid out for the width of the widget."""

    DEFAULT_CSS = """
    EpisodeView { height: 1fr; width: 1fr; padding: 0 1; scrollbar-size-vertical: 1; }
    EpisodeView Static { height: auto; }
    EpisodeView #episode-worth { padding-bottom: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "scroll_down", "Down", show=False, id="episode.down"),
        Binding("k", "scroll_up", "Up", show=False, id="episode.up"),
        Binding("g", "scroll_home", "To the start", show=False, id="episode.first"),
        Binding("G", "scroll_end", "To the end", show=False, id="episode.last"),
    ]

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.episode: Episode | None = None

    def compose(self) -> ComposeResult:
        """Rewards above, the conversation below."""
        yield Static(id="episode-worth")
        yield Static(id="episode-said")

    async def show(self, episode: Episode) -> None:
        """Show another episode from its start; the layout of long ones runs off the event loop."""
        await self._draw(episode)
        self.scroll_home(animate=False)

    def on_resize(self) -> None:
        """Lay the episode out for the new width."""
        if self.episode is not None:
            self._draw_again(self.episode)

    @work(group="episode", description="lay an episode out", exclusive=True, exit_on_error=False)
    async def _draw_again(self, episode: Episode) -> None:
        await self._draw(episode)

    async def _draw(self, episode: Episode) -> None:
        width = max(self.scrollable_content_region.width - 2, 10)
        above = Content("\n").join(worth(episode, width))
        below = await asyncio.to_thread(conversation, episode.messages, width)
        self.query_one("#episode-worth", Static).update(above)
        self.query_one("#episode-said", Static).update(below)
        self.episode = episode
