"""What the table of compared runs says: differences of their configs first, then how they did.

Owns the words. Comparing is `store/compare.py`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tui.store.charts.axes import short
from tui.store.runs.config_diff import Scores, differences
from tui.text.format import duration, status_words
from tui.widgets.runs.compare_table import Cell, TableRow

_NOTHING = Cell("–")


@dataclass(frozen=True)
class ComparedRun:
    """What is known of a run so far."""

    run_id: str
    status: str = "…"
    facts: Mapping[str, Any] | None = None
    """What its record says about its making: config file, model, environment …"""
    spec: Mapping[str, Any] | None = None
    """Its config by dotted key; None while it is not there, or where it cannot be read."""
    problem: str = ""
    """Why the config, or the run, cannot be read."""
    scores: Scores = field(default_factory=Scores)
    total_steps: int | None = None
    seconds: float | None = None


def compare_rows(runs: Sequence[ComparedRun]) -> list[TableRow]:
    """The rows of the table."""
    return [*_config_rows(runs), *_remarks(runs), TableRow("how they did"), *_score_rows(runs)]


def _config_rows(runs: Sequence[ComparedRun]) -> list[TableRow]:
    facts = differences([run.facts for run in runs])
    specs = differences([run.spec for run in runs])
    rows = [TableRow(found.key, tuple(map(Cell, found.values, found.odd))) for found in (*facts, *specs)]
    readable = sum(run.spec is not None for run in runs)
    if not rows and readable == len(runs) > 1:
        rows = [TableRow("no key of their configs differs", remark=True)]
    return [TableRow("what differs"), *rows]


def _remarks(runs: Sequence[ComparedRun]) -> list[TableRow]:
    return [TableRow(f"{run.run_id}: {run.problem}", remark=True) for run in runs if run.problem]


def _score_rows(runs: Sequence[ComparedRun]) -> list[TableRow]:
    best = _best([run.scores.best for run in runs])
    last = _best([run.scores.reward for run in runs])
    after = _best([_final_score(run.scores) for run in runs])
    return [
        TableRow("status", tuple(Cell(status_words(run.status), bad=run.status == "failed") for run in runs)),
        TableRow("steps", tuple(Cell(_steps(run)) for run in runs)),
        TableRow("reward, last", _cells(runs, lambda run: run.scores.reward, last)),
        TableRow("reward, best", tuple(map(_best_reward, runs, best))),
        TableRow("held-out score", tuple(map(_held_out, runs, after))),
        TableRow(
            "took",
            tuple(Cell(duration(run.seconds)) if run.seconds is not None else _NOTHING for run in runs),
        ),
    ]


def _cells(
    runs: Sequence[ComparedRun], value: Callable[[ComparedRun], float | None], strong: Sequence[bool]
) -> tuple[Cell, ...]:
    values = [value(run) for run in runs]
    return tuple(_NOTHING if v is None else Cell(short(v), s) for v, s in zip(values, strong, strict=True))


def _best_reward(run: ComparedRun, strong: bool) -> Cell:
    found = run.scores
    return _NOTHING if found.best is None else Cell(f"{short(found.best)} at step {found.best_step}", strong)


def _held_out(run: ComparedRun, strong: bool) -> Cell:
    found = run.scores
    if found.before is None:
        return _NOTHING
    return Cell(
        short(found.before) if found.after is None else f"{short(found.before)} → {short(found.after)}",
        strong,
    )


def _final_score(found: Scores) -> float | None:
    return found.before if found.after is None else found.after


def _steps(run: ComparedRun) -> str:
    if run.scores.step is None:
        return "–"
    return f"{run.scores.step} of {run.total_steps}" if run.total_steps else str(run.scores.step)


def _best(values: Sequence[float | None]) -> list[bool]:
    """Which of them is the highest; none where all are alike, or where there is but one."""
    known = {value for value in values if value is not None}
    highest = max(known) if len(known) > 1 else None
    return [value is not None and value == highest for value in values]
