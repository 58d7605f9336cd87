"""Names of a run's checkpoints: list them, pick the best, format their scores. Pure functions.

Owns what `RUN`, `RUN:best` and `RUN:checkpoint-40` resolve to, and the mark of the best.
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
"""Marks the best checkpoint, in the app and on the command line."""
_FINAL, _STOPPED = (PurePosixPath(path).name for path in (layout.FINAL, layout.STOPPED))
_STEP = re.compile(r"checkpoint-(\d+)")


@dataclass(frozen=True)
class SavedCheckpoint:
    """One checkpoint of a training, by its name."""

    name: str
    """Its folder's name: `checkpoint-40`, `final`, `stopped`."""
    score: float | None = None
    """Held-out score at its step; None where none was taken."""
    best: bool = False
    """Whether no other has a higher score."""

    @property
    def label(self) -> str:
        """`checkpoint-40 (★ best, 0.47)`."""
        score = score_label(self.score, self.best)
        return f"{self.name} ({score})" if score else self.name


def score_label(score: float | None, best: bool) -> str:
    """A checkpoint's score for people: `★ best, 0.47`, `held-out 0.31`, or empty."""
    if score is None:
        return f"{STAR} best" if best else ""
    return f"{STAR} best, {score:.4g}" if best else f"held-out {score:.4g}"


def best_checkpoint(events: Sequence[CheckpointEvent]) -> CheckpointEvent | None:
    """The best of a run's checkpoints so far: the last one that was the best when it was saved.

    Earlier versions could mark a score of NaN as the best, and then no other: such a run's highest score
    wins.
    """
    finite = [event for event in events if event.score is None or math.isfinite(event.score)]
    marked = next((event for event in reversed(finite) if event.best), None)
    if marked is not None or len(finite) == len(events):
        return marked
    scored = [event for event in finite if event.score is not None]
    return max(scored, key=lambda event: event.score or 0.0, default=None)


def checkpoints_from(events: Sequence[CheckpointEvent], *, done: bool) -> list[SavedCheckpoint]:
    """The checkpoints that a run's events announce; with `done`, its final weights too."""
    best = best_checkpoint(events)
    checkpoints = [SavedCheckpoint(PurePosixPath(e.path).name, e.score, e is best) for e in events]
    return [*checkpoints, SavedCheckpoint(_FINAL)] if done else checkpoints


def by_step(checkpoints: Iterable[SavedCheckpoint]) -> list[SavedCheckpoint]:
    """Sorted by step, the final weights last."""
    return sorted(checkpoints, key=lambda saved: (_step(saved.name), saved.name))


def choose(checkpoints: Sequence[SavedCheckpoint], name: str = "") -> SavedCheckpoint | None:
    """The checkpoint that a name means: `best`, a folder's name or a step's number; None where there is none.

    Without a name: the best; where no score was ever taken, the final weights, or else the newest.
    """
    if name in ("", BEST):
        best = next((saved for saved in checkpoints if saved.best), None)
        return best if best or name or not checkpoints else by_step(checkpoints)[-1]
    names = (name, f"checkpoint-{name}")
    return next((saved for saved in checkpoints if saved.name in names), None)


def _step(name: str) -> float:
    if name in (_STOPPED, _FINAL):
        return float("inf")
    step = _STEP.fullmatch(name)
    return int(step[1]) if step else -1
