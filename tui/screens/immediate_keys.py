"""Act on a key before the next one is read.

Textual passes a key through every widget first, and keys that arrive together, as over a slow line, overtake
what it does: the letters after `/` would be keys of the screen.
"""

from __future__ import annotations

from typing import Any

from textual.app import App
from textual.events import Key


async def handle_at_once(app: App[Any], event: Key) -> bool:
    """Handle a key now; False leaves it to Textual."""
    if event.is_forwarded:
        return False
    return _type_into_input(app, event) or await _run_binding(app, event.key)


def _type_into_input(app: App[Any], event: Key) -> bool:
    """Give letters to the focused input, whatever the user's settings bind; Textual asks bindings first."""
    focused = app.focused
    if focused is None or not event.is_printable:
        return False
    if not focused.check_consume_key(event.key, event.character):
        return False
    focused._forward_event(event)
    return True


async def _run_binding(app: App[Any], key: str) -> bool:
    """Run the binding of a key, unless an input has the focus or a widget is maximized."""
    in_input = app.focused is not None and app.focused.check_consume_key("a", "a")
    if in_input or app.screen.maximized is not None:
        return False
    return await app._check_bindings(key, priority=True) or await app._check_bindings(key)
