"""The home screen: a table of all runs, with counts, problems and a filter above, and details below.

`tui/services/run_list.py` lists the runs; `row_requests.py` turns keys into requests.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from typing import Any, ClassVar

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Static

from remote.contract.errors import VfmError
from tui.screens import help_texts, requests
from tui.screens.frame import VfmScreen
from tui.screens.row_requests import Selection, requests_of
from tui.services.run_list import RunList
from tui.store.runs.filter import before_field, completions, parse_filter
from tui.store.runs.row import RunRow
from tui.widgets.common.filter_input import FilterInput
from tui.widgets.runs import list_summary
from tui.widgets.runs.table import RunTable
from tui.widgets.runs.welcome import Welcome

_STATE = "runs"
_MANY = 1000  # runs from which on filtering takes noticeable time
_TOGETHER = 0.05  # seconds within which several keys filter once
_NEEDS_RUNS = frozenset(
    {"compare", "edit", "evaluate", "rerun", "resume", "cancel", "download", "delete", "filter"}
)
_CHANGES = frozenset({"edit", "evaluate", "propose", "rerun", "resume", "cancel", "delete", "launch"})


class RunsScreen(VfmScreen):
    """All runs."""

    TITLE = "runs"
    HELP = help_texts.RUNS
    DEFAULT_CSS = """
    RunsScreen #runs-summary { height: 1; padding: 0 1; color: $text-muted; }
    RunsScreen #runs-problems {
        height: auto; max-height: 4; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis;
    }
    RunsScreen #runs-detail {
        height: 4; padding: 0 1; border-top: solid $panel; text-wrap: nowrap; text-overflow: ellipsis;
    }
    RunsScreen.-short #runs-detail { height: 1; border: none; background: $surface; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "request('launch')", "New", id="runs.new"),
        Binding("slash", "filter", "Filter", id="runs.filter"),
        Binding("equals_sign", "request('compare')", "Compare", id="runs.compare"),
        Binding("e", "request('edit')", "Edit & run", id="runs.edit"),
        Binding("r", "request('rerun')", "Run again", id="runs.rerun"),
        Binding("R", "request('resume')", "Resume", show=False, id="runs.resume"),
        Binding("E", "request('evaluate')", "Evaluate", show=False, id="runs.evaluate"),
        Binding("p", "request('propose')", "Apply the hint", id="runs.propose"),
        Binding("c", "request('cancel')", "Stop", id="runs.cancel"),
        Binding("d", "request('download')", "Download", id="runs.download"),
        Binding("x", "request('delete')", "Delete", id="runs.delete"),
        Binding("v", "request('volumes')", "Volumes", id="runs.volumes"),
        Binding("D,ctrl+d", "request('doctor')", "Doctor", id="runs.doctor"),
        Binding("escape", "leave", "Clear filter, then marks", show=False, id="runs.leave"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._state: dict[str, Any] = {}
        self._list: RunList | None = None
        self._typed_filter: str | None = None
        """What is being typed into the filter; None when nothing is."""
        self._filter_timer: Timer | None = None
        self._has_fix = False
        """Whether the run under the cursor failed with a hint that changes a config key."""

    def body(self) -> ComposeResult:
        """Counts, problems, filter, table, details; or a welcome in their place."""
        state = self.app.ui_state.get(_STATE)
        self._state = state if isinstance(state, dict) else {}
        column, filter_text = str(self._state.get("sort")), str(self._state.get("filter") or "")
        yield Static(id="runs-summary")
        yield Static(id="runs-problems", classes="-hidden")
        history = self._state.get("filters")
        yield FilterInput(
            filter_text, history if isinstance(history, list) else [], lambda _: completions(self._rows)
        )
        with Vertical(id="runs-body"):
            yield RunTable(self.app.now, column, bool(self._state.get("reverse")))
            yield Static(id="runs-detail")
        yield Welcome(classes="-hidden")

    def on_mount(self) -> None:
        """Show the rows of the last session in the first frame, then ask every backend."""
        table = self.query_one(RunTable)
        table.filter_by(parse_filter(self.query_one(FilterInput).text))
        table.empty = "looking for runs …"
        table.focus()
        self._list = RunList(self.app.connect, self.app.ui_state.folder, clock=self.app.now)
        self._list.read_first()
        if self._list.rows:
            self._listed(self._list)
        self.call_after_refresh(self._keep_up, self._list)  # the client's imports wait for the first frame
        self.set_interval(1.0, self._tick)

    async def on_unmount(self) -> None:
        """Save the rows for the next session's first frame, and the filter that is being typed."""
        if self._typed_filter is not None:
            self._save(filter=self._typed_filter)
        if self._list:
            await self._list.save()

    def on_screen_suspend(self) -> None:
        """Ask backends less often while another screen is open."""
        if self._list:
            self._list.see(False)

    def on_screen_resume(self) -> None:
        """Ask backends at once: the other screen may have changed runs."""
        if self._list:
            self._list.see(True)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only what can be done to the runs in the table."""
        name = str(parameters[0]) if action == "request" else action
        if name in _CHANGES and self.app.readonly:
            return False
        if name == "propose":
            row = self.query_one(RunTable).row if self._rows else None
            return bool(row and row.fix_key)
        return bool(self._rows) or name not in _NEEDS_RUNS

    # --- listing -------------------------------------------------------------------------------------

    @property
    def _rows(self) -> Sequence[RunRow]:
        return self._list.rows if self._list else ()

    @work(group="runs", description="list runs", exit_on_error=False)
    async def _keep_up(self, runs: RunList) -> None:
        try:
            async with aclosing(runs.updates()) as updates:
                async for _ in updates:
                    self._listed(runs)
        except VfmError as error:
            self.app.notify(f"the list of runs is no longer updated: {error}", severity="error")

    def _listed(self, runs: RunList) -> None:
        """Show new rows, or what became known of a backend."""
        table, had_rows = self.query_one(RunTable), bool(self.query_one(RunTable).rows)
        table.show(runs.rows, begun=runs.settled)
        if runs.listed:
            self.post_message(requests.RunsListed(runs.rows))
        self._show_welcome(not runs.rows and (runs.listed or runs.settled or runs.error is not None))
        if bool(runs.rows) != had_rows:
            self.refresh_bindings()
        self._update_lines()

    def _show_welcome(self, show: bool) -> None:
        """Show the welcome in place of the table, or the table."""
        welcome, table = self.query_one(Welcome), self.query_one(RunTable)
        if welcome.has_class("-hidden") is not show:
            return
        welcome.set_class(not show, "-hidden")
        self.query_one("#runs-body").set_class(show, "-hidden")
        if show:
            welcome.focus_choice()
        else:
            table.focus()

    def _tick(self) -> None:
        if self.app.screen is self:
            self.query_one(RunTable).tick()

    @on(RunTable.Marked)
    @on(events.Resize)
    def _lines_changed(self) -> None:
        self.call_after_refresh(self._update_lines)

    def _update_lines(self) -> None:
        """Update the lines around the table."""
        table = self.query_one(RunTable)
        if self._list and self._list.settled:
            table.empty = "no run matches the filter; Escape clears it" if table.filter.text else ""
        top, problems = self.query_one("#runs-summary", Static), self.query_one("#runs-problems", Static)
        width, pending = top.content_size.width, list_summary.pending(self._list)
        counts = list_summary.summary(table.rows, len(table.shown), len(table.marked), pending, width)
        _update(top, counts)
        lines = list(list_summary.problems(table.filter.complaints, self._list, width))
        _update(problems, Content("\n").join(lines))
        problems.set_class(not lines, "-hidden")
        self._update_detail()

    def _update_detail(self) -> None:
        lines = 1 if self.has_class("-short") else 3
        row = self.query_one(RunTable).row
        _update(self.query_one("#runs-detail", Static), list_summary.detail(row, self.app.now(), lines=lines))

    # --- the table and the filter --------------------------------------------------------------------

    @on(RunTable.Opened)
    def _opened(self, event: RunTable.Opened) -> None:
        self.post_message(requests.RunRequested(event.row.run_id))

    @on(RunTable.Moved)
    def _moved(self, event: RunTable.Moved) -> None:
        has_fix = bool(event.row and event.row.fix_key)
        if has_fix is not self._has_fix:
            self._has_fix = has_fix
            self.refresh_bindings()
        self._update_detail()

    @on(RunTable.Sorted)
    def _sorted(self, event: RunTable.Sorted) -> None:
        self._save(sort=event.column, reverse=event.reverse)

    @on(FilterInput.Typed)
    def _typed(self, event: FilterInput.Typed) -> None:
        """Filter at once; among thousands of runs, once for several keys."""
        self._typed_filter = event.text
        if len(self._rows) < _MANY:
            self._filter_as_typed()
        elif self._filter_timer is None:
            self._filter_timer = self.set_timer(_TOGETHER, self._filter_as_typed)

    def _filter_as_typed(self) -> None:
        """Filter, but let no word empty the table that may become the name of a field."""
        self._filter_timer, text = None, self._typed_filter
        if text is None:  # the input was left meanwhile
            return
        table = self.query_one(RunTable)
        table.filter_by(parse_filter(text))
        if not table.shown and (before := before_field(text)) is not None:
            table.filter_by(parse_filter(before))
        self._update_lines()

    @on(FilterInput.Left)
    def _filter_left(self, event: FilterInput.Left) -> None:
        self._typed_filter = None
        self._save(filter=event.text, filters=self.query_one(FilterInput).history)
        table = self.query_one(RunTable)
        table.filter_by(parse_filter(event.text))
        table.focus()
        self._update_lines()

    @on(Welcome.Chosen)
    def _welcome_chosen(self, event: Welcome.Chosen) -> None:
        self.action_request(event.choice)

    # --- actions -------------------------------------------------------------------------------------

    def action_request(self, name: str) -> None:
        """Ask the app for an action on the marked runs or the one under the cursor, or say why not."""
        table = self.query_one(RunTable)
        answer = requests_of(name, Selection(table.row, table.marked))
        if isinstance(answer, str):
            self.app.notify(answer)
            return
        for request in answer:
            self.post_message(request)

    def action_filter(self) -> None:
        """Open the filter."""
        self.query_one(FilterInput).open()

    def action_leave(self) -> None:
        """Clear the filter, else the marks."""
        line, table = self.query_one(FilterInput), self.query_one(RunTable)
        if line.text:
            line.clear()
        elif table.marked:
            table.unmark()
        else:
            self.action_back()

    def _save(self, **values: Any) -> None:
        self._state = {**self._state, **values}
        self.app.ui_state.put(_STATE, self._state)


def _update(line: Static, text: Content) -> None:
    """Repaint a line only if its text changed: every repaint is sent over the network."""
    if not isinstance(line.content, Content) or not line.content.is_same(text):
        line.update(text)
