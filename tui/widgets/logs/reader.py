"""Reading a log: its lines by source, filter and search, kept up to date, with a line above and one below.

`finder.py` finds the lines off the event loop; several readers may share one log file.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.events import Click
from textual.message import Message
from textual.widgets import Static

from remote.contract.errors import VfmError
from tui.store.logs.log_file import LogFile
from tui.store.logs.query import CHOICES, ERRORS, compile_pattern, why_not
from tui.store.logs.search import LogRows
from tui.widgets.logs.finder import BETWEEN, LogFinder
from tui.widgets.logs.prompt import LogMessage
from tui.widgets.logs.render import write_plain
from tui.widgets.logs.status import LogStatus, source_at
from tui.widgets.logs.view import LogView

if TYPE_CHECKING:
    from tui.services.live_run import LiveRun


class LogReader(Vertical):
    """The lines of one log. A subclass binds the keys."""

    DEFAULT_CSS = """
    LogReader { height: 1fr; width: 1fr; }
    LogReader #log-sources { split: top; height: 1; background: $surface; color: $text-muted; padding: 0 1; }
    LogReader #log-status { split: bottom; height: 1; background: $surface; color: $text; padding: 0 1; }
    """

    @dataclass
    class SaveRequested(Message):
        """Save the lines that are shown, by `pane.save()`; the screen asks where to."""

        pane: LogReader
        default: str

    def __init__(self, log_file: LogFile, source: str = "all", **options: Any) -> None:
        super().__init__(**options)
        self.log_file = log_file
        self.finder = LogFinder(log_file, source)
        self.controls = self.finder.controls
        """Source, filter and search."""
        self.view = LogView(self.finder.shown, id="log-view")
        self._above, self.status = Static(id="log-sources"), Static(id="log-status")
        self._message: LogMessage | None = None
        self._anchor = -1
        """Byte offset of the line that stays under the cursor when others are shown; -1: the end."""
        self._note: tuple[int | None, str] = (None, "")
        """Byte offset of a line, and a note that is shown while the cursor is on it."""

    def compose(self) -> ComposeResult:
        """Sources, status, lines."""
        yield from (self._above, self.status, self.view)
        self.finder.start(self._most)

    def on_mount(self) -> None:
        """Show the last lines at once, before the file is indexed."""
        self.requery()
        self._keep_up()

    def run_changed(self, live: LiveRun) -> None:
        """Show appended lines."""
        self.log_grew(over=live.over)

    def log_grew(self, *, over: bool = False) -> None:
        """Show appended lines; `over`: they are the last ones."""
        self.finder.grew(over=over)

    def show_source(self, source: str) -> None:
        """Show all sources, or one of them."""
        self.controls.source = source
        self.requery()

    def filter(self, pattern: str) -> None:
        """Show the lines that match; an empty pattern shows all, an invalid one is told and ignored."""
        if self.is_pattern(pattern):
            self.controls.filter, self.controls.filter_on = pattern, True
            self.requery()

    def search(self, pattern: str) -> None:
        """Highlight what matches, and go to the first hit from the cursor on."""
        if not self.is_pattern(pattern):
            return
        self.controls.search = pattern
        self.view.hits = compile_pattern(pattern) if pattern else None
        self.requery()
        if pattern:
            self.go_to_match(pattern, 1, from_here=True)

    def is_pattern(self, text: str) -> bool:
        """Whether a text is a valid pattern; if not, say why."""
        problem = why_not(text)
        self.show_message(problem or "")
        return problem is None

    def state(self) -> dict[str, Any]:
        """UI state to save; a search is about one run, and is not saved."""
        return {
            "source": self.controls.source,
            "filter": self.controls.filter,
            "filter_on": self.controls.filter_on,
            "wrap": self.view.wrap,
            "stamps": self.view.stamps,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Restore a saved state; invalid values are ignored."""
        self.controls.recall({**state, "search": self.controls.search})
        if self.is_mounted:
            self.view.wrap, self.view.stamps = bool(state.get("wrap")), bool(state.get("stamps"))
            self.requery()
        else:
            self.call_later(self.restore, state)

    async def save(self, path: Path, *, force: bool = False) -> int:
        """Write the lines that are shown into a file; returns their number.

        Raises `Occupied` where another file exists, unless `force` replaces it; `VfmError` and `OSError`.
        """
        shown = self.finder.shown
        await asyncio.to_thread(shown.scan)
        return await asyncio.to_thread(write_plain, shown, path, force=force)

    def action_error(self, by: int) -> None:
        """Go to the next or previous line that reports an error."""
        self.go_to_match(ERRORS, by, what="errors")

    def action_source(self, by: int) -> None:
        """Show the next or previous source."""
        self.show_source(CHOICES[(CHOICES.index(self.controls.source) + by) % len(CHOICES)])

    def action_save(self) -> None:
        """Ask the screen to save the lines."""
        name = self.log_file.path.parent.parent.name or "run"
        self.post_message(self.SaveRequested(self, f"{name}-{self.controls.source}.log"))

    @on(Click, "#log-sources")
    def _source_clicked(self, event: Click) -> None:
        if (name := source_at(event.x - 1)) is not None:
            self.show_source(name)

    # --- keeping up ----------------------------------------------------------------------------------

    def requery(self) -> None:
        """Show other lines; the present ones stay until the same place can be shown again."""
        line = self.view.line
        self._anchor = -1 if self.view.follow or line is None else line.offset
        self._show_found()
        self.finder.restart()

    @work(group="log", description="index and search the log", exit_on_error=False)
    async def _keep_up(self) -> None:
        """After each change show the last lines at once, then all."""
        try:
            while True:
                await self.finder.wait()
                try:
                    if self._needs_tail and (tail := await self.finder.tail(self._most)):
                        self._show(tail)
                        await self._painted()
                    async for _ in self.finder.look():
                        self._show_found()
                except VfmError as error:
                    self.show_message(error.message)
                # Where painting is slow (a busy machine, a slow line) keys come first.
                await self.finder.rest(max(BETWEEN, 2 * await self._painted()))
        finally:
            self.finder.stop()

    @property
    def _most(self) -> int:
        """At least the lines that the screen can show."""
        return max(50, self.app.size.height)

    @property
    def _needs_tail(self) -> bool:
        return self.view.follow and not (self.view.rows.query == self.controls.query and self.log_file.end)

    async def _painted(self) -> float:
        """Wait until the screen shows the changes; returns the seconds that it took, at most one."""
        began, painted = time.monotonic(), asyncio.Event()
        self.call_after_refresh(painted.set)
        with suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await painted.wait()
        return time.monotonic() - began

    def _show_found(self) -> None:
        matches = self.finder.shown
        if self.view.rows is matches:
            self.view.grown()
        elif matches.is_done or (not self.view.follow and matches.scanned > self._anchor >= 0):
            self._show(matches)
        self.update_status()

    def _show(self, rows: LogRows) -> None:
        self.view.show(rows, self._anchor if self._anchor >= 0 else None)
        self.update_status()

    @work(group="log-go", description="go to a hit", exclusive=True, exit_on_error=False)
    async def go_to_match(self, pattern: str, by: int, from_here: bool = False, what: str = "hits") -> None:
        """Go to the next or previous line that matches, wrapping around the ends."""
        try:
            matches = await self.finder.find(pattern)
        except VfmError as error:
            self.show_message(error.message)
            return
        if matches is None:
            return
        self._show_found()
        line, note = self.view.line, f"no {what}"
        if len(matches) and line is not None:
            row = matches.next_row(line.offset, by, from_here)
            self.view.go_to(self.view.rows.row_of(matches.offset(row)))
            note = "" if matches is self.finder.hits else f"{row + 1:,} of {len(matches):,} {what}"
        line = self.view.line
        self._note = (line.offset if line else None, note)
        self.update_status()

    # --- messages ------------------------------------------------------------------------------------

    def show_message(self, text: str) -> None:
        """Show an error above the status line, or none."""
        if self._message is None and text:
            self._message = LogMessage(id="log-message")
            self.mount(self._message)
        if self._message is not None:
            self._message.show(text)

    def update_status(self) -> None:
        """Update the lines above and below."""
        view, shown = self.view, self.finder.shown
        no_lines = "no output yet" if not self.log_file.lines else "no line matches"
        view.empty = no_lines if shown.is_done else "searching …"
        noted, note = self._note
        is_noted = note and noted == (view.line.offset if view.line else None)
        status = LogStatus.of(view, self.controls, shown, self.finder.hits, note if is_noted else "")
        width = self.size.width - 2
        self._above.update(status.above(width), layout=False)
        self.status.update(status.below(width), layout=False)
