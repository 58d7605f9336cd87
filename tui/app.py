"""`vfm-tui`: the face for people. Which screen is shown when, and what holds on all of them.

Owns answering what screens ask for (`tui/screens/requests.py`), themes, and the way out. What a screen
shows and does is its own file's matter; screens but the first are imported when they are first shown.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from textual._context import active_message_pump
from textual.binding import Binding, BindingType
from textual.dom import DOMNode
from textual.events import Event, Key
from textual.message import Message
from textual.screen import Screen
from textual.widget import Widget

from tui.screens import requests as ask
from tui.screens.app_base import Desk
from tui.screens.apply_preferences import UserSettings
from tui.screens.ended_runs import News
from tui.screens.frame import VfmScreen
from tui.screens.runs import RunsScreen
from tui.text.format import plain, status_words
from tui.themes import DARK, LIGHT, legible

if TYPE_CHECKING:
    from tui.screens.file_actions import FileActions
    from tui.screens.run_actions import RunActions
    from tui.widgets.common.clipboard import Copied
    from tui.widgets.files.pane import FilesPane


class VfmApp(Desk):
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
        """Whether the run that was named is still looked for: keys are not meant for the runs beneath."""
        self._theme_asked = theme
        self._news = News()
        self.crash: Exception | None = None
        """What went wrong unexpectedly, once it has: the app is over then, and `tui/__main__.py` tells."""
        self.user_settings = UserSettings(self)
        """What `settings.toml` does to this app."""
        for ours in (DARK, LIGHT):
            self.register_theme(ours)

    @cached_property
    def actions(self) -> RunActions:
        """What can be done to runs."""
        from tui.screens.run_actions import RunActions

        return RunActions(self)

    @cached_property
    def file_actions(self) -> FileActions:
        """What can be done to files of volumes."""
        from tui.screens.file_actions import FileActions

        return FileActions(self)

    def get_default_screen(self) -> Screen[Any]:
        """Runs are home."""
        return RunsScreen()

    def on_mount(self) -> None:
        """Keys and colours first; then the run that was named, over the home screen."""
        self.user_settings.apply()
        wished = self._theme_asked or self.user_settings.theme or self.ui_state.get("theme")
        self.theme = wished if wished in self.available_themes else DARK.name
        self.call_after_refresh(self._do, "read the settings", self.introduce)
        self.call_after_refresh(self._do, "read settings.toml", self.user_settings.check)
        if self._run:
            named = self._run
            self.call_after_refresh(self._do, "open a run", lambda: self._open(named))

    def get_css_variables(self) -> dict[str, str]:
        """The theme's colours, with quiet text that can be read."""
        return legible(super().get_css_variables())

    def watch_theme(self, name: str) -> None:
        """The theme is remembered, unless the command line or the settings asked for it."""
        if name not in (self._theme_asked, self.user_settings.theme):
            self.ui_state.put("theme", name)
            self.user_settings.theme_taken(name)

    def _fatal_error(self) -> None:
        # Textual's own prints the variables of every frame, and one may be a secret.
        self.panic()

    def handle_bindings_clash(self, clashed_bindings: set[Binding], node: DOMNode) -> None:
        """The user's keys want one key for two things."""
        self.user_settings.clashed(clashed_bindings)

    async def run_async(self, *, headless: bool = False, **options: Any) -> None:
        """Run to the end; then, with the terminal given back, say what goes on and what does not."""
        await super().run_async(headless=headless, **options)
        if not headless and not self.is_web:
            from tui.screens.exit_messages import farewell, left_half_way, still_going

            left = await self._transfers.break_off() if self._transfers else []
            runs = await still_going(self.rows, self._client)
            with suppress(OSError):  # the terminal itself may be gone
                for words in filter(None, (farewell(runs), left_half_way(left))):
                    print(plain(words), flush=True)
        return self.return_value

    async def on_event(self, event: Event) -> None:
        """A key acts before the next one is looked at.

        Textual hands it through every widget first, and keys that come in one burst, as over a slow line,
        overtake what it does: the letters after `/` would be keys of the screen.
        """
        if isinstance(event, Key) and not event.is_forwarded and self._is_opening:
            await self._check_bindings(event.key, priority=True)  # leaving, and help
            return
        if isinstance(event, Key) and (self._is_typed(event) or await self._acted_at_once(event)):
            return
        await super().on_event(event)

    def _is_typed(self, event: Key) -> bool:
        """Whether it went to the input that has the focus: letters do, whatever the user's settings bind.

        Textual asks bindings that have priority first.
        """
        typed_into = self.focused
        if event.is_forwarded or typed_into is None or not event.is_printable:
            return False
        if not typed_into.check_consume_key(event.key, event.character):
            return False
        typed_into._forward_event(event)
        return True

    async def _acted_at_once(self, event: Key) -> bool:
        """Whether it was a key of what has the focus, or of what is around that. Typing is left to inputs."""
        types = self.focused is not None and self.focused.check_consume_key("a", "a")
        if event.is_forwarded or types or self.screen.maximized is not None:
            return False
        key = event.key
        return await self._check_bindings(key, priority=True) or await self._check_bindings(key)

    async def _dispatch_message(self, message: Message) -> None:
        try:
            await super()._dispatch_message(message)
        except Exception as error:
            if not self.survives(error):
                raise

    def _handle_exception(self, error: Exception) -> None:
        """A widget that broke hears nothing any more; the app goes on, and keys go to what still does."""
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

    def action_help(self) -> None:
        """Help for where one is; once more closes it."""
        from tui.screens.help import HelpScreen

        if isinstance(self.screen, HelpScreen):
            self.screen.dismiss()
        else:
            self.push_screen(HelpScreen(self.screen))

    def action_command_palette(self) -> None:
        """Everything by name."""
        from tui.screens.palette import Palette

        if not isinstance(self.screen, Palette):
            self.push_screen(Palette(self.screen))

    def action_doctor(self) -> None:
        """What is set up."""
        self.post_message(ask.DoctorRequested())

    def action_write_settings(self) -> None:
        """A `settings.toml` with every key in it."""
        self._do("write settings.toml", self.user_settings.write_and_tell)

    def on_run_requested(self, message: ask.RunRequested) -> None:
        """One run, live or from the past."""
        from tui.screens.run import RunScreen

        self.push_screen(RunScreen(message.run_id))

    def on_launch_requested(self, message: ask.LaunchRequested) -> None:
        """The launch form."""
        from tui.screens.launch import LaunchScreen

        self.push_screen(LaunchScreen(message))

    def on_compare_requested(self, message: ask.CompareRequested) -> None:
        """Several runs over one another."""
        from tui.screens.compare import CompareScreen

        self.push_screen(CompareScreen(list(message.run_ids)))

    def on_files_requested(self, message: ask.FilesRequested) -> None:
        """Volumes, or one path of one."""
        from tui.screens.volumes import VolumesScreen

        self.push_screen(VolumesScreen(message))

    def on_doctor_requested(self) -> None:
        """What is set up, and what mends the rest."""
        from tui.screens.doctor import DoctorScreen

        self.push_screen(DoctorScreen())

    def on_rerun_requested(self, message: ask.RerunRequested) -> None:
        """The same runs once more."""
        self._change("run again", lambda: self.actions.rerun(message.run_ids))

    def on_resume_requested(self, message: ask.ResumeRequested) -> None:
        """Runs that are over should go on."""
        self._change("resume runs", lambda: self._resume(message.run_ids))

    def on_cancel_requested(self, message: ask.CancelRequested) -> None:
        """Runs should stop."""
        self._change("cancel runs", lambda: self.actions.cancel(message.run_ids))

    def on_delete_requested(self, message: ask.DeleteRequested) -> None:
        """Runs' files should go."""
        self._change("delete runs", lambda: self._delete(message.run_ids))

    def on_download_requested(self, message: ask.DownloadRequested) -> None:
        """Something should come to this machine."""
        where = (message.backend, message.volume, [message.path, *message.more])
        self._do("download", lambda: self.file_actions.download(*where))

    def on_files_pane_download_wanted(self, message: FilesPane.DownloadWanted) -> None:
        """Files should come to this machine."""
        where = (message.backend, message.volume, message.paths)
        self._do("download", lambda: self.file_actions.download(*where))

    def on_files_pane_upload_wanted(self, message: FilesPane.UploadWanted) -> None:
        """Something of this machine should come into a folder of a volume."""
        self._change("upload", lambda: self.file_actions.upload(message.pane, message.path))

    def on_files_pane_delete_wanted(self, message: FilesPane.DeleteWanted) -> None:
        """Files should go."""
        self._change("delete files", lambda: self.file_actions.delete(message.pane, message.paths))

    def on_copied(self, message: Copied) -> None:
        """Something was sent to the terminal's clipboard."""
        self._do("look at the clipboard", lambda: self.tell_of_copy(message.what))

    def on_runs_listed(self, message: ask.RunsListed) -> None:
        """A toast for each run that ended, unless it is the one on the screen."""
        self.rows = message.rows
        if not self.screen_stack:
            return  # the app is on its way out, and nobody would see a toast
        for row in self._news.ended(message.rows):
            if getattr(self.screen, "run_id", None) != row.run_id:
                self.tell(
                    f"{row.run_id} {status_words(row.status)}",
                    "error" if row.status == "failed" else "information",
                )

    async def _delete(self, run_ids: Sequence[str]) -> None:
        """The screen of a run that is gone goes too."""
        gone = await self.actions.delete(run_ids)
        shown = self.screen
        if isinstance(shown, VfmScreen) and getattr(shown, "run_id", None) in gone:
            shown.action_back()

    async def _open(self, named: str) -> None:
        """The run meant by an id, a prefix or `last`: found after the first frame, over the home screen."""
        try:
            record = await (await self.connect()).find(named)
            self.post_message(ask.RunRequested(record.run_id))
        finally:
            self._is_opening = False

    async def _resume(self, run_ids: Sequence[str]) -> None:
        from tui.screens.run import RunScreen

        for record in await self.actions.resume(run_ids):
            for screen in self.screen_stack:
                if isinstance(screen, RunScreen) and screen.run_id == record.run_id:
                    screen.goes_on(record)

    def _change(self, what: str, do: Callable[[], Awaitable[None]]) -> None:
        if self.readonly:
            self.tell(f"read-only: cannot {what}", "warning")
        else:
            self._do(what, do)

    def _do(self, what: str, do: Callable[[], Awaitable[None]]) -> None:
        """One thing at a time that asks, off the message queue, so that the screen goes on."""
        self.run_worker(self._told(what, do), group="actions", description=what, exit_on_error=False)

    async def _told(self, what: str, do: Callable[[], Awaitable[None]]) -> None:
        from remote.contract.errors import VfmError

        try:
            await do()
        except (VfmError, OSError) as error:
            self.tell(f"cannot {what}: {error}", "error")
