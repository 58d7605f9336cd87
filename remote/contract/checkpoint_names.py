"""A training's saved weights by name: which there are, which is the best, and how that is told. Pure.

Owns the choice that `RUN`, `RUN:best` and the like stand for, and the mark of the best. Where the names come
from, a folder or a run's events, is up to whoever asks.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from remote.contract import layout
from remote.contract.events import CheckpointEvent

BEST = "best"
STAR = "★"
"""Marks the best, in both faces."""
_FINAL, _STOPPED = (PurePosixPath(path).name for path in (layout.FINAL, layout.STOPPED))
_STEP = re.compile(r"checkpoint-(\d+)")


@dataclass(frozen=True)
class Saved:
    """One checkpoint of a training."""

    name: str
    """Its folder's name: `checkpoint-40`, `final`, `stopped`."""
    score: float | None = None
    """The held-out score at its step, where one was taken."""
    best: bool = False
    """Whether no other has a higher score."""

    @property
    def words(self) -> str:
        """`checkpoint-40 (★ best, 0.47)`."""
        return f"{self.name} ({said})" if (said := said_of(self.score, self.best)) else self.name


def said_of(score: float | None, best: bool) -> str:
    """What is told of a checkpoint's score: `★ best, 0.47`, `held-out 0.31`, or nothing."""
    if score is None:
        return f"{STAR} best" if best else ""
    return f"{STAR} best, {score:.4g}" if best else f"held-out {score:.4g}"


def best_of(events: Sequence[CheckpointEvent]) -> CheckpointEvent | None:
    """The best of a run's checkpoints so far: each that was the best when it was saved says so.

    Earlier versions could call a score of NaN the best, and then no other: such a run's highest score counts.
    """
    sound = [event for event in events if event.score is None or math.isfinite(event.score)]
    said = next((event for event in reversed(sound) if event.best), None)
    if said is not None or len(sound) == len(events):
        return said
    scored = [event for event in sound if event.score is not None]
    return max(scored, key=lambda event: event.score or 0.0, default=None)


def saved_of(events: Sequence[CheckpointEvent], *, done: bool) -> list[Saved]:
    """The checkpoints that a run has told of; one that is done has its final weights too."""
    best = best_of(events)
    found = [Saved(PurePosixPath(e.path).name, e.score, e is best) for e in events]
    return [*found, Saved(_FINAL)] if done else found


def in_order(found: Iterable[Saved]) -> list[Saved]:
    """By step, the final weights last."""
    return sorted(found, key=lambda saved: (_step(saved.name), saved.name))


def choose(found: Sequence[Saved], name: str = "") -> Saved | None:
    """The one that a name means: `best`, a folder's name, or a step's number. None where there is no such.

    Without a name it is the best; where no score was ever taken, the final weights, or else the newest.
    """
    if name in ("", BEST):
        best = next((saved for saved in found if saved.best), None)
        return best if best or name or not found else in_order(found)[-1]
    names = (name, f"checkpoint-{name}")
    return next((saved for saved in found if saved.name in names), None)


def _step(name: str) -> float:
    if name in (_STOPPED, _FINAL):
        return float("inf")
    step = _STEP.fullmatch(name)
    return int(step[1]) if step else -1
