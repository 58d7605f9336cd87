"""`vfm-tui`, the Textual app: opens screens, starts actions, applies themes and keys.

It answers the requests that screens post (`tui/screens/requests.py`). Screens other than the first are
imported when they are first opened.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from textual.binding import Binding, BindingType
from textual.dom import DOMNode
from textual.events import Event, Key
from textual.message import Message
from textual.screen import Screen

from tui.screens import requests
from tui.screens.app_base import AppBase
from tui.screens.apply_preferences import AppPreferences
from tui.screens.ended_runs import EndedRuns
from tui.screens.frame import VfmScreen
from tui.screens.immediate_keys import handle_at_once
from tui.screens.runs import RunsScreen
from tui.text.format import plain, status_text
from tui.themes import DARK, LIGHT, legible

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tui.screens.file_actions import FileActions
    from tui.screens.run_actions import RunActions
    from tui.widgets.files.pane import FilesPane


class VfmApp(AppBase):
    """The runs of every backend, and everything that can be done with them."""

    TITLE = "vfm"
    CSS = "* { scrollbar-size-vertical: 1; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+q", "quit", "Quit", show=False, priority=True, id="app.quit"),
        Binding("f1", "help", "Help", show=False, priority=True, id="app.help"),
        Binding("question_mark", "help", "Help", show=False, id="app.help_too"),
        Binding("ctrl+p", "command_palette", "Commands", show=False, priority=True, id="app.palette"),
        Binding("colon", "command_palette", "Commands", show=False, id="app.palette_too"),
        Binding("ctrl+z", "suspend_process", "Suspend: `fg` goes on", show=False, id="app.suspend"),
        Binding("f9", "doctor", "Doctor: what is set up", show=False, id="app.doctor"),
    ]

    def __init__(self, *args: Any, run: str | None = None, theme: str | None = None, **options: Any) -> None:
        super().__init__(*args, **options)
        self._run = run
        self._is_opening = run is not None
        """Whether the run of the command line is still being looked up: keys are not for the screen below."""
        self._requested_theme = theme
        self._ended_runs = EndedRuns()
        self.app_preferences = AppPreferences(self)
        for ours in (DARK, LIGHT):
            self.register_theme(ours)

    @cached_property
    def run_actions(self) -> RunActions:
        """Cancel, run again, resume and delete runs."""
        from tui.screens.run_actions import RunActions

        return RunActions(self)

    @cached_property
    def file_actions(self) -> FileActions:
        """Download, upload and delete files of volumes."""
        from tui.screens.file_actions import FileActions

        return FileActions(self)

    def get_default_screen(self) -> Screen[Any]:
        """The home screen: the runs."""
        return RunsScreen()

    def on_mount(self) -> None:
        """Apply keys and theme, then open the run that the command line names."""
        self.app_preferences.apply()
        theme = self._requested_theme or self.app_preferences.theme or self.ui_state.get("theme")
        self.theme = theme if theme in self.available_themes else DARK.name
        self.call_after_refresh(self.start_action, "read the settings", self.load_experiment_label)
        self.call_after_refresh(self.start_action, "read settings.toml", self.app_preferences.check)
        if self._run:
            name = self._run
            self.call_after_refresh(self.start_action, "open a run", lambda: self._open(name))

    def get_css_variables(self) -> dict[str, str]:
        """The theme's colours, with muted text that stays legible."""
        return legible(super().get_css_variables())

    def watch_theme(self, name: str) -> None:
        """Remember the theme, unless the command line or settings.toml named it."""
        if name not in (self._requested_theme, self.app_preferences.theme):
            self.ui_state.put("theme", name)
            self.app_preferences.theme_changed(name)

    def handle_bindings_clash(self, clashed_bindings: set[Binding], node: DOMNode) -> None:
        """The user's keymap binds one key to two actions."""
        self.app_preferences.keys_clashed(clashed_bindings)

    async def run_async(self, *, headless: bool = False, **options: Any) -> Any:
        """Run until the app exits, restore the terminal, and print what goes on and what was interrupted."""
        await super().run_async(headless=headless, **options)
        if not headless and not self.is_web:
            from tui.screens.exit_messages import broken_transfers_message, current_runs, live_runs_message

            broken = await self._transfers.stop_all() if self._transfers else []
            runs = await current_runs(self.rows, self._client)
            with suppress(OSError):  # the terminal itself may be gone
                for text in filter(None, (live_runs_message(runs), broken_transfers_message(broken))):
                    print(plain(text), flush=True)
        return self.return_value

    def exit(self, result: None = None, return_code: int = 0, message: RenderableType | None = None) -> None:
        """Have every screen save its UI state, then exit."""
        if self.on_exit:
            self.on_exit()
        for screen in self.screen_stack:
            if isinstance(screen, VfmScreen):
                screen.save_ui_state()
        super().exit(result, return_code, message)

    async def on_event(self, event: Event) -> None:
        """Handle a key before the next one is read."""
        if isinstance(event, Key):
            if self._is_opening and not event.is_forwarded:
                await self._check_bindings(event.key, priority=True)  # quit and help
                return
            if await handle_at_once(self, event):
                return
        await super().on_event(event)

    def action_help(self) -> None:
        """Open the help for the current screen, or close it."""
        from tui.screens.help import HelpScreen

        if isinstance(self.screen, HelpScreen):
            self.screen.dismiss()
        else:
            self.push_screen(HelpScreen(self.screen))

    def action_command_palette(self) -> None:
        """Open the command palette."""
        from tui.screens.palette import Palette

        if not isinstance(self.screen, Palette):
            self.push_screen(Palette(self.screen))

    def action_doctor(self) -> None:
        """Open the doctor."""
        self.post_message(requests.DoctorRequested())

    def action_write_settings(self) -> None:
        """Write a `settings.toml` with every key in it."""
        self.start_action("write settings.toml", self.app_preferences.write_and_notify)

    def _open_screen(self, message: Message) -> None:
        self.push_screen(_screen_for(message))

    on_run_requested = on_launch_requested = on_compare_requested = _open_screen
    on_files_requested = on_doctor_requested = _open_screen

    def on_rerun_requested(self, message: requests.RerunRequested) -> None:
        """Launch the same runs again."""
        self.start_action("run again", lambda: self.run_actions.rerun(message.run_ids), changes=True)

    def on_resume_requested(self, message: requests.ResumeRequested) -> None:
        """Resume runs that are over."""
        self.start_action("resume runs", lambda: self._resume_and_watch(message.run_ids), changes=True)

    def on_cancel_requested(self, message: requests.CancelRequested) -> None:
        """Stop runs; the action asks first."""
        self.start_action("cancel runs", lambda: self.run_actions.cancel(message.run_ids), changes=True)

    def on_delete_requested(self, message: requests.DeleteRequested) -> None:
        """Delete runs; the action asks first."""
        self.start_action("delete runs", lambda: self._delete_and_leave(message.run_ids), changes=True)

    def on_download_requested(
        self, message: requests.DownloadRequested | FilesPane.DownloadRequested
    ) -> None:
        """Download files; the action asks where to."""
        download = self.file_actions.download
        self.start_action("download", lambda: download(message.backend, message.volume, message.paths))

    on_files_pane_download_requested = on_download_requested

    def on_files_pane_upload_requested(self, message: FilesPane.UploadRequested) -> None:
        """Upload into a folder; the action asks what."""
        upload = self.file_actions.upload
        self.start_action("upload", lambda: upload(message.pane, message.path), changes=True)

    def on_files_pane_delete_requested(self, message: FilesPane.DeleteRequested) -> None:
        """Delete files; the action asks first."""
        delete = self.file_actions.delete
        self.start_action("delete files", lambda: delete(message.pane, message.paths), changes=True)

    def on_runs_listed(self, message: requests.RunsListed) -> None:
        """Notify of each run that ended, unless it is on the screen."""
        self.rows = message.rows
        if not self.screen_stack:
            return  # the app exits: a notification would not be seen
        for row in self._ended_runs.update(message.rows):
            if not (isinstance(self.screen, VfmScreen) and self.screen.run_id == row.run_id):
                self.notify(
                    f"{row.run_id} {status_text(row.status)}",
                    severity="error" if row.status == "failed" else "information",
                )

    async def _open(self, name: str) -> None:
        """Open the run with an id or prefix, or the `last` one, over the home screen."""
        try:
            record = await (await self.connect()).find(name)
            self.post_message(requests.RunRequested(record.run_id))
        finally:
            self._is_opening = False

    async def _delete_and_leave(self, run_ids: Sequence[str]) -> None:
        """Delete runs; close the screen of a deleted run."""
        deleted = await self.run_actions.delete(run_ids)
        if isinstance(self.screen, VfmScreen) and self.screen.run_id in deleted:
            self.screen.action_back()

    async def _resume_and_watch(self, run_ids: Sequence[str]) -> None:
        """Resume runs; an open screen of such a run watches its next attempt."""
        from tui.screens.run import RunScreen

        resumed = {record.run_id: record for record in await self.run_actions.resume(run_ids)}
        for screen in self.screen_stack:
            if isinstance(screen, RunScreen) and screen.run_id in run_ids:
                if record := resumed.get(screen.run_id):
                    screen.goes_on(record)
                else:
                    screen.look_again()


def _screen_for(message: Message) -> VfmScreen:
    """The screen that a request opens, imported now."""
    match message:
        case requests.RunRequested():
            from tui.screens.run import RunScreen

            return RunScreen(message.run_id)
        case requests.LaunchRequested():
            from tui.screens.launch import LaunchScreen

            return LaunchScreen(message)
        case requests.CompareRequested():
            from tui.screens.compare import CompareScreen

            return CompareScreen(list(message.run_ids))
        case requests.FilesRequested():
            from tui.screens.volumes import VolumesScreen

            return VolumesScreen(message)
        case requests.DoctorRequested():
            from tui.screens.doctor import DoctorScreen

            return DoctorScreen()
    raise TypeError(f"no screen answers {message}")
