"""Rows of the table of compared runs: differences of configs, results, and scores task by task.

`tui/store/runs/config_diff.py` and `tui/services/compare.py` compare.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tui.services.compare import Comparison, headline
from tui.store.charts.axes import short
from tui.store.episodes.paired_test import Paired
from tui.store.runs.config_diff import Scores, differences
from tui.text.format import duration, p_value, plus_minus, status_text
from tui.widgets.runs.compare_table import Cell, TableRow

_NOTHING = Cell("–")


@dataclass(frozen=True)
class ComparedRun:
    """What was read of a run so far."""

    run_id: str
    status: str = "…"
    facts: Mapping[str, Any] | None = None
    """The compared values of its record: config file, model, environment …"""
    spec: Mapping[str, Any] | None = None
    """Its config by dotted key; None until it was read, or if it cannot be read."""
    problem: str = ""
    """Why the config or the run cannot be read."""
    scores: Scores = field(default_factory=Scores)
    total_steps: int | None = None
    seconds: float | None = None


def compare_rows(runs: Sequence[ComparedRun]) -> list[TableRow]:
    """Rows of the differences and the results."""
    return [*_config_rows(runs), *_remarks(runs), TableRow("results"), *_score_rows(runs)]


def _config_rows(runs: Sequence[ComparedRun]) -> list[TableRow]:
    facts = differences([run.facts for run in runs])
    specs = differences([run.spec for run in runs])
    rows = [TableRow(found.key, tuple(map(Cell, found.values, found.odd))) for found in (*facts, *specs)]
    readable = sum(run.spec is not None for run in runs)
    if not rows and readable == len(runs) > 1:
        rows = [TableRow("the configs do not differ", remark=True)]
    return [TableRow("differences"), *rows]


def _remarks(runs: Sequence[ComparedRun]) -> list[TableRow]:
    return [TableRow(f"{run.run_id}: {run.problem}", remark=True) for run in runs if run.problem]


def _score_rows(runs: Sequence[ComparedRun]) -> list[TableRow]:
    best = _best([run.scores.best for run in runs])
    last = _best([run.scores.reward for run in runs])
    after = _best([_final_score(run.scores) for run in runs])
    return [
        TableRow("status", tuple(Cell(status_text(run.status), bad=run.status == "failed") for run in runs)),
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
    """Which value is the highest; none if all are equal or there is only one."""
    known = {value for value in values if value is not None}
    highest = max(known) if len(known) > 1 else None
    return [value is not None and value == highest for value in values]


def paired_rows(run_ids: Sequence[str], base: str, found: Mapping[str, Comparison]) -> list[TableRow]:
    """Rows of scores task by task: `found` compares other runs with the run `base`; no rows without any."""
    if not found:
        return []
    names = list(dict.fromkeys(name for comparison in found.values() for name in comparison.parts))
    rows = [
        TableRow(name, tuple(_paired_cell(run_id, base, name, found) for run_id in run_ids)) for name in names
    ]
    if names:
        rows.append(TableRow("better / same / worse", tuple(_count(found.get(run)) for run in run_ids)))
    refused = [f"{run_id} and {base}: {pair.why_not}" for run_id, pair in found.items() if pair.why_not]
    return [
        TableRow(f"task by task, against {base} (paired)"),
        *rows,
        *(TableRow(why, remark=True) for why in refused),
    ]


def _paired_cell(run_id: str, base: str, name: str, found: Mapping[str, Comparison]) -> Cell:
    if run_id == base:
        parts = [pair.parts[name] for pair in found.values() if name in pair.parts]
        # Against several runs each comparison has its own tasks, so that there is no one value.
        return Cell(f"{parts[0].before:.3f}") if len(parts) == 1 else Cell("·")
    part = found[run_id].parts.get(name) if run_id in found else None
    return _NOTHING if part is None else Cell(_difference(part), strong=part.is_clear and part.difference > 0)


def _difference(part: Paired) -> str:
    sign = "+" if part.difference > 0 else ""
    p = p_value(part.p)
    return f"{sign}{plus_minus(part.difference, part.standard_error)}  p {p if p[0] == '<' else f'= {p}'}"


def _count(pair: Comparison | None) -> Cell:
    total = headline(pair) if pair is not None else None
    if total is None:
        return _NOTHING
    return Cell(f"{total.wins} / {total.ties} / {total.losses}  of {total.tasks}")
