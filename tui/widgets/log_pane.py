"""A pane of logs: which sources, a filter and a search above, the lines, and where one is below.

Owns turning keys into queries and running those off the event loop. Several panes may share one journal:
it is indexed once.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from remote.contract.errors import VfmError
from remote.contract.events import SOURCES
from tui.store.journal import Journal
from tui.store.log_matches import ERRORS, LogMatches, LogQuery
from tui.widgets.log_view import LogView
from tui.widgets.terminal_text import read_terminal

_MOST_HITS = 2000
_CHOICES = ("all", *SOURCES)


class LogPane(Vertical):
    """Logs of one run. `journal_grew()` tells it that there may be more."""

    DEFAULT_CSS = """
    LogPane { height: 1fr; width: 1fr; }
    LogPane #log-sources { height: 1; background: $surface; color: $text-muted; padding: 0 1; }
    LogPane Input { height: 1; border: none; padding: 0 1; background: $panel; }
    LogPane #log-status { height: 1; padding: 0 1; background: $surface; color: $text-muted; }
    LogPane #log-said { height: auto; color: $error; padding: 0 1; }
    LogPane #log-hits { height: 40%; border: none; border-top: solid $panel; }
    LogPane .-hidden { display: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "ask('filter')", "Filter", id="log.filter"),
        Binding("ctrl+f", "ask('search')", "Search", id="log.search"),
        Binding("n", "hit(1)", "Next hit", show=False, id="log.next"),
        Binding("N", "hit(-1)", "Previous hit", show=False, id="log.previous"),
        Binding("h", "hits", "Hit list", show=False, id="log.hits"),
        Binding("exclamation_mark", "error(1)", "Next error", id="log.error"),
        Binding("at", "error(-1)", "Previous error", show=False, id="log.previous_error"),
        Binding("s", "source(1)", "Source", id="log.source"),
        Binding("S", "source(-1)", "Previous source", show=False, id="log.previous_source"),
        Binding("ctrl+s", "save", "Save", show=False, id="log.save"),
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
        self._view_matches = LogMatches(journal, self._query())
        self._search_matches: LogMatches | None = None
        self._error_matches: LogMatches | None = None
        self._known: dict[LogQuery, LogMatches] = {}
        self._asked = "filter"
        self._over = False
        self._grew = asyncio.Event()

    def compose(self) -> ComposeResult:
        """Sources, the lines, hits, the question, the status."""
        yield Static(id="log-sources")
        yield LogView(self._view_matches, id="log-view")
        yield OptionList(id="log-hits", classes="-hidden")
        yield Static(id="log-said", classes="-hidden")
        yield Input(id="log-input", classes="-hidden", compact=True)
        yield Static(id="log-status")

    def on_mount(self) -> None:
        """The tail is shown at once, before the file is indexed."""
        self._tell()
        self._keep_up()
        self._grew.set()

    @property
    def view(self) -> LogView:
        """The lines."""
        return self.query_one(LogView)

    def journal_grew(self, *, over: bool = False) -> None:
        """There may be more lines; `over` when there will be none after them."""
        self._over = self._over or over
        self._grew.set()

    def show_source(self, source: str) -> None:
        """All sources, or one of them."""
        self._source = source
        self._requery()

    def filter(self, pattern: str) -> None:
        """Show the lines that match; an empty pattern shows all."""
        self._filter = pattern
        self._requery()

    def search(self, pattern: str) -> None:
        """Highlight what matches, and go to the first hit from the cursor on."""
        self._search = pattern
        try:
            query = LogQuery(None, pattern)
            self._search_matches = self._matches(query) if pattern else None
            self.view.hits = query.regex if pattern else None
        except VfmError as error:
            self._say(error.message)
            return
        self._say("")
        self._grew.set()
        if pattern:
            self._go(self._search_matches, 1, here=True)
        else:
            self.view.grown()

    def go_to_error(self, by: int = 1) -> None:
        """The next or previous line that tells of an error."""
        self._error_matches = self._error_matches or self._matches(LogQuery(None, f"{ERRORS}|[E]RROR"))
        self._go(self._error_matches, by)

    def state(self) -> dict[str, Any]:
        """What is worth remembering."""
        view = self.view
        return {
            "source": self._source,
            "filter": self._filter,
            "search": self._search,
            "wrap": view.wrap,
            "stamps": view.stamps,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """As it was remembered; what does not fit is left out."""
        source = state.get("source")
        self._source = source if source in _CHOICES else self._source
        self._filter = str(state.get("filter") or "")
        self._search = str(state.get("search") or "")
        self.view.wrap, self.view.stamps = bool(state.get("wrap")), bool(state.get("stamps"))
        self._requery()

    async def save(self, path: Path) -> int:
        """Write the lines that are shown into a file, as text; returns how many. Raises `OSError`."""
        return await asyncio.to_thread(_write, self._view_matches, path)

    def action_ask(self, what: str) -> None:
        """Open the line to type into, with what was typed last."""
        self._asked = what
        asked = self.query_one(Input)
        asked.placeholder = f"{what}: a pattern; Enter keeps, Escape clears"
        asked.remove_class("-hidden")
        with self.prevent(Input.Changed):
            asked.value = self._filter if what == "filter" else self._search
        asked.focus()

    def action_leave(self) -> None:
        """Escape: the question first, then the hit list, then the filter; then the screen's own."""
        asked, hits = self.query_one(Input), self.query_one(OptionList)
        if asked.has_focus:
            (self.filter if self._asked == "filter" else self.search)("")
            self._close_question()
        elif not hits.has_class("-hidden"):
            hits.add_class("-hidden")
            self.view.focus()
        elif self._filter or self._search:
            self.search("")
            self.filter("")
        else:
            self.screen.action_back()  # type: ignore[attr-defined]

    def action_hit(self, by: int) -> None:
        """The next hit of the search; without a search, of the filter."""
        if self._search_matches is None:
            self.action_ask("search")
        else:
            self._go(self._search_matches, by)

    def action_error(self, by: int) -> None:
        """The next error."""
        self.go_to_error(by)

    def action_source(self, by: int) -> None:
        """The next source."""
        self.show_source(_CHOICES[(_CHOICES.index(self._source) + by) % len(_CHOICES)])

    def action_hits(self) -> None:
        """A list of the hits beside the full context."""
        hits = self.query_one(OptionList)
        if not hits.has_class("-hidden"):
            hits.add_class("-hidden")
            self.view.focus()
        elif self._search_matches is not None:
            self._list_hits()

    def action_save(self) -> None:
        """Somebody else asks where to."""
        self.post_message(
            self.SaveRequested(self, f"{self.journal.path.parent.parent.name}-{self._source}.log")
        )

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        (self.filter if self._asked == "filter" else self.search)(event.value)

    @on(Input.Submitted)
    def _kept(self, event: Input.Submitted) -> None:
        event.stop()
        self._close_question()

    @on(OptionList.OptionHighlighted)
    def _hit_chosen(self, event: OptionList.OptionHighlighted) -> None:
        event.stop()
        if event.option_id is not None:
            self.view.go_to(self._view_matches.row_of(int(event.option_id)))

    @on(LogView.Moved)
    def _moved(self, event: LogView.Moved) -> None:
        event.stop()
        self._tell()

    def on_click(self, event: Any) -> None:
        """A click on a source's name chooses it."""
        if event.widget is not None and event.widget.id == "log-sources":
            at, left = event.x - 1, 0
            for name in _CHOICES:
                if left <= at < left + len(name) + 2:
                    self.show_source(name)
                left += len(name) + 2

    def _close_question(self) -> None:
        self.query_one(Input).add_class("-hidden")
        self.view.focus()

    def _query(self) -> LogQuery:
        sources = None if self._source == "all" else frozenset({self._source})
        return LogQuery(sources, self._filter)

    def _matches(self, query: LogQuery) -> LogMatches:
        """What was found for a query before is kept, and only goes on. Raises `ConfigError`."""
        if query not in self._known:
            if len(self._known) > 12:
                self._known.pop(next(iter(self._known)))
            self._known[query] = LogMatches(self.journal, query)
        return self._known[query]

    def _requery(self) -> None:
        line = None if self.view.follow else self.view.line
        try:
            self._view_matches = self._matches(self._query())
        except VfmError as error:
            self._say(error.message)
            return
        self._say("")
        self._here = line.offset if line else None
        self.view.show(self._view_matches, self._here)
        self._grew.set()
        self._tell()

    @work(group="log", description="index and search the log", exit_on_error=False)
    async def _keep_up(self) -> None:
        """Whenever something changed: take in what was appended, then look through it."""
        while True:
            await self._grew.wait()
            self._grew.clear()
            try:
                await asyncio.to_thread(self.journal.refresh, over=self._over)
                await self._scan_all()
            except VfmError as error:
                self._say(error.message)

    async def _scan_all(self) -> None:
        for matches in (self._view_matches, self._search_matches, self._error_matches):
            if matches is None:
                continue
            scan = asyncio.create_task(asyncio.to_thread(matches.scan))
            while not scan.done():
                await asyncio.wait({scan}, timeout=0.1)
                if matches is self._view_matches and not scan.done():
                    self._took_in()
            await scan
            self._took_in()

    def _took_in(self) -> None:
        self.view.grown()
        self._tell()

    @work(group="log-go", description="go to a hit", exclusive=True, exit_on_error=False)
    async def _go(self, matches: LogMatches | None, by: int, here: bool = False) -> None:
        """To the hit after the cursor, or before it; round the ends."""
        if matches is None:
            return
        await asyncio.to_thread(matches.scan)
        line = self.view.line
        if not len(matches) or line is None:
            self._tell("no hit")
            return
        at = matches.row_of(line.offset)
        on_it = at < len(matches) and matches.offset(at) == line.offset
        if by > 0 and on_it and not here:
            at += 1
        elif by < 0:
            at -= 1
        offset = matches.offset(at % len(matches))
        self.view.go_to(self._view_matches.row_of(offset))
        self._tell(f"{at % len(matches) + 1:,} of {len(matches):,} hits")

    @work(group="log-go", description="list hits", exclusive=True, exit_on_error=False)
    async def _list_hits(self) -> None:
        matches = self._search_matches
        if matches is None:
            return
        await asyncio.to_thread(matches.scan)
        found = await asyncio.to_thread(matches.read, 0, _MOST_HITS)
        hits = self.query_one(OptionList)
        hits.clear_options()
        hits.add_options(
            Option(Content(read_terminal(line.text).plain[:500]), id=str(line.offset)) for line in found
        )
        hits.remove_class("-hidden")
        hits.focus()

    def _say(self, text: str) -> None:
        said = self.query_one("#log-said", Static)
        said.update(Content(text))
        said.set_class(not text, "-hidden")

    def _tell(self, note: str = "") -> None:
        """The line of sources, and the line that says where one is."""
        names = [Content.styled(f" {name} ", "reverse" if name == self._source else "") for name in _CHOICES]
        self.query_one("#log-sources", Static).update(Content("").join(names))
        view, matches = self.view, self._view_matches
        total, shown = self.journal.lines, len(matches)
        parts = [f"{shown:,} lines" if matches.query.is_all else f"{shown:,} of {total:,} lines"]
        if self._filter:
            parts.append(f"filter {self._filter}")
        if self._search:
            parts.append(note or f"search {self._search}")
        elif note:
            parts.append(note)
        if view.selected_from is not None:
            first, last = view.selection
            parts.append(f"{last - first + 1} selected")
        below = max(0, shown - 1 - view.cursor)
        parts.append("● following" if view.follow else f"‖ paused · {below:,} below")
        if matches.scanned < self.journal.end:
            parts.append("searching …")
        self.query_one("#log-status", Static).update(Content(" · ".join(parts)))


def _write(matches: LogMatches, path: Path) -> int:
    """Lines into a file, a thousand at a time."""
    count = 0
    with path.open("w", encoding="utf-8") as file:
        while lines := matches.read(count, 1000):
            file.writelines(f"{read_terminal(line.text).plain}\n" for line in lines)
            count += len(lines)
    return count
