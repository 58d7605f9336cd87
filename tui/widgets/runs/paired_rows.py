"""What the table of compared runs says task by task: each run against the first that has scores.

Owns the words. The comparing is `tui/services/compare.py`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tui.services.compare import Comparison, headline
from tui.store.episodes.paired_test import Paired
from tui.text.format import p_value, plus_minus
from tui.widgets.runs.compare_table import Cell, TableRow

_NOTHING = Cell("–")


def paired_rows(run_ids: Sequence[str], base: str, found: Mapping[str, Comparison]) -> list[TableRow]:
    """The rows: `found` has the comparison of other runs with the run `base`. None without a comparison."""
    if not found:
        return []
    names = list(dict.fromkeys(name for one in found.values() for name in one.parts))
    rows = [TableRow(name, tuple(_cell(run_id, base, name, found) for run_id in run_ids)) for name in names]
    if names:
        rows.append(TableRow("better / same / worse", tuple(_count(found.get(run)) for run in run_ids)))
    refused = [f"{run_id} and {base}: {one.why_not}" for run_id, one in found.items() if one.why_not]
    return [
        TableRow(f"task by task, against {base} (paired)"),
        *rows,
        *(TableRow(why, remark=True) for why in refused),
    ]


def _cell(run_id: str, base: str, name: str, found: Mapping[str, Comparison]) -> Cell:
    if run_id == base:
        parts = [one.parts[name] for one in found.values() if name in one.parts]
        # Against several runs each comparison has tasks of its own; the one beside it tells of both.
        return Cell(f"{parts[0].before:.3f}") if len(parts) == 1 else Cell("·")
    part = found[run_id].parts.get(name) if run_id in found else None
    return _NOTHING if part is None else Cell(_difference(part), strong=part.is_clear and part.difference > 0)


def _difference(part: Paired) -> str:
    sign = "+" if part.difference > 0 else ""
    p = p_value(part.p)
    return f"{sign}{plus_minus(part.difference, part.standard_error)}  p {p if p[0] == '<' else f'= {p}'}"


def _count(one: Comparison | None) -> Cell:
    total = headline(one) if one is not None else None
    if total is None:
        return _NOTHING
    return Cell(f"{total.wins} / {total.ties} / {total.losses}  of {total.tasks}")
