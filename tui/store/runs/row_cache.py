"""The rows of the last session on disk, which the runs table shows until backends answer.

One file, a row a line, newest first. Damaged lines are ignored. Everything here blocks.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from remote.contract.json_text import from_json
from tui.private_files import write_private
from tui.store.runs.row import Key, RunRow, row_from

VERSION = 1
FIRST = 200
"""Rows that are read before the rest: more than a screen holds."""
_HEAD = f'{{"v":{VERSION},"rows":['
_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


class RunCache:
    """A file of rows."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lines: dict[Key, tuple[RunRow, str]] = {}

    def read(self) -> Iterator[list[RunRow]]:
        """The first rows, then all others. None where there is no file, or one of another version."""
        try:
            with self.path.open(encoding="utf-8", errors="replace") as file:
                if file.readline().rstrip("\n") != _HEAD:
                    return
                rows = (row for line in file if (row := _row(line)) is not None)
                yield list(islice(rows, FIRST))
                yield list(rows)
        except OSError:
            return

    def write(self, rows: Sequence[RunRow]) -> None:
        """Replace the file. Raises `OSError`."""
        self._lines = {row.key: (row, self._line(row)) for row in rows}
        lines = [line for _, line in self._lines.values() if line]
        write_private(self.path, "\n".join([_HEAD, ",\n".join(lines), "]}\n"]))

    def _line(self, row: RunRow) -> str:
        known = self._lines.get(row.key)
        if known is not None and known[0] is row:
            return known[1]
        try:
            return _encode(row.to_dict())
        except ValueError:  # NaN or infinity: the row is not cached
            return ""


def _row(line: str) -> RunRow | None:
    try:
        return row_from(from_json(line.rstrip().rstrip(",")))
    except (ValueError, RecursionError):
        return None
