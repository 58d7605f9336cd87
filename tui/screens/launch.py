"""The launch screen: an editor for a config, and what is done with it: launch, save, copy, reset."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import Binding, BindingType
from textual.widgets import Input

from remote.contract.errors import VfmError
from tui.screens import help_texts
from tui.screens.launch_editor import LaunchEditor
from tui.screens.requests import RunRequested
from tui.text.format import plain
from tui.widgets.common.clipboard import copy
from tui.widgets.launch.bar import LaunchBar
from tui.widgets.launch.form import Form
from tui.widgets.launch.plan_panel import PlanPanel

if TYPE_CHECKING:
    from tui.planning.draft import Draft
    from tui.planning.preview import Outlook


class LaunchScreen(LaunchEditor):
    """Edit a config, and launch it."""

    TITLE, HELP = "launch", help_texts.LAUNCH
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+l", "launch", "Launch", priority=True, id="launch.launch"),
        Binding("ctrl+s", "save", "Save as", priority=True, id="launch.save"),
        Binding("ctrl+r", "reset", "Reset field", priority=True, id="launch.reset"),
        Binding("R", "reset_all", "Reset all, or undo it", show=False, id="launch.reset_all"),
        Binding("y", "copy", "Copy the command", show=False, id="launch.copy"),
        Binding("e", "explain", "How memory is estimated", show=False, id="launch.explain"),
    ]

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Letters belong to a focused input; a field is reset only in the form."""
        if action == "reset":
            return any(form.has_focus_within for form in self.query(Form))
        return not (action in ("reset_all", "copy", "explain") and isinstance(self.focused, Input))

    def on_unmount(self) -> None:
        """Keep what was typed for the next visit."""
        if self.draft is not None:
            self.drafts.leave(self.draft)

    # --- launching -----------------------------------------------------------------------------------

    @on(LaunchBar.Pressed)
    def action_launch(self) -> None:
        """Launch, once, however often the key is pressed."""
        draft = self.draft
        if self.bar.launching or draft is None:
            return
        if self.app.readonly:
            self.app.notify("read-only: cannot launch", severity="warning")
            return
        self.form.stop_editing()
        if not draft.is_sound:
            self._go_to_problem(next(iter(draft.problems), None))
            return
        self.bar.launching = True
        # A worker of the app: a launch that has started goes on when the screen is left.
        self.app.run_worker(
            self._launch(draft), group="launch", description="launch a run", exit_on_error=False
        )

    async def _launch(self, draft: Draft) -> None:
        from tui.screens.confirm_price import confirm_price

        try:
            outlook = await self.look()
            if outlook is None or outlook.plan is None:
                self._refuse(outlook)
                return
            if not await confirm_price(self.app, [outlook.plan]):
                return
            client = await self.app.connect()
            record = await client.launch(outlook.plan)
        except VfmError as error:
            if self.is_attached:
                self.show_error(error)
            else:
                self.app.notify(plain(f"not launched: {error}"), severity="error")
            return
        finally:
            self.bar.launching = False
        self.drafts.used(draft)
        self.draft = None  # nothing is kept for the next visit
        self.app.notify(f"{record.run_id} started")
        if self.app.screen is self:
            self.app.pop_screen()
            self.app.post_message(RunRequested(record.run_id))

    def _refuse(self, outlook: Outlook | None) -> None:
        """Show why the launch cannot be planned."""
        if outlook is not None and self.is_attached:
            self.outlook = outlook
            self.show_draft()
            if outlook.refused_key is None:
                self.show_error(outlook.refused)
            else:
                self._go_to_problem(outlook.refused_key)

    def _go_to_problem(self, key: str | None) -> None:
        """Focus the first field that is marked ✗, or the one of a key."""
        first = next((line.key for line in self.form.fields.lines if line.kind == "problem"), None)
        if key := first or key:
            self.go_to(key)
        self.app.notify("correct what is marked ✗ first", severity="warning")

    # --- other actions -------------------------------------------------------------------------------

    def action_reset(self) -> None:
        """Reset the field under the cursor to the config's value."""
        if self.form.fields.field is not None:
            self.form.stop_editing()
            self.type_value(self.form.fields.field.key, None)

    def action_reset_all(self) -> None:
        """Reset all fields; once more undoes it."""
        if self.draft is not None and not self.bar.launching:
            if self.drafts.reset_all(self.draft):
                self.app.notify("reset to the config's values: R undoes it")
            self.draft_changed()

    def action_save(self) -> None:
        """Ask for a name, and save the draft as a new config."""
        if self.draft is not None and not self.bar.launching:
            self.form.stop_editing()
            self.start("save", "save a config", self._save, self.draft)

    async def _save(self, draft: Draft) -> None:
        from tui.screens.dialogs import AskText

        name = self.drafts.free_name(draft.config)
        while True:
            chosen = await self.app.push_screen_wait(AskText("Save as a new config", name, yes="Save"))
            if chosen is None:
                return
            try:
                saved = await self.drafts.save(draft, chosen)
            except VfmError as error:
                self.app.notify(plain(str(error).replace("\n", " · ")), severity="error")
                name = chosen
            else:
                self.app.notify(plain(f"saved as {saved.config}"))
                self.aim(saved)
                await self.edit(saved)
                return

    def action_copy(self) -> None:
        """Copy the equivalent `vfm launch` command (OSC 52: also over ssh)."""
        self.start("copy", "copy the command", self._copy)

    async def _copy(self) -> None:
        outlook = await self.look()  # the plan that is shown may be older than the last key press
        if outlook is not None and outlook.plan is not None:
            copy(self, outlook.plan.command, "the command")
        else:
            self.app.notify("there is no command while the config has problems", severity="warning")

    def action_explain(self) -> None:
        """Show how each part of the memory was estimated."""
        self.query_one(PlanPanel).explain()
