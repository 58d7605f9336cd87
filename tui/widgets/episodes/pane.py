"""The rollouts of a run, step by step: episodes by reward, and the highlighted one as a conversation.

`tui/services/episode_files.py` loads them.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any, ClassVar

from rich.cells import cell_len
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.events import Resize
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from remote.contract.errors import VfmError
from tui.store.episodes.files import Episode, EpisodeFile, EpisodeRow, ordered
from tui.text.format import number, plain
from tui.widgets.common.clipboard import copy
from tui.widgets.episodes.layout import as_text, row_text
from tui.widgets.episodes.view import EpisodeView

if TYPE_CHECKING:
    from tui.services.episode_files import EpisodeLoader
    from tui.services.live_run import LiveRun

_BETWEEN = 1.0
"""Seconds between two looks for new files, at least."""
_BESIDE = 76
"""Columns from which list and conversation are side by side."""


class EpisodeList(OptionList):
    """Episodes of one step, one per line."""

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
    """Episodes of one run."""

    DEFAULT_CSS = """
    RolloutsPane { height: 1fr; width: 1fr; }
    RolloutsPane #rollouts-head { height: 1; padding: 0 1; }
    RolloutsPane #rollouts-both { height: 1fr; }
    RolloutsPane EpisodeView { border-left: solid $panel; }
    RolloutsPane.-stacked #rollouts-both { layout: vertical; }
    RolloutsPane.-stacked EpisodeList { width: 1fr; max-width: 100%; height: 35%; min-height: 3; }
    RolloutsPane.-stacked EpisodeView { border-left: none; border-top: solid $panel; }
    RolloutsPane #rollouts-message { height: 1fr; content-align: center middle; color: $text-muted; }
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

    def __init__(self, loader: EpisodeLoader, **options: Any) -> None:
        super().__init__(**options)
        self.best_first = True
        """Whether the best episodes come first, or else the worst."""
        self._loader = loader
        self._files: list[EpisodeFile] = []
        self._file: EpisodeFile | None = None
        """The file whose episodes are listed."""
        self._rows: list[EpisodeRow] = []
        self._follow = True
        """Whether the newest step is shown as soon as it exists."""
        self._auto_highlighted: str | None = None
        """Option id of the episode that was highlighted by the pane and not by the user."""
        self._progress: Hashable = None
        self._changed = asyncio.Event()

    def compose(self) -> ComposeResult:
        """The step, its episodes, the highlighted one."""
        yield Static(id="rollouts-head")
        yield Static("", id="rollouts-message")
        with Horizontal(id="rollouts-both", classes="-hidden"):
            yield EpisodeList(compact=True)
            yield EpisodeView()

    def on_mount(self) -> None:
        """Load what there is."""
        self._keep_looking()
        self.look()

    def on_resize(self, event: Resize) -> None:
        """List and conversation side by side where there is room."""
        self.set_class(event.size.width < _BESIDE, "-stacked")

    def run_changed(self, live: LiveRun) -> None:
        """Look for episodes whenever the run's progress says that there may be more."""
        state, episodes = live.state, live.state.progress.get("episodes")
        progress = (state.step, state.rollouts, episodes and episodes.done, live.over)
        if progress != self._progress:
            self._progress = progress
            self.look()

    def look(self) -> None:
        """Look for new episodes."""
        self._changed.set()

    def state(self) -> dict[str, Any]:
        """UI state to save."""
        return {"best_first": self.best_first}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore a saved state."""
        self.best_first = bool(state.get("best_first", True))
        self._update_list()

    # --- loading ---------------------------------------------------------------------------------------

    @work(group="rollouts", description="look for episodes", exit_on_error=False)
    async def _keep_looking(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                self._files = await self._loader.find()
            except VfmError as error:
                self._show_message(error.message)
            else:
                self._choose()
            await asyncio.sleep(_BETWEEN)

    def _choose(self) -> None:
        """After a look: follow the newest file, or load more of the present one."""
        if not self._files:
            self._show_message("no episodes yet: those of the first step appear here")
            return
        present = next((file for file in self._files if self._file and file.path == self._file.path), None)
        is_reading = self.query_one(EpisodeView).scroll_y > 0
        file = self._files[0] if present is None or (self._follow and not is_reading) else present
        if self._file is None or file.path != self._file.path:
            self._open(file)
        elif file.size != self._file.size:
            self._file = file
            self._load(file)
        self._update_head()

    def _open(self, file: EpisodeFile) -> None:
        self._file, self._rows = file, []
        self._load(file)
        self._update_head()

    @work(group="rollouts-load", description="read episodes", exclusive=True, exit_on_error=False)
    async def _load(self, file: EpisodeFile) -> None:
        try:
            async for rows in self._loader.rows(file, self._rows):
                self._rows = rows
                self._update_list()
        except VfmError as error:
            self._show_message(error.message)

    @work(group="rollouts-episode", description="read an episode", exclusive=True, exit_on_error=False)
    async def _show_episode(self, file: EpisodeFile, row: EpisodeRow) -> None:
        try:
            episode = await self._loader.episode(file, row)
        except VfmError as error:
            episode = Episode(error=error.message)
        await self.query_one(EpisodeView).show(episode)

    # --- showing -------------------------------------------------------------------------------------

    def _show_message(self, text: str) -> None:
        """Show why there are no episodes; episodes that are listed stay."""
        if not self._rows:
            self.query_one("#rollouts-message", Static).update(Content(plain(text)))
            self.query_one("#rollouts-message").remove_class("-hidden")
            self.query_one("#rollouts-both").add_class("-hidden")

    def _update_list(self) -> None:
        """List the rows in order; the user's highlight stays on its episode."""
        if not self._rows:
            return
        listed = self.query_one(EpisodeList)
        chosen = listed.highlighted_option.id if listed.highlighted_option and not self._follow else None
        good = [row.reward for row in self._rows if row.reward is not None and math.isfinite(row.reward)]
        low, high = min(good, default=0.0), max(good, default=0.0)
        width = min(max(cell_len(plain(row.task)) for row in self._rows), 16)
        rows = ordered(self._rows, best_first=self.best_first)
        turns = any(row.turns > 1 for row in rows)
        listed.set_options(Option(row_text(r, low, high, width, turns), id=str(r.offset)) for r in rows)
        at = next((n for n, r in enumerate(rows) if str(r.offset) == chosen), 0)
        self._auto_highlighted = str(rows[at].offset)
        listed.highlighted = at
        self.query_one("#rollouts-message").add_class("-hidden")
        self.query_one("#rollouts-both").remove_class("-hidden")
        self._update_head()

    def _update_head(self) -> None:
        if self._file is None:
            return
        good = [row.reward for row in self._rows if row.reward is not None and math.isfinite(row.reward)]
        failed = sum(row.reward is None for row in self._rows)
        head = Content.styled(f"‹ {self._file.label} ›", "bold $accent")
        facts = [f"{len(self._rows)} episodes"]
        if good:
            facts.append(f"mean {number(sum(good) / len(good))}, {number(min(good))} to {number(max(good))}")
        facts += [f"✗ {failed} failed"] if failed else []
        facts.append("best first" if self.best_first else "worst first")
        newer = next((n for n, file in enumerate(self._files) if file.path == self._file.path), 0)
        facts += [f"{newer} newer: }}"] if newer else []
        self.query_one("#rollouts-head", Static).update(
            head + Content.styled("  " + " · ".join(facts), "$text-muted")
        )

    @on(OptionList.OptionHighlighted)
    def _highlighted(self, event: OptionList.OptionHighlighted) -> None:
        event.stop()
        if event.option_id != self._auto_highlighted:
            self._follow = False  # a reader who moves about is not to be moved on
        row = next((row for row in self._rows if str(row.offset) == event.option_id), None)
        if row is not None and self._file is not None:
            self._show_episode(self._file, row)

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.action_conversation()

    # --- keys ----------------------------------------------------------------------------------------

    def action_step(self, by: int) -> None:
        """Show an earlier or later step."""
        paths = [file.path for file in self._files]
        if self._file is not None and self._file.path in paths:
            at = max(0, min(paths.index(self._file.path) + by, len(paths) - 1))
            self._follow = False
            if self._files[at].path != self._file.path:
                self._open(self._files[at])

    def action_newest(self) -> None:
        """Show the newest step, and follow."""
        self._follow = True
        self._choose()

    def action_order(self) -> None:
        """List the best or the worst episodes first."""
        self.best_first = not self.best_first
        listed = self.query_one(EpisodeList)
        listed.highlighted = None
        self._update_list()

    def action_scroll(self, lines: int) -> None:
        """Scroll the conversation while the list keeps the focus."""
        self._follow = False
        self.query_one(EpisodeView).scroll_relative(y=lines, animate=False)

    def action_list(self) -> None:
        """Focus the list."""
        self.screen.set_focus(self.query_one(EpisodeList))

    def action_conversation(self) -> None:
        """Focus the conversation."""
        self._follow = False
        self.screen.set_focus(self.query_one(EpisodeView))

    def action_copy(self) -> None:
        """Copy the episode as text (OSC 52: also over ssh)."""
        episode = self.query_one(EpisodeView).episode
        if episode is not None:
            copy(self, as_text(episode), "the episode")
