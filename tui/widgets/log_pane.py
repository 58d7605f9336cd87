"""A pane of logs: which sources above, the lines, the hits beside them, and where one is below.

Owns turning keys into queries and running those off the event loop. Several panes may share one journal:
it is indexed once.
"""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from textual import on, work
from textual.actions import SkipAction
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical
from textual.content import Content
from textual.events import Click, Resize
from textual.message import Message
from textual.widgets import Static

from remote.contract.errors import VfmError
from remote.contract.events import SOURCES
from tui.store.journal import Journal, Line
from tui.store.log_matches import KnownMatches, LogMatches, LogRows, LogTail
from tui.store.log_query import ERRORS, LogQuery, compile_pattern, why_not
from tui.widgets.log_hits import LogHits
from tui.widgets.log_line import plain_of
from tui.widgets.log_place import find_place
from tui.widgets.log_question import HELP, LogQuestion, past_of
from tui.widgets.log_status import LogStatus
from tui.widgets.log_view import LogView

BETWEEN = 0.1
"""Seconds between two updates of the screen while a log grows."""
_CHOICES = ("all", *SOURCES)


class LogPane(Vertical):
    """Logs of one run. `journal_grew()` tells it that there may be more."""

    DEFAULT_CSS = """
    LogPane { height: 1fr; width: 1fr; }
    LogPane #log-sources { height: 1; background: $surface; color: $text-muted; padding: 0 1; }
    LogPane #log-said { height: auto; max-height: 3; color: $error; background: $panel; padding: 0 1; }
    LogPane #log-both { height: 1fr; layout: vertical; }
    LogPane #log-both.-beside { layout: horizontal; }
    LogPane #log-both.-beside LogHits { height: 1fr; width: 42%; border-left: solid $panel; }
    LogPane #log-status { height: 1; background: $surface; color: $text; padding: 0 1; }
    LogPane .-hidden { display: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "ask('filter')", "Filter", id="log.filter"),
        Binding("F", "use_filter", "Filter on or off", show=False, id="log.use_filter"),
        Binding("ctrl+f", "ask('search')", "Search", id="log.search"),
        Binding("n", "hit(1)", "Next hit", show=False, id="log.next"),
        Binding("N", "hit(-1)", "Previous hit", show=False, id="log.previous"),
        Binding("h", "hits", "List of hits", show=False, id="log.hits"),
        Binding("exclamation_mark", "error(1)", "Next error", id="log.error"),
        Binding("at", "error(-1)", "Previous error", show=False, id="log.previous_error"),
        Binding("s", "source(1)", "Source", id="log.source"),
        Binding("S", "source(-1)", "Previous source", show=False, id="log.previous_source"),
        Binding("ctrl+g", "ask('place')", "Go to a line or time", show=False, id="log.place"),
        Binding("ctrl+s", "save", "Save the log", show=False, id="log.save"),
        Binding("escape", "leave", "Close", show=False, id="log.leave"),
    ]

    @dataclass
    class SaveRequested(Message):
        """What is shown should go into a file; `save(path)` does it."""

        pane: LogPane
        default: str

    def __init__(self, journal: Journal, source: str = "all", **options: Any) -> None:
        super().__init__(**options)
        self.journal = journal
        self._source = source
        self._filter, self._search = "", ""
        self._filter_on = True
        self._known = KnownMatches(journal)
        self._rows: LogRows = self._known.of(LogQuery())
        self._hits: LogMatches | None = None
        self._generation = journal.generation
        self._anchor = -1
        """Where the line is that a reader is at; -1: at the end."""
        self._noted: tuple[int | None, str] = (None, "")
        self._question: LogQuestion | None = None
        self._list: LogHits | None = None
        self._past = past_of(None)
        self._over = False
        self._grew, self._hurry = asyncio.Event(), asyncio.Event()
        self._stop = threading.Event()

    def compose(self) -> ComposeResult:
        """Sources, the lines, the status; the question and the hits come when they are asked for."""
        yield Static(id="log-sources")
        with Container(id="log-both"):
            yield LogView(self._rows, id="log-view")
        yield Static(id="log-said", classes="-hidden")
        yield Static(id="log-status")

    def on_mount(self) -> None:
        """The tail is shown at once, before the file is indexed."""
        self._requery()
        self._keep_up()

    def on_unmount(self) -> None:
        """Nobody waits for what is being looked for."""
        self._stop.set()

    def on_resize(self, event: Resize) -> None:
        """Where there is room the hits stand beside the lines."""
        self.query_one("#log-both").set_class(event.size.width >= 130, "-beside")
        self._tell()

    @property
    def view(self) -> LogView:
        """The lines."""
        return self.query_one("#log-view", LogView)

    @property
    def query_now(self) -> LogQuery:
        """What is shown: the source, and the filter where it is on."""
        sources = None if self._source == "all" else frozenset({self._source})
        return LogQuery(sources).also(self._filter if self._filter_on else "")

    def journal_grew(self, *, over: bool = False) -> None:
        """There may be more lines; `over` when there will be none after them."""
        self._over = self._over or over
        self._grew.set()

    def show_source(self, source: str) -> None:
        """All sources, or one of them."""
        self._source = source
        self._requery()

    def filter(self, pattern: str) -> None:
        """Show the lines that match; an empty pattern shows all. One that is none is said, and no more."""
        if self._is_pattern(pattern):
            self._filter, self._filter_on = pattern, True
            self._requery()

    def search(self, pattern: str) -> None:
        """Mark what matches, and go to the first hit from the cursor on."""
        if not self._is_pattern(pattern):
            return
        self._search = pattern
        self.view.hits = compile_pattern(pattern) if pattern else None
        self._requery()
        if self._hits is not None:
            self._go(self._hits, 1, here=True)

    def go_to_error(self, by: int = 1) -> None:
        """The next or previous line that tells of an error, among those that are shown."""
        self._go(self._known.of(self.query_now.also(ERRORS)), by, what="errors")

    def state(self) -> dict[str, Any]:
        """What is worth remembering."""
        view = self.view
        return {
            "source": self._source,
            "filter": self._filter,
            "filter_on": self._filter_on,
            "search": self._search,
            "wrap": view.wrap,
            "stamps": view.stamps,
            "past": {what: list(past) for what, past in self._past.items()},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """As it was remembered; what does not fit is left out."""
        source = state.get("source")
        self._source = source if source in _CHOICES else self._source
        patterns = {what: str(state.get(what) or "") for what in ("filter", "search")}
        self._filter, self._search = (p if why_not(p) is None else "" for p in patterns.values())
        self._filter_on = bool(state.get("filter_on", True))
        self._past.update(past_of(state.get("past")))
        if self.is_mounted:
            self.view.wrap, self.view.stamps = bool(state.get("wrap")), bool(state.get("stamps"))
            self.view.hits = compile_pattern(self._search) if self._search else None
            self._requery()
        else:
            self.call_later(self.restore, state)

    async def save(self, path: Path) -> int:
        """Write the lines that are shown into a file, as text; returns how many.

        Raises `OSError` and `DiskError`.
        """
        return await asyncio.to_thread(_write, self._known.of(self.query_now), path)

    async def action_ask(self, what: str) -> None:
        """Open the line to type into, with what was typed last."""
        if self._question is None:
            self._question = LogQuestion(self._past)
            await self.mount(self._question, before="#log-status")
        self._question.ask(what, {"filter": self._filter, "search": self._search}.get(what, ""))

    def action_leave(self) -> None:
        """Escape: the question as if it had not been asked, the hits, the selection, search and filter."""
        view, question = self.view, self._question
        if question is not None and question.is_open:
            self._answer(question.what, question.before)
            self._say("")
            self._close_question()
        elif self._list is not None and self._list.display:
            self._close_hits()
        elif view.selected_from is not None:
            view.action_select()
        elif self._search:
            self.search("")
        elif self._filter:
            self.filter("")
        else:
            raise SkipAction

    async def action_use_filter(self) -> None:
        """The filter off, to see what stands around a line, and on again."""
        if self._filter:
            self._filter_on = not self._filter_on
            self._requery()
        else:
            await self.action_ask("filter")

    async def action_hit(self, by: int) -> None:
        """The next hit of the search; where there is none, ask for what."""
        if self._hits is None:
            await self.action_ask("search")
        else:
            self._go(self._hits, by)

    def action_error(self, by: int) -> None:
        """The next error."""
        self.go_to_error(by)

    def action_source(self, by: int) -> None:
        """The next source."""
        self.show_source(_CHOICES[(_CHOICES.index(self._source) + by) % len(_CHOICES)])

    async def action_hits(self) -> None:
        """A list of the hits beside their context, or none."""
        if self._list is not None and self._list.display:
            self._close_hits()
        elif self._hits is None:
            await self.action_ask("search")
        else:
            if self._list is None:
                self._list = LogHits(self._hits)
                await self.query_one("#log-both").mount(self._list)
            line = self.view.line
            self._list.open(self._hits, line.offset if line else None, self.view.hits)
            self._tell()

    def action_save(self) -> None:
        """Somebody else asks where to."""
        name = self.journal.path.parent.parent.name or "run"
        self.post_message(self.SaveRequested(self, f"{name}-{self._source}.log"))

    @on(LogQuestion.Typed)
    def _typed(self, event: LogQuestion.Typed) -> None:
        event.stop()
        self._answer(event.what, event.text)

    @on(LogQuestion.Answered)
    def _answered(self, event: LogQuestion.Answered) -> None:
        event.stop()
        if event.what == "place":
            self._to_place(event.text)
        elif self._is_pattern(event.text) and self._question is not None:
            self._answer(event.what, event.text)
            self._question.remember(event.text)
            self._close_question()

    @on(LogView.Moved)
    def _moved(self, event: LogView.Moved) -> None:
        event.stop()
        if event.view is self.view:
            self._tell()
        elif event.view.has_focus and (line := event.view.line) is not None:
            self.view.go_to(self._rows.row_of(line.offset))

    @on(LogView.Chosen)
    def _chosen(self, event: LogView.Chosen) -> None:
        event.stop()
        self.view.focus()

    @on(Click, "#log-sources")
    def _source_clicked(self, event: Click) -> None:
        """A click on a source's name chooses it."""
        at, left = event.x - 1, 0
        for name in _CHOICES:
            if left <= at < left + len(name) + 2:
                self.show_source(name)
            left += len(name) + 2

    def _answer(self, what: str, text: str) -> None:
        if what == "filter" and text != self._filter:
            self.filter(text)
        elif what == "search" and text != self._search:
            self.search(text)
        else:
            self._say("")

    @work(group="log-go", description="go to a place", exclusive=True, exit_on_error=False)
    async def _to_place(self, text: str) -> None:
        number = await asyncio.to_thread(find_place, self.journal, text)
        if number is None:
            self._say(f"no place: {text!r}; type {HELP['place']}")
            return
        self._say("")
        self._close_question()
        if self.journal.lines:
            self.view.go_to(self._rows.row_of(self.journal.line(number).offset))

    def _close_question(self) -> None:
        if self._question is not None:
            self._question.display = False
        self.view.focus()

    def _close_hits(self) -> None:
        if self._list is not None:
            self._list.display = False
        self.view.focus()

    def _is_pattern(self, pattern: str) -> bool:
        why = why_not(pattern)
        self._say(why or "")
        return why is None

    def _requery(self) -> None:
        """Show what is asked for now; a search for something else ends.

        What is shown stays until enough was looked through to show the same place again.
        """
        self._stop.set()
        self._stop = threading.Event()
        query, line = self.query_now, self.view.line
        self._anchor = -1 if self.view.follow or line is None else line.offset
        self._hits = self._known.of(query.also(self._search)) if self._search else None
        self._took_in()
        self._grew.set()
        self._hurry.set()

    @work(group="log", description="index and search the log", exit_on_error=False)
    async def _keep_up(self) -> None:
        """Whenever something changed: take in what was appended, then look through it."""
        while True:
            await self._grew.wait()
            self._grew.clear()
            self._hurry.clear()
            try:
                await self._show_tail()
                await asyncio.to_thread(self.journal.refresh, over=self._over)
                self._start_anew_if_replaced()
                await self._look()
            except VfmError as error:
                self._say(error.message)
            painting = await self._paint()
            with suppress(TimeoutError):
                # Where painting is slow (a busy machine, a slow line) keys come first.
                async with asyncio.timeout(max(BETWEEN, 2 * painting)):
                    await self._hurry.wait()

    async def _paint(self) -> float:
        """Wait until the screen shows what was taken in; returns the seconds that it took, at most one."""
        began, painted = time.monotonic(), asyncio.Event()
        self.call_after_refresh(painted.set)
        with suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await painted.wait()
        return time.monotonic() - began

    async def _show_tail(self) -> None:
        """The last lines at once, where it takes a while until all are known."""
        query = self.query_now
        if self.view.follow and (self._rows.query != query or not self.journal.end):
            tail = await asyncio.to_thread(LogTail, self.journal, query, max(50, self.size.height))
            is_news = not self.journal.end or not self._known.of(query).is_done
            if len(tail) and is_news and query == self.query_now:
                self._show(tail)

    def _start_anew_if_replaced(self) -> None:
        if self._generation != self.journal.generation:
            self._generation = self.journal.generation
            self._known.forget()
            self._requery()

    async def _look(self) -> None:
        """Look through what is new: for what is shown, then for what is searched for."""
        stop = self._stop
        for matches in (self._known.of(self.query_now), self._hits):
            if matches is None:
                continue
            scan = asyncio.create_task(asyncio.to_thread(matches.scan, stop))
            while not scan.done():
                await asyncio.wait({scan}, timeout=BETWEEN)
                if not scan.done() and not stop.is_set():
                    self._took_in()
            if not await scan:
                return
        self._took_in()

    def _took_in(self) -> None:
        """Show what was found by now."""
        matches = self._known.of(self.query_now)
        if self._rows is matches:
            self.view.grown()
        elif matches.is_done or (not self.view.follow and matches.scanned > self._anchor >= 0):
            self._show(matches)
        self._tell()

    def _show(self, rows: LogRows) -> None:
        self._rows = rows
        self.view.show(rows, self._anchor if self._anchor >= 0 else None)
        self._tell()

    @work(group="log-go", description="go to a hit", exclusive=True, exit_on_error=False)
    async def _go(self, matches: LogMatches, by: int, here: bool = False, what: str = "hits") -> None:
        """To the hit after the cursor, or before it; round the ends."""
        try:
            whole = await asyncio.to_thread(self._scan, matches)
        except VfmError as error:
            self._say(error.message)
            return
        if not whole:
            return
        self._took_in()
        line = self.view.line
        if not len(matches) or line is None:
            self._note(f"no {what}")
            return
        at = matches.row_of(line.offset)
        on_it = at < len(matches) and matches.offset(at) == line.offset
        if by > 0 and on_it and not here:
            at += 1
        elif by < 0:
            at -= 1
        row = at % len(matches)
        self.view.go_to(self._rows.row_of(matches.offset(row)))
        self._note(f"{row + 1:,} of {len(matches):,} {what}" if matches is not self._hits else "")

    def _scan(self, matches: LogMatches) -> bool:
        self.journal.refresh(over=self._over)
        stop = self._stop
        return self._known.of(self.query_now).scan(stop) and matches.scan(stop)

    def _say(self, text: str) -> None:
        said = self.query_one("#log-said", Static)
        said.update(Content(text))
        said.set_class(not text, "-hidden")

    def _note(self, text: str) -> None:
        """Say something about the line under the cursor, as long as it is there."""
        line = self.view.line
        self._noted = (line.offset if line else None, text)
        self._tell()

    def _tell(self) -> None:
        """The line of sources, the line that says where one is, the title of the hits."""
        view, matches, journal = self.view, self._known.of(self.query_now), self.journal
        line = view.line
        missing = "nothing was said yet" if not journal.lines else "no line matches"
        view.empty = missing if matches.is_done else "searching …"
        status = LogStatus(
            choices=_CHOICES,
            source=self._source,
            follow=view.follow,
            row=view.cursor,
            shown=len(matches),
            total=journal.lines,
            filter=self._filter,
            filter_on=self._filter_on,
            search=self._search,
            hit=self._hit_at(line),
            hits=len(self._hits) if self._hits is not None else 0,
            selected=view.selection[1] - view.selection[0] + 1 if view.selected_from is not None else 0,
            looked=1.0 if matches.is_done else matches.scanned / max(1, journal.end),
            note=self._noted[1]
            if self._noted[1] and (line.offset if line else None) == self._noted[0]
            else "",
            modes=[name for name, on in (("times", view.stamps), ("wrap", view.wrap)) if on],
        )
        width = self.size.width - 2
        self.query_one("#log-sources", Static).update(status.above(width), layout=False)
        self.query_one("#log-status", Static).update(status.below(width), layout=False)
        if self._list is not None and self._list.display and self._hits is not None:
            self._list.update(self._hits, self._search)

    def _hit_at(self, line: Line | None) -> int | None:
        """Which hit a line is."""
        hits = self._hits
        row = hits.row_of(line.offset) if hits is not None and line is not None else 0
        return row if line and hits and row < len(hits) and hits.offset(row) == line.offset else None


def _write(matches: LogMatches, path: Path) -> int:
    """Lines into a file, a thousand at a time."""
    matches.scan()
    count = 0
    with path.open("w", encoding="utf-8") as file:
        while lines := matches.read(count, 1000):
            file.writelines(f"{plain_of(line)}\n" for line in lines)
            count += len(lines)
    return count
