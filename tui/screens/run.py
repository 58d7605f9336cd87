"""The screen of one run, under way or over: status line, timeline, failure, panes.

It watches the run and updates its widgets. `run_panes.py` builds the panes, `run_requests.py` turns keys into
requests.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message

from remote.contract.errors import VfmError
from tui.screens import help_texts
from tui.screens.frame import VfmScreen
from tui.screens.run_panes import RunPanes
from tui.screens.run_requests import request_of
from tui.screens.run_summary import checkpoints_of, failure_of, proposal_of, summary_of
from tui.store.runs.phases import FINAL
from tui.text.format import plain
from tui.widgets.common.pane_layout import PaneLayout, can_split
from tui.widgets.common.panes import Panes
from tui.widgets.logs.pane import LogPane
from tui.widgets.runs.failure_panel import FailurePanel
from tui.widgets.runs.notice import RunNotice
from tui.widgets.runs.status_line import RunStatus
from tui.widgets.runs.timeline import Timeline

if TYPE_CHECKING:
    from remote.contract.record import RunRecord
    from tui.services.live_run import LiveRun

_LAYOUT = "run.layout"
_NEED_STEPS = frozenset({"charts", "rollouts"})
_NEED_A_RUN = frozenset({"request", "pane", "zoom", "split", "fold", "error", "page"})


class RunScreen(VfmScreen):
    """One run."""

    TITLE = "run"
    HELP = help_texts.RUN
    DEFAULT_CSS = """
    RunScreen #run-body { height: 1fr; }
    RunScreen.-tall Timeline { margin: 1 0 0 0; }
    RunScreen Pane.-alone { border: none !important; padding: 0 !important; }
    RunScreen.-short #failure-what { max-height: 3; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "request('propose')", "Apply the hint", id="run.propose"),
        Binding("c", "request('cancel')", "Cancel", id="run.cancel"),
        Binding("z", "zoom", "Maximize", id="run.zoom"),
        Binding("r", "request('rerun')", "Run again", id="run.rerun"),
        Binding("R", "request('resume')", "Resume", id="run.resume"),
        Binding("e", "request('edit')", "Edit & run", id="run.edit"),
        Binding("E", "request('evaluate')", "Evaluate", id="run.evaluate"),
        Binding("d", "request('download')", "Download", show=False, id="run.download"),
        Binding("x", "request('delete')", "Delete", show=False, id="run.delete"),
        *(Binding(str(n), f"pane({n})", f"Pane {n}", show=False, id=f"run.pane{n}") for n in range(1, 8)),
        Binding("vertical_line", "split", "Split", show=False, id="run.split"),
        Binding("T", "fold", "Timeline on one line or as a chart", show=False, id="run.timeline"),
        Binding("exclamation_mark", "error", "Next error in the log", show=False, id="run.error"),
        Binding("M", "page", "Modal's page", show=False, id="run.page"),
        Binding("f5", "retry", "Look again", id="run.again"),
    ]

    @dataclass
    class Changed(Message):
        """The run changed."""

        live: LiveRun

        def can_replace(self, message: Message) -> bool:
            """Only the latest state counts."""
            return isinstance(message, RunScreen.Changed)

    def __init__(self, run_id: str) -> None:
        super().__init__()
        self.run_id = run_id
        """An id or prefix; the whole id once the run is found."""
        self._live: LiveRun | None = None
        self._panes: RunPanes | None = None
        self._opened_over = False
        """Whether the run was over when it was opened, and its output is still being read."""
        self._automatic_layout: dict[str, Any] | None = None
        """A layout that the screen chose, and that is not saved."""
        self._error: VfmError | None = None
        """Why the run, or more of its output, cannot be read."""
        self._enabled: tuple[str, bool, bool, bool] | None = None

    def body(self) -> ComposeResult:
        """Status line, timeline, failure and notice; the panes follow once the run is found."""
        with Vertical(id="run-body"):
            for widget in (RunStatus(), Timeline()):
                widget.display = False
                yield widget
            yield FailurePanel()
            yield RunNotice(id="run-notice")

    def on_mount(self) -> None:
        """Find the run and watch it."""
        self.sub_title = plain(self.run_id)
        self.set_interval(1.0, self._tick)
        self.watch(self.app, "app_focus", self.on_screen_resume, init=False)
        self._watch()

    def on_screen_resume(self) -> None:
        """Somebody else may have resumed a run that was over."""
        self.look_again()

    # --- watching ------------------------------------------------------------------------------------

    @work(group="watch", description="watch the run", exclusive=True, exit_on_error=False)
    async def _watch(self) -> None:
        from tui.services.live_run import LiveRun

        try:
            if self._live is None:
                client = await self.app.connect()
                self._live = LiveRun(client, await client.find(self.run_id))
                await self._open(self._live)
            async for live in self._live.updates():
                self.post_message(self.Changed(live))
        except VfmError as error:
            self._set_error(error)

    @work(group="look", description="look whether the run goes on", exclusive=True, exit_on_error=False)
    async def look_again(self) -> None:
        """Watch a run that was over, if it was resumed elsewhere since."""
        if self._live is not None and self._live.over:
            with suppress(VfmError):  # what is on the screen stays true of the run as it was
                if (record := await self._live.newer_attempt()) is not None:
                    self.goes_on(record)

    async def _open(self, live: LiveRun) -> None:
        """Show the run's name, its status and its panes."""
        record = live.record
        self.run_id, self._opened_over = record.run_id, record.status in FINAL
        self.sub_title = plain(record.run_id)
        self._set_error(None)
        self._panes = RunPanes(live, self.app.ui_state, self.app.now)
        builders = self._panes.builders()
        pane_layout = PaneLayout.restored(list(builders), self.app.ui_state.get(_LAYOUT) or {})
        self.query_one(RunStatus).display = self.query_one(Timeline).display = True
        self._update_status(live)
        panes = Panes(builders, pane_layout)
        await self.query_one("#run-body").mount(panes)
        panes.focus_current()
        self.refresh_bindings()

    @on(Changed)
    async def _changed(self, event: Changed) -> None:
        event.stop()
        self._set_error(None)
        self._update_status(event.live)
        self._update_panes()
        self._update_bindings(event.live)
        if event.live.over and self._opened_over:
            self._opened_over = False
            await self._show_logs_of_failure(event.live)

    def goes_on(self, record: RunRecord) -> None:
        """Watch the next attempt of a run that was over."""
        if self._live is not None:
            self._live.goes_on(record)
            self._update_bindings(self._live)
            self._watch()

    def _tick(self) -> None:
        """Times change, even where the run prints nothing."""
        if self._live is not None:
            self._update_status(self._live)
            self._set_error(self._error)
            self.save_ui_state()

    def _update_status(self, live: LiveRun) -> None:
        now = self.app.now()
        self.query_one(RunStatus).show(summary_of(live, now))
        self.query_one(Timeline).show(live.state, live.record.kind, now, live.status)
        self.query_one(FailurePanel).show(failure_of(live))

    def _update_bindings(self, live: LiveRun) -> None:
        """Refresh the footer if other keys work now."""
        enabled = (live.status, live.over, bool(proposal_of(live)), bool(checkpoints_of(live)))
        if enabled != self._enabled:
            self._enabled = enabled
            self.refresh_bindings()

    def _set_error(self, error: VfmError | None) -> None:
        """Show why there is nothing, or nothing new, to see."""
        if error is not self._error:
            self._error = error
            self.refresh_bindings()
        self.query_one(RunNotice).show(error, self._live.trouble if self._live is not None else "")

    # --- panes ---------------------------------------------------------------------------------------

    def _update_panes(self) -> None:
        for panes in self.query(Panes):
            for name in panes.seen:
                if self._panes is not None and name in panes.built:
                    self._panes.update(panes.built[name])

    @on(Panes.Built)
    def _pane_built(self, event: Panes.Built) -> None:
        event.stop()
        if self._panes is not None:
            self._panes.restore(event.name, event.widget)
            self._panes.update(event.widget)

    @on(Panes.Rearranged)
    def _panes_rearranged(self, event: Panes.Rearranged) -> None:
        event.stop()
        if (layout := event.layout.state()) != self._automatic_layout:
            self.app.ui_state.put(_LAYOUT, layout)
        self._update_panes()  # a hidden pane was not told of changes

    async def _show_logs_of_failure(self, live: LiveRun) -> None:
        """Show the logs of a run that failed before its first step: there is nothing else to show."""
        panes = self.query_one(Panes)
        if live.status == "failed" and live.state.step is None and panes.current in _NEED_STEPS:
            await panes.show("logs")
            self._automatic_layout = panes.state()

    def save_ui_state(self) -> None:
        """Save the state of the panes."""
        for panes in self.query(Panes):
            if self._panes is not None:
                self._panes.save(panes.built)

    async def action_pane(self, number: int) -> None:
        """Show a pane by its number."""
        panes = self.query_one(Panes)
        if number <= len(panes.names):
            await panes.show(panes.names[number - 1])

    async def action_zoom(self) -> None:
        """Maximize the active pane, or restore all."""
        await self.query_one(Panes).zoom()

    async def action_split(self) -> None:
        """Show several panes, or one."""
        if can_split(*self.size):
            await self.query_one(Panes).split()
        else:
            self.app.notify("the terminal is too small for two panes", severity="warning")

    def action_fold(self) -> None:
        """Show the timeline on one line, or as a chart."""
        timeline = self.query_one(Timeline)
        timeline.fold(not timeline.is_folded)

    async def action_error(self) -> None:
        """Show the logs, and go to the next error."""
        pane = await self.query_one(Panes).show("logs")
        if isinstance(pane, LogPane):
            pane.action_error(1)

    @on(LogPane.SaveRequested)
    def _save_log(self, event: LogPane.SaveRequested) -> None:
        from tui.screens.save_log import ask_and_save

        event.stop()
        self.run_worker(
            ask_and_save(self.app, event.pane, event.default),
            group="save",
            description="save the log",
            exit_on_error=False,
        )

    # --- requests ------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only what is possible now."""
        live = self._live
        if action == "retry":
            return self._error is not None
        if live is None or self._panes is None:
            return action not in _NEED_A_RUN
        if action == "request":
            return request_of(str(parameters[0]), live) is not None
        if action == "page":
            return "page" in live.record.identifiers
        return True

    def action_request(self, name: str) -> None:
        """Ask the app to cancel, run again, resume, edit, evaluate, download or delete the run."""
        if self._live is not None and (request := request_of(name, self._live, self._checkpoint)):
            self.post_message(request)

    @on(FailurePanel.Applied)
    def _apply_hint(self) -> None:
        self.action_request("propose")

    @property
    def _checkpoint(self) -> str:
        """The checkpoint under the cursor in the files, if they have the focus."""
        from tui.widgets.files.pane import FilesPane, checkpoint_at

        return next((name for pane in self.query(FilesPane) if (name := checkpoint_at(pane))), "")

    def action_page(self) -> None:
        """Open the page of the run's app at Modal, and show its address: the browser may be elsewhere."""
        if self._live is not None:
            page = self._live.record.identifiers["page"]
            self.app.notify(plain(page))
            self.app.open_url(page)

    def action_retry(self) -> None:
        """Watch again after an error."""
        self._watch()
