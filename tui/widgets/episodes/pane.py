"""The episodes of a run, step by step: a list by reward, and the one that is chosen as a conversation.

Owns fetching them from the volume, a piece at a time, and moving through them. How an episode is read is
`store/episodes.py`'s, how it looks `episode_text.py`'s.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Hashable
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, ClassVar

from rich.cells import cell_len
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.events import Resize
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from remote.contract import layout
from remote.contract.errors import ConfigError, VfmError
from tui.store.episodes.files import (
    Episode,
    EpisodeFile,
    EpisodeRow,
    episode_file,
    index,
    ordered,
    read_episode,
)
from tui.text.format import number, plain
from tui.widgets.common.clipboard import copy
from tui.widgets.episodes.layout import as_text, conversation, row_text, worth

if TYPE_CHECKING:
    from tui.client import Client

PIECE = 1 << 20
"""Bytes that are fetched at a time."""
_BETWEEN = 1.0
"""Seconds between two looks for new files."""
_BESIDE = 76
"""Columns from which list and conversation lie side by side."""
_FOLDERS = (layout.ROLLOUTS, "evaluation")


class EpisodeView(VerticalScroll):
    """One episode: what it was worth, and the conversation."""

    DEFAULT_CSS = """
    EpisodeView { height: 1fr; width: 1fr; padding: 0 1; scrollbar-size-vertical: 1; }
    EpisodeView Static { height: auto; }
    EpisodeView #episode-worth { padding-bottom: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "scroll_down", "Down", show=False, id="episode.down"),
        Binding("k", "scroll_up", "Up", show=False, id="episode.up"),
        Binding("g", "scroll_home", "To its begin", show=False, id="episode.first"),
        Binding("G", "scroll_end", "To its end", show=False, id="episode.last"),
    ]

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.episode: Episode | None = None

    def compose(self) -> ComposeResult:
        """Its worth above, the conversation below."""
        yield Static(id="episode-worth")
        yield Static(id="episode-said")

    async def show(self, episode: Episode) -> None:
        """Another episode, from its begin. A long one is laid out off the event loop."""
        await self._draw(episode)
        self.scroll_home(animate=False)

    def on_resize(self) -> None:
        """Another width is another layout."""
        if self.episode is not None:
            self._draw_again(self.episode)

    @work(group="episode", description="lay an episode out", exclusive=True, exit_on_error=False)
    async def _draw_again(self, episode: Episode) -> None:
        await self._draw(episode)

    async def _draw(self, episode: Episode) -> None:
        width = max(self.scrollable_content_region.width - 2, 10)
        above = Content("\n").join(worth(episode, width))
        said = await asyncio.to_thread(conversation, episode.messages, width)
        self.query_one("#episode-worth", Static).update(above)
        self.query_one("#episode-said", Static).update(said)
        self.episode = episode


class EpisodeList(OptionList):
    """Episodes of one step, one a line."""

    DEFAULT_CSS = """
    EpisodeList {
        width: 42%; max-width: 64; height: 1fr; border: none; padding: 0; background: transparent;
        text-wrap: nowrap; text-overflow: ellipsis; scrollbar-size-vertical: 1;
    }
    EpisodeList > .option-list--option-highlighted {
        background: $panel; color: $foreground; text-style: none;
    }
    EpisodeList:focus > .option-list--option-highlighted { background: $primary-muted; }
    EpisodeList:ansi:focus > .option-list--option-highlighted { text-style: reverse; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "cursor_down", "Next episode", show=False, id="episodes.down"),
        Binding("k", "cursor_up", "Previous episode", show=False, id="episodes.up"),
    ]


class RolloutsPane(Vertical):
    """Episodes of one run. `grew()` tells it that there may be more."""

    DEFAULT_CSS = """
    RolloutsPane { height: 1fr; width: 1fr; }
    RolloutsPane #rollouts-head { height: 1; padding: 0 1; }
    RolloutsPane #rollouts-both { height: 1fr; }
    RolloutsPane EpisodeView { border-left: solid $panel; }
    RolloutsPane.-stacked #rollouts-both { layout: vertical; }
    RolloutsPane.-stacked EpisodeList { width: 1fr; max-width: 100%; height: 35%; min-height: 3; }
    RolloutsPane.-stacked EpisodeView { border-left: none; border-top: solid $panel; }
    RolloutsPane #rollouts-said { height: 1fr; content-align: center middle; color: $text-muted; }
    RolloutsPane .-hidden { display: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left_square_bracket", "step(1)", "Step", key_display="[ ]", id="rollouts.earlier"),
        Binding("right_square_bracket", "step(-1)", "Later step", show=False, id="rollouts.later"),
        Binding("right_curly_bracket", "newest", "Newest step", show=False, id="rollouts.newest"),
        Binding("o", "order", "Best/worst first", id="rollouts.order"),
        Binding(
            "J,shift+down", "scroll(3)", "Scroll the conversation", show=False, id="rollouts.scroll_down"
        ),
        Binding("K,shift+up", "scroll(-3)", "Scroll it up", show=False, id="rollouts.scroll_up"),
        Binding("y", "copy", "Copy the episode", show=False, id="rollouts.copy"),
        Binding("left", "list", "To the list", show=False, id="rollouts.list"),
        Binding("right,enter", "conversation", "To the conversation", show=False, id="rollouts.conversation"),
    ]

    def __init__(self, client: Client, backend: str, volume: str, root: str, **options: Any) -> None:
        super().__init__(**options)
        self.best_first = True
        """Whether the best episodes come first; else the worst do."""
        self._client, self._backend, self._volume, self._root = client, backend, volume, root
        self._files: list[EpisodeFile] = []
        self._at: EpisodeFile | None = None
        self._rows: list[EpisodeRow] = []
        self._newest = True
        self._expected: str | None = None
        """The episode that was highlighted by nobody's hand."""
        self._mark: Hashable = None
        self._grew = asyncio.Event()

    def compose(self) -> ComposeResult:
        """Which step, its episodes, the one that is chosen."""
        yield Static(id="rollouts-head")
        yield Static("", id="rollouts-said")
        with Horizontal(id="rollouts-both", classes="-hidden"):
            yield EpisodeList(compact=True)
            yield EpisodeView()

    def on_mount(self) -> None:
        """Look what there is."""
        self._look()
        self._grew.set()

    def on_resize(self, event: Resize) -> None:
        """Side by side where there is room."""
        self.set_class(event.size.width < _BESIDE, "-stacked")

    def grew(self, mark: Hashable) -> None:
        """There may be more episodes: whenever `mark` is another one than before."""
        if mark != self._mark:
            self._mark = mark
            self._grew.set()

    def state(self) -> dict[str, Any]:
        """What is worth remembering."""
        return {"best_first": self.best_first}

    def restore(self, state: dict[str, Any]) -> None:
        """As it was remembered."""
        self.best_first = bool(state.get("best_first", True))
        self._list()

    # --- fetching ------------------------------------------------------------------------------------

    @work(group="rollouts", description="look for episodes", exit_on_error=False)
    async def _look(self) -> None:
        while True:
            await self._grew.wait()
            self._grew.clear()
            try:
                self._files = await self._find()
            except VfmError as error:
                self._say(error.message)
            else:
                self._choose()
            await asyncio.sleep(_BETWEEN)

    async def _find(self) -> list[EpisodeFile]:
        """The files of episodes, newest first."""
        found = []
        for folder in _FOLDERS:
            try:
                path = str(PurePosixPath(self._root) / folder)
                entries = await self._client.ls(self._volume, path, backend=self._backend)
            except ConfigError:
                continue  # a folder that is not there yet
            found += [f for e in entries if not e.is_dir and (f := episode_file(e.path, e.size))]
        return sorted(found, key=lambda file: file.order, reverse=True)

    def _choose(self) -> None:
        """After a look: the newest file where that is wanted, or more of the one that is shown."""
        if not self._files:
            self._say("no episodes yet: those of the first step appear here")
            return
        known = next((file for file in self._files if self._at and file.path == self._at.path), None)
        reading = self.query_one(EpisodeView).scroll_y > 0
        wanted = self._files[0] if known is None or (self._newest and not reading) else known
        if self._at is None or wanted.path != self._at.path:
            self._open(wanted)
        elif wanted.size != self._at.size:
            self._at = wanted
            self._load(wanted)
        self._head()

    def _open(self, file: EpisodeFile) -> None:
        self._at, self._rows = file, []
        self._load(file)
        self._head()

    @work(group="rollouts-load", description="read episodes", exclusive=True, exit_on_error=False)
    async def _load(self, file: EpisodeFile) -> None:
        """The file from where its last whole line ended, a piece at a time."""
        rows = list(self._rows)
        at = max((row.offset + row.size + 1 for row in rows), default=0)
        try:
            while data := await self._lines(file, at):
                rows += await asyncio.to_thread(index, data, at)
                at += len(data)
                self._rows = rows
                self._list()
        except VfmError as error:
            self._say(error.message)

    async def _lines(self, file: EpisodeFile, at: int) -> bytes:
        """Whole lines from an offset, about a piece of them; nothing at the end of what is there."""
        data = b""
        while at + len(data) < file.size:
            more = await self._read(file.path, at + len(data), PIECE)
            data += more
            if not more or b"\n" in more:
                break
        return data[: data.rfind(b"\n") + 1]

    async def _read(self, path: str, offset: int, size: int) -> bytes:
        return await self._client.read(self._volume, path, offset, size, backend=self._backend)

    @work(group="rollouts-episode", description="read an episode", exclusive=True, exit_on_error=False)
    async def _show(self, path: str, row: EpisodeRow) -> None:
        try:
            line = await self._read(path, row.offset, row.size)
            episode = await asyncio.to_thread(read_episode, line)
        except VfmError as error:
            episode = Episode(error=error.message)
        await self.query_one(EpisodeView).show(episode)

    # --- showing -------------------------------------------------------------------------------------

    def _say(self, text: str) -> None:
        """Why there are none; what is shown already stays."""
        if not self._rows:
            self.query_one("#rollouts-said", Static).update(Content(plain(text)))
            self.query_one("#rollouts-said").remove_class("-hidden")
            self.query_one("#rollouts-both").add_class("-hidden")

    def _list(self) -> None:
        """The rows in order; the one that was chosen stays chosen while it is there."""
        if not self._rows:
            return
        listed = self.query_one(EpisodeList)
        chosen = listed.highlighted_option.id if listed.highlighted_option and not self._newest else None
        good = [row.reward for row in self._rows if row.reward is not None and math.isfinite(row.reward)]
        low, high = min(good, default=0.0), max(good, default=0.0)
        width = min(max(cell_len(plain(row.task)) for row in self._rows), 16)
        rows = ordered(self._rows, best_first=self.best_first)
        turns = any(row.turns > 1 for row in rows)
        listed.set_options(Option(row_text(r, low, high, width, turns), id=str(r.offset)) for r in rows)
        at = next((n for n, r in enumerate(rows) if str(r.offset) == chosen), 0)
        self._expected = str(rows[at].offset)
        listed.highlighted = at
        self.query_one("#rollouts-said").add_class("-hidden")
        self.query_one("#rollouts-both").remove_class("-hidden")
        self._head()

    def _head(self) -> None:
        if self._at is None:
            return
        good = [row.reward for row in self._rows if row.reward is not None and math.isfinite(row.reward)]
        failed = sum(row.reward is None for row in self._rows)
        head = Content.styled(f"‹ {self._at.label} ›", "bold $accent")
        told = [f"{len(self._rows)} episodes"]
        if good:
            told.append(f"mean {number(sum(good) / len(good))}, {number(min(good))} to {number(max(good))}")
        told += [f"✗ {failed} failed"] if failed else []
        told.append("best first" if self.best_first else "worst first")
        newer = next((n for n, file in enumerate(self._files) if file.path == self._at.path), 0)
        told += [f"{newer} newer: }}"] if newer else []
        self.query_one("#rollouts-head", Static).update(
            head + Content.styled("  " + " · ".join(told), "$text-muted")
        )

    @on(OptionList.OptionHighlighted)
    def _highlighted(self, event: OptionList.OptionHighlighted) -> None:
        event.stop()
        if event.option_id != self._expected:
            self._newest = False  # whoever moves about wants to go on reading
        row = next((row for row in self._rows if str(row.offset) == event.option_id), None)
        if row is not None and self._at is not None:
            self._show(self._at.path, row)

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.action_conversation()

    # --- keys ----------------------------------------------------------------------------------------

    def action_step(self, by: int) -> None:
        """An earlier step, or a later one."""
        paths = [file.path for file in self._files]
        if self._at is not None and self._at.path in paths:
            at = max(0, min(paths.index(self._at.path) + by, len(paths) - 1))
            self._newest = False
            if self._files[at].path != self._at.path:
                self._open(self._files[at])

    def action_newest(self) -> None:
        """The newest step, now and whenever there is another one."""
        self._newest = True
        self._choose()

    def action_order(self) -> None:
        """Best first, or worst first."""
        self.best_first = not self.best_first
        listed = self.query_one(EpisodeList)
        listed.highlighted = None
        self._list()

    def action_scroll(self, lines: int) -> None:
        """The conversation, with the list keeping the keys."""
        self._newest = False
        self.query_one(EpisodeView).scroll_relative(y=lines, animate=False)

    def action_list(self) -> None:
        """The keys go to the list."""
        self.screen.set_focus(self.query_one(EpisodeList))

    def action_conversation(self) -> None:
        """The keys go to the conversation."""
        self._newest = False
        self.screen.set_focus(self.query_one(EpisodeView))

    def action_copy(self) -> None:
        """The episode as text (OSC 52: over ssh too)."""
        episode = self.query_one(EpisodeView).episode
        if episode is not None:
            copy(self, as_text(episode), "the episode")
