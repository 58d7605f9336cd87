"""An input for a path on this machine: `~` is the home directory, Tab completes.

It also says what exists at the path, and what will happen to it. The disk is read off the event loop.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from textual import work
from textual.binding import Binding, BindingType
from textual.message import Message

from tui.widgets.common.line_input import LineInput

Role = Literal["into", "from", "save"]
"""Use of the path: a folder to fill, a file or folder to read, a file to write."""
MOST = 200
"""Names that are offered, at most."""


class PathInput(LineInput):
    """An input for a path; files are offered only where the role is about one."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "complete", "Complete the path", show=False, priority=True, id="path.complete"),
    ]

    @dataclass
    class Looked(Message):
        """A note on the path, and its completions."""

        note: str
        names: Sequence[str] = ()

    def __init__(self, value: str = "", *, role: Role = "into", **options: Any) -> None:
        super().__init__(value, compact=True, select_on_focus=False, **options)
        self._role: Role = role
        self._offered: tuple[str, Sequence[str]] = ("", ())

    @property
    def path(self) -> Path | None:
        """The typed path, with `~` expanded."""
        text = self.value.strip()
        return expanded(text) if text else None

    def on_mount(self) -> None:
        """Look at the default path."""
        self._look()

    def watch_value(self) -> None:
        """Look at the path as it is typed."""
        if self.is_mounted:
            self._look()

    def action_complete(self) -> None:
        """Complete as far as possible; offer the names if there are several."""
        self._complete()

    @work(group="path-look", description="look at a path", exclusive=True, exit_on_error=False)
    async def _look(self) -> None:
        typed = self.value
        note = await asyncio.to_thread(what_is_at, typed, self._role)
        completed, names = self._offered
        self.post_message(self.Looked(note, names if typed == completed else ()))

    @work(group="path-complete", description="complete a path", exclusive=True, exit_on_error=False)
    async def _complete(self) -> None:
        typed = self.value
        names = await asyncio.to_thread(completions, typed, self._role != "into")
        if self.value != typed:
            return
        longer = os.path.commonprefix(names)  # noqa: RUF071 - by letters, as shells do
        self._offered = (longer, names if len(names) > 1 else [])
        if len(longer) > len(typed):
            self.value = longer
            self.cursor_position = len(longer)
        elif names:
            self._look()
        else:
            self.screen.focus_next()


def expanded(text: str) -> Path:
    """A typed path, absolute, with `~` expanded."""
    return Path(os.path.abspath(os.path.expanduser(text)))


def completions(typed: str, files: bool) -> list[str]:
    """Completions of a typed path; folders end in `/`. Hidden entries need a typed dot."""
    head, _, start = typed.rpartition("/")
    folder = expanded(f"{head}/" if "/" in typed else ".")
    before = typed[: len(typed) - len(start)]
    if typed == "~":
        return ["~/"]
    try:
        with os.scandir(folder) as found:
            names = [
                f"{before}{entry.name}{'/' * entry.is_dir()}"
                for entry in found
                if entry.name.startswith(start)
                and (start.startswith(".") or not entry.name.startswith("."))
                and (files or entry.is_dir())
            ]
    except OSError:
        return []
    return sorted(names)[:MOST]


def what_is_at(typed: str, role: Role) -> str:
    """A note: what exists at a path and what will happen to it, or why that is unknown."""
    if not typed.strip():
        return "type a path"
    path = expanded(typed.strip())
    try:
        if path.is_dir():
            count = sum(1 for _ in os.scandir(path))
            what = f"a folder with {count} thing{'s' * (count != 1)} in it" if count else "an empty folder"
            return f"{what}: name a file" if role == "save" else what
        return _NO_FOLDER[role][path.exists()]
    except (OSError, ValueError) as error:
        return getattr(error, "strerror", None) or str(error)


_NO_FOLDER: dict[Role, tuple[str, str]] = {
    "into": ("it does not exist yet: it will be created", "a file: name a folder"),
    "from": ("no such file or folder", "a file"),
    "save": (
        "it does not exist yet: it will be created",
        "an existing file: you are asked before",
    ),
}
"""Notes for a path where nothing exists, and for one where a file does."""
