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
from textual.widgets import Static
from textual.worker import Worker, WorkerState

from remote.contract.layout import run_path
from tui.run_list import RunList
from tui.screens import requests as ask
from tui.screens.base import VfmScreen
from tui.store.run_filter import FIELDS, before_field, parse_filter
from tui.store.run_rows import RunRow
from tui.widgets import run_lines
from tui.widgets.filter_line import FilterLine
from tui.widgets.run_table import RunTable
from tui.widgets.welcome import Welcome
from tui.words import STATUS_SIGNS

DEMO = "configs/local_demo.yaml"
_MEMORY = "runs"
_NEEDS_A_RUN = frozenset({"compare", "edit", "rerun", "cancel", "download", "delete", "filter"})
_CHANGES = frozenset({"edit", "rerun", "cancel", "delete", "launch"})

_HELP = """\
# Runs

Every run of every experiment, on every backend, newest first. What was known last is there at once; a
backend that is slow or signed out says so above the table and holds up nothing.

| key | does |
|---|---|
| `Enter`, double click | open the run: phases, logs, charts, rollouts |
| `n` | new run: pick a config, change it in a form |
| `e` · `r` | change this run's config and run it · run the same again |
| `c` · `x` | stop it (it saves what it has) · delete its files; both ask first |
| `d` · `v` | download its files · browse all volumes |
| `m` · `Space` · `M` | mark · mark and go on · mark all shown; actions then take the marked runs |
| `=` | compare the marked runs |
| `/` | filter, as you type; `Enter` keeps it, `Escape` clears it, `↑` recalls earlier ones |
| `s` `>` · `<` · `S` | sort by the next column · the one before · the other way; or click a title |
| `D` | doctor: what is set up, what is missing |

**Filter.** Bare words match anywhere. `status:failed`, `env:wordle`, `model:qwen`, `exp:`, `backend:`,
`kind:`, `id:`, `config:`, `user:` look in one field; commas are alternatives (`status:failed,cancelled`);
`=` is exact. Numbers compare: `reward>0.5`, `step>=10`, `progress<50`, `cost<2`, `age<2h`, `time>30m`,
`eta<5m`. `-` in front negates; quotes keep blanks together. All terms must hold.

**Columns.** Progress shows steps, then what is left (`~3m`) or, of a run that is over, what it took (`3m`).
A dash means unknown, or nothing: runs on this machine cost nothing.
"""


class RunsScreen(VfmScreen):
    """The runs table, the lines around it, and its keys."""

    TITLE = "runs"
    HELP = _HELP
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

    def body(self) -> ComposeResult:
        """Counts, what is wrong, the filter, the runs, the one under the cursor; or a welcome."""
        known = self.desk.memory.get(_MEMORY)
        self._known = known if isinstance(known, dict) else {}
        column, filter_text = str(self._known.get("sort")), str(self._known.get("filter") or "")
        yield Static(id="runs-summary")
        yield Static(id="runs-said", classes="-hidden")
        history = self._known.get("filters")
        yield FilterLine(filter_text, history if isinstance(history, list) else [], self._completions)
        with Vertical(id="runs-body"):
            yield RunTable(self.desk.now, column, bool(self._known.get("reverse")))
            yield Static(id="runs-detail")
        yield Welcome(classes="-hidden")

    def on_mount(self) -> None:
        """The rows of the session before are in the first frame; after it everybody is asked."""
        table = self.query_one(RunTable)
        table.filter_by(parse_filter(self.query_one(FilterLine).text))
        table.empty = "looking for runs …"
        table.focus()
        self._list = RunList(self.desk.connect, self.desk.memory.folder, clock=self.desk.now)
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
        if action in _CHANGES and self.desk.readonly:
            return False
        return bool(self._rows) or action not in _NEEDS_A_RUN

    @work(group="runs", description="list runs", exit_on_error=False)
    async def _keep_up(self, runs: RunList) -> None:
        async with aclosing(runs.updates()) as updates:
            async for _ in updates:
                self._listed(runs)

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """A list that stopped says so."""
        if event.worker.group == "runs" and event.state == WorkerState.ERROR:
            self.desk.tell(f"the list of runs stands still: {event.worker.error}", "error")

    @property
    def _rows(self) -> Sequence[RunRow]:
        return self._list.rows if self._list else ()

    @property
    def _chosen(self) -> list[RunRow]:
        return self.query_one(RunTable).chosen

    def _listed(self, runs: RunList) -> None:
        """Fresh rows, or news of a backend."""
        table, had = self.query_one(RunTable), bool(self.query_one(RunTable).rows)
        table.show(runs.rows)
        if runs.listed:
            self.post_message(ask.RunsListed(runs.rows))
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
        counts = run_lines.summary(
            table.rows, len(table.shown), len(table.marked), self._asking(), top.content_size.width
        )
        _put(top, counts)
        said = self.query_one("#runs-said", Static)
        lines = list(self._said())
        _put(said, Content("\n").join(lines))
        said.set_class(not lines, "-hidden")
        self._tell_detail()

    def _tell_detail(self) -> None:
        lines = 1 if self.has_class("-short") else 3
        row = self.query_one(RunTable).row
        _put(self.query_one("#runs-detail", Static), run_lines.detail(row, self.desk.now(), lines=lines))

    def _asking(self) -> Iterator[str]:
        """Who is asked and has not answered yet."""
        if self._list is None or (not self._list.backends and not self._list.error):
            yield "connecting …"
        elif asked := [backend.name for backend in self._list.backends if not backend.settled]:
            yield f"asking {', '.join(asked)} …"

    def _said(self) -> Iterator[Content]:
        """What the filter does not understand, and what keeps a backend from answering."""
        for text in self.query_one(RunTable).filter.complaints:
            yield run_lines.complaint(text)
        if self._list is None:
            return
        if (error := self._list.error) is not None:
            yield run_lines.trouble("vfm", error.message, error.hint.text if error.hint else "")
        for backend in self._list.backends:
            if backend.settled and backend.message:
                yield run_lines.trouble(backend.name, backend.message, backend.advice)
            if backend.notices:
                more = f" (and {len(backend.notices) - 1} more)" if len(backend.notices) > 1 else ""
                yield run_lines.trouble(backend.name, f"{backend.notices[0]}{more}")

    def _completions(self, word: str) -> Iterator[str]:
        """Words of the filter that may be meant."""
        yield from (f"{field}:" for field in ("status", "env", "model", "exp", "backend", "kind", "user"))
        yield from (f"status:{status}" for status in STATUS_SIGNS)
        yield from (f"env:{name}" for name in sorted({row.environment for row in self._rows}))
        yield from (f"exp:{name}" for name in sorted({row.experiment for row in self._rows}))
        yield from (f"{field}>" for field in FIELDS)

    @on(RunTable.Opened)
    def _opened(self, event: RunTable.Opened) -> None:
        self.post_message(ask.RunRequested(event.row.run_id))

    @on(RunTable.Moved)
    def _moved(self) -> None:
        self._tell_detail()

    @on(RunTable.Marked)
    def _marked(self) -> None:
        self._tell()

    @on(RunTable.Sorted)
    def _sorted(self, event: RunTable.Sorted) -> None:
        self._remember(sort=event.column, reverse=event.reverse)

    @on(FilterLine.Typed)
    def _typed(self, event: FilterLine.Typed) -> None:
        """What is typed counts at once; a word that may become a field's name does not empty the table."""
        self._typing = event.text
        table = self.query_one(RunTable)
        table.filter_by(parse_filter(event.text))
        if not table.shown and (before := before_field(event.text)) is not None:
            table.filter_by(parse_filter(before))
        self._tell()

    @on(FilterLine.Left)
    def _left(self, event: FilterLine.Left) -> None:
        self._typing = None
        self._remember(filter=event.text, filters=self.query_one(FilterLine).history)
        table = self.query_one(RunTable)
        table.filter_by(parse_filter(event.text))
        table.focus()
        self._tell()

    @on(Welcome.Chosen)
    def _begun(self, event: Welcome.Chosen) -> None:
        if event.choice == "demo":
            self.post_message(ask.LaunchRequested(DEMO))
        elif event.choice == "launch":
            self.action_launch()
        else:
            self.action_doctor()

    def action_launch(self) -> None:
        """The launch form."""
        self.post_message(ask.LaunchRequested())

    def action_filter(self) -> None:
        """Type what to look for."""
        self.query_one(FilterLine).open()

    def action_leave(self) -> None:
        """Drop the filter; then the marks."""
        line, table = self.query_one(FilterLine), self.query_one(RunTable)
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
            self.desk.tell("mark two runs or more with m, then = lays them over one another")
        else:
            self.post_message(ask.CompareRequested([row.run_id for row in marked]))

    def action_edit(self) -> None:
        """The form of the chosen run."""
        chosen = self._chosen
        if len(chosen) > 1:
            self.desk.tell("one run at a time can be edited: Escape drops the marks")
        for row in chosen if len(chosen) == 1 else ():
            self.post_message(ask.LaunchRequested(kind=row.kind, backend=row.backend, run_id=row.run_id))

    def action_rerun(self) -> None:
        """The chosen runs once more."""
        self.post_message(ask.RerunRequested(_ids(self._chosen)))

    def action_cancel(self) -> None:
        """The chosen runs should stop; the app asks."""
        if live := [row for row in self._chosen if row.live]:
            self.post_message(ask.CancelRequested(_ids(live)))
        else:
            self.desk.tell("nothing to stop: already over")

    def action_delete(self) -> None:
        """The chosen runs' files should go; the app asks."""
        self.post_message(ask.DeleteRequested(_ids(self._chosen)))

    def action_download(self) -> None:
        """The chosen runs' directories; the app asks where to, once a volume."""
        paths: dict[tuple[str, str], list[str]] = {}
        for row in self._chosen:
            paths.setdefault((row.backend, row.outputs), []).append(str(run_path(row.run_id)))
        for (backend, volume), (first, *more) in paths.items():
            self.post_message(ask.DownloadRequested(backend, volume, first, more))

    def action_volumes(self) -> None:
        """Everything in the volumes."""
        self.post_message(ask.FilesRequested())

    def action_doctor(self) -> None:
        """What is set up, and what mends the rest."""
        self.post_message(ask.DoctorRequested())

    def _remember(self, **what: Any) -> None:
        self._known = {**self._known, **what}
        self.desk.memory.put(_MEMORY, self._known)


def _put(line: Static, said: Content) -> None:
    """Say it, unless that is what is said already: every repaint goes over the wire."""
    if not isinstance(line.content, Content) or not line.content.is_same(said):
        line.update(said)


def _ids(rows: Sequence[RunRow]) -> list[str]:
    return [row.run_id for row in rows]
