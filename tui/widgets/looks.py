"""How the named parts of a widget that draws its own lines look.

Owns mixing a part's colours with what lies behind. Which parts there are is each widget's.
"""

from __future__ import annotations

from rich.style import Style
from textual.widget import Widget


class Looks:
    """The component classes `prefix--…` of a widget as styles. To be cleared when its styles change."""

    def __init__(self, widget: Widget, prefix: str) -> None:
        self._widget, self._prefix = widget, prefix
        self._known: dict[str, Style] = {}

    def __call__(self, name: str) -> Style:
        """The look of a part; one that the widget does not know looks like any text."""
        if name not in self._known:
            self._known[name] = self._made(f"{self._prefix}--{name}")
        return self._known[name]

    def clear(self) -> None:
        """Colours have changed."""
        self._known.clear()

    def _made(self, name: str) -> Style:
        """Theme colours such as `$text-muted` are made for what lies behind: read without it, they are white.

        A background counts only where it is the part's own.
        """
        try:
            own = self._widget.get_component_styles(name)
        except KeyError:
            return Style.null()
        mixed = self._widget.get_visual_style(name).rich_style
        background = mixed.bgcolor if own.has_rule("background") else None
        return Style(color=mixed.color, bgcolor=background) + own.text_style
