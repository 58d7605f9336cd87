"""What every screen may rely on: the client, the clock, what is remembered.

Owns connecting (the client's imports take longer than the first frame may wait) and what the app
remembers from one session to the next. Which screen is shown when is `tui/app.py`'s.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, cast

from textual.app import App
from textual.notifications import SeverityLevel
from textual.reactive import reactive
from textual.widget import Widget

from tui.screens.crash_report import ToldWorkers, Unexpected
from tui.settings import Folders, glance
from tui.user.preferences import Preferences
from tui.user.ui_state import UiState

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tui.client import Client
    from tui.services.transfers import Job, Transfers
    from tui.settings import Settings

_NAMED = 3  # entries left out that a toast names
_ERRORS_STAY = 12.0  # seconds


class Desk(App[None]):
    """The app as its screens see it."""

    who = reactive("")
    """Whose work is shown, for the title line: experimenter and experiment."""

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
        """Whether launching, cancelling, deleting and uploading are off."""
        folders = _folders(client, settings)
        self.ui_state = ui_state or UiState(folders.home / "app" if folders else None)
        self.config_dir = folders.config_dir if folders else None
        """Where `settings.toml` and `prices.toml` lie; None where the app has no home (in some tests)."""
        self.preferences = Preferences.read(self.config_dir) if self.config_dir else Preferences()
        """What the user's `settings.toml` says."""
        self.sturdy = False
        """Whether unforeseen errors are survived even without a terminal."""
        self.unexpected = Unexpected(
            self.ui_state.folder, lambda text: self.tell(text, "error", title="unexpected")
        )
        self._workers = ToldWorkers(self, self.unexpected)
        self.on_exit: Callable[[], None] | None = None
        """Called as soon as the app begins to leave (`tui/signals.py`)."""
        self.rows: Sequence[Any] = ()
        """The runs that the home screen listed last (`store.run_rows.RunRow`), newest first."""
        self._client = client
        self._settings = settings
        self._transfers: Transfers | None = None
        self._clipboard_trouble: str | None = None
        self._connecting = asyncio.Lock()

    @property
    def settings(self) -> Settings:
        """Names and directories. Raises `ConfigError` where they cannot be read."""
        if self._settings is None:
            from tui.settings import Settings

            client = self._client
            self._settings = client.settings if client and client.settings else Settings.load()
        return self._settings

    async def introduce(self) -> None:
        """Fill in `who`. Raises `ConfigError` where `.env` cannot be read."""
        settings = await asyncio.to_thread(lambda: self.settings)
        names = f"{settings.experimenter} · {settings.experiment}"
        self.who = f"read-only · {names}" if self.readonly else names

    @property
    def download_dir(self) -> str:
        """Where downloads go unless somebody says otherwise: as set, else as last time."""
        return self.preferences.download_dir or str(self.ui_state.get("download_dir", "downloads"))

    def exit(self, result: None = None, return_code: int = 0, message: RenderableType | None = None) -> None:
        """Leave; before that, screens keep what the next session should know of them."""
        if self.on_exit:
            self.on_exit()
        for screen in self.screen_stack:
            if callable(remember := getattr(screen, "remember", None)):
                remember()
        super().exit(result, return_code, message)

    async def connect(self) -> Client:
        """The client; made at the first call, off the event loop. Raises `VfmError`."""
        async with self._connecting:
            if self._client is None:
                self._client = await asyncio.to_thread(self._make_client)
        return self._client

    async def transfers(self) -> Transfers:
        """Downloads and uploads under way: they outlive the screen that began them."""
        if self._transfers is None:
            from tui.services.transfers import Transfers

            self._transfers = Transfers(await self.connect(), ended=self._transfer_ended)
        return self._transfers

    def known_runs(self) -> Iterable[tuple[str, str]]:
        """(id, a few words) of every run that is known, newest first."""
        return [(row.run_id, f"{row.status} · {row.environment} · {row.model}") for row in self.rows]

    def survives(self, error: Exception) -> bool:
        """Whether the app goes on after an error that nobody foresaw; if so, it is told and on record.

        In tests such an error is to be seen.
        """
        if self.is_headless and not self.sturdy:
            return False
        self.unexpected.tell(error)
        return True

    def tell(self, text: str, severity: str = "information", title: str = "") -> None:
        """A toast. The text is shown as it is, never read as markup; errors stay longer."""
        seconds = _ERRORS_STAY if severity == "error" else None
        self.notify(text, title=title, severity=cast(SeverityLevel, severity), timeout=seconds, markup=False)

    async def tell_of_copy(self, what: str) -> None:
        """Say that something was sent to the clipboard, and what is known to keep it from getting there."""
        from tui.text.format import plain

        if self._clipboard_trouble is None:
            self._clipboard_trouble = "" if self.is_web else await asyncio.to_thread(_clipboard_trouble)
        text = plain(f"{what}: sent to the clipboard of the {'browser' if self.is_web else 'terminal'}")
        if self._clipboard_trouble:
            self.tell(f"{text}, but {self._clipboard_trouble}", "warning")
        else:
            self.tell(text)

    def _transfer_ended(self, job: Job) -> None:
        from tui.backends.destination import Occupied
        from tui.text.format import first_lines, one_line, plain, size

        if job.error:
            if not isinstance(job.error, Occupied):  # asked about by whoever started it
                self.tell(plain(f"{job.name}: {one_line(job.error)}"), "error", f"✗ {job.direction} failed")
            return
        text = f"{job.name} is in {job.where} ({', '.join([size(job.done), *job.notes])})"
        self.tell(plain(text), "warning" if job.left_out else "information", f"✓ {job.direction}ed")
        if job.left_out:
            entries = first_lines([f"{entry.path}: {entry.why}" for entry in job.left_out], _NAMED)
            self.tell(plain("; ".join(entries)), "warning", "! left out")

    def _make_client(self) -> Client:
        from tui.client import Client

        client = Client.default(self.settings)
        # All that was imported stays, and every repaint makes thousands of short-lived objects: looking for
        # garbage through the one, and after every 700 of the other, costs a third of opening a screen.
        gc.freeze()
        gc.set_threshold(10_000)
        return client


def _clipboard_trouble() -> str:
    """Why what is copied does not get to the clipboard, as far as that is known."""
    from tui.doctor.finding import Surroundings
    from tui.doctor.terminal import clipboard

    found = clipboard(Surroundings.of_this_machine())
    return "" if found.state == "ok" else ": ".join(filter(None, (found.detail, found.command)))


def _folders(client: Client | None, settings: Settings | None) -> Folders | Settings | None:
    """Home and config directory: of what the app was given, else of this machine, at a glance."""
    if settings is not None:
        return settings
    return None if client is not None else glance()


def desk(widget: Widget) -> Desk:
    """The app that a widget or screen is part of."""
    return cast(Desk, widget.app)
