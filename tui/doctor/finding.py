"""A finding, and what there is to look at. Plain data."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from remote.contract.errors import VfmError
from tui.settings import Settings, glance, surroundings

State = Literal["ok", "note", "problem"]
SIGNS: dict[State, str] = {"problem": "✗", "note": "!", "ok": "✓"}
"""A sign for each state, the gravest first."""


@dataclass(frozen=True)
class Finding:
    """What was found in one place."""

    id: str
    title: str
    state: State
    """ok, note (works, but could be better), or problem (something will not work)."""
    detail: str
    """Sentences for people, one a line. Never a secret."""
    command: str = ""
    """The shell command that mends it, where one does."""
    act: str = ""
    """What the app can do about it by itself: `image`, `env` or `settings`; else nothing."""

    def as_dict(self) -> dict[str, Any]:
        """The finding as JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Surroundings:
    """Everything that the checks may look at."""

    settings: Settings | None
    """None where they cannot be read."""
    error: VfmError | None
    """Why they cannot."""
    home: Path
    config_dir: Path
    project_dir: Path
    environ: Mapping[str, str] = field(default_factory=dict)
    """The variables of `tui.settings.surroundings`."""
    volumes_of: Callable[[str], Awaitable[Sequence[object]]] | None = None
    """Lists a backend's volumes, to see whether it answers; None where nobody is to be asked."""
    size: tuple[int, int] | None = None
    """Columns and rows of the terminal; None where there is none."""
    encoding: str = "utf-8"
    """What the terminal takes, as Python sees it."""

    @classmethod
    def of_this_machine(
        cls,
        *,
        settings: Settings | None = None,
        volumes_of: Callable[[str], Awaitable[Sequence[object]]] | None = None,
        size: tuple[int, int] | None = None,
        encoding: str = "utf-8",
    ) -> Surroundings:
        """Read the settings, where none are given, and look around. Blocks; never raises `VfmError`."""
        error = None
        if settings is None:
            try:
                settings = Settings.load()
            except VfmError as refused:
                error = refused
        folders = settings or glance()
        return cls(
            settings,
            error,
            folders.home,
            folders.config_dir,
            folders.project_dir,
            surroundings(),
            volumes_of,
            size,
            encoding,
        )
