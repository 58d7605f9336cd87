"""A pane of logs: which sources above, the lines, the hits beside them, and where one is below.

Owns turning keys into queries and running those off the event loop. Several panes may share one journal:
it is indexed once.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from textual import on, work
from textual.actions import SkipAction
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal, Vertical
from textual.content import Content
from textual.events import Click, Resize
from textual.message import Message
from textual.widgets import Input, Static

from remote.contract.errors import VfmError
from remote.contract.events import SOURCES
from tui.store.journal import Journal, Line
from tui.store.log_matches import LogMatches, LogRows, LogTail
from tui.store.log_query import ERRORS, LogQuery, compile_pattern
from tui.widgets.log_line import plain_of
from tui.widgets.log_place import find_place
from tui.widgets.log_status import LogStatus
from tui.widgets.log_view import LogView
from tui.words import plain

BETWEEN = 0.1
"""Seconds between two updates of the screen while a log grows."""
_CHOICES = ("all", *SOURCES)
_ASKED = {"filter": "filter /", "search": "search /", "place": "go to  "}
_HELP = {
    "filter": "a pattern: only lines that match are shown",
    "search": "a pattern: what matches is marked, n and N go from hit to hit",
    "place": "line 1200, 40%, a time 14:05 or 14:05:30",
}
_KEPT_OFFSETS = 4_000_000
_REMEMBERED = 20


class LogPane(Vertical):
    """Logs of one run. `journal_grew()` tells it that there may be more."""

    DEFAULT_CSS = """
    LogPane { height: 1fr; width: 1fr; }
    LogPane #log-sources { height: 1; background: $surface; color: $text-muted; padding: 0 1; }
    LogPane #log-asked { height: 1; background: $panel; }
    LogPane #log-asked Static { width: auto; padding: 0 0 0 1; color: $primary; text-style: bold; }
    LogPane Input { width: 1fr; height: 1; border: none; padding: 0; background: $panel; }
    LogPane #log-said { height: auto; max-height: 3; color: $error; background: $panel; padding: 0 1; }
    LogPane #log-both { height: 1fr; layout: vertical; }
    LogPane #log-both.-beside { layout: horizontal; }
    LogPane #log-list { height: 40%; }
    LogPane #log-both.-beside #log-list { height: 1fr; width: 42%; border-left: solid $panel; }
    LogPane #log-list-title { height: 1; background: $panel; color: $text-muted; padding: 0 1; }
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
        Binding("up", "recall(-1)", "Earlier pattern", show=False, id="log.earlier"),
        Binding("down", "recall(1)", "Later pattern", show=False, id="log.later"),
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
        self._known: dict[LogQuery, LogMatches] = {}
        self._rows: LogRows = self._matches(LogQuery())
        self._hits: LogMatches | None = None
        self._generation = journal.generation
        self._anchor = -1
        """Where the line is that a reader is at; -1: at the end."""
        self._noted: tuple[int | None, str] = (None, "")
        self._asked, self._before = "filter", ""
        self._past: dict[str, list[str]] = {what: [] for what in _ASKED}
        self._over = False
        self._grew, self._hurry = asyncio.Event(), asyncio.Event()
        self._stop = threading.Event()

    def compose(self) -> ComposeResult:
        """Sources, the lines and the hits, the question, the status."""
        yield Static(id="log-sources")
        with Container(id="log-both"):
            yield LogView(self._rows, id="log-view")
            with Vertical(id="log-list", classes="-hidden"):
                yield Static(id="log-list-title")
                yield LogView(self._rows, id="log-hits")
        yield Static(id="log-said", classes="-hidden")
        with Horizontal(id="log-asked", classes="-hidden"):
            yield Static(id="log-asked-what")
            yield Input(id="log-input", compact=True)
        yield Static(id="log-status")

    def on_mount(self) -> None:
        """The tail is shown at once, before the file is indexed."""
        self.query_one("#log-hits", LogView).follow = False
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
        self._go(self._matches(self.query_now.also(ERRORS)), by, what="errors")

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
        self._filter, self._search = (p if _why_not(p) is None else "" for p in patterns.values())
        self._filter_on = bool(state.get("filter_on", True))
        past = state.get("past")
        for what in _ASKED:
            kept = past.get(what) if isinstance(past, dict) else None
            self._past[what] = [str(text) for text in kept][-_REMEMBERED:] if isinstance(kept, list) else []
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
        return await asyncio.to_thread(_write, self._matches(self.query_now), path)

    def action_ask(self, what: str) -> None:
        """Open the line to type into, with what was typed last."""
        self._asked = what
        self._before = self._typed_for(what)
        past = self._past[what]
        asked = self.query_one(Input)
        asked.placeholder = _HELP[what]
        self.query_one("#log-asked-what", Static).update(Content(_ASKED[what]))
        self.query_one("#log-asked").remove_class("-hidden")
        with self.prevent(Input.Changed):
            asked.value = self._before or (past[-1] if past and what != "place" else "")
        asked.focus()
        asked.action_select_all()

    def action_recall(self, by: int) -> None:
        """What was asked for before, while the question is open."""
        asked, past = self.query_one(Input), self._past[self._asked]
        if not asked.has_focus or not past:
            raise SkipAction
        at = past.index(asked.value) if asked.value in past else len(past)
        asked.value = past[at + by] if 0 <= at + by < len(past) else ("" if by > 0 else past[0])
        asked.cursor_position = len(asked.value)

    def action_leave(self) -> None:
        """Escape: the question as if it had not been asked, the hits, the selection, search and filter."""
        view = self.view
        if self.query_one(Input).has_focus:
            self._answer(self._before)
            self._say("")
            self._close_question()
        elif not self.query_one("#log-list").has_class("-hidden"):
            self.action_hits()
        elif view.selected_from is not None:
            view.action_select()
        elif self._search:
            self.search("")
        elif self._filter:
            self.filter("")
        else:
            raise SkipAction

    def action_use_filter(self) -> None:
        """The filter off, to see what stands around a line, and on again."""
        if self._filter:
            self._filter_on = not self._filter_on
            self._requery()
        else:
            self.action_ask("filter")

    def action_hit(self, by: int) -> None:
        """The next hit of the search; where there is none, ask for what."""
        if self._hits is None:
            self.action_ask("search")
        else:
            self._go(self._hits, by)

    def action_error(self, by: int) -> None:
        """The next error."""
        self.go_to_error(by)

    def action_source(self, by: int) -> None:
        """The next source."""
        self.show_source(_CHOICES[(_CHOICES.index(self._source) + by) % len(_CHOICES)])

    def action_hits(self) -> None:
        """A list of the hits beside their context, or none."""
        beside, hits = self.query_one("#log-list"), self.query_one("#log-hits", LogView)
        if not beside.has_class("-hidden"):
            beside.add_class("-hidden")
            self.view.focus()
        elif self._hits is None:
            self.action_ask("search")
        else:
            line = self.view.line
            hits.hits = self.view.hits
            hits.show(self._hits)
            hits.follow = False
            beside.remove_class("-hidden")
            if line is not None and len(self._hits):
                hits.go_to(self._hits.row_of(line.offset))
            hits.focus()
            self._tell()

    def action_save(self) -> None:
        """Somebody else asks where to."""
        name = self.journal.path.parent.parent.name or "run"
        self.post_message(self.SaveRequested(self, f"{name}-{self._source}.log"))

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        if self._asked != "place":
            self._answer(event.value)

    @on(Input.Submitted)
    def _kept(self, event: Input.Submitted) -> None:
        event.stop()
        if self._asked == "place":
            self._to_place(event.value)
            return
        if (why := _why_not(event.value)) is not None:
            self._say(why)
            return
        self._answer(event.value)
        past = self._past[self._asked]
        if event.value:
            past[:] = [*(text for text in past if text != event.value), event.value][-_REMEMBERED:]
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

    def _typed_for(self, what: str) -> str:
        return {"filter": self._filter, "search": self._search}.get(what, "")

    def _answer(self, text: str) -> None:
        if self._asked != "place" and text != self._typed_for(self._asked):
            (self.filter if self._asked == "filter" else self.search)(text)
        elif self._asked != "place":
            self._say("")

    @work(group="log-go", description="go to a place", exclusive=True, exit_on_error=False)
    async def _to_place(self, text: str) -> None:
        number = await asyncio.to_thread(find_place, self.journal, text)
        if number is None:
            self._say(f"no place: {text!r}; type {_HELP['place']}")
            return
        self._say("")
        self._close_question()
        if self.journal.lines:
            self.view.go_to(self._rows.row_of(self.journal.line(number).offset))

    def _close_question(self) -> None:
        self.query_one("#log-asked").add_class("-hidden")
        self.view.focus()

    def _is_pattern(self, pattern: str) -> bool:
        why = _why_not(pattern)
        self._say(why or "")
        return why is None

    def _matches(self, query: LogQuery) -> LogMatches:
        """What was found for a query before is kept, and only goes on."""
        found = self._known.pop(query, None)
        if found is None:  # one that has found nothing yet is false
            found = LogMatches(self.journal, query)
        while self._known and sum(len(known.offsets) for known in self._known.values()) > _KEPT_OFFSETS:
            self._known.pop(next(iter(self._known)))
        self._known[query] = found
        return found

    def _requery(self) -> None:
        """Show what is asked for now; a search for something else ends.

        What is shown stays until enough was looked through to show the same place again.
        """
        self._stop.set()
        self._stop = threading.Event()
        query, line = self.query_now, self.view.line
        self._anchor = -1 if self.view.follow or line is None else line.offset
        self._hits = self._matches(query.also(self._search)) if self._search else None
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
            with suppress(TimeoutError):
                async with asyncio.timeout(BETWEEN):
                    await self._hurry.wait()

    async def _show_tail(self) -> None:
        """The last lines at once, where it takes a while until all are known."""
        query = self.query_now
        if self.view.follow and (self._rows.query != query or not self.journal.end):
            tail = await asyncio.to_thread(LogTail, self.journal, query, max(50, self.size.height))
            is_news = not self.journal.end or not self._matches(query).is_done
            if len(tail) and is_news and query == self.query_now:
                self._show(tail)

    def _start_anew_if_replaced(self) -> None:
        if self._generation != self.journal.generation:
            self._generation = self.journal.generation
            self._known.clear()
            self._requery()

    async def _look(self) -> None:
        """Look through what is new: for what is shown, then for what is searched for."""
        stop = self._stop
        for matches in (self._matches(self.query_now), self._hits):
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
        matches = self._matches(self.query_now)
        if self._rows is matches:
            self.view.grown()
        elif matches.is_done or (not self.view.follow and matches.scanned > self._anchor >= 0):
            self._show(matches)
        hits = self.query_one("#log-hits", LogView)
        if self._hits is not None and not self.query_one("#log-list").has_class("-hidden"):
            hits.grown() if hits.rows is self._hits else hits.show(self._hits)
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
        return self._matches(self.query_now).scan(stop) and matches.scan(stop)

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
        view, matches, journal = self.view, self._matches(self.query_now), self.journal
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
        title = f"{status.hits:,} hits of {plain(self._search)} · Enter: to the log · h: close"
        self.query_one("#log-list-title", Static).update(Content(title), layout=False)

    def _hit_at(self, line: Line | None) -> int | None:
        """Which hit a line is."""
        hits = self._hits
        row = hits.row_of(line.offset) if hits is not None and line is not None else 0
        return row if line and hits and row < len(hits) and hits.offset(row) == line.offset else None


def _why_not(pattern: str) -> str | None:
    """What is wrong with a pattern, in words."""
    try:
        compile_pattern(pattern)
    except VfmError as error:
        hint = error.hint.text if error.hint else ""
        return f"{error.message} · {hint}" if hint else error.message
    return None


def _write(matches: LogMatches, path: Path) -> int:
    """Lines into a file, a thousand at a time."""
    matches.scan()
    count = 0
    with path.open("w", encoding="utf-8") as file:
        while lines := matches.read(count, 1000):
            file.writelines(f"{plain_of(line)}\n" for line in lines)
            count += len(lines)
    return count
