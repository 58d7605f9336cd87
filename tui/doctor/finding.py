"""The result of a check, and what checks look at. Plain data."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from remote.contract.errors import VfmError
from tui.settings import Settings, glance, surroundings

State = Literal["ok", "note", "problem"]
SIGNS: dict[State, str] = {"problem": "✗", "note": "!", "ok": "✓"}
"""State → sign, the gravest first."""


@dataclass(frozen=True)
class Result:
    """What a check found."""

    state: State
    """ok, note (works, but could be better), or problem (something will not work)."""
    detail: str
    """Sentences, one a line. Never a secret."""
    command: str = ""
    """The shell command that fixes it, if any."""
    act: str = ""
    """What the app can fix by itself: `image`, `env`, `settings` or nothing."""


@dataclass(frozen=True)
class Finding:
    """The result of a check under its name; fields as in `Result`."""

    id: str
    title: str
    state: State
    detail: str
    command: str = ""
    act: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The finding as JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Surroundings:
    """What the checks look at."""

    settings: Settings | None
    """None where they cannot be read."""
    error: VfmError | None
    """Why the settings cannot be read."""
    home: Path
    config_dir: Path
    project_dir: Path
    environ: Mapping[str, str] = field(default_factory=dict)
    """As `tui.settings.surroundings` returns it."""
    volumes_of: Callable[[str], Awaitable[Sequence[object]]] | None = None
    """Lists a backend's volumes, to see whether it answers; None: do not ask."""
    size: tuple[int, int] | None = None
    """Columns and rows of the terminal; None where there is none."""
    encoding: str = "utf-8"
    """The terminal's encoding."""

    @classmethod
    def of_this_machine(
        cls,
        *,
        settings: Settings | None = None,
        volumes_of: Callable[[str], Awaitable[Sequence[object]]] | None = None,
        size: tuple[int, int] | None = None,
        encoding: str = "utf-8",
    ) -> Surroundings:
        """Read the settings, unless given, and the process environment. Blocks; never raises `VfmError`."""
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
