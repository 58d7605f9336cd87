"""A pane of logs: which sources above, the lines, the hits beside them, and where one is below.

Owns turning keys into what is asked, and showing what was found. Finding it, off the event loop, is
`finder.py`'s; several panes may share one log.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from textual import on, work
from textual.actions import SkipAction
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.events import Click, Resize
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static

from remote.contract.errors import VfmError
from tui.store.logs.log_file import LogFile
from tui.store.logs.query import CHOICES, ERRORS, compile_pattern, why_not
from tui.store.logs.search import LogRows
from tui.widgets.logs.finder import BETWEEN, LogFinder
from tui.widgets.logs.goto import beyond, find_place
from tui.widgets.logs.hit_list import HitList
from tui.widgets.logs.prompt import HELP, LogMessage, LogPrompt, past_of
from tui.widgets.logs.render import write_plain
from tui.widgets.logs.status import LogStatus, source_at
from tui.widgets.logs.view import LogView


class LogPane(Vertical):
    """Logs of one run. `log_grew()` tells it that there may be more."""

    DEFAULT_CSS = """
    LogPane { height: 1fr; width: 1fr; }
    LogPane #log-sources { split: top; height: 1; background: $surface; color: $text-muted; padding: 0 1; }
    LogPane #log-status { split: bottom; height: 1; background: $surface; color: $text; padding: 0 1; }
    LogPane.-beside { layout: horizontal; }
    LogPane.-beside HitList { height: 1fr; width: 42%; border-left: solid $panel; }
    """
    # What may ask has priority: what is typed right after it is an answer, and no key of the lines.
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "ask('filter')", "Filter", priority=True, id="log.filter"),
        Binding("F", "use_filter", "Filter on or off", show=False, priority=True, id="log.use_filter"),
        Binding("ctrl+f", "ask('search')", "Search", priority=True, id="log.search"),
        Binding("n", "hit(1)", "Next hit", show=False, priority=True, id="log.next"),
        Binding("N", "hit(-1)", "Previous hit", show=False, priority=True, id="log.previous"),
        Binding("h", "hits", "List of hits", show=False, priority=True, id="log.hits"),
        Binding("exclamation_mark", "error(1)", "Next error", id="log.error"),
        Binding("at", "error(-1)", "Previous error", show=False, id="log.previous_error"),
        Binding("s", "source(1)", "Source", id="log.source"),
        Binding("S", "source(-1)", "Previous source", show=False, id="log.previous_source"),
        Binding("ctrl+g", "ask('place')", "Go to a line or time", show=False, priority=True, id="log.place"),
        Binding("ctrl+s", "save", "Save the log", show=False, id="log.save"),
        Binding("escape", "leave", "Close", show=False, id="log.leave"),
    ]

    @dataclass
    class SaveRequested(Message):
        """What is shown should go into a file; `save(path)` does it."""

        pane: LogPane
        default: str

    def __init__(self, log_file: LogFile, source: str = "all", **options: Any) -> None:
        super().__init__(**options)
        self.log_file = log_file
        self.finder = LogFinder(log_file, source)
        """What was found of what is asked."""
        self.asked = self.finder.asked
        self.view = LogView(self.finder.shown, id="log-view")
        """The lines."""
        self._above, self._below = Static(id="log-sources"), Static(id="log-status")
        self._said: LogMessage | None = None
        self._question: LogPrompt | None = None
        self._list: HitList | None = None
        self._past = past_of(None)
        self._anchor = -1
        """Where the line is that a reader is at; -1: at the end."""
        self._noted: tuple[int | None, str] = (None, "")

    def compose(self) -> ComposeResult:
        """Sources, the lines, the status; what else there is comes when it is asked for."""
        yield from (self._above, self._below, self.view)
        self.finder.start(self._most)

    def on_mount(self) -> None:
        """The tail is shown at once, before the file is indexed."""
        self._requery()
        self._keep_up()

    def on_unmount(self) -> None:
        """Nobody waits for what is being looked for."""
        self.finder.stop()

    def on_resize(self, event: Resize) -> None:
        """Where there is room the hits stand beside the lines."""
        self.set_class(event.size.width >= 130, "-beside")
        self._tell()

    def log_grew(self, *, over: bool = False) -> None:
        """There may be more lines; `over` when there will be none after them."""
        self.finder.grew(over=over)

    def show_source(self, source: str) -> None:
        """All sources, or one of them."""
        self.asked.source = source
        self._requery()

    def filter(self, pattern: str) -> None:
        """Show the lines that match; an empty pattern shows all. One that is none is said, and no more."""
        if self._is_pattern(pattern):
            self.asked.filter, self.asked.filter_on = pattern, True
            self._requery()

    def search(self, pattern: str) -> None:
        """Mark what matches, and go to the first hit from the cursor on."""
        if not self._is_pattern(pattern):
            return
        self.asked.search = pattern
        self.view.hits = compile_pattern(pattern) if pattern else None
        self._requery()
        if pattern:
            self._go(self.asked.search, 1, here=True)

    def go_to_error(self, by: int = 1) -> None:
        """The next or previous line that tells of an error, among those that are shown."""
        self._go(ERRORS, by, what="errors")

    def state(self) -> dict[str, Any]:
        """What is worth remembering."""
        return {
            **asdict(self.asked),
            "wrap": self.view.wrap,
            "stamps": self.view.stamps,
            "past": {what: list(past) for what, past in self._past.items()},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """As it was remembered; what does not fit is left out."""
        self.asked.recall(state)
        self._past.update(past_of(state.get("past")))
        if self.is_mounted:
            self.view.wrap, self.view.stamps = bool(state.get("wrap")), bool(state.get("stamps"))
            self.view.hits = compile_pattern(self.asked.search) if self.asked.search else None
            self._requery()
        else:
            self.call_later(self.restore, state)

    async def save(self, path: Path, *, force: bool = False) -> int:
        """Write the lines that are shown into a file; returns how many.

        Raises `Occupied` where another file is there, unless `force` replaces it; `VfmError` and `OSError`.
        """
        shown = self.finder.shown
        await asyncio.to_thread(shown.scan)
        return await asyncio.to_thread(write_plain, shown, path, force=force)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """While an answer is typed its letters are letters."""
        typing = self._question is not None and self._question.is_open
        return not typing or action not in {"ask", "use_filter", "hit", "hits"} or parameters == ("place",)

    async def action_ask(self, what: str) -> None:
        """Open the line to type into, with what was typed last."""
        if self._question is None:
            self._question = LogPrompt(self._past)
            await self.mount(self._question, after=self._below)
        self._question.ask(what, str(asdict(self.asked).get(what, "")))

    def action_leave(self) -> None:
        """Escape: the question as if it had not been asked, the hits, the selection, search and filter."""
        view, question = self.view, self._question
        if question is not None and question.is_open:
            self._answer(question.what, question.before)
            self._say("")
            self._close(question)
        elif self._list is not None and self._list.display:
            self._close(self._list)
        elif view.selected_from is not None:
            view.action_select()
        elif self.asked.search:
            self.search("")
        elif self.asked.filter:
            self.filter("")
        else:
            raise SkipAction

    async def action_use_filter(self) -> None:
        """The filter off, to see what stands around a line, and on again."""
        if self.asked.filter:
            self.asked.filter_on = not self.asked.filter_on
            self._requery()
        else:
            await self.action_ask("filter")

    async def action_hit(self, by: int) -> None:
        """The next hit of the search; where there is none, ask for what."""
        if self.asked.search:
            self._go(self.asked.search, by)
        else:
            await self.action_ask("search")

    def action_error(self, by: int) -> None:
        """The next error."""
        self.go_to_error(by)

    def action_source(self, by: int) -> None:
        """The next source."""
        self.show_source(CHOICES[(CHOICES.index(self.asked.source) + by) % len(CHOICES)])

    async def action_hits(self) -> None:
        """A list of the hits beside their context, or none."""
        hits = self.finder.hits
        if self._list is not None and self._list.display:
            self._close(self._list)
        elif hits is None:
            await self.action_ask("search")
        else:
            if self._list is None:
                self._list = HitList(hits)
                await self.mount(self._list)
            line = self.view.line
            self._list.open(hits, line.offset if line else None, self.view.hits)
            self._tell()

    def action_save(self) -> None:
        """Somebody else asks where to."""
        name = self.log_file.path.parent.parent.name or "run"
        self.post_message(self.SaveRequested(self, f"{name}-{self.asked.source}.log"))

    @on(LogPrompt.Typed)
    def _typed(self, event: LogPrompt.Typed) -> None:
        event.stop()
        self._answer(event.what, event.text)

    @on(LogPrompt.Answered)
    def _answered(self, event: LogPrompt.Answered) -> None:
        event.stop()
        if event.what == "place":
            self._to_place(event.text)
        elif self._is_pattern(event.text) and self._question is not None:
            self._answer(event.what, event.text)
            self._question.remember(event.text)
            self._close(self._question)

    @on(LogView.Moved)
    def _moved(self, event: LogView.Moved) -> None:
        event.stop()
        if event.view is self.view:
            self._tell()
        elif event.view.has_focus and (line := event.view.line) is not None:
            self.view.go_to(self.view.rows.row_of(line.offset))

    @on(LogView.Chosen)
    def _chosen(self, event: LogView.Chosen) -> None:
        event.stop()
        self.view.focus()

    @on(Click, "#log-sources")
    def _source_clicked(self, event: Click) -> None:
        """A click on a source's name chooses it."""
        if (name := source_at(event.x - 1)) is not None:
            self.show_source(name)

    def _answer(self, what: str, text: str) -> None:
        if what == "place" or text == getattr(self.asked, what):
            self._say("")
        else:
            (self.filter if what == "filter" else self.search)(text)

    @work(group="log-go", description="go to a place", exclusive=True, exit_on_error=False)
    async def _to_place(self, text: str) -> None:
        number = await asyncio.to_thread(find_place, self.log_file, text)
        if number is None:
            self._say(f"no place: {text!r}; type {HELP['place']}")
            return
        self._say(await asyncio.to_thread(beyond, self.log_file, text))
        self._close(self._question)
        if self.log_file.lines:
            self.view.go_to(self.view.rows.row_of(self.log_file.line(number).offset))

    def _close(self, other: Widget | None) -> None:
        """Back to the lines; the very next key is theirs."""
        self.screen.set_focus(self.view)
        if other is not None:
            other.display = False

    def _is_pattern(self, pattern: str) -> bool:
        why = why_not(pattern)
        self._say(why or "")
        return why is None

    def _requery(self) -> None:
        """Show what is asked for; what is shown stays until the same place can be shown again."""
        line = self.view.line
        self._anchor = -1 if self.view.follow or line is None else line.offset
        self._took_in()
        self.finder.look_anew()

    @work(group="log", description="index and search the log", exit_on_error=False)
    async def _keep_up(self) -> None:
        """Whenever something changed: the last lines at once, then all."""
        while True:
            await self.finder.wait()
            try:
                if self._wants_tail and (tail := await self.finder.tail(self._most)):
                    self._show(tail)
                    await self._paint()
                async for _ in self.finder.look():
                    self._took_in()
            except VfmError as error:
                self._say(error.message)
            # Where painting is slow (a busy machine, a slow line) keys come first.
            await self.finder.rest(max(BETWEEN, 2 * await self._paint()))

    @property
    def _most(self) -> int:
        """Lines that a screen may show, and more."""
        return max(50, self.app.size.height)

    @property
    def _wants_tail(self) -> bool:
        return self.view.follow and not (self.view.rows.query == self.asked.query and self.log_file.end)

    async def _paint(self) -> float:
        """Wait until the screen shows what was taken in; returns the seconds that it took, at most one."""
        began, painted = time.monotonic(), asyncio.Event()
        self.call_after_refresh(painted.set)
        with suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await painted.wait()
        return time.monotonic() - began

    def _took_in(self) -> None:
        """Show what was found by now."""
        matches = self.finder.shown
        if self.view.rows is matches:
            self.view.grown()
        elif matches.is_done or (not self.view.follow and matches.scanned > self._anchor >= 0):
            self._show(matches)
        self._tell()

    def _show(self, rows: LogRows) -> None:
        self.view.show(rows, self._anchor if self._anchor >= 0 else None)
        self._tell()

    @work(group="log-go", description="go to a hit", exclusive=True, exit_on_error=False)
    async def _go(self, pattern: str, by: int, here: bool = False, what: str = "hits") -> None:
        """To what matches after the cursor, or before it; round the ends."""
        try:
            matches = await self.finder.find(pattern)
        except VfmError as error:
            self._say(error.message)
            return
        if matches is None:
            return
        self._took_in()
        line = self.view.line
        if not len(matches) or line is None:
            self._note(f"no {what}")
            return
        row = matches.next_row(line.offset, by, here)
        self.view.go_to(self.view.rows.row_of(matches.offset(row)))
        self._note("" if matches is self.finder.hits else f"{row + 1:,} of {len(matches):,} {what}")

    def _say(self, text: str) -> None:
        """What is wrong, above the line below."""
        if self._said is None and text:
            self._said = LogMessage(id="log-said")
            self.mount(self._said)
        if self._said is not None:
            self._said.say(text)

    def _note(self, text: str) -> None:
        """Say something about the line under the cursor, as long as it is there."""
        line = self.view.line
        self._noted = (line.offset if line else None, text)
        self._tell()

    def _tell(self) -> None:
        """The line of sources, the line that says where one is, the title of the hits."""
        view, shown, hits = self.view, self.finder.shown, self.finder.hits
        missing = "nothing was said yet" if not self.log_file.lines else "no line matches"
        view.empty = missing if shown.is_done else "searching …"
        noted_at, note = self._noted
        here = note and noted_at == (view.line.offset if view.line else None)
        status = LogStatus.of(view, self.asked, shown, hits, note if here else "")
        width = self.size.width - 2
        self._above.update(status.above(width), layout=False)
        self._below.update(status.below(width), layout=False)
        if self._list is not None and self._list.display and hits is not None:
            self._list.update(hits, self.asked.search)
