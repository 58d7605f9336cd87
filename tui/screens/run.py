"""One run, live or from the past.

Owns watching the run and spreading what is new to the status line, the timeline and the panes; and the
keys that ask for things to be done to it. The panes are `run_panes.py`'s, what each shows its widget's.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message

from remote.contract import layout
from remote.contract.checkpoint_names import choose
from remote.contract.errors import VfmError
from tui.screens import help_texts, requests
from tui.screens.frame import VfmScreen
from tui.screens.run_panes import RunPanes
from tui.screens.run_summary import checkpoints_of, failure_of, proposal_of, summary_of
from tui.store.runs.phases import FINAL
from tui.text.format import one_line, plain
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
    from tui.widgets.files.pane import FilesPane


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
        Binding("p", "propose", "Apply the hint", id="run.propose"),
        Binding("c", "cancel", "Cancel", id="run.cancel"),
        Binding("z", "zoom", "Maximize", id="run.zoom"),
        Binding("r", "rerun", "Run again", id="run.rerun"),
        Binding("R", "resume", "Resume", id="run.resume"),
        Binding("e", "edit", "Edit & run", id="run.edit"),
        Binding("E", "evaluate", "Evaluate", id="run.evaluate"),
        Binding("d", "download", "Download", show=False, id="run.download"),
        Binding("x", "delete", "Delete", show=False, id="run.delete"),
        *(Binding(str(n), f"pane({n})", f"Pane {n}", show=False, id=f"run.pane{n}") for n in range(1, 8)),
        Binding("vertical_line", "split", "Split", show=False, id="run.split"),
        Binding("T", "fold", "Timeline on one line or as a chart", show=False, id="run.timeline"),
        Binding("exclamation_mark", "error", "Next error in the log", show=False, id="run.error"),
        Binding("M", "page", "Modal's page", show=False, id="run.page"),
        Binding("f5", "again", "Look again", id="run.again"),
    ]

    @dataclass
    class Grew(Message):
        """The run said more."""

        live: LiveRun

        def can_replace(self, message: Message) -> bool:
            """Only the latest state counts."""
            return isinstance(message, RunScreen.Grew)

    def __init__(self, run_id: str) -> None:
        super().__init__()
        self.run_id = run_id
        """What was asked for at first; the run's whole id once it is found."""
        self._live: LiveRun | None = None
        self._panes: RunPanes | None = None
        self._came_late = False
        """Whether the run was over when it was opened, and not all of it is in yet."""
        self._makeshift: dict[str, Any] | None = None
        """A layout that nobody chose."""
        self._error: VfmError | None = None
        """What keeps the run, or more of it, from being seen."""
        self._offered: tuple[str, bool, bool, bool] | None = None
        self._price: float | None = None
        """What an hour costs (USD), where that is known."""

    def body(self) -> ComposeResult:
        """How it stands, what it did, what went wrong; panes follow once the run is found."""
        with Vertical(id="run-body"):
            for part in (RunStatus(), Timeline()):
                part.display = False  # until there is something to tell
                yield part
            yield FailurePanel()
            yield RunNotice(id="run-said")

    def on_mount(self) -> None:
        """Look for the run, and watch it."""
        self.sub_title = plain(self.run_id)
        self.set_interval(1.0, self._tick)
        self._watch()

    # --- watching ------------------------------------------------------------------------------------

    @work(group="watch", description="watch the run", exclusive=True, exit_on_error=False)
    async def _watch(self) -> None:
        from tui.services.live_run import LiveRun

        try:
            if self._live is None:
                client = await self.app.connect()
                self._live = LiveRun(client, await client.find(self.run_id))
                await self._found(self._live)
            async for live in self._live.updates():
                self.post_message(self.Grew(live))
        except VfmError as error:
            self._say(error)

    async def _found(self, live: LiveRun) -> None:
        """The run is known: its name goes up, and its panes."""
        record = live.record
        self.run_id, self._came_late = record.run_id, record.status in FINAL
        self.sub_title = plain(record.run_id)
        self._say(None)
        self._panes = RunPanes(live, self.app.ui_state)
        remembered = self.app.ui_state.get("run.layout")
        builders = self._panes.builders()
        places = PaneLayout.restored(list(builders), remembered or {})
        self._show()
        await self.query_one("#run-body").mount(Panes(builders, places))
        self.query_one(Panes).focus_current()
        self._ask_price(live)
        self.refresh_bindings()

    @work(group="price", description="ask what an hour of the run costs", exit_on_error=False)
    async def _ask_price(self, live: LiveRun) -> None:
        from tui.services.price import price_an_hour

        try:
            self._price = await price_an_hour(live.client, live.record)
        except VfmError as error:
            self.app.notify(
                plain(f"what the run costs is not to be had: {error.message}"), severity="warning"
            )

    @on(Grew)
    async def _grew(self, event: Grew) -> None:
        event.stop()
        self._say(None)
        self._show()
        for panes in self.query(Panes):
            for name in panes.seen:
                self._update(panes, name)
        self._offer(event.live)
        if event.live.over and self._came_late:
            self._came_late = False
            await self._open_on_logs(event.live)

    def _offer(self, live: LiveRun) -> None:
        """Other keys may work now."""
        offered = (live.status, live.over, bool(proposal_of(live)), bool(checkpoints_of(live)))
        if offered != self._offered:
            self._offered = offered
            self.refresh_bindings()

    def _update(self, panes: Panes, name: str) -> None:
        widget = panes.built.get(name)
        if widget is not None and self._panes is not None:
            self._panes.update(widget)

    def _say(self, error: VfmError | None) -> None:
        """Why there is nothing, or nothing new, to see."""
        if error is not self._error:
            self._error = error
            self.refresh_bindings()
        self.query_one(RunNotice).say(error, self._live.trouble if self._live is not None else "")

    # --- showing ---------------------------------------------------------------------------------------

    def _tick(self) -> None:
        """Time goes on, even where nothing is said."""
        if self._live is not None:
            self._show_standing(self._live)
            self._say(self._error)
            self.remember()

    def _show(self) -> None:
        live = self._live
        if live is not None:
            self.query_one(RunStatus).display = self.query_one(Timeline).display = True
            self._show_standing(live)
            self.query_one(FailurePanel).show(failure_of(live))

    def _show_standing(self, live: LiveRun) -> None:
        now = self.app.now()
        self.query_one(RunStatus).show(summary_of(live, now, self._price))
        self.query_one(Timeline).show(live.state, live.record.kind, now, live.status)

    # --- panes -----------------------------------------------------------------------------------------

    @on(Panes.Built)
    def _built(self, event: Panes.Built) -> None:
        event.stop()
        if self._panes is not None:
            self._panes.restore(event.name, event.widget)
            self._panes.update(event.widget)

    async def _open_on_logs(self, live: LiveRun) -> None:
        """A run that failed before its first step has nothing to show but its log."""
        panes = self.query_one(Panes)
        if live.status == "failed" and live.state.step is None and panes.current in _NEED_STEPS:
            await panes.show("logs")
            self._makeshift = panes.state()

    @on(Panes.Rearranged)
    def _rearranged(self, event: Panes.Rearranged) -> None:
        event.stop()
        if (layout := event.layout.state()) != self._makeshift:
            self.app.ui_state.put("run.layout", layout)
        for panes in self.query(Panes):
            for name in panes.seen:  # what was out of sight may have missed something
                self._update(panes, name)

    def remember(self) -> None:
        """What the panes look like."""
        for panes in self.query(Panes):
            if self._panes is not None:
                self._panes.remember(panes.built)

    async def action_pane(self, at: int) -> None:
        """A pane by its number."""
        for panes in self.query(Panes):
            names = panes.names
            if at <= len(names):
                await panes.show(names[at - 1])

    async def action_zoom(self) -> None:
        """The active pane alone, or all again."""
        for panes in self.query(Panes):
            await panes.zoom()

    async def action_split(self) -> None:
        """Several panes at once, or one."""
        if not can_split(*self.size):
            self.app.notify("the terminal is too small for two panes", severity="warning")
            return
        for panes in self.query(Panes):
            await panes.split()

    def action_fold(self) -> None:
        """The timeline on one line, or as a chart."""
        timeline = self.query_one(Timeline)
        timeline.fold(not timeline.is_folded)

    async def action_error(self) -> None:
        """To the log, and on to its next error."""
        for panes in self.query(Panes):
            pane = await panes.show("logs")
            if isinstance(pane, LogPane):
                pane.go_to_error()

    @on(LogPane.SaveRequested)
    def _save_log(self, event: LogPane.SaveRequested) -> None:
        event.stop()
        self._ask_and_save(event.pane, event.default)

    @work(group="save", description="save the log", exit_on_error=False)
    async def _ask_and_save(self, pane: LogPane, default: str) -> None:
        from tui.backends.destination import Occupied
        from tui.screens.dialogs import AskPath, Confirm

        suggested = str(Path(self.app.download_dir) / default)
        chosen = await self.app.push_screen_wait(AskPath("Save these lines as", suggested, role="save"))
        if not chosen:
            return
        try:
            try:
                count = await pane.save(Path(chosen))
            except Occupied:
                question = Confirm(f"Replace {chosen}?", ["it is there already and differs"], yes="Replace")
                if not await self.app.push_screen_wait(question):
                    return
                count = await pane.save(Path(chosen), force=True)
        except OSError as error:
            self.app.notify(f"cannot write {plain(chosen)}: {error.strerror or error}", severity="error")
        except VfmError as error:
            self.app.notify(plain(f"cannot save: {one_line(error)}"), severity="error")
        else:
            self.app.notify(f"{count:,} line{'s' * (count != 1)} in {plain(chosen)}")

    # --- asking ----------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys that can do nothing now are not offered."""
        live = self._live
        if action == "again":
            return self._error is not None
        if live is None:
            return action not in _NEED_A_RUN
        if action == "cancel":
            return live.status not in FINAL
        if action == "delete":
            return live.status in FINAL
        if action == "resume":
            return live.over and live.status in ("failed", "cancelled")
        if action == "propose":
            return bool(proposal_of(live))
        if action == "evaluate":
            return bool(checkpoints_of(live))
        if action == "page":
            return "page" in live.record.identifiers
        return True

    def action_cancel(self) -> None:
        """The app asks first."""
        self.post_message(requests.CancelRequested([self.run_id]))

    def action_rerun(self) -> None:
        """As it was, without asking."""
        self.post_message(requests.RerunRequested([self.run_id]))

    def action_resume(self) -> None:
        """Where it is, from its newest checkpoint."""
        self.post_message(requests.ResumeRequested([self.run_id]))

    def goes_on(self, record: RunRecord) -> None:
        """Watch the next attempt at a run that was over."""
        if self._live is not None:
            self._live.goes_on(record)
            self._offer(self._live)
            self._watch()

    def action_edit(self) -> None:
        """The form, as it was filled in."""
        self._launch({})

    @on(FailurePanel.Applied)
    def action_propose(self) -> None:
        """The form, with the change that a failure's hint proposes."""
        if self._live is not None and (values := proposal_of(self._live)):
            self._launch(values)

    def _launch(self, values: dict[str, Any]) -> None:
        if self._live is not None:
            record = self._live.record
            request = requests.LaunchRequested(
                values=values, kind=record.kind, backend=record.backend, run_id=record.run_id
            )
            self.post_message(request)

    def action_evaluate(self) -> None:
        """The form for an evaluation of the checkpoint under the cursor among the files, or the best."""
        from tui.widgets.files.pane import FilesPane

        if self._live is not None:
            record, found = self._live.record, checkpoints_of(self._live)
            pointed = next((name for pane in self.query(FilesPane) if (name := _checkpoint_at(pane))), "")
            chosen = next((saved for saved in found if saved.name == pointed), None) or choose(found)
            if chosen is not None:
                self.post_message(requests.evaluation_of(record.run_id, record.backend, chosen.name))

    def action_download(self) -> None:
        """All of the run's files; the app asks where to."""
        if self._live is not None:
            record = self._live.record
            path = str(layout.run_path(record.run_id))
            self.post_message(requests.DownloadRequested(record.backend, record.outputs, [path]))

    def action_delete(self) -> None:
        """The app asks first, and names what goes."""
        self.post_message(requests.DeleteRequested([self.run_id]))

    def action_page(self) -> None:
        """The page of the run's app at Modal, in a browser; its address in any case, since one may be far."""
        if self._live is not None:
            page = self._live.record.identifiers["page"]
            self.app.notify(plain(page))
            self.app.open_url(page)

    def action_again(self) -> None:
        """Try again where something went wrong."""
        self._watch()


_NEED_A_RUN = frozenset(
    (
        "cancel",
        "rerun",
        "resume",
        "edit",
        "evaluate",
        "propose",
        "download",
        "page",
        "delete",
        "zoom",
        "split",
        "fold",
        "error",
        "pane",
    )
)
_NEED_STEPS = frozenset({"charts", "rollouts"})


def _checkpoint_at(pane: FilesPane) -> str:
    """The checkpoint that the cursor among the files is on or in, where the files have the keys."""
    row = pane.files.row if pane.has_focus_within else None
    parts = PurePosixPath(row.entry.path).parts if row is not None else ()
    at = parts.index(layout.CHECKPOINTS) + 1 if layout.CHECKPOINTS in parts else len(parts)
    return parts[at] if at < len(parts) else ""
