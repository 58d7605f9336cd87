"""Which panes are visible, and which one is active. Pure.

There are up to three places with different panes; as many are visible as the terminal has room for, or as the
user wants.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

PLACES = 3
BESIDE, ABOVE = 100, 30
"""Columns from which two panes fit side by side, and rows from which one above the other."""
WIDE, TALL = 150, 50
"""Columns from which two panes are the default, and rows from which a third one fits."""


@dataclass
class PaneLayout:
    """Panes by name in their places: the first at the left, the others at the right."""

    names: Sequence[str]
    places: list[str] = field(default_factory=list)
    active: int = 0
    split: bool | None = None
    """Whether several panes are visible; None: if the terminal is wide."""
    zoomed: bool = False
    """Whether the active pane is maximized."""

    def __post_init__(self) -> None:
        known = [name for name in dict.fromkeys(self.places) if name in self.names]
        rest = [name for name in self.names if name not in known]
        self.places = [*known, *rest][:PLACES]
        self.active = self.active if 0 <= self.active < len(self.places) else 0

    @property
    def current(self) -> str:
        """The active pane."""
        return self.places[self.active]

    def room(self, width: int, height: int) -> int:
        """Number of visible panes in a terminal of so many columns and rows."""
        splits = width >= WIDE if self.split is None else self.split
        if not splits or self.zoomed or not can_split(width, height):
            return 1
        return min(3 if width >= WIDE and height >= TALL else 2, len(self.places))

    def seen(self, room: int) -> list[str]:
        """The visible panes, in their places."""
        return [self.current] if room == 1 else self.places[: max(room, self.active + 1)][-room:]

    def show(self, name: str, room: int) -> None:
        """Activate a pane, in the active one's place unless it is visible."""
        self.zoomed = False if name != self.current else self.zoomed
        if name in self.seen(room) or (room == 1 and name in self.places):
            self.active = self.places.index(name)
        elif name in self.places:
            other = self.places.index(name)
            self.places[other], self.places[self.active] = self.current, name
        else:
            self.places[self.active] = name

    def state(self) -> dict[str, Any]:
        """UI state to save."""
        return {"places": list(self.places), "active": self.active, "split": self.split}

    @classmethod
    def restored(cls, names: Sequence[str], state: dict[str, Any]) -> PaneLayout:
        """Restore a saved state; invalid values are ignored."""
        places, active, split = state.get("places"), state.get("active"), state.get("split")
        return cls(
            names,
            [str(name) for name in places] if isinstance(places, list) else [],
            active if isinstance(active, int) else 0,
            split if isinstance(split, bool) else None,
        )


def can_split(width: int, height: int) -> bool:
    """Whether a terminal has room for two panes."""
    return width >= BESIDE or height >= ABOVE
