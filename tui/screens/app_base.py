"""Base class of the app: client, settings, UI state, notifications, background actions, errors.

Screens rely on this class alone, so that they need not import `tui/app.py`, which opens them.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from textual._context import active_message_pump
from textual.app import App
from textual.message import Message
from textual.notifications import SeverityLevel
from textual.reactive import reactive
from textual.widget import Widget

from remote.contract.errors import VfmError
from tui.screens.crash_report import CrashReporter, ReportingWorkerManager
from tui.settings import Folders, glance
from tui.text.format import first_lines, one_line, plain, size
from tui.user.preferences import Preferences
from tui.user.ui_state import UiState

if TYPE_CHECKING:
    from tui.client import Client
    from tui.services.transfers import Job, Transfers
    from tui.settings import Settings
    from tui.store.runs.row import RunRow
    from tui.widgets.common.clipboard import Copied

_MOST_LEFT_OUT = 3  # skipped entries that a notification names
_ERROR_SECONDS = 12.0


class AppBase(App[Any]):
    """The app as its screens see it."""

    experiment_label = reactive("")
    """Experimenter and experiment, for the header."""

    def __init__(
        self,
        client: Client | None = None,
        *,
        settings: Settings | None = None,
        ui_state: UiState | None = None,
        clock: Callable[[], float] = time.time,
        readonly: bool = False,
    ) -> None:
        super().__init__()
        self.now = clock
        """Unix seconds; tests freeze it."""
        self.readonly = readonly
        """Whether launching, cancelling, deleting and uploading are disabled."""
        folders = _folders(client, settings)
        self.ui_state = ui_state or UiState(folders.home / "app" if folders else None)
        self.config_dir = folders.config_dir if folders else None
        """Directory of `settings.toml` and `prices.toml`; None where the app has no home (in some tests)."""
        self.preferences = Preferences.read(self.config_dir) if self.config_dir else Preferences()
        """Contents of the user's `settings.toml`."""
        self.survives_headless = False
        """Whether unexpected errors are survived without a terminal too; else they fail the test."""
        self.crash_reporter = CrashReporter(
            self.ui_state.folder, lambda text: self.notify(text, severity="error", title="unexpected")
        )
        self.crash: Exception | None = None
        """The unexpected error that ended the app; raised again once the terminal is restored."""
        self._workers = ReportingWorkerManager(self, self.crash_reporter)
        self.on_exit: Callable[[], None] | None = None
        """Called as soon as the app begins to exit (`tui/signals.py`)."""
        self.rows: Sequence[RunRow] = ()
        """The runs that the home screen listed last, newest first."""
        self._client = client
        self._settings = settings
        self._transfers: Transfers | None = None
        self._clipboard_problem: str | None = None
        self._connecting = asyncio.Lock()

    @property
    def settings(self) -> Settings:
        """Names and directories. Raises `ConfigError` where they cannot be read."""
        if self._settings is None:
            from tui.settings import Settings

            client = self._client
            self._settings = client.settings if client and client.settings else Settings.load()
        return self._settings

    async def load_experiment_label(self) -> None:
        """Set `experiment_label` from the settings. Raises `ConfigError`."""
        settings = await asyncio.to_thread(lambda: self.settings)
        label = f"{settings.experimenter} · {settings.experiment}"
        self.experiment_label = f"read-only · {label}" if self.readonly else label

    @property
    def download_dir(self) -> str:
        """Default destination of downloads: the one in `settings.toml`, else the last one used."""
        return self.preferences.download_dir or str(self.ui_state.get("download_dir", "downloads"))

    async def connect(self) -> Client:
        """The client; created by the first call, off the event loop. Raises `VfmError`."""
        async with self._connecting:
            if self._client is None:
                self._client = await asyncio.to_thread(self._make_client)
        return self._client

    async def transfers(self) -> Transfers:
        """Downloads and uploads; they outlive the screen that started them."""
        if self._transfers is None:
            from tui.services.transfers import Transfers

            self._transfers = Transfers(await self.connect(), ended=self._notify_transfer)
        return self._transfers

    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: SeverityLevel = "information",
        timeout: float | None = None,
        markup: bool = False,
    ) -> None:
        """Show a notification: as plain text unless told otherwise; errors stay longer."""
        timeout = _ERROR_SECONDS if timeout is None and severity == "error" else timeout
        super().notify(message, title=title, severity=severity, timeout=timeout, markup=markup)

    def start_action(
        self, name: str, action: Callable[[], Awaitable[None]], *, changes: bool = False
    ) -> None:
        """Run an action in a worker, since it may ask questions; what it raises becomes a notification.

        An action that `changes` something is refused where the app is read-only.
        """
        if changes and self.readonly:
            self.notify(f"read-only: cannot {name}", severity="warning")
        else:
            self.run_worker(
                self._report_errors(name, action), group="actions", description=name, exit_on_error=False
            )

    def on_copied(self, message: Copied) -> None:
        """Confirm a copy to the clipboard."""
        self.start_action("look at the clipboard", lambda: self._confirm_copy(message.what))

    # --- unexpected errors ---------------------------------------------------------------------------

    def survives(self, error: Exception) -> bool:
        """Report an unexpected error and go on, or return False: tests are to see it."""
        if self.is_headless and not self.survives_headless:
            return False
        self.crash_reporter.report(error)
        return True

    async def _dispatch_message(self, message: Message) -> None:
        try:
            await super()._dispatch_message(message)
        except Exception as error:
            if not self.survives(error):
                raise

    def _handle_exception(self, error: Exception) -> None:
        """A broken widget gets no more messages; the app goes on, without the focus on it."""
        if not (self._running and self.screen_stack and self.survives(error)):
            self.crash = self.crash or error
            if self.on_exit:
                self.on_exit()
            super()._handle_exception(error)
            return
        broken = active_message_pump.get(None)
        if isinstance(broken, Widget) and broken is not self.screen:
            broken.can_focus = False
            self.screen.set_focus(None)

    def _fatal_error(self) -> None:
        # Textual's own prints the variables of every frame, and one of them may be a secret.
        self.panic()

    # --- inside --------------------------------------------------------------------------------------

    async def _report_errors(self, name: str, action: Callable[[], Awaitable[None]]) -> None:
        try:
            await action()
        except (VfmError, OSError) as error:
            self.notify(f"cannot {name}: {error}", severity="error")

    async def _confirm_copy(self, what: str) -> None:
        """Say where the copy went, and any known reason why it did not arrive."""
        if self._clipboard_problem is None:
            self._clipboard_problem = "" if self.is_web else await asyncio.to_thread(_clipboard_problem)
        text = plain(f"{what}: sent to the clipboard of the {'browser' if self.is_web else 'terminal'}")
        if self._clipboard_problem:
            self.notify(f"{text}, but {self._clipboard_problem}", severity="warning")
        else:
            self.notify(text)

    def _notify_transfer(self, job: Job) -> None:
        from tui.backends.destination import Occupied

        if isinstance(job.error, Occupied):
            return  # whoever started the transfer asks whether to replace the files
        if job.error:
            text = plain(f"{job.name}: {one_line(job.error)}")
            self.notify(text, severity="error", title=f"✗ {job.direction} failed")
            return
        text = plain(f"{job.name} is in {job.where} ({', '.join([size(job.done), *job.notes])})")
        severity: SeverityLevel = "warning" if job.left_out else "information"
        self.notify(text, severity=severity, title=f"✓ {job.direction}ed")
        if job.left_out:
            entries = first_lines([f"{entry.path}: {entry.why}" for entry in job.left_out], _MOST_LEFT_OUT)
            self.notify(plain("; ".join(entries)), severity="warning", title="! left out")

    def _make_client(self) -> Client:
        from tui.client import Client

        client = Client.default(self.settings)
        # Imported modules stay, and every repaint makes thousands of short-lived objects: collecting garbage
        # among the former, and after every 700 of the latter, costs a third of opening a screen.
        gc.freeze()
        gc.set_threshold(10_000)
        return client


def _clipboard_problem() -> str:
    """Why copies do not reach the clipboard, as far as is known; empty if nothing is known to be wrong."""
    from tui.doctor.finding import Surroundings
    from tui.doctor.terminal import clipboard

    found = clipboard(Surroundings.of_this_machine())
    return "" if found.state == "ok" else ": ".join(filter(None, (found.detail, found.command)))


def _folders(client: Client | None, settings: Settings | None) -> Folders | Settings | None:
    """Home and config directory: the given settings', or this machine's; none beside a given client."""
    if settings is not None:
        return settings
    return None if client is not None else glance()
