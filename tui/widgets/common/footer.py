"""The line at the bottom: the keys that work now, as many as fit, then help and commands.

One widget draws the line, since it changes with every change of focus and must be quick.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from textual.app import RenderResult
from textual.binding import ActiveBinding
from textual.content import Content
from textual.events import Click
from textual.widget import Widget

_ALWAYS = (("help", "Help"), ("command_palette", "Commands"))
_GAP = 2


@dataclass(frozen=True)
class _Item:
    """A key and its description."""

    key: str
    content: Content
    start: int = 0

    @property
    def end(self) -> int:
        return self.start + self.content.cell_length


class VfmFooter(Widget):
    """Keys of the focused widget first, then the screen's, then the app's."""

    DEFAULT_CSS = """
    VfmFooter { dock: bottom; height: 1; padding: 0 1; background: $panel; color: $foreground; }
    """
    ALLOW_SELECT = False

    def __init__(self) -> None:
        super().__init__()
        self._items: list[_Item] = []

    def on_mount(self) -> None:
        """Redraw whenever other keys work."""
        self.screen.bindings_updated_signal.subscribe(self, lambda _: self.refresh())

    def render(self) -> RenderResult:
        """The keys that fit, and an ellipsis if there are more."""
        width = self.content_size.width
        right = self._laid(list(self._constant()), 0)
        rest = width - (right[-1].end + _GAP if right else 0)
        left = list(self._shown())
        fitting = self._laid(left, 0)
        while fitting and fitting[-1].end > rest - (2 if len(fitting) < len(left) else 0):
            fitting.pop()
        line = _joined(fitting)
        if len(fitting) < len(left):
            line = line + Content.styled(" …" if fitting else "…", "$text-muted")
        shift = width - (right[-1].end if right else 0)
        self._items = [*fitting, *(_Item(i.key, i.content, i.start + shift) for i in right)]
        return line + Content(" " * max(shift - line.cell_length, 0)) + _joined(right)

    def on_click(self, event: Click) -> None:
        """Press the clicked key."""
        spot = event.get_content_offset(self)
        for item in self._items:
            if spot and item.start <= spot.x < item.end:
                self.app.simulate_key(item.key)

    def _shown(self) -> Iterator[_Item]:
        seen: set[str] = set()
        for active in self.screen.active_bindings.values():
            action = active.binding.action
            if active.binding.show and active.binding.description and action not in seen:
                seen.add(action)
                yield self._item(active, active.binding.description)

    def _constant(self) -> Iterator[_Item]:
        """Help and commands, which are always shown."""
        by_action = {
            active.binding.action: active for active in reversed(self.screen.active_bindings.values())
        }
        for action, name in _ALWAYS:
            if active := by_action.get(action):
                yield self._item(active, name)

    def _item(self, active: ActiveBinding, name: str) -> _Item:
        dim = "" if active.enabled else " dim"
        key = Content.styled(self.app.get_key_display(active.binding), f"bold $footer-key-foreground{dim}")
        return _Item(
            active.binding.key, key + Content.styled(f" {name}", f"$footer-description-foreground{dim}")
        )

    @staticmethod
    def _laid(items: list[_Item], start: int) -> list[_Item]:
        laid = []
        for item in items:
            laid.append(_Item(item.key, item.content, start))
            start = laid[-1].end + _GAP
        return laid


def _joined(items: list[_Item]) -> Content:
    return Content(" " * _GAP).join(item.content for item in items)
