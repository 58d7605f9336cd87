"""The columns of the runs table: which fit, how wide they are, and what a run shows in each. Pure.

A cell is a list of pieces, each a text and the name of a style; together they are exactly as wide as the
column.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from rich.cells import cell_len, set_cell_size

from tui.store.runs.row import RunRow
from tui.text.format import age, fit, plain, status_text

Cell = list[tuple[str, str]]
MARK = "◆"
MARK_WIDTH = 2
_BARS = "▁▂▃▄▅▆▇"  # a full block would touch the line above
_COUNT, _LEFT = 7, 5  # cells of "12/32" and of "~3m" beside a progress bar


@dataclass(frozen=True)
class Column:
    """A column: its name, and the room that it needs."""

    name: str
    title: str
    least: int
    """Width in cells, at least; with less room the column is left out."""
    most: int
    """Width in cells, at most."""
    rank: int
    """Priority where there is not enough room for all; 0 is the highest."""
    short: str = ""
    """A shorter title."""
    right: bool = False
    """Whether it is aligned right."""
    high_first: bool = False
    """Whether the highest value comes first by default."""


COLUMNS = (
    Column("status", "status", 11, 11, 0),
    Column("id", "run", 12, 24, 1),
    Column("experiment", "experiment", 10, 18, 7),
    Column("environment", "environment", 9, 20, 4, "env"),
    Column("model", "model", 17, 36, 6),
    Column("progress", "progress", 18, 30, 2, high_first=True),
    Column("reward", "reward", 14, 28, 3, high_first=True),
    Column("age", "age", 4, 4, 5, right=True),
    Column("cost", "est. cost", 7, 9, 8, "est. $", right=True, high_first=True),
    Column("backend", "backend", 7, 8, 9),
    Column("kind", "kind", 8, 8, 10),
    Column("user", "user", 8, 14, 11),
)
BY_NAME = {column.name: column for column in COLUMNS}

Layout = tuple[tuple[Column, int, int], ...]
"""The visible columns, each with its first cell and its width."""


def longest(rows: Iterable[RunRow]) -> dict[str, int]:
    """Characters of the longest text in each column of texts; 0 for a cost that no run has."""
    rows = list(rows)
    texts = {name: max((len(read(row)) for row in rows), default=0) for name, read in _TEXTS.items()}
    return texts if any(row.cost is not None for row in rows) else {**texts, "cost": 0}


def lay_out(width: int, texts: Mapping[str, int] | None = None) -> Layout:
    """The columns that fit, by rank, and their widths; the rest of the room goes to columns that can use it.

    A column of texts uses no more than its longest text (`texts`).
    """
    gap = 2 if width >= 110 else 1
    room = width - MARK_WIDTH + gap
    chosen: list[Column] = []
    unwanted = [name for name, length in (texts or {}).items() if not length]
    for column in sorted(COLUMNS, key=lambda column: column.rank + len(COLUMNS) * (column.name in unwanted)):
        if room < column.least + gap and chosen:
            break
        room -= column.least + gap
        chosen.append(column)
    widths = {column.name: column.least for column in chosen}
    wants = {c.name: min(c.most, (texts or {}).get(c.name, c.most)) for c in chosen}
    for kind in (True, False):  # names in full come before longer bars
        wanting = [column for column in chosen if (column.name in _TEXTS) is kind]
        while room > 0 and (wanting := [c for c in wanting if widths[c.name] < wants[c.name]]):
            for column in wanting[:room]:
                widths[column.name] += 1
            room -= min(room, len(wanting))
    placed, at = [], MARK_WIDTH
    for column in COLUMNS:
        if column in chosen:
            placed.append((column, at, widths[column.name]))
            at += widths[column.name] + gap
    return tuple(placed)


def cell(column: Column, row: RunRow, width: int, now: float) -> Cell:
    """What a run shows in a column."""
    return _CELLS[column.name](row, width, now)


def middle(text: str, width: int) -> str:
    """A text of exactly so many cells, cut in its middle."""
    text = plain(text)
    if cell_len(text) <= width or width < 8:
        return fit(text, width)
    tail = (width - 1) // 2
    end = text[-tail:]
    while cell_len(end) > tail:
        end = end[1:]
    return set_cell_size(text, width - 1 - cell_len(end)) + "…" + end


def sparkline(values: Sequence[float], width: int) -> str:
    """A series as blocks between its lowest and highest value; a cell shows the mean of several values."""
    if not values or width < 1:
        return " " * max(width, 0)
    count = min(width, len(values))
    cuts = [i * len(values) // count for i in range(count + 1)]
    means = [sum(value / (b - a) for value in values[a:b]) for a, b in pairwise(cuts)]
    low = min(means) / 2
    span = max(means) / 2 - low  # halves: the widest range has no float of its own
    heights = [(mean / 2 - low) / span if span else 0.0 for mean in means]
    return "".join(_BARS[round(height * (len(_BARS) - 1))] for height in heights).ljust(width)


def bar(share: float, width: int, style: str) -> Cell:
    """A fraction as a line that is thick up to there."""
    halves = round(share * width * 2)
    done = "━" * (halves // 2) + "╸" * (halves % 2)
    return [(done, style), ("─" * (width - len(done)), "rest")]


def dollars(cost: float | None) -> str:
    """An amount of money in at most seven characters, or a dash."""
    if cost is None:
        return "–"
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if cost >= size * 10:
            return f"${min(cost / size, 9999):.0f}{unit}"
    return f"${cost:.2f}" if cost < 1000 else f"${cost:.0f}"


def reward_words(value: float | None) -> str:
    """A reward in at most six characters, or a dash."""
    if value is None:
        return "–"
    if value != value:
        return "NaN"
    for bound, digits in ((10, 3), (100, 2), (1000, 1)):
        if abs(value) < bound - 0.5 / 10**digits:
            return f"{value:.{digits}f}"
    return f"{value:.0e}" if abs(value) >= 99999 else f"{value:.0f}"


def span(seconds: float) -> str:
    """A duration in at most four characters."""
    years = seconds / 31_556_952
    return age(seconds) if years < 2 else f"{min(years, 999):.0f}y"


def _text(row: RunRow, name: str, width: int, style: str) -> Cell:
    text = _TEXTS[name](row)
    return [(fit(text or "–", width), style if text else "rest")]


def _status(row: RunRow, width: int, now: float) -> Cell:
    return [(fit(status_text(row.status), width), row.status)]


def _model(row: RunRow, width: int, now: float) -> Cell:
    """A model's name; where room is short, without its organisation."""
    name = row.model if cell_len(row.model) <= width else row.model.rpartition("/")[2] or row.model
    return [(middle(name, width), "")]


def _progress(row: RunRow, width: int, now: float) -> Cell:
    share = row.progress
    if share is None:
        waits = row.phase or ("" if row.live else "–")
        return [(fit(waits, width), "quiet" if row.live else "rest")]
    count = f"{row.step}/{row.total_steps}"
    if len(count) > _COUNT:
        count = f"{share:.0%}"
    room = width - _COUNT - _LEFT - 1
    return [
        (f"{count:>{_COUNT}} ", ""),
        *bar(share, room, "quiet" if row.status == "done" else row.status),
        (f"{_time_left(row, now):>{_LEFT}}", "" if row.live else "quiet"),
    ]


def _time_left(row: RunRow, now: float) -> str:
    """The time left of a live run, or the duration of another one."""
    if row.live:
        return "" if row.eta is None else f"~{span(row.eta)}"
    took = row.seconds(now)
    return "" if took is None else span(took)


def _reward(row: RunRow, width: int, now: float) -> Cell:
    number = f"{reward_words(row.reward):>6}"
    style = "rest" if row.reward is None else "" if math.isfinite(row.reward) else "failed"
    if row.reward is not None and row.reward_error is not None:
        return [(number, style), (fit(f" ± {reward_words(row.reward_error)}", width - len(number)), "quiet")]
    return [(number, style), (" ", ""), (sparkline(row.rewards, width - len(number) - 1), "spark")]


def _age(row: RunRow, width: int, now: float) -> Cell:
    return [(f"{span(now - row.created) if row.created else '–':>{width}}", "quiet")]


def _cost(row: RunRow, width: int, now: float) -> Cell:
    return [(f"{dollars(row.cost):>{width}}", "" if row.cost is not None else "rest")]


_TEXTS: dict[str, Callable[[RunRow], str]] = {
    "id": lambda row: row.run_id,
    "experiment": lambda row: row.experiment,
    "environment": lambda row: row.environment,
    "model": lambda row: row.model,
    "backend": lambda row: row.backend,
    "kind": lambda row: row.kind,
    "user": lambda row: row.experimenter,
}
_CELLS: dict[str, Callable[[RunRow, int, float], Cell]] = {
    "status": _status,
    "id": lambda row, width, now: _text(row, "id", width, "id"),
    "experiment": lambda row, width, now: _text(row, "experiment", width, ""),
    "environment": lambda row, width, now: _text(row, "environment", width, ""),
    "model": _model,
    "progress": _progress,
    "reward": _reward,
    "age": _age,
    "cost": _cost,
    "backend": lambda row, width, now: _text(row, "backend", width, "quiet"),
    "kind": lambda row, width, now: _text(row, "kind", width, "quiet"),
    "user": lambda row, width, now: _text(row, "user", width, "quiet"),
}
