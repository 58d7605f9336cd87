"""Ten thousand runs in our table and in Textual's DataTable: shown, sorted, filtered; interleaved.

CPU time of this process from the call until the screen is painted, so that a busy machine counts less. Run
with the light client's Python: `.venv/bin/python -m benchmarks.runs_table`.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from statistics import median

from textual.app import App, ComposeResult
from textual.pilot import Pilot
from textual.widget import Widget
from textual.widgets import DataTable

from benchmarks.common import machine, spread, verdict
from tui.store.runs.filter import parse_filter
from tui.store.runs.row import RunRow
from tui.widgets.runs.columns import COLUMNS, cell
from tui.widgets.runs.table import RunTable

ROWS = 10_000
ROUNDS = 5
BUDGET = 50.0
"""Milliseconds that each of the three may take."""
NOW = 1_800_000_000.0
FILTER = "env:wordle reward>0.5"


def made_rows(count: int) -> list[RunRow]:
    """Runs as they come to be, the newest first."""
    chance = random.Random(1)
    return [
        RunRow(
            f"{chance.choice('abcdefgh')}{number:05d}-wordle",
            status=chance.choice(["done", "failed", "cancelled"]),
            environment=chance.choice(["vf_wordle", "vf_bfcl"]),
            experiment=f"experiment-{number % 40}",
            model=chance.choice(["Qwen/Qwen2.5-7B-Instruct", "builtin/smollm2-135m"]),
            outputs=f"verifiers-outputs-ann-experiment-{number % 40}",
            step=32,
            total_steps=32,
            reward=chance.random(),
            rewards=tuple(round(chance.random(), 6) for _ in range(32)),
            created=NOW - 60 * number,
            started=NOW - 60 * number + 5,
            ended=NOW - 60 * number + 900,
            complete=True,
        )
        for number in range(count)
    ]


class Bench(App[None]):
    """Both tables, one above the other."""

    CSS = "RunTable, DataTable { height: 1fr; }"

    def compose(self) -> ComposeResult:
        """Ours, and theirs."""
        yield RunTable(lambda: NOW)
        yield DataTable()


async def milliseconds(widget: Widget, do: Callable[[], object]) -> float:
    """CPU time until what was done is on the screen."""
    painted = asyncio.Event()
    began = time.process_time()
    do()
    widget.refresh()
    widget.call_after_refresh(painted.set)
    await painted.wait()
    return (time.process_time() - began) * 1000


async def ours(app: Bench, rows: list[RunRow]) -> dict[str, float]:
    """One round of the three."""
    table = app.query_one(RunTable)
    table.filter_by(parse_filter(""))
    table.sort_by("age")
    table.show([])
    return {
        "shown": await milliseconds(table, lambda: table.show(rows)),
        "sorted": await milliseconds(table, lambda: table.sort_by("reward")),
        "filtered": await milliseconds(table, lambda: table.filter_by(parse_filter(FILTER))),
    }


async def theirs(app: Bench, rows: list[RunRow]) -> dict[str, float]:
    """The same; filtering is clearing and adding what is left, as it has no other way."""
    table: DataTable[str] = app.query_one(DataTable)
    wanted = parse_filter(FILTER)
    table.clear(columns=True)

    def show(shown: list[RunRow]) -> None:
        table.clear()
        table.add_rows(
            [["".join(text for text, _ in cell(c, row, c.least, NOW)) for c in COLUMNS] for row in shown]
        )

    for column in COLUMNS:
        table.add_column(column.title, key=column.name)
    return {
        "shown": await milliseconds(table, lambda: show(rows)),
        "sorted": await milliseconds(table, lambda: table.sort("reward", reverse=True)),
        "filtered": await milliseconds(table, lambda: show(wanted.apply(rows, NOW))),
    }


async def measure() -> dict[str, dict[str, list[float]]]:
    """Rounds of ours and theirs in turn; the first of each is not counted."""
    taken: dict[str, dict[str, list[float]]] = {"ours": {}, "DataTable": {}}
    app = Bench()
    async with app.run_test(size=(160, 100)) as pilot:
        for number in range(ROUNDS + 1):
            rows = made_rows(ROWS)  # new ones, so that nothing is known of them from the round before
            for name, measured in (("ours", await ours(app, rows)), ("DataTable", await theirs(app, rows))):
                for what, time_taken in measured.items() if number else ():
                    taken[name].setdefault(what, []).append(time_taken)
            await settled(pilot)
    return taken


async def settled(pilot: Pilot[None]) -> None:
    """Between two rounds nothing is left to do."""
    await pilot.pause()


def main() -> None:
    """Print medians, the ratios and the verdicts."""
    taken = asyncio.run(measure())
    print(machine())
    print(f"{ROWS:,} rows, CPU time from the call until the screen is painted")
    for what in ("shown", "sorted", "filtered"):
        mine, other = taken["ours"][what], taken["DataTable"][what]
        print(f"{what}: ours {spread(mine, 'ms')} · DataTable {spread(other, 'ms')}")
        print(f"  ours / DataTable: {median(mine) / median(other):.4f}")
        print("  " + verdict("ours / 50 ms", median(mine) / BUDGET, 1.0))


if __name__ == "__main__":
    main()
