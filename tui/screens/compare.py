"""Runs over one another: how their configs differ, how they did, and their charts in one.

Owns following the runs and who has the keys. The table and the charts are widgets; what they say comes
from `widgets/compare_rows.py` and the live runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical

from remote.contract import layout
from remote.contract.errors import VfmError
from tui.screens.frame import VfmScreen
from tui.screens.requests import RunRequested
from tui.store.charts.series import Metrics
from tui.store.runs.config_diff import read_spec, scores
from tui.text.format import plain
from tui.widgets.charts.pane import ChartsPane
from tui.widgets.charts.run_series import ChartRun
from tui.widgets.runs.compare_rows import ComparedRun, compare_rows
from tui.widgets.runs.compare_table import Column, CompareTable

if TYPE_CHECKING:
    from remote.contract.record import RunRecord
    from tui.client import Client
    from tui.services.compare import Comparison
    from tui.services.live_run import LiveRun

_REFRESH = 0.1
"""Seconds between two looks at what the runs have told, whatever their number."""
_MEMORY = "compare.charts"
_OF_THESE_RUNS = ("zoom", "one")


@dataclass
class _Run:
    """A marked run, and what is known of it."""

    mark: int
    run_id: str
    metrics: Metrics
    record: RunRecord | None = None
    live: LiveRun | None = None
    spec: dict[str, Any] | None = None
    problem: str = ""


class CompareScreen(VfmScreen):
    """Marked runs, compared."""

    TITLE = "compare"
    HELP = """
# Compare

Runs over one another. The table names the **keys in which their configs differ** first: `▸` marks a value
that most of the runs do not have. Below it, how each run did; there `▸` marks the best. A run keeps its
letter, colour and line, also when another one is dropped.

Runs that are over and have scored the same tasks (evaluations; trainings by their last held-out scores) are
compared **task by task** with the first of them: mean difference ± its standard error, and how often chance
alone would bring as much (p). `▸` marks what is better, and hardly by chance (p < 0.05).

| key | |
|---|---|
| `Tab` | from the table to the charts and back |
| `←` `→` | in the table: choose a run; in the charts: move the cursor |
| `Enter` | in the table: open the run; in the charts: enlarge one |
| `o` · `x` | open the chosen run · drop it from the comparison |
| `t` | charts by step, or by the time since the first numbers |
| `/` | filter charts by a pattern |
| `[` `]` · `y` | less and more smoothing · log scale |
| `+` `-` `0` · `,` `.` | zoom · pan |
| `g` | how many charts lie side by side |
"""
    DEFAULT_CSS = """
    CompareScreen #compare-body { layout: vertical; height: 1fr; }
    CompareScreen #compare-table { height: auto; max-height: 45%; }
    CompareScreen #compare-table CompareTable { max-height: 100%; }
    CompareScreen #compare-charts { height: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "other", "Table / charts", id="compare.other"),
        Binding("o", "open", "Open run", id="compare.open"),
        Binding("x", "drop", "Drop run", id="compare.drop"),
        Binding("t", "time", "Steps / time", id="compare.time"),
    ]

    def __init__(self, run_ids: Sequence[str]) -> None:
        super().__init__()
        self._runs = [_Run(mark, run_id, Metrics()) for mark, run_id in enumerate(dict.fromkeys(run_ids))]
        self._grew, self._second = False, 0
        self._over: tuple[str, ...] = ()
        """The runs that were over when tasks were compared last."""
        self._base = ""
        self._paired: dict[str, Comparison] = {}
        self._table, self._charts = CompareTable(), ChartsPane([])

    def body(self) -> ComposeResult:
        """The table, the charts."""
        self._charts.restore(self.app.ui_state.get(_MEMORY, {}))
        with Container(id="compare-body"):
            with Vertical(id="compare-table", classes="panel") as table:
                table.border_title = "runs"
                yield self._table
            with Vertical(id="compare-charts", classes="panel") as charts:
                charts.border_title = "charts"
                yield self._charts

    def on_mount(self) -> None:
        """Fetch and follow every run."""
        self._show()
        self._table.focus()
        self._find()
        self.set_interval(_REFRESH, self._take)

    def on_unmount(self) -> None:
        """How the charts were shown is remembered."""
        kept = {key: value for key, value in self._charts.state().items() if key not in _OF_THESE_RUNS}
        self.app.ui_state.put(_MEMORY, kept)

    def action_other(self) -> None:
        """The keys go to the charts, or back to the table."""
        if self._table.has_focus:
            self._charts.focus()
        else:
            self._table.focus()

    def action_open(self) -> None:
        """See the chosen run."""
        self._table.action_open()

    def action_drop(self) -> None:
        """Take the chosen run out; nothing happens to the run itself."""
        chosen = self._table.chosen_column
        if chosen is None or len(self._runs) < 2:
            self.app.notify("one run stays: Escape goes back")
            return
        self._runs = [run for run in self._runs if run.mark != chosen.mark]
        self.workers.cancel_group(self, f"compare-{chosen.mark}")
        self._show_charts()
        self._show()

    def action_time(self) -> None:
        """Charts by time, or by step."""
        charts = self._charts.charts
        charts.show_time(not charts.view.by_time)

    @on(CompareTable.Opened)
    def _opened(self, event: CompareTable.Opened) -> None:
        event.stop()
        self.post_message(RunRequested(next(run.run_id for run in self._runs if run.mark == event.mark)))

    @work(group="compare", description="find the marked runs", exclusive=True, exit_on_error=False)
    async def _find(self) -> None:
        try:
            client = await self.app.connect()
            listing = await client.runs()
        except VfmError as error:
            self.app.notify(plain(error.message), severity="error")
            return
        known = {record.run_id: record for record in listing.rows}
        unasked = [f"{name} could not be asked: {error.message}" for name, error in listing.errors.items()]
        for run in self._runs:
            run.record = known.get(run.run_id)
            if run.record is None:
                run.problem = "; ".join(["there is no such run", *unasked])
            else:
                self._follow(client, run, run.record)
        self._grew = True

    def _follow(self, client: Client, run: _Run, record: RunRecord) -> None:
        self.run_worker(
            self._follow_run(client, run, record),
            group=f"compare-{run.mark}",
            description=f"follow {run.run_id}",
            exit_on_error=False,
        )

    async def _follow_run(self, client: Client, run: _Run, record: RunRecord) -> None:
        """Its config first, then its numbers as they come."""
        from tui.services.live_run import LiveRun

        await self._read_spec(client, run, record)
        try:
            run.live = LiveRun(client, record, metrics=run.metrics)
            async for _ in run.live.updates():
                run.record = run.live.record
                self._grew = True
        except VfmError as error:
            run.problem = f"its numbers cannot be read: {error.message}"
            self._grew = True

    async def _read_spec(self, client: Client, run: _Run, record: RunRecord) -> None:
        path = str(layout.run_path(record.run_id) / layout.SPEC)
        try:
            run.spec = read_spec(await client.read(record.outputs, path, backend=record.backend))
        except VfmError as error:
            run.problem = f"its config cannot be read: {error.message}"
        except ValueError:
            run.problem = f"its config cannot be read: {path} is damaged"
        self._grew = True

    def _take(self) -> None:
        """Show what was told since the last look; a live run's time goes on."""
        over = tuple(run.run_id for run in self._runs if run.record and run.record.ended_already)
        if over != self._over:
            self._over = over
            self._pair()
        live = any(run.record is not None and not run.record.ended_already for run in self._runs)
        second = int(self.app.now()) if live else 0
        if self._grew:
            self._show_charts()
        if self._grew or second != self._second:
            self._grew, self._second = False, second
            self._show()

    @work(group="pair", description="compare task by task", exclusive=True, exit_on_error=False)
    async def _pair(self) -> None:
        """Compare the runs that are over with the first of them that has scores by task."""
        from tui.services.compare import match, side_of

        client, sides = await self.app.connect(), {}
        for run in self._runs:
            if run.record is not None and run.record.ended_already:
                with suppress(VfmError):  # it has no scores by task: its cells stay empty
                    sides[run.run_id] = await side_of(client, run.record)
        self._base, *others = [*sides] or [""]
        self._paired = {
            other: await asyncio.to_thread(match, sides[self._base], sides[other]) for other in others
        }
        self._show()

    def _show_charts(self) -> None:
        self._charts.set_runs([ChartRun(run.run_id, run.metrics, run.mark) for run in self._runs])

    def _show(self) -> None:
        count = len(self._runs)
        self.sub_title = f"{count} run{'s' * (count != 1)}"
        columns = [Column(run.mark, run.run_id) for run in self._runs]
        rows = compare_rows([self._compared(run) for run in self._runs])
        if self._paired:
            from tui.widgets.runs.paired_rows import paired_rows

            rows += paired_rows([run.run_id for run in self._runs], self._base, self._paired)
        self._table.show(columns, rows)

    def _compared(self, run: _Run) -> ComparedRun:
        record = run.record
        if record is None:
            return ComparedRun(run.run_id, status="unknown" if run.problem else "…", problem=run.problem)
        began = record.started or record.created
        planned = (run.spec or {}).get("training.steps") if record.kind == "train" else None
        return ComparedRun(
            run.run_id,
            record.status,
            _facts(record),
            run.spec,
            run.problem,
            scores(run.metrics),
            (run.live.state.total_steps if run.live else None) or planned,
            float(int(max(0.0, (record.ended or self.app.now()) - began))),
        )


def _facts(record: RunRecord) -> dict[str, Any]:
    """What a record says about how a run was made."""
    return {
        "kind": record.kind,
        "backend": record.backend,
        "config": record.config_path,
        "environment": record.environment,
        "model": record.model,
        "experiment": f"{record.experimenter}/{record.experiment}",
        "git revision": str(record.git.get("revision") or "")[:10] or None,
    }
