"""The launch form as an editor: configs at the left, the fields of one in the middle, its plan at the right.

`tui/planning/draft.py` is a config with what was typed over it; `launch_drafts.py` keeps one of each config.
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
from textual.widget import Widget
from textual.widgets import Static

from remote.contract.errors import VfmError
from tui.screens.frame import VfmScreen
from tui.screens.launch_drafts import LaunchDrafts
from tui.screens.requests import LaunchRequested
from tui.text.format import plain
from tui.widgets.common.choice import Choice
from tui.widgets.launch.bar import LaunchBar
from tui.widgets.launch.config_list import ConfigList
from tui.widgets.launch.form import Form
from tui.widgets.launch.plan_panel import PlanPanel

if TYPE_CHECKING:
    from tui.planning.draft import Draft
    from tui.planning.preview import Outlook

PAGES = ("configs", "form", "plan")
SETTLE = 0.12
"""Seconds without a key press after which the plan is made again."""


class LaunchEditor(VfmScreen):
    """Configs, form, plan."""

    DEFAULT_CSS = """
    LaunchEditor #launch-error {
        height: auto; max-height: 6; color: $error; background: $surface; padding: 0 2;
    }
    LaunchEditor #pages { display: none; height: 1; background: $surface; padding: 0 1; }
    LaunchEditor #configs { width: 26; }
    LaunchEditor #form { width: 1fr; }
    LaunchEditor #plan { width: 38; }
    LaunchEditor.-wide #configs { width: 46; }
    LaunchEditor.-wide #plan { width: 64; }
    LaunchEditor.-narrow #pages { display: block; width: 1fr; }
    LaunchEditor.-narrow .panel { display: none; }
    LaunchEditor.-narrow .panel, LaunchEditor.-narrow .panel:focus-within { border: none; padding: 0 1; }
    LaunchEditor.-narrow.-page-configs #configs, LaunchEditor.-narrow.-page-form #form,
    LaunchEditor.-narrow.-page-plan #plan { display: block; width: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f2", "page('configs')", "Configs", show=False, id="launch.configs"),
        Binding("f3", "page('form')", "Form", show=False, id="launch.form"),
        Binding("f4", "page('plan')", "Plan", show=False, id="launch.plan"),
        Binding("f5", "switch('kind')", "Train or evaluate", show=False, id="launch.kind"),
        Binding("f6", "switch('backend')", "Backend", show=False, id="launch.backend"),
        Binding("tab", "next_pane(1)", "Next pane", show=False, id="launch.next_pane"),
        Binding("shift+tab", "next_pane(-1)", "Previous pane", show=False, id="launch.previous_pane"),
    ]
    AUTO_FOCUS = ""

    def __init__(self, message: LaunchRequested) -> None:
        super().__init__(classes="-page-form")
        self._request = message
        self.draft: Draft | None = None
        """The config being edited; None while none could be read."""
        self.outlook: Outlook | None = None
        """Preview of the launch; None until the draft is planned."""
        self.is_settled = False
        """Whether the plan is that of what is typed."""
        self.bar = LaunchBar(message.backend or "local")
        self.form = Form(id="form", classes="panel")

    def body(self) -> ComposeResult:
        """Bar, error, and the three panes."""
        yield self.bar
        yield Static("", id="launch-error", classes="-hidden")
        yield Choice(PAGES, "form", "F2 F3 F4", id="pages")
        with Horizontal():
            panes = (
                ConfigList(id="configs", classes="panel"),
                self.form,
                PlanPanel(id="plan", classes="panel"),
            )
            for title, pane in zip(PAGES, panes, strict=True):
                pane.border_title = title
                yield pane

    def on_mount(self) -> None:
        """Read the config; the form follows."""
        self.drafts = LaunchDrafts(self.app)
        self.form.focus()
        self.start("open", "open the launch form", self._open)

    def start(self, group: str, what: str, do: Callable[..., Awaitable[None]], *args: Any) -> None:
        """Do something in a worker; a newer one of the same group replaces it."""
        self.run_worker(
            partial(do, *args), group=group, description=what, exclusive=True, exit_on_error=False
        )

    # --- choosing a config ---------------------------------------------------------------------------

    async def _open(self) -> None:
        if draft := await self._read(self.drafts.open(self._request)):
            await self.edit(draft)
            if key := self._request.field or next(iter(self._request.values), None):
                self.go_to(key)

    async def _choose(self, config: str | None) -> None:
        if draft := await self._read(self.drafts.choose(config)):
            self.aim(draft)
            await self.edit(draft)

    async def _read(self, draft: Awaitable[Draft]) -> Draft | None:
        """A draft; or None, with the error in place of its fields."""
        try:
            return await draft
        except VfmError as error:
            await self._edit_nothing(self.drafts.chosen, error)
            return None

    def aim(self, draft: Draft) -> None:
        """Set a draft's kind and backend to those of the bar, which hold for the next config too."""
        draft.kind, draft.backend = self.bar.kind, self.bar.backend

    async def edit(self, draft: Draft) -> None:
        """Edit another draft; shown all at once, since each layout takes a frame."""
        text, choices = await self.drafts.text(draft.config), await self.drafts.choices()
        self.draft, self.outlook = draft, None
        self.bar.aim(draft.kind, draft.backend)
        self.form.fields.options = choices
        self.form.border_title = plain(draft.config or "the defaults")
        self._list_configs(text)
        self.draft_changed()

    async def _edit_nothing(self, config: str | None, error: VfmError) -> None:
        """Show why a config cannot be read."""
        text = await self.drafts.text(config)
        self.workers.cancel_group(self, "plan")
        self.draft, self.outlook = None, None
        self._list_configs(text)
        self.form.border_title = plain(config or "form")
        self.form.show((), {}, str(error).replace(f"{self.app.settings.project_dir}/", "").splitlines())
        self.bar.say()
        self.query_one(PlanPanel).show_problems(0)

    def _list_configs(self, preview: str) -> None:
        configs = self.query_one(ConfigList)
        configs.show(self.drafts.configs, self.drafts.chosen, self.drafts.typed())
        configs.preview(preview)

    @on(ConfigList.Chosen)
    def _config_chosen(self, event: ConfigList.Chosen) -> None:
        event.stop()
        self.start("open", "read a config", self._choose, event.config)

    @on(ConfigList.Taken)
    def _config_taken(self, event: ConfigList.Taken) -> None:
        event.stop()
        self.action_page("form")

    # --- editing -------------------------------------------------------------------------------------

    @on(Form.Typed)
    def _typed(self, event: Form.Typed) -> None:
        event.stop()
        self.type_value(event.key, event.text)

    def type_value(self, key: str, text: str | None) -> None:
        """Set a field of the draft, or reset it (None)."""
        if self.draft is not None and not self.bar.launching:
            if text is None:
                self.draft.reset(key)
            else:
                self.draft.put(key, text)
            self.draft_changed()

    @on(LaunchBar.Aimed)
    def _aimed(self) -> None:
        if self.draft is not None:
            self.aim(self.draft)
            self.draft_changed()

    def action_switch(self, which: str) -> None:
        """Switch the kind or the backend."""
        self.bar.step(which)

    # --- planning ------------------------------------------------------------------------------------

    def draft_changed(self) -> None:
        """Show the draft at once, and plan it when typing pauses."""
        assert self.draft is not None
        self.is_settled = False
        if not self.draft.is_sound:
            self.outlook = None
        self.show_error("")
        self.show_draft()
        self.start("plan", "plan the launch", self._plan, SETTLE if self.outlook else 0)

    async def _plan(self, pause: float) -> None:
        await asyncio.sleep(pause)
        if outlook := await self.look():
            self.outlook, self.is_settled = outlook, True
            self.show_draft()

    async def look(self) -> Outlook | None:
        """Preview the launch of the present draft, in a thread; None if the draft has problems."""
        return await self.drafts.look(self.draft) if self.draft and self.draft.is_sound else None

    def show_draft(self) -> None:
        """Show the draft and its preview."""
        from tui.config.schema import sections
        from tui.planning.preview import fields_of

        draft, outlook = self.draft, self.outlook
        if draft is None:
            return
        self.form.show(fields_of(draft, outlook), sections(), draft.general)
        self.query_one(ConfigList).mark(draft.config, len(draft.typed))
        if outlook is not None:
            self.query_one(PlanPanel).show(outlook)
        elif not draft.is_sound:
            self.query_one(PlanPanel).show_problems(draft.wrong)
        self.bar.say(draft.wrong + bool(outlook and outlook.refused), len(draft.typed))

    def show_error(self, error: Exception | str) -> None:
        """Show an error above the panes, until something is typed."""
        line, text = self.query_one("#launch-error", Static), str(error).replace("\n", " · ")
        if text:
            line.update(Content(f"✗ {plain(text)}"))
        line.set_class(not text, "-hidden")

    # --- panes ---------------------------------------------------------------------------------------

    @on(Choice.Changed)
    def _page_chosen(self, event: Choice.Changed) -> None:
        event.stop()
        self.action_page(event.value)

    def action_page(self, page: str) -> None:
        """Focus a pane; on a narrow terminal, show it in place of the others."""
        for other in PAGES:
            self.set_class(other == page, f"-page-{other}")
        self.query_one("#pages", Choice).value = page
        self.query_one(f"#{page}").focus()

    def action_next_pane(self, by: int) -> None:
        """Focus the next widget; on a narrow terminal, show the next pane."""
        if self.has_class("-narrow"):
            at = PAGES.index(self.query_one("#pages", Choice).value)
            self.action_page(PAGES[(at + by) % len(PAGES)])
        elif by > 0:
            self.focus_next()
        else:
            self.focus_previous()

    def go_to(self, key: str) -> None:
        """Focus the field of a config key."""
        from tui.planning.draft import row_of

        self.action_page("form")
        self.form.go_to(row_of(key) or key)


def _titled(pane: Widget) -> Widget:
    pane.border_title = pane.id
    return pane
