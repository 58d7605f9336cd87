"""The pane of a run's logs: a reader with a prompt for filter, search and places, and a list of hits."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Any, ClassVar

from textual import on, work
from textual.actions import SkipAction
from textual.binding import Binding, BindingType
from textual.events import Resize
from textual.widget import Widget

from tui.store.logs.log_file import LogFile
from tui.widgets.logs.goto import find_place
from tui.widgets.logs.hit_list import HitList
from tui.widgets.logs.prompt import HELP, LogPrompt, past_of
from tui.widgets.logs.reader import LogReader
from tui.widgets.logs.view import LogView


class LogPane(LogReader):
    """Logs of one run."""

    DEFAULT_CSS = """
    LogPane.-beside { layout: horizontal; }
    LogPane.-beside HitList { height: 1fr; width: 42%; border-left: solid $panel; }
    """
    # Keys that open the prompt have priority: what is typed right after them is an answer, not a key.
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

    def __init__(self, log_file: LogFile, source: str = "all", **options: Any) -> None:
        super().__init__(log_file, source, **options)
        self._prompt: LogPrompt | None = None
        self._hit_list: HitList | None = None
        self._past = past_of(None)

    def on_resize(self, event: Resize) -> None:
        """The hits beside the lines where there is room."""
        self.set_class(event.size.width >= 130, "-beside")
        self.update_status()

    def state(self) -> dict[str, Any]:
        """UI state to save, with earlier answers of the prompt."""
        return {**super().state(), "past": {what: list(past) for what, past in self._past.items()}}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore a saved state; invalid values are ignored."""
        self._past.update(past_of(state.get("past")))
        super().restore(state)

    def update_status(self) -> None:
        """Update the lines above and below, and the list of hits."""
        super().update_status()
        hits = self.finder.hits
        if self._hit_list is not None and self._hit_list.display and hits is not None:
            self._hit_list.update(hits, self.controls.search)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """While an answer is typed, letters are no keys."""
        typing = self._prompt is not None and self._prompt.is_open
        return not typing or action not in {"ask", "use_filter", "hit", "hits"} or parameters == ("place",)

    async def action_ask(self, what: str) -> None:
        """Open the prompt, with the present answer."""
        if self._prompt is None:
            self._prompt = LogPrompt(self._past)
            await self.mount(self._prompt, after=self.status)
        self._prompt.ask(what, str(asdict(self.controls).get(what, "")))

    def action_leave(self) -> None:
        """Cancel the prompt, else close the hits, the selection, the search or the filter, in this order."""
        view, prompt = self.view, self._prompt
        if prompt is not None and prompt.is_open:
            self._apply(prompt.what, prompt.before)
            self.show_message("")
            self._close(prompt)
        elif self._hit_list is not None and self._hit_list.display:
            self._close(self._hit_list)
        elif view.selected_from is not None:
            view.action_select()
        elif self.controls.search:
            self.search("")
        elif self.controls.filter:
            self.filter("")
        else:
            raise SkipAction

    async def action_use_filter(self) -> None:
        """Switch the filter off, to see the lines around, or on again."""
        if self.controls.filter:
            self.controls.filter_on = not self.controls.filter_on
            self.requery()
        else:
            await self.action_ask("filter")

    async def action_hit(self, by: int) -> None:
        """Go to the next or previous hit; without a search, ask for one."""
        if self.controls.search:
            self.go_to_match(self.controls.search, by)
        else:
            await self.action_ask("search")

    async def action_hits(self) -> None:
        """Open or close the list of hits; without a search, ask for one."""
        hits = self.finder.hits
        if self._hit_list is not None and self._hit_list.display:
            self._close(self._hit_list)
        elif hits is None:
            await self.action_ask("search")
        else:
            if self._hit_list is None:
                self._hit_list = HitList(hits)
                await self.mount(self._hit_list)
            line = self.view.line
            self._hit_list.open(hits, line.offset if line else None, self.view.hits)
            self.update_status()

    @on(LogPrompt.Typed)
    def _typed(self, event: LogPrompt.Typed) -> None:
        event.stop()
        self._apply(event.what, event.text)

    @on(LogPrompt.Answered)
    def _answered(self, event: LogPrompt.Answered) -> None:
        event.stop()
        if event.what == "place":
            self._go_to_place(event.text)
        elif self.is_pattern(event.text) and self._prompt is not None:
            self._apply(event.what, event.text)
            self._prompt.remember(event.text)
            self._close(self._prompt)

    @on(LogView.Moved)
    def _moved(self, event: LogView.Moved) -> None:
        """Update the status; the lines follow the cursor in the list of hits."""
        event.stop()
        if event.view is self.view:
            self.update_status()
        elif event.view.has_focus and (line := event.view.line) is not None:
            self.view.go_to(self.view.rows.row_of(line.offset))

    @on(LogView.Chosen)
    def _chosen(self, event: LogView.Chosen) -> None:
        event.stop()
        self.view.focus()

    def _apply(self, what: str, text: str) -> None:
        """Filter or search by what is typed."""
        if what == "place" or text == getattr(self.controls, what):
            self.show_message("")
        else:
            (self.filter if what == "filter" else self.search)(text)

    @work(group="log-go", description="go to a place", exclusive=True, exit_on_error=False)
    async def _go_to_place(self, text: str) -> None:
        place = await asyncio.to_thread(find_place, self.log_file, text)
        if place is None:
            self.show_message(f"no place: {text!r}; type {HELP['place']}")
            return
        self.show_message(place.note)
        self._close(self._prompt)
        if self.log_file.lines:
            self.view.go_to(self.view.rows.row_of(self.log_file.line(place.number).offset))

    def _close(self, widget: Widget | None) -> None:
        """Hide a widget and focus the lines, so that the very next key is theirs."""
        self.screen.set_focus(self.view)
        if widget is not None:
            widget.display = False
