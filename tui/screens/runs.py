"""Home: every run of every experiment in one table.

Owns what the keys do, the lines around the table, and what is remembered of it. The rows come from
`run_list`, which is imported with the client after the first frame; drawing them is `widgets/run_table.py`'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import aclosing
from typing import Any, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Static
from textual.worker import Worker, WorkerState

from remote.contract.layout import run_path
from tui.screens import help_texts, requests
from tui.screens.frame import VfmScreen
from tui.services.run_list import RunList
from tui.store.runs.filter import before_field, completions, parse_filter
from tui.store.runs.row import RunRow
from tui.widgets.common.filter_input import FilterInput
from tui.widgets.runs import list_summary
from tui.widgets.runs.table import RunTable
from tui.widgets.runs.welcome import Welcome

_MEMORY = "runs"
_MANY = 1000  # runs among which filtering is work
_TOGETHER = 0.05  # seconds within which keys count as one
_NEEDS_A_RUN = frozenset(
    {"compare", "edit", "evaluate", "rerun", "resume", "cancel", "download", "delete", "filter"}
)
_CHANGES = frozenset({"edit", "evaluate", "propose", "rerun", "resume", "cancel", "delete", "launch"})


class RunsScreen(VfmScreen):
    """The runs table, the lines around it, and its keys."""

    TITLE = "runs"
    HELP = help_texts.RUNS
    DEFAULT_CSS = """
    RunsScreen #runs-summary { height: 1; padding: 0 1; color: $text-muted; }
    RunsScreen #runs-said {
        height: auto; max-height: 4; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis;
    }
    RunsScreen #runs-detail {
        height: 4; padding: 0 1; border-top: solid $panel; text-wrap: nowrap; text-overflow: ellipsis;
    }
    RunsScreen.-short #runs-detail { height: 1; border: none; background: $surface; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "launch", "New", id="runs.new"),
        Binding("slash", "filter", "Filter", id="runs.filter"),
        Binding("equals_sign", "compare", "Compare", id="runs.compare"),
        Binding("e", "edit", "Edit & run", id="runs.edit"),
        Binding("r", "rerun", "Run again", id="runs.rerun"),
        Binding("R", "resume", "Resume", show=False, id="runs.resume"),
        Binding("E", "evaluate", "Evaluate", show=False, id="runs.evaluate"),
        Binding("p", "propose", "Apply the hint", id="runs.propose"),
        Binding("c", "cancel", "Stop", id="runs.cancel"),
        Binding("d", "download", "Download", id="runs.download"),
        Binding("x", "delete", "Delete", id="runs.delete"),
        Binding("v", "volumes", "Volumes", id="runs.volumes"),
        Binding("D,ctrl+d", "doctor", "Doctor", id="runs.doctor"),
        Binding("escape", "leave", "Clear filter, then marks", show=False, id="runs.leave"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[str, Any] = {}
        self._list: RunList | None = None
        self._typing: str | None = None
        self._soon: Timer | None = None
        self._mendable = False

    def body(self) -> ComposeResult:
        """Counts, what is wrong, the filter, the runs, the one under the cursor; or a welcome."""
        known = self.app.ui_state.get(_MEMORY)
        self._known = known if isinstance(known, dict) else {}
        column, filter_text = str(self._known.get("sort")), str(self._known.get("filter") or "")
        yield Static(id="runs-summary")
        yield Static(id="runs-said", classes="-hidden")
        history = self._known.get("filters")
        yield FilterInput(filter_text, history if isinstance(history, list) else [], self._completions)
        with Vertical(id="runs-body"):
            yield RunTable(self.app.now, column, bool(self._known.get("reverse")))
            yield Static(id="runs-detail")
        yield Welcome(classes="-hidden")

    def on_mount(self) -> None:
        """The rows of the session before are in the first frame; after it everybody is asked."""
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
        """The rows are kept for the next session's first frame, and what is being typed."""
        if self._typing is not None:
            self._remember(filter=self._typing)
        if self._list:
            await self._list.save()

    def on_screen_suspend(self) -> None:
        """Nobody looks: backends are asked less often."""
        if self._list:
            self._list.see(False)

    def on_screen_resume(self) -> None:
        """Somebody looks again, perhaps after having changed something."""
        if self._list:
            self._list.see(True)

    def on_resize(self) -> None:
        """What fits has changed."""
        self.call_after_refresh(self._tell)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys that have nothing to work on are not on offer."""
        if action in _CHANGES and self.app.readonly:
            return False
        if action == "propose":
            row = self.query_one(RunTable).row if self._rows else None
            return bool(row and row.fix_key)
        return bool(self._rows) or action not in _NEEDS_A_RUN

    @work(group="runs", description="list runs", exit_on_error=False)
    async def _keep_up(self, runs: RunList) -> None:
        async with aclosing(runs.updates()) as updates:
            async for _ in updates:
                self._listed(runs)

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """A list that stopped says so."""
        if event.worker.group == "runs" and event.state == WorkerState.ERROR:
            self.app.notify(f"the list of runs stands still: {event.worker.error}", severity="error")

    @property
    def _rows(self) -> Sequence[RunRow]:
        return self._list.rows if self._list else ()

    @property
    def _chosen(self) -> list[RunRow]:
        return self.query_one(RunTable).chosen

    def _listed(self, runs: RunList) -> None:
        """Fresh rows, or news of a backend."""
        table, had = self.query_one(RunTable), bool(self.query_one(RunTable).rows)
        table.show(runs.rows, begun=runs.settled)
        if runs.listed:
            self.post_message(requests.RunsListed(runs.rows))
        nothing = not runs.rows and (runs.listed or runs.settled or runs.error is not None)
        self._welcome(nothing)
        if bool(runs.rows) != had:
            self.refresh_bindings()
        self._tell()

    def _welcome(self, nothing: bool) -> None:
        """The table, or in its place what a newcomer needs."""
        welcome, table = self.query_one(Welcome), self.query_one(RunTable)
        if welcome.has_class("-hidden") is not nothing:
            return
        welcome.set_class(not nothing, "-hidden")
        self.query_one("#runs-body").set_class(nothing, "-hidden")
        if nothing:
            welcome.focus_choice()
        else:
            table.focus()

    def _tick(self) -> None:
        if self.app.screen is self:
            self.query_one(RunTable).tick()

    def _tell(self) -> None:
        """The lines around the table."""
        table = self.query_one(RunTable)
        if self._list and self._list.settled:
            table.empty = "no run matches the filter; Escape clears it" if table.filter.text else ""
        top = self.query_one("#runs-summary", Static)
        counts = list_summary.summary(
            table.rows,
            len(table.shown),
            len(table.marked),
            list_summary.asking(self._list),
            top.content_size.width,
        )
        _put(top, counts)
        said = self.query_one("#runs-said", Static)
        lines = list(list_summary.troubles(table.filter.complaints, self._list, top.content_size.width))
        _put(said, Content("\n").join(lines))
        said.set_class(not lines, "-hidden")
        self._tell_detail()

    def _tell_detail(self) -> None:
        lines = 1 if self.has_class("-short") else 3
        row = self.query_one(RunTable).row
        _put(self.query_one("#runs-detail", Static), list_summary.detail(row, self.app.now(), lines=lines))

    def _completions(self, _: str) -> Iterator[str]:
        return completions(self._rows)

    @on(RunTable.Opened)
    def _opened(self, event: RunTable.Opened) -> None:
        self.post_message(requests.RunRequested(event.row.run_id))

    @on(RunTable.Moved)
    def _moved(self, event: RunTable.Moved) -> None:
        mendable = bool(event.row and event.row.fix_key)
        if mendable is not self._mendable:
            self._mendable = mendable
            self.refresh_bindings()
        self._tell_detail()

    @on(RunTable.Marked)
    def _marked(self) -> None:
        self._tell()

    @on(RunTable.Sorted)
    def _sorted(self, event: RunTable.Sorted) -> None:
        self._remember(sort=event.column, reverse=event.reverse)

    @on(FilterInput.Typed)
    def _typed(self, event: FilterInput.Typed) -> None:
        """What is typed counts at once; among thousands of runs, once for several keys that come together."""
        self._typing = event.text
        if len(self._rows) < _MANY:
            self._filter_as_typed()
        elif self._soon is None:
            self._soon = self.set_timer(_TOGETHER, self._filter_as_typed)

    def _filter_as_typed(self) -> None:
        """A word that may become a field's name does not empty the table."""
        self._soon, text = None, self._typing
        if text is None:  # left meanwhile
            return
        table = self.query_one(RunTable)
        table.filter_by(parse_filter(text))
        if not table.shown and (before := before_field(text)) is not None:
            table.filter_by(parse_filter(before))
        self._tell()

    @on(FilterInput.Left)
    def _left(self, event: FilterInput.Left) -> None:
        self._typing = None
        self._remember(filter=event.text, filters=self.query_one(FilterInput).history)
        table = self.query_one(RunTable)
        table.filter_by(parse_filter(event.text))
        table.focus()
        self._tell()

    @on(Welcome.Chosen)
    def _begun(self, event: Welcome.Chosen) -> None:
        if event.choice == "demo":
            self.post_message(requests.LaunchRequested(requests.DEMO))
        elif event.choice == "launch":
            self.action_launch()
        else:
            self.action_doctor()

    def action_launch(self) -> None:
        """The launch form."""
        self.post_message(requests.LaunchRequested())

    def action_filter(self) -> None:
        """Type what to look for."""
        self.query_one(FilterInput).open()

    def action_leave(self) -> None:
        """Drop the filter; then the marks."""
        line, table = self.query_one(FilterInput), self.query_one(RunTable)
        if line.text:
            line.clear()
        elif table.marked:
            table.unmark()
        else:
            self.action_back()

    def action_compare(self) -> None:
        """The marked runs over one another."""
        marked = self.query_one(RunTable).marked
        if len(marked) < 2:
            self.app.notify("mark two runs or more with m, then = lays them over one another")
        else:
            self.post_message(requests.CompareRequested([row.run_id for row in marked]))

    def action_edit(self) -> None:
        """The form of the chosen run."""
        chosen = self._chosen
        if len(chosen) > 1:
            self.app.notify("one run at a time can be edited: Escape drops the marks")
        for row in chosen if len(chosen) == 1 else ():
            self.post_message(requests.LaunchRequested(kind=row.kind, backend=row.backend, run_id=row.run_id))

    def action_evaluate(self) -> None:
        """The form for an evaluation of the best checkpoint of the run under the cursor."""
        row = self.query_one(RunTable).row
        if row is not None and row.kind == "train":
            self.post_message(requests.evaluation_of(row.run_id, row.backend))
        elif row is not None:
            self.app.notify(f"{row.run_id} is an evaluation: it has no checkpoints")

    def action_propose(self) -> None:
        """The form of the run under the cursor, with the change that its failure's hint proposes."""
        row = self.query_one(RunTable).row
        if row is not None and row.fix_key:
            values = {row.fix_key: row.fix_value}
            asked = requests.LaunchRequested(
                values=values, kind=row.kind, backend=row.backend, run_id=row.run_id
            )
            self.post_message(asked)

    def action_rerun(self) -> None:
        """The chosen runs once more."""
        self.post_message(requests.RerunRequested(_ids(self._chosen)))

    def action_resume(self) -> None:
        """The chosen runs that are over go on where they are."""
        if over := [row for row in self._chosen if not row.live]:
            self.post_message(requests.ResumeRequested(_ids(over)))
        else:
            self.app.notify("nothing to resume: still running")

    def action_cancel(self) -> None:
        """The chosen runs should stop; the app asks."""
        if live := [row for row in self._chosen if row.live]:
            self.post_message(requests.CancelRequested(_ids(live)))
        else:
            self.app.notify("nothing to stop: already over")

    def action_delete(self) -> None:
        """The chosen runs' files should go; the app asks."""
        self.post_message(requests.DeleteRequested(_ids(self._chosen)))

    def action_download(self) -> None:
        """The chosen runs' directories; the app asks where to, once a volume."""
        paths: dict[tuple[str, str], list[str]] = {}
        for row in self._chosen:
            paths.setdefault((row.backend, row.outputs), []).append(str(run_path(row.run_id)))
        for (backend, volume), found in paths.items():
            self.post_message(requests.DownloadRequested(backend, volume, found))

    def action_volumes(self) -> None:
        """Everything in the volumes."""
        self.post_message(requests.FilesRequested())

    def action_doctor(self) -> None:
        """What is set up, and what mends the rest."""
        self.post_message(requests.DoctorRequested())

    def _remember(self, **what: Any) -> None:
        self._known = {**self._known, **what}
        self.app.ui_state.put(_MEMORY, self._known)


def _put(line: Static, said: Content) -> None:
    """Say it, unless that is what is said already: every repaint goes over the wire."""
    if not isinstance(line.content, Content) or not line.content.is_same(said):
        line.update(said)


def _ids(rows: Sequence[RunRow]) -> list[str]:
    return [row.run_id for row in rows]
