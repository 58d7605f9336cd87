"""The plan at the right of the launch form; `plan_text.py` formats it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from tui.widgets.launch.plan_text import plan_text, problem_text

if TYPE_CHECKING:
    from tui.planning.preview import Outlook


class PlanPanel(VerticalScroll):
    """The plan of a launch."""

    DEFAULT_CSS = """
    PlanPanel { background: $background; scrollbar-size-vertical: 1; scrollbar-gutter: stable; }
    PlanPanel > Static { height: auto; width: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "scroll_down", "Down", show=False, id="plan.down"),
        Binding("k", "scroll_up", "Up", show=False, id="plan.up"),
    ]

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.outlook: Outlook | None = None
        """The preview that is shown; None while the form has problems."""
        self._problems: int | None = None
        self._explain = False

    def compose(self) -> ComposeResult:
        """The text."""
        yield Static(Content.styled("…", "$text-muted"))

    def show(self, outlook: Outlook) -> None:
        """Show a plan."""
        self.outlook, self._problems = outlook, None
        self._draw()

    def show_problems(self, count: int) -> None:
        """Show the number of problems in place of a plan; 0: there is no config."""
        self.outlook, self._problems = None, count
        self._draw()

    def explain(self) -> None:
        """Show or hide how each part of the memory was estimated."""
        self._explain = not self._explain
        self._draw()

    def on_resize(self) -> None:
        """Fit the text to the new width."""
        if self.outlook is not None:
            self._draw()

    def _draw(self) -> None:
        text = self.query_one(Static)
        if self.outlook is not None:
            width = max(self.scrollable_content_region.width, 20)
            text.update(plan_text(self.outlook, width, explain=self._explain))
        elif self._problems is not None:
            text.update(problem_text(self._problems))
