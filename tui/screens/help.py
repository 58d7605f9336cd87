"""F1: help on the current screen, and every key that works there now.

The text is the screen's `HELP`; the keys are its active bindings.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from textual.app import App, ComposeResult
from textual.binding import ActiveBinding, Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen, Screen
from textual.widgets import Markdown, Static

from tui.screens.key_names import keys_of, place_of


@dataclass
class _Group:
    """The keys of one widget, screen or the app."""

    title: str
    rows: dict[str, tuple[list[str], str, bool]] = field(default_factory=dict)
    """Action → keys, description, whether it is enabled."""


class HelpScreen(ModalScreen[None]):
    """Help for the screen below."""

    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (120, "-wide")]  # noqa: RUF012 - Textual's own way
    DEFAULT_CSS = """
    HelpScreen { align: center middle; background: $background 60%; }
    HelpScreen #help {
        width: 1fr; max-width: 76; height: auto; max-height: 100%; margin: 1 2; padding: 1 2;
        background: $surface; border: round $primary; border-title-color: $primary;
        border-subtitle-color: $text-muted; scrollbar-gutter: stable;
    }
    HelpScreen.-wide #help { max-width: 116; layout: horizontal; }
    HelpScreen #words { height: auto; margin: 0; padding: 0; background: transparent; }
    HelpScreen.-wide #words { width: 1fr; margin-right: 4; }
    HelpScreen MarkdownHeader { margin: 0 0 1 0; content-align: left middle; }
    HelpScreen MarkdownTable { margin: 0 0 1 0; }
    HelpScreen MarkdownTableContent { keyline: none; grid-gutter: 0; background: transparent; }
    HelpScreen MarkdownTableContent > .cell, HelpScreen MarkdownTableContent > .header { padding: 0 2 0 0; }
    HelpScreen #keys { height: auto; width: 1fr; margin-top: 1; }
    HelpScreen.-wide #keys { margin-top: 0; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,f1,question_mark", "close", "Close", id="help.close"),
    ]

    def __init__(self, about: Screen[Any]) -> None:
        super().__init__()
        self._about = about
        self._groups = _groups(about.active_bindings.values(), about.app)

    def compose(self) -> ComposeResult:
        """Text, then keys; side by side where there is room."""
        with VerticalScroll(id="help") as box:
            box.border_title = f"Help · {self._about.title or 'this question'}"
            box.border_subtitle = "↑↓ scroll · esc close"
            if words := getattr(self._about, "HELP", "").strip():
                yield Markdown(words, id="words", open_links=False)
            yield Static(self._keys(), id="keys")

    def action_close(self) -> None:
        """Close the help."""
        self.dismiss()

    def _keys(self) -> Content:
        width = max((len(" ".join(keys)) for g in self._groups for keys, _, _ in g.rows.values()), default=0)
        lines: list[Content] = []
        for group in self._groups:
            lines += [Content(""), Content.styled(group.title, "bold $primary")] if lines else []
            lines = lines or [Content.styled(group.title, "bold $primary")]
            lines += [_row(*row, min(width, 16)) for row in group.rows.values()]
        return Content("\n").join(lines)


def _row(keys: list[str], description: str, enabled: bool, width: int) -> Content:
    shown = Content.styled(" ".join(keys).rjust(width), "bold $accent")
    return shown + Content.styled(f"  {description}", "" if enabled else "$text-muted")


def _groups(active: Iterable[ActiveBinding], app: App[Any]) -> list[_Group]:
    """Bindings by node, from the focused widget outwards; a node's inherited ones come last."""
    active = list(active)
    groups = {node: _Group(place_of(node)) for node, _, _, _ in active}
    for node, binding, enabled, _ in sorted(active, key=lambda one: one.binding.id is None):
        if binding.description and not binding.system:
            keys, _, _ = groups[node].rows.setdefault(binding.action, ([], binding.description, enabled))
            keys += [key for key in [keys_of(app, binding)] if key not in keys]
    return [group for group in groups.values() if group.rows]
