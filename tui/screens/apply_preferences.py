"""Apply `settings.toml` to the running app (keymap, theme, signs), and notify of its mistakes.

`tui/user/preferences.py` reads the file; `tui/user/keymap.py` knows the names of bindings.
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
    from textual.notifications import SeverityLevel

    from tui.screens.app_base import AppBase

EXAMPLE = "settings.example.toml"
_MOST_NOTIFIED = 3  # mistakes with a notification each; the doctor lists all


class AppPreferences:
    """The preferences of one app."""

    def __init__(self, app: AppBase) -> None:
        self._app = app
        self._clashes: set[tuple[str, str]] = set()

    def apply(self) -> None:
        """Set the keymap and the signs; the app itself chooses the theme."""
        preferences = self._app.preferences
        if preferences.keys:
            self._app.set_keymap(dict(preferences.keys))
        if preferences.plain_signs:
            STATUS_SIGNS.update(PLAIN_SIGNS)

    @property
    def theme(self) -> str | None:
        """The theme that the file names, where there is such a theme."""
        name = self._app.preferences.theme
        return name if name in self._app.available_themes else None

    def theme_changed(self, name: str) -> None:
        """Notify that another theme than the file's lasts for this session only."""
        if self.theme is not None and name != self.theme and self._app.is_running:
            self._notify(f"{NAME} names {self.theme}: it is used again from the next start on")

    async def check(self) -> None:
        """Notify of mistakes in the file. Looking up the names of bindings takes a second, in a process."""
        preferences = self._app.preferences
        if preferences.keys:
            from tui.user.keymap import list_names
            from tui.user.keymap import mistakes as mistakes_in

            found = mistakes_in(preferences, await asyncio.to_thread(list_names))
        else:
            found = unknown(preferences, (), self._app.available_themes)
        mistakes = [*preferences.mistakes, *found]
        for mistake in mistakes[:_MOST_NOTIFIED]:
            self._notify(plain(str(mistake)), "warning")
        if (more := len(mistakes) - _MOST_NOTIFIED) > 0:
            self._notify(f"{more} more mistakes: see the doctor", "warning")

    def keys_clashed(self, lost: Iterable[Binding]) -> None:
        """Notify, once each, of bindings whose key the file gives to another one."""
        for binding in lost:
            if (binding.id or "", binding.key) not in self._clashes:
                self._clashes.add((binding.id or "", binding.key))
                name = f" ({binding.id})" if binding.id else ""
                lost_it = f"“{binding.description}”{name} lost it"
                self._notify(f"{NAME} gives {binding.key} to something else: {lost_it}", "warning")

    async def write_and_notify(self) -> None:
        """Write the file and say where it is. Raises `OSError`."""
        path = await asyncio.to_thread(self.write)
        self._notify(f"{path} has every key: change it, and start again")

    def write(self) -> Path:
        """Write the commented file; returns its path. Takes a second. Raises `OSError`.

        An existing file is left as it is, and the new one written beside it.
        """
        from tui.user.keymap import list_names, template

        folder = self._app.config_dir
        if folder is None:
            raise OSError("there is no config directory")
        path = folder / NAME
        path = folder / EXAMPLE if path.exists() else path
        text = template(list_names(), self._app.preferences)
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def _notify(self, text: str, severity: SeverityLevel = "information") -> None:
        self._app.notify(text, severity=severity, title="settings")
