"""The launch form: pick a config, change it, see what will happen, launch.

Owns the way from a key press to a draft, from the draft to what is shown, and launching once. The draft
is `tui/config/draft.py`'s, the drafts of all configs are `drafts.py`'s, the look is the widgets'.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar, Literal

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Button, Input, Static

from tui.screens import requests as ask
from tui.screens.base import VfmScreen
from tui.screens.drafts import Drafts
from tui.widgets.config_list import ConfigList
from tui.widgets.form import Form
from tui.widgets.plan_panel import PlanPanel
from tui.widgets.switch import Switch
from tui.words import plain

if TYPE_CHECKING:
    from tui.config.draft import Draft, Field
    from tui.config.outlook import Outlook

Page = Literal["configs", "form", "plan"]
PAGES: tuple[Page, ...] = ("configs", "form", "plan")
SETTLE = 0.12
"""Seconds without a key press after which the plan is made anew."""


class LaunchScreen(VfmScreen):
    """Configs, form, plan."""

    TITLE = "launch"
    HELP = """\
# Launch

Pick a config at the left, change it in the middle, see at the right what will happen.

| key | |
|---|---|
| `ctrl+l` | launch |
| `ctrl+s` | save as a new config; comments and layout stay |
| `enter` | edit the field, or take its next choice |
| `←` `→` `space` | step through choices |
| `0`–`9` | begin a number anew |
| `ctrl+r` | reset the field to what the config says |
| `R` | reset all; once more brings it back |
| `/` | search keys, help and values; `escape` clears |
| `c` | only what is changed |
| `n` `N` | next, previous problem |
| `]` `[` | next, previous section |
| `f2` `f3` `f4` | configs, form, plan |
| `f5` `f6` | train or evaluate; local or Modal |
| `y` | copy the command that launches the same |
| `e` | say how each part of the memory was estimated |

The sign at the right says where a value comes from: `·` default, `≡` file, `⇒` `model.overrides`,
`✎` you, `✦` a failure's hint, `↻` the run that is run again. What you typed is kept when you leave.
"""
    DEFAULT_CSS = """
    LaunchScreen #bar { height: 1; background: $surface; padding: 0 1; }
    LaunchScreen #bar Switch { margin-right: 1; }
    LaunchScreen #space { width: 1fr; height: 1; color: $text-muted; text-align: right; padding: 0 1; }
    LaunchScreen #launch {
        height: 1; min-width: 18; border: none; background: $primary; color: $background; text-style: bold;
        padding: 0 1; background-tint: $foreground 0%;
        &:focus { background: $accent; text-style: bold; }
        &:hover { background: $accent; }
        &:disabled { background: $panel; color: $text-muted; }
    }
    LaunchScreen #trouble { height: auto; max-height: 6; color: $error; background: $surface; padding: 0 2; }
    LaunchScreen #pages { display: none; height: 1; background: $surface; padding: 0 1; }
    LaunchScreen #configs { width: 26; }
    LaunchScreen #form { width: 1fr; }
    LaunchScreen #plan { width: 38; }
    LaunchScreen.-wide #configs { width: 46; }
    LaunchScreen.-wide #plan { width: 64; }
    LaunchScreen.-narrow #pages { display: block; width: 1fr; }
    LaunchScreen.-narrow #configs, LaunchScreen.-narrow #form, LaunchScreen.-narrow #plan { display: none; }
    LaunchScreen.-narrow.-page-configs #configs { display: block; width: 1fr; }
    LaunchScreen.-narrow.-page-form #form { display: block; width: 1fr; }
    LaunchScreen.-narrow.-page-plan #plan { display: block; width: 1fr; }
    LaunchScreen.-narrow .panel, LaunchScreen.-narrow .panel:focus-within { border: none; padding: 0 1; }
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

    def __init__(self, message: ask.LaunchRequested) -> None:
        super().__init__(classes="-page-form")
        self._request = message
        self._draft: Draft | None = None
        self._outlook: Outlook | None = None
        self._launching = False
        self._settle: Timer | None = None
        self.is_settled = False
        """Whether the plan is that of what is typed."""

    @property
    def draft(self) -> Draft | None:
        """What would be launched; None while no config could be read."""
        return self._draft

    def body(self) -> ComposeResult:
        """The bar, what went wrong, and the three panes."""
        with Horizontal(id="bar"):
            yield Switch(("train", "evaluate"), "train", id="kind")
            yield Switch(("local", "modal"), self._request.backend or "local", "on", id="backend")
            yield Static("", id="space")
            yield Button(_label("Launch"), id="launch", compact=True)
        yield Static("", id="trouble", classes="-hidden")
        yield Switch(("configs", "form", "plan"), "form", "F2 F3 F4", id="pages")
        with Horizontal():
            configs = ConfigList(id="configs")
            form, plan = Form(id="form"), PlanPanel(id="plan")
            for pane, title in ((configs, "configs"), (form, "form"), (plan, "plan")):
                pane.add_class("panel")
                pane.border_title = title
                yield pane

    def on_mount(self) -> None:
        """The form comes as soon as the config is read."""
        self.drafts = Drafts(self.desk)
        self.query_one(Form).fields.focus()
        self.run_worker(self._open(), group="open", description="open the launch form", exit_on_error=False)

    # From requests and keys to the draft

    async def _open(self) -> None:
        from remote.contract.errors import VfmError

        try:
            draft = await self.drafts.open(self._request)
        except VfmError as error:
            self._trouble(error)
            self._show_configs()
            return
        self._show_configs()
        await self._take(draft)
        if key := self._request.field or next(iter(self._request.values), None):
            self._go_to(key)

    async def _choose(self, config: str | None) -> None:
        from remote.contract.errors import VfmError

        before = self._draft
        text = await self.drafts.text(config)
        self.query_one(ConfigList).preview(text)
        try:
            draft = await self.drafts.choose(config)
        except VfmError as error:
            self._show_broken(config, error)
            return
        if before is not None:
            draft.kind, draft.backend = before.kind, before.backend
        await self._take(draft)

    async def _take(self, draft: Draft) -> None:
        """Another draft is on the table."""
        from tui.config.model_shapes import SHAPES

        self._draft, self._outlook = draft, None
        self.query_one("#kind", Switch).value = draft.kind
        backend = self.query_one("#backend", Switch)
        backend.offer(tuple(dict.fromkeys(("local", "modal", draft.backend))))
        backend.value = draft.backend
        form = self.query_one(Form)
        form.border_title = plain(draft.config or "the defaults")
        self._changed()
        self.query_one(ConfigList).preview(await self.drafts.text(draft.config))
        environments = await asyncio.to_thread(self._environments)
        form.fields.options = {"training.environment": environments, "model.base_model": ("", *SHAPES)}
        form.fields.refresh()

    def _environments(self) -> list[str]:
        from tui.config.plan import list_environments

        return [name.replace("_", "-") for name in list_environments(self.desk.settings.project_dir)]

    @on(ConfigList.Chosen)
    def _config_chosen(self, event: ConfigList.Chosen) -> None:
        event.stop()
        self.run_worker(
            self._choose(event.config),
            group="open",
            description="read a config",
            exclusive=True,
            exit_on_error=False,
        )

    @on(ConfigList.Taken)
    def _config_taken(self, event: ConfigList.Taken) -> None:
        event.stop()
        self.action_page("form")

    @on(Form.Typed)
    def _typed(self, event: Form.Typed) -> None:
        event.stop()
        if self._draft is not None and not self._launching:
            self._draft.put(event.key, event.text)
            self._changed()

    @on(Form.Undone)
    def _undone(self, event: Form.Undone) -> None:
        event.stop()
        if self._draft is not None and not self._launching:
            if event.text is None:
                self._draft.reset(event.key)
            else:
                self._draft.put(event.key, event.text)
            self._changed()

    @on(Switch.Switched)
    def _switched(self, event: Switch.Switched) -> None:
        event.stop()
        if event.switch.id == "pages":
            self.action_page(
                "configs" if event.value == "configs" else "plan" if event.value == "plan" else "form"
            )
        elif self._draft is not None:
            if event.switch.id == "kind":
                self._draft.kind = "evaluate" if event.value == "evaluate" else "train"
            else:
                self._draft.backend = event.value
            self._changed()

    def action_reset(self) -> None:
        """The field under the cursor as the config has it."""
        form = self.query_one(Form)
        if self._draft is not None and form.fields.field is not None:
            form.stop_editing()
            self._draft.reset(form.fields.field.key)
            self._changed()

    def action_reset_all(self) -> None:
        """Everything as the config has it; once more brings back what was typed."""
        if self._draft is None:
            return
        if self._draft.typed:
            self.drafts.dropped = dict(self._draft.typed)
            self._draft.reset_all()
            self.desk.tell("reset to what the config says: R brings back what was typed")
        else:
            self._draft.type_again(self.drafts.dropped)
        self._changed()

    def action_switch(self, which: str) -> None:
        """Kind or backend."""
        self.query_one(f"#{which}", Switch).action_step(1)

    # From the draft to what is shown

    def _changed(self) -> None:
        """The draft changed: the fields at once, the plan when the typing pauses."""
        draft = self._draft
        if draft is None:
            return
        self.is_settled = False
        self._show_form()
        self._quiet()
        self.query_one(ConfigList).mark(draft.config, len(draft.typed))
        if not draft.is_sound:
            self._stop_settling()
            self._outlook = None
            self.query_one(PlanPanel).show_problems(len(draft.problems) + len(draft.general))
            return
        self._stop_settling()
        self._settle = self.set_timer(SETTLE if self._outlook else 0.001, self._look)

    def _stop_settling(self) -> None:
        if self._settle is not None:
            self._settle.stop()

    def _look(self) -> None:
        self.run_worker(self._make_plan(), group="plan", description="plan the launch", exit_on_error=False)

    async def _make_plan(self) -> None:
        """A plan that took longer than the next change is not shown: the newest one wins."""
        asked = self._asked()
        outlook = await self._outlook_now()
        if outlook is not None and asked == self._asked():
            self._outlook = outlook
            self.query_one(PlanPanel).show(outlook)
            self._show_form()
            self.is_settled = True

    def _asked(self) -> tuple[object, ...]:
        draft = self._draft
        return () if draft is None else (id(draft.resolved), draft.kind, draft.backend, draft.config)

    async def _outlook_now(self) -> Outlook | None:
        """The draft's outlook, from a thread; what is typed meanwhile is not in it."""
        from tui.config.outlook import look

        draft = self._draft
        if draft is None or draft.resolved is None:
            return None
        return await asyncio.to_thread(
            look,
            draft.resolved,
            self.desk.settings,
            kind=draft.kind,
            backend=draft.backend,
            config=draft.config,
        )

    def _show_form(self) -> None:
        from tui.config.schema import sections

        if self._draft is not None:
            self.query_one(Form).show(self._fields(self._draft), sections(), self._draft.general)
            self._show_state()

    def _fields(self, draft: Draft) -> list[Field]:
        """The draft's fields; what the plan refused stands beside its field like any other problem."""
        from dataclasses import replace

        refused = self._outlook if self._outlook and self._outlook.refused_key else None
        return [
            replace(field, problem=refused.refused)
            if refused and field.key == refused.refused_key and not field.problem
            else field
            for field in draft.fields()
        ]

    def _show_state(self) -> None:
        assert self._draft is not None
        form, typed = self.query_one(Form), len(self._draft.typed)
        wrong = len(self._draft.problems) + len(self._draft.general)
        wrong += bool(self._outlook and self._outlook.refused)
        mend, changed = ("", "") if self.has_class("-narrow") else (" to mend", " changed")
        states = [f"✗ {wrong}{mend}" if wrong else "", f"• {typed}{changed}" if typed else ""]
        self.query_one("#space", Static).update(Content("  ".join(filter(None, states))))
        shown = [
            f"{form.shown} fields" if form.query_text else "",
            "changed only" if form.changed_only else "",
        ]
        form.border_subtitle = "  ".join(filter(None, shown))

    def _show_broken(self, config: str | None, error: Exception) -> None:
        """A config that cannot be read: why, and no fields."""
        self._draft, self._outlook = None, None
        form = self.query_one(Form)
        form.border_title = plain(config or "")
        where = f"{self.desk.settings.project_dir}/"
        form.show((), {}, str(error).replace(where, "").splitlines())
        self.query_one("#space", Static).update("")
        self.query_one(PlanPanel).show_problems(0)

    def _show_configs(self) -> None:
        self.query_one(ConfigList).show(self.drafts.configs, self.drafts.chosen, self.drafts.typed())

    def _trouble(self, error: Exception) -> None:
        """What went wrong, above the panes."""
        line = self.query_one("#trouble", Static)
        line.update(Content(f"✗ {plain(str(error).replace(chr(10), ' · '))}"))
        line.set_class(False, "-hidden")

    def _quiet(self) -> None:
        self.query_one("#trouble", Static).set_class(True, "-hidden")

    # Panes

    def action_page(self, page: Page) -> None:
        """One of the three; where the terminal is narrow, in place of the others."""
        for other in PAGES:
            self.set_class(other == page, f"-page-{other}")
        self.query_one("#pages", Switch).value = page
        if page == "configs":
            self.query_one(ConfigList).focus_list()
        elif page == "form":
            self.query_one(Form).fields.focus()
        else:
            self.query_one(PlanPanel).focus()

    def action_next_pane(self, by: int) -> None:
        """The next thing that takes keys; where the terminal is narrow, the next page."""
        if self.has_class("-narrow"):
            here = next(page for page in PAGES if self.has_class(f"-page-{page}"))
            self.action_page(PAGES[(PAGES.index(here) + by) % len(PAGES)])
        elif by > 0:
            self.focus_next()
        else:
            self.focus_previous()

    def _go_to(self, key: str) -> None:
        from tui.config.draft import row_of

        self.action_page("form")
        self.query_one(Form).go_to(row_of(key) or key)

    # Launch, save, copy, leave

    @on(Button.Pressed, "#launch")
    def _pressed(self, event: Button.Pressed) -> None:
        event.stop()
        self.action_launch()

    def action_launch(self) -> None:
        """Launch, once, however often the key is pressed."""
        draft = self._draft
        if self._launching or draft is None:
            return
        if self.desk.readonly:
            self.desk.tell("read-only: cannot launch", "warning")
            return
        self.query_one(Form).stop_editing()
        if not draft.is_sound:
            self._to_first_problem(next(iter(draft.problems), None))
            return
        self._set_launching(True)
        self.run_worker(self._launch(draft), group="launch", description="launch a run", exit_on_error=False)

    def _to_first_problem(self, key: str | None) -> None:
        ordered = [
            line.key for line in self.query_one(Form).fields.lines if line.field and line.field.problem
        ]
        if first := (ordered[0] if ordered else key):
            self._go_to(first)
        self.desk.tell("mend what is marked ✗ first", "warning")

    async def _launch(self, draft: Draft) -> None:
        from remote.contract.errors import VfmError

        try:
            outlook = await self._outlook_now()
            if outlook is None or outlook.plan is None:
                self._refuse(outlook)
                return
            client = await self.desk.connect()
            record = await client.launch(outlook.plan)
        except VfmError as error:
            self._trouble(error)
            return
        finally:
            self._set_launching(False)
        self.drafts.used(draft)
        self._draft = None  # nothing to keep for the next visit
        self.desk.tell(f"{record.run_id} has started")
        if self.app.screen is self:
            self.app.pop_screen()
            self.app.post_message(ask.RunRequested(record.run_id))

    def _refuse(self, outlook: Outlook | None) -> None:
        if outlook is not None:
            self._outlook = outlook
            self.query_one(PlanPanel).show(outlook)
            self._show_form()
            self._to_first_problem(outlook.refused_key)

    def _set_launching(self, launching: bool) -> None:
        self._launching = launching
        if self.is_attached:
            button = self.query_one("#launch", Button)
            button.label = _label("launching…" if launching else "Launch", "" if launching else "^l")
            button.disabled = launching

    def action_save(self) -> None:
        """Ask for a name, then save."""
        if self._draft is not None and not self._launching:
            self.query_one(Form).stop_editing()
            self.run_worker(
                self._save(self._draft),
                group="save",
                description="save a config",
                exit_on_error=False,
            )

    async def _save(self, draft: Draft) -> None:
        from remote.contract.errors import VfmError
        from tui.screens.ask import AskText

        name = self.drafts.free_name(draft.config)
        while True:
            chosen = await self.app.push_screen_wait(AskText("Save as a new config", name, yes="Save"))
            if chosen is None:
                return
            try:
                config = await self.drafts.save(draft, chosen)
            except VfmError as error:
                self.desk.tell(plain(str(error).replace("\n", " · ")), "error")
                name = chosen
            else:
                self.desk.tell(f"saved as {config}")
                made = await self.drafts.choose(config)
                self._show_configs()
                await self._take(made)
                return

    def action_copy(self) -> None:
        """The command, to the clipboard of the user's own terminal (OSC 52)."""
        if self._outlook is not None and self._outlook.plan is not None:
            self.app.copy_to_clipboard(self._outlook.plan.command)
            self.desk.tell("copied the command")
        else:
            self.desk.tell("there is no command while something is wrong", "warning")

    def action_explain(self) -> None:
        """How each part of the memory was estimated."""
        self.query_one(PlanPanel).explain()

    def on_unmount(self) -> None:
        """However the form goes, what was typed is there the next time."""
        if self._draft is not None:
            self.drafts.leave(self._draft)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Letters belong to the input that is typed into."""
        return not (action in ("reset_all", "copy", "explain") and isinstance(self.focused, Input))


def _label(text: str, key: str = "^l") -> Content:
    return Content.assemble(f"▶ {text}", (f"  {key}" if key else "", "dim"))
