"""What `settings.toml` does to the running app: keys, theme, signs; and telling what it got wrong.

Owns applying and telling. `tui/user/preferences.py` reads; `tui/user/keymap.py` knows the names.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from tui.text.format import PLAIN_SIGNS, STATUS_SIGNS, plain
from tui.user.preferences import NAME, unknown

if TYPE_CHECKING:
    from textual.binding import Binding

    from tui.screens.app_base import Desk

EXAMPLE = "settings.example.toml"
_MOST = 3  # mistakes that toasts tell one by one; the doctor has all of them


class UserSettings:
    """The user's file, at work in one app."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._told: set[tuple[str, str]] = set()

    def apply(self) -> None:
        """Keys and signs; the theme is the app's to choose (`theme`)."""
        wished = self._desk.preferences
        if wished.keys:
            self._desk.set_keymap(dict(wished.keys))
        if wished.plain_signs:
            STATUS_SIGNS.update(PLAIN_SIGNS)

    @property
    def theme(self) -> str | None:
        """The theme that the file names, where there is such a theme."""
        name = self._desk.preferences.theme
        return name if name in self._desk.available_themes else None

    def theme_taken(self, name: str) -> None:
        """Another theme than the file's lasts as long as the session: say so."""
        if self.theme is not None and name != self.theme and self._desk.is_running:
            told = f"{NAME} names {self.theme}: that one comes back with the next start"
            self._desk.tell(told, title="settings")

    async def check(self) -> None:
        """Tell every mistake. Names of bindings take a second to look up, in another process."""
        wished = self._desk.preferences
        if wished.keys:
            from tui.user.keymap import list_names
            from tui.user.keymap import mistakes as mistakes_in

            found = mistakes_in(wished, await asyncio.to_thread(list_names))
        else:
            found = unknown(wished, (), self._desk.available_themes)
        mistakes = [*wished.mistakes, *found]
        for mistake in mistakes[:_MOST]:
            self._desk.tell(plain(str(mistake)), "warning", title="settings")
        if len(mistakes) > _MOST:
            self._desk.tell(
                f"{len(mistakes) - _MOST} more mistakes: see the doctor", "warning", title="settings"
            )

    def clashed(self, lost: Iterable[Binding]) -> None:
        """Two bindings want one key: say once which of them has none now."""
        for binding in lost:
            if (binding.id or "", binding.key) not in self._told:
                self._told.add((binding.id or "", binding.key))
                name = f" ({binding.id})" if binding.id else ""
                self._desk.tell(
                    f"{NAME} gives {binding.key} to something else: “{binding.description}”{name} lost it",
                    "warning",
                    title="settings",
                )

    async def write_and_tell(self) -> None:
        """Write the file and say where it lies. Raises `OSError`."""
        path = await asyncio.to_thread(self.write)
        self._desk.tell(f"{path} has every key: change it, and start again", title="settings")

    def write(self) -> Path:
        """Write the commented file, and return where it lies. One that the user has is left as it is:
        the fresh one then lies beside it. Blocks for a second. Raises `OSError`."""
        from tui.user.keymap import list_names, template

        folder = self._desk.config_dir
        if folder is None:
            raise OSError("there is no config directory")
        path = folder / NAME
        path = folder / EXAMPLE if path.exists() else path
        text = template(list_names(), self._desk.preferences)
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path
