"""`vfm compare`: runs task by task, with a paired test, and the keys in which their configs differ.

`tui/services/compare.py` compares scores, `tui/store/runs/config_diff.py` configs.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from tui.cli import completions, exit_codes
from tui.cli.config import json_option

if TYPE_CHECKING:
    from remote.contract.record import RunRecord
    from tui.client import Client
    from tui.services.compare import Comparison
    from tui.store.runs.config_diff import Difference


@click.command()
@click.argument("runs", metavar="RUN [RUN]...", nargs=-1, required=True, shell_complete=completions.runs)
@json_option
def compare(runs: tuple[str, ...], as_json: bool) -> int:
    """Compare each further RUN with the first one, task by task, with a paired test.

    Of an evaluation, all its episodes are compared; of a training, its last held-out scores. One training
    alone is compared before and after.
    """
    from tui.cli.common import print_json, run

    records, differences, comparisons = run(_compared(runs))
    if as_json:
        print_json(as_dict(records, differences, comparisons))
    else:
        click.echo(as_text(records, differences, comparisons))
    return exit_codes.RUN_FAILED if any(c.why_not for c in comparisons) else exit_codes.DONE


async def _compared(
    texts: tuple[str, ...],
) -> tuple[list[RunRecord], list[Difference], list[Comparison]]:
    from tui.cli.common import connect
    from tui.services import compare as comparison
    from tui.store.runs.config_diff import differences

    client = connect()
    records = [await client.find(text) for text in texts]
    specs = [await _spec(client, record) for record in records]
    return records, differences(specs), await comparison.compare(client, records)


async def _spec(client: Client, record: RunRecord) -> dict[str, Any] | None:
    """The run's config by dotted key, with kind, environment and model; None where it cannot be read."""
    from remote.contract import layout
    from remote.contract.errors import VfmError
    from tui.store.runs.config_diff import read_spec

    path = str(layout.run_path(record.run_id) / layout.SPEC)
    try:
        spec = read_spec(await client.read(record.outputs, path, backend=record.backend))
    except (VfmError, ValueError):
        return None
    made = {"kind": record.kind, "environment": record.environment, "model": record.model}
    return {**made, **spec}


def as_dict(
    records: list[RunRecord], differences: list[Difference], comparisons: list[Comparison]
) -> dict[str, Any]:
    """`{runs, differences, comparisons}`; `why_not` says why two runs cannot be compared."""
    return {
        "runs": [record.run_id for record in records],
        "differences": [{"key": d.key, "values": list(d.values)} for d in differences],
        "comparisons": [
            {
                "before": comparison.before.label,
                "after": comparison.after.label,
                "why_not": comparison.why_not or None,
                "parts": {name: asdict(part) for name, part in comparison.parts.items()},
            }
            for comparison in comparisons
        ],
    }


def as_text(records: list[RunRecord], differences: list[Difference], comparisons: list[Comparison]) -> str:
    """The keys that differ, then each comparison."""
    from tui.text.format import plain, table

    lines: list[str] = []
    if len(records) > 1:
        rows = [(d.key, *d.values) for d in differences]
        head = ("KEY", *(record.run_id for record in records))
        lines = [table(head, rows, exit_codes.columns(), wrap=True)]
        lines += [] if rows else ["the configs do not differ"]
    for comparison in comparisons:
        title = f"{comparison.before.label}  →  {comparison.after.label}"
        lines += ["", plain(title), _text(comparison)]
    return "\n".join(lines).lstrip("\n")


def _text(comparison: Comparison) -> str:
    from tui.services.compare import headline
    from tui.text.format import p_value, plain, plus_minus, table

    total = headline(comparison)
    if total is None:
        return f"  cannot be compared: {plain(comparison.why_not)}"
    rows = [
        (
            f"  {name}",
            f"{part.before:.3f}",
            f"{part.after:.3f}",
            f"{'+' if part.difference > 0 else ''}{plus_minus(part.difference, part.standard_error)}",
            p_value(part.p),
            f"{part.wins} / {part.ties} / {part.losses}",
            "exact sign flips" if part.test == "sign-flip" else "paired t",
        )
        for name, part in comparison.parts.items()
    ]
    head = ("  PART", "BEFORE", "AFTER", "DIFFERENCE", "P", "BETTER / SAME / WORSE", "TEST")
    before, after = comparison.before.scores, comparison.after.scores
    note = f"  {total.tasks} tasks are in both (of {before.tasks} and {after.tasks})"
    if failed := before.failed + after.failed:
        note += f"; {failed} failed episodes are left out"
    return f"{table(head, rows, exit_codes.columns())}\n{note}"
