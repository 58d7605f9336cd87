"""Names of keys and places, in the help and in the palette."""

from __future__ import annotations

import re
from typing import Any

from textual.app import App
from textual.binding import Binding
from textual.dom import DOMNode
from textual.screen import Screen


def keys_of(app: App[Any], binding: Binding) -> str:
    """A key as the footer shows it: `^p`, `f1`, `⏎`."""
    return app.get_key_display(binding)


def place_of(node: DOMNode) -> str:
    """Where a binding works: `Everywhere`, `This screen`, or the widget's name in words."""
    if isinstance(node, App):
        return "Everywhere"
    if isinstance(node, Screen):
        return "This screen"
    if node.BINDING_GROUP_TITLE:
        return node.BINDING_GROUP_TITLE
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(node).__name__.strip("_"))
    return name.capitalize()
