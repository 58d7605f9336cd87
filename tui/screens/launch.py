"""The launch form: pick a config, change it, see what will happen, launch.

Owns the way from a key press to a draft, from the draft to what is shown, and launching once. The draft
is `tui/planning/draft.py`'s, the drafts of all configs are `drafts.py`'s, the look is the widgets'.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Input, Static

from tui.screens import help_texts, requests
from tui.screens.frame import VfmScreen
from tui.screens.launch_drafts import LaunchDrafts
from tui.text.format import plain
from tui.widgets.common.choice import Choice
from tui.widgets.common.clipboard import copy
from tui.widgets.launch.bar import LaunchBar
from tui.widgets.launch.config_list import ConfigList
from tui.widgets.launch.form import Form
from tui.widgets.launch.plan_panel import PlanPanel

if TYPE_CHECKING:
    from tui.planning.draft import Draft
    from tui.planning.preview import Outlook

PAGES = ("configs", "form", "plan")
SETTLE = 0.12
"""Seconds without a key press after which the plan is made anew."""


class LaunchScreen(VfmScreen):
    """Configs, form, plan."""

    TITLE, HELP = "launch", help_texts.LAUNCH
    DEFAULT_CSS = """
    LaunchScreen #trouble { height: auto; max-height: 6; color: $error; background: $surface; padding: 0 2; }
    LaunchScreen #pages { display: none; height: 1; background: $surface; padding: 0 1; }
    LaunchScreen #configs { width: 26; }
    LaunchScreen #form { width: 1fr; }
    LaunchScreen #plan { width: 38; }
    LaunchScreen.-wide #configs { width: 46; }
    LaunchScreen.-wide #plan { width: 64; }
    LaunchScreen.-narrow #pages { display: block; width: 1fr; }
    LaunchScreen.-narrow .panel { display: none; }
    LaunchScreen.-narrow .panel, LaunchScreen.-narrow .panel:focus-within { border: none; padding: 0 1; }
    LaunchScreen.-narrow.-page-configs #configs, LaunchScreen.-narrow.-page-form #form,
    LaunchScreen.-narrow.-page-plan #plan { display: block; width: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+l", "launch", "Launch", priority=True, id="launch.launch"),
        Binding("ctrl+s", "save", "Save as", priority=True, id="launch.save"),
        Binding("ctrl+r", "reset", "Reset field", priority=True, id="launch.reset"),
        Binding("R", "reset_all", "Reset all, or bring it back", show=False, id="launch.reset_all"),
        Binding("y", "copy", "Copy the command", show=False, id="launch.copy"),
        Binding("e", "explain", "How memory is estimated", show=False, id="launch.explain"),
        Binding("f2", "page('configs')", "Configs", show=False, id="launch.configs"),
        Binding("f3", "page('form')", "Form", show=False, id="launch.form"),
        Binding("f4", "page('plan')", "Plan", show=False, id="launch.plan"),
        Binding("f5", "switch('kind')", "Train or evaluate", show=False, id="launch.kind"),
        Binding("f6", "switch('backend')", "Backend", show=False, id="launch.backend"),
        Binding("tab", "next_pane(1)", "Next pane", show=False, id="launch.next_pane"),
        Binding("shift+tab", "next_pane(-1)", "Previous pane", show=False, id="launch.previous_pane"),
    ]
    AUTO_FOCUS = ""

    def __init__(self, message: requests.LaunchRequested) -> None:
        super().__init__(classes="-page-form")
        self._request = message
        self.draft: Draft | None = None
        """What would be launched; None while no config could be read."""
        self._outlook: Outlook | None = None
        self.is_settled = False
        """Whether the plan is that of what is typed."""

    @property
    def _bar(self) -> LaunchBar:
        return self.query_one(LaunchBar)

    @property
    def _form(self) -> Form:
        return self.query_one(Form)

    def body(self) -> ComposeResult:
        """The bar, what went wrong, and the three panes."""
        yield LaunchBar(self._request.backend or "local")
        yield Static("", id="trouble", classes="-hidden")
        yield Choice(PAGES, "form", "F2 F3 F4", id="pages")
        with Horizontal():
            for title, pane in zip(PAGES, (ConfigList, Form, PlanPanel), strict=True):
                made = pane(id=title, classes="panel")
                made.border_title = title
                yield made

    def on_mount(self) -> None:
        """The form comes as soon as the config is read."""
        self.drafts = LaunchDrafts(self.app)
        self._form.focus()
        self._work("open", "open the launch form", self._open)

    def _work(self, group: str, what: str, do: Callable[..., Awaitable[None]], *args: Any) -> None:
        """Do it beside what goes on; the newest of a group takes the place of those before."""
        self.run_worker(
            partial(do, *args), group=group, description=what, exclusive=True, exit_on_error=False
        )

    # From requests and keys to the draft

    async def _open(self) -> None:
        if draft := await self._read(self.drafts.open(self._request)):
            await self._take(draft)
            if key := self._request.field or next(iter(self._request.values), None):
                self._go_to(key)

    async def _choose(self, config: str | None) -> None:
        if draft := await self._read(self.drafts.choose(config)):
            self._aim(draft)
            await self._take(draft)

    async def _read(self, draft: Awaitable[Draft]) -> Draft | None:
        """A draft; where there is none, the reason stands in the place of its fields."""
        from remote.contract.errors import VfmError

        try:
            return await draft
        except VfmError as error:
            await self._take_broken(self.drafts.chosen, error)
            return None

    def _aim(self, draft: Draft) -> None:
        """As the bar says: what is chosen there holds for the next config too."""
        draft.kind, draft.backend = self._bar.kind, self._bar.backend

    async def _take(self, draft: Draft) -> None:
        """Another draft is on the table; shown at one go, since each layout costs a frame."""
        text, choices = await self.drafts.text(draft.config), await self.drafts.choices()
        self.draft, self._outlook = draft, None
        self._bar.aim(draft.kind, draft.backend)
        self._form.fields.options = choices
        self._form.border_title = plain(draft.config or "the defaults")
        self._list_configs(text)
        self._changed()

    async def _take_broken(self, config: str | None, error: Exception) -> None:
        """What cannot be read: why, and no fields."""
        text = await self.drafts.text(config)
        self.workers.cancel_group(self, "plan")
        self.draft, self._outlook = None, None
        self._list_configs(text)
        self._form.border_title = plain(config or "form")
        self._form.show((), {}, str(error).replace(f"{self.app.settings.project_dir}/", "").splitlines())
        self._bar.say()
        self.query_one(PlanPanel).show_problems(0)

    def _list_configs(self, preview: str) -> None:
        configs = self.query_one(ConfigList)
        configs.show(self.drafts.configs, self.drafts.chosen, self.drafts.typed())
        configs.preview(preview)

    @on(ConfigList.Chosen)
    def _config_chosen(self, event: ConfigList.Chosen) -> None:
        event.stop()
        self._work("open", "read a config", self._choose, event.config)

    @on(ConfigList.Taken)
    def _config_taken(self, event: ConfigList.Taken) -> None:
        event.stop()
        self.action_page("form")

    @on(Form.Typed)
    def _typed(self, event: Form.Typed) -> None:
        event.stop()
        if self.draft is not None and not self._bar.launching:
            if event.text is None:
                self.draft.reset(event.key)
            else:
                self.draft.put(event.key, event.text)
            self._changed()

    @on(Choice.Changed)
    def _page_switched(self, event: Choice.Changed) -> None:
        event.stop()
        self.action_page(event.value)

    @on(LaunchBar.Aimed)
    def _aimed(self) -> None:
        if self.draft is not None:
            self._aim(self.draft)
            self._changed()

    def action_switch(self, which: str) -> None:
        """Kind or backend."""
        self._bar.step(which)

    def action_reset(self) -> None:
        """The field under the cursor as the config has it."""
        if self._form.fields.field is not None:
            self._form.stop_editing()
            self._typed(Form.Typed(self._form.fields.field.key, None))

    def action_reset_all(self) -> None:
        """Everything as the config has it; once more brings back what was typed."""
        if self.draft is not None and not self._bar.launching:
            if self.drafts.reset_all(self.draft):
                self.app.notify("reset to what the config says: R brings back what was typed")
            self._changed()

    # From the draft to what is shown

    def _changed(self) -> None:
        """The draft is another one, or changed: show it at once, and plan it when the typing pauses."""
        assert self.draft is not None
        self.is_settled = False
        if not self.draft.is_sound:
            self._outlook = None
        self._tell_trouble("")
        self._show()
        self._work("plan", "plan the launch", self._plan, SETTLE if self._outlook else 0)

    async def _plan(self, pause: float) -> None:
        await asyncio.sleep(pause)
        if outlook := await self._look():
            self._outlook, self.is_settled = outlook, True
            self._show()

    async def _look(self) -> Outlook | None:
        """The draft's outlook, from a thread; what is typed meanwhile is not in it."""
        return await self.drafts.look(self.draft) if self.draft and self.draft.is_sound else None

    def _show(self) -> None:
        """What there is of the draft and its outlook."""
        from tui.config.schema import sections
        from tui.planning.preview import fields_of

        draft, outlook = self.draft, self._outlook
        if draft is None:
            return
        self._form.show(fields_of(draft, outlook), sections(), draft.general)
        self.query_one(ConfigList).mark(draft.config, len(draft.typed))
        if outlook is not None:
            self.query_one(PlanPanel).show(outlook)
        elif not draft.is_sound:
            self.query_one(PlanPanel).show_problems(draft.wrong)
        self._bar.say(draft.wrong + bool(outlook and outlook.refused), len(draft.typed))

    def _tell_trouble(self, trouble: Exception | str) -> None:
        """What went wrong, above the panes; nothing takes it away."""
        line, text = self.query_one("#trouble", Static), str(trouble).replace("\n", " · ")
        if text:
            line.update(Content(f"✗ {plain(text)}"))
        line.set_class(not text, "-hidden")

    # Panes

    def action_page(self, page: str) -> None:
        """One of the three; where the terminal is narrow, in place of the others."""
        for other in PAGES:
            self.set_class(other == page, f"-page-{other}")
        self.query_one("#pages", Choice).value = page
        self.query_one(f"#{page}").focus()

    def action_next_pane(self, by: int) -> None:
        """The next thing that takes keys; where the terminal is narrow, the next page."""
        if self.has_class("-narrow"):
            here = PAGES.index(self.query_one("#pages", Choice).value)
            self.action_page(PAGES[(here + by) % len(PAGES)])
        elif by > 0:
            self.focus_next()
        else:
            self.focus_previous()

    def _go_to(self, key: str) -> None:
        from tui.planning.draft import row_of

        self.action_page("form")
        self._form.go_to(row_of(key) or key)

    # Launch, save, copy, leave

    @on(LaunchBar.Pressed)
    def action_launch(self) -> None:
        """Launch, once, however often the key is pressed."""
        draft = self.draft
        if self._bar.launching or draft is None:
            return
        if self.app.readonly:
            self.app.notify("read-only: cannot launch", severity="warning")
            return
        self._form.stop_editing()
        if not draft.is_sound:
            self._to_first_problem(next(iter(draft.problems), None))
            return
        self._bar.launching = True
        # The app's worker: a launch that has begun goes on when somebody leaves the form.
        self.app.run_worker(
            self._launch(draft), group="launch", description="launch a run", exit_on_error=False
        )

    def _to_first_problem(self, key: str | None) -> None:
        first = next((line.key for line in self._form.fields.lines if line.kind == "problem"), None)
        if key := first or key:
            self._go_to(key)
        self.app.notify("mend what is marked ✗ first", severity="warning")

    async def _launch(self, draft: Draft) -> None:
        from remote.contract.errors import VfmError
        from tui.screens.confirm_price import confirm_price

        bar = self._bar
        try:
            outlook = await self._look()
            if outlook is None or outlook.plan is None:
                self._refuse(outlook)
                return
            if not await confirm_price(self.app, [outlook.plan]):
                return
            client = await self.app.connect()
            record = await client.launch(outlook.plan)
        except VfmError as error:
            if self.is_attached:
                self._tell_trouble(error)
            else:
                self.app.notify(plain(f"not launched: {error}"), severity="error")
            return
        finally:
            bar.launching = False
        self.drafts.used(draft)
        self.draft = None  # nothing to keep for the next visit
        self.app.notify(f"{record.run_id} has started")
        if self.app.screen is self:
            self.app.pop_screen()
            self.app.post_message(requests.RunRequested(record.run_id))

    def _refuse(self, outlook: Outlook | None) -> None:
        if outlook is not None and self.is_attached:
            self._outlook = outlook
            self._show()
            if outlook.refused_key is None:  # no field is marked: it stands in the plan, if anywhere
                self._tell_trouble(outlook.refused)
            else:
                self._to_first_problem(outlook.refused_key)

    def action_save(self) -> None:
        """Ask for a name, then save."""
        if self.draft is not None and not self._bar.launching:
            self._form.stop_editing()
            self._work("save", "save a config", self._save, self.draft)

    async def _save(self, draft: Draft) -> None:
        from remote.contract.errors import VfmError
        from tui.screens.dialogs import AskText

        name = self.drafts.free_name(draft.config)
        while True:
            chosen = await self.app.push_screen_wait(AskText("Save as a new config", name, yes="Save"))
            if chosen is None:
                return
            try:
                made = await self.drafts.save(draft, chosen)
            except VfmError as error:
                self.app.notify(plain(str(error).replace("\n", " · ")), severity="error")
                name = chosen
            else:
                self.app.notify(plain(f"saved as {made.config}"))
                self._aim(made)
                await self._take(made)
                return

    def action_copy(self) -> None:
        """The command, to the clipboard of the user's own terminal (OSC 52)."""
        self._work("copy", "copy the command", self._copy)

    async def _copy(self) -> None:
        outlook = await self._look()  # what is shown may still be of the last key but one
        if outlook is not None and outlook.plan is not None:
            copy(self, outlook.plan.command, "the command")
        else:
            self.app.notify("there is no command while something is wrong", severity="warning")

    def action_explain(self) -> None:
        """How each part of the memory was estimated."""
        self.query_one(PlanPanel).explain()

    def on_unmount(self) -> None:
        """However the form goes, what was typed is there the next time."""
        if self.draft is not None:
            self.drafts.leave(self.draft)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Letters belong to the input that is typed into; a field is reset where it is seen."""
        if action == "reset":
            return any(form.has_focus_within for form in self.query(Form))
        return not (action in ("reset_all", "copy", "explain") and isinstance(self.focused, Input))
