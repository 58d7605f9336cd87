"""Which panes are to be seen at once, and which one the keys go to. Pure.

Owns the rules: up to three places, filled with different panes; as many of them are seen as the terminal
has room for, or as the user wants. Widgets follow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

PLACES = 3
BESIDE, ABOVE = 100, 30
"""Columns from which two panes fit beside one another, and rows from which above one another."""
WIDE, TALL = 150, 50
"""Columns from which two are shown unasked, and rows from which there is room for a third."""


@dataclass
class PaneLayout:
    """Panes by name in their places: the first at the left, the others at the right."""

    names: Sequence[str]
    places: list[str] = field(default_factory=list)
    active: int = 0
    split: bool | None = None
    """Several at once? None: where the terminal is wide."""
    zoomed: bool = False
    """Whether the active pane has it all to itself for a while."""

    def __post_init__(self) -> None:
        known = [name for name in dict.fromkeys(self.places) if name in self.names]
        rest = [name for name in self.names if name not in known]
        self.places = [*known, *rest][:PLACES]
        self.active = self.active if 0 <= self.active < len(self.places) else 0

    @property
    def current(self) -> str:
        """The pane that the keys go to."""
        return self.places[self.active]

    def room(self, width: int, height: int) -> int:
        """How many panes a terminal of so many columns and rows shows."""
        wanted = width >= WIDE if self.split is None else self.split
        if not wanted or self.zoomed or not can_split(width, height):
            return 1
        return min(3 if width >= WIDE and height >= TALL else 2, len(self.places))

    def seen(self, room: int) -> list[str]:
        """The panes that are seen, in their places."""
        return [self.current] if room == 1 else self.places[: max(room, self.active + 1)][-room:]

    def show(self, name: str, room: int) -> None:
        """Make a pane the active one: where it is seen already, else in the active one's place."""
        self.zoomed = False if name != self.current else self.zoomed
        if name in self.seen(room) or (room == 1 and name in self.places):
            self.active = self.places.index(name)
        elif name in self.places:
            other = self.places.index(name)
            self.places[other], self.places[self.active] = self.current, name
        else:
            self.places[self.active] = name

    def state(self) -> dict[str, Any]:
        """What is worth remembering."""
        return {"places": list(self.places), "active": self.active, "split": self.split}

    @classmethod
    def restored(cls, names: Sequence[str], state: dict[str, Any]) -> PaneLayout:
        """As it was remembered; what does not fit is left out."""
        places, active, split = state.get("places"), state.get("active"), state.get("split")
        return cls(
            names,
            [str(name) for name in places] if isinstance(places, list) else [],
            active if isinstance(active, int) else 0,
            split if isinstance(split, bool) else None,
        )


def can_split(width: int, height: int) -> bool:
    """Whether two panes fit at all."""
    return width >= BESIDE or height >= ABOVE
