"""Compare runs: the differences of their configs, their results, and their charts in one grid."""

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
from tui.widgets.runs.compare_rows import ComparedRun, compare_rows, paired_rows
from tui.widgets.runs.compare_table import Column, CompareTable

if TYPE_CHECKING:
    from remote.contract.record import RunRecord
    from tui.client import Client
    from tui.services.compare import Comparison
    from tui.services.live_run import LiveRun

_REFRESH = 0.1
"""Seconds between two updates of the screen, for any number of runs."""
_MEMORY = "compare.charts"
_OF_THESE_RUNS = ("zoom", "one")


@dataclass
class _Run:
    """A compared run, and what was read of it."""

    mark: int
    run_id: str
    metrics: Metrics
    record: RunRecord | None = None
    live: LiveRun | None = None
    spec: dict[str, Any] | None = None
    problem: str = ""


class CompareScreen(VfmScreen):
    """A comparison of runs."""

    TITLE = "compare"
    HELP = """
# Compare

Several runs side by side. The table starts with the **keys in which their configs differ**: `▸` marks a value
that most of the runs do not have. Below are the results of each run; there `▸` marks the best. A run keeps
its letter, colour and line pattern when another one is removed.

Runs that are over and were scored on the same tasks (evaluations; trainings by their last held-out scores)
are compared **task by task** with the first of them: mean difference ± its standard error, and the
probability of such a difference by chance (p). `▸` marks a value that is better with p < 0.05.

| key | |
|---|---|
| `Tab` | from the table to the charts and back |
| `←` `→` | in the table: choose a run; in the charts: move the cursor |
| `Enter` | in the table: open the run; in the charts: enlarge one |
| `o` · `x` | open the chosen run · remove it from the comparison |
| `t` | charts by step, or by the time since the first metrics |
| `/` | filter charts by a pattern |
| `[` `]` · `y` | less and more smoothing · log scale |
| `+` `-` `0` · `,` `.` | zoom · pan |
| `g` | number of columns of charts |
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
        Binding("x", "drop", "Remove run", id="compare.drop"),
        Binding("t", "time", "Steps / time", id="compare.time"),
    ]

    def __init__(self, run_ids: Sequence[str]) -> None:
        super().__init__()
        self._runs = [_Run(mark, run_id, Metrics()) for mark, run_id in enumerate(dict.fromkeys(run_ids))]
        self._grew, self._second = False, 0
        self._over: tuple[str, ...] = ()
        """The runs that were over at the last comparison task by task."""
        self._base = ""
        self._paired: dict[str, Comparison] = {}
        self._table, self._charts = CompareTable(), ChartsPane([])

    def body(self) -> ComposeResult:
        """Table and charts."""
        self._charts.restore(self.app.ui_state.get(_MEMORY, {}))
        with Container(id="compare-body"):
            with Vertical(id="compare-table", classes="panel") as table:
                table.border_title = "runs"
                yield self._table
            with Vertical(id="compare-charts", classes="panel") as charts:
                charts.border_title = "charts"
                yield self._charts

    def on_mount(self) -> None:
        """Find and follow every run."""
        self._show()
        self._table.focus()
        self._find()
        self.set_interval(_REFRESH, self._take)

    def on_unmount(self) -> None:
        """Save the state of the charts."""
        kept = {key: value for key, value in self._charts.state().items() if key not in _OF_THESE_RUNS}
        self.app.ui_state.put(_MEMORY, kept)

    def action_other(self) -> None:
        """Focus the charts, or the table."""
        if self._table.has_focus:
            self._charts.focus()
        else:
            self._table.focus()

    def action_open(self) -> None:
        """Open the chosen run."""
        self._table.action_open()

    def action_drop(self) -> None:
        """Remove the chosen run from the comparison."""
        chosen = self._table.chosen_column
        if chosen is None or len(self._runs) < 2:
            self.app.notify("the last run cannot be removed: Escape goes back")
            return
        self._runs = [run for run in self._runs if run.mark != chosen.mark]
        self.workers.cancel_group(self, f"compare-{chosen.mark}")
        self._show_charts()
        self._show()

    def action_time(self) -> None:
        """Show the charts by time, or by step."""
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
        unanswered = [f"{name} did not answer: {error.message}" for name, error in listing.errors.items()]
        for run in self._runs:
            run.record = known.get(run.run_id)
            if run.record is None:
                run.problem = "; ".join(["there is no such run", *unanswered])
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
        """Read a config, then follow the metrics."""
        from tui.services.live_run import LiveRun

        await self._read_spec(client, run, record)
        try:
            run.live = LiveRun(client, record, metrics=run.metrics)
            async for _ in run.live.updates():
                run.record = run.live.record
                self._grew = True
        except VfmError as error:
            run.problem = f"its metrics cannot be read: {error.message}"
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
        """Show what changed since the last update, and the duration of live runs."""
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
        """Compare runs that are over, task by task, with the first of them that has such scores."""
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
    """The values of a record that are compared."""
    return {
        "kind": record.kind,
        "backend": record.backend,
        "config": record.config_path,
        "environment": record.environment,
        "model": record.model,
        "experiment": f"{record.experimenter}/{record.experiment}",
        "git revision": str(record.git.get("revision") or "")[:10] or None,
    }
