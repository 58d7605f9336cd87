"""The rows of the session before, on disk: what the runs table shows before anybody was asked.

Owns one file, one row a line, newest first, replaced atomically. It is a cache: what is damaged is passed
over, and losing it costs one listing. Blocking: call it off the event loop.
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
"""Rows that are given out before the rest: more than a screen holds."""
_HEAD = f'{{"v":{VERSION},"rows":['
_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


class RunCache:
    """The rows in a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lines: dict[Key, tuple[RunRow, str]] = {}

    def read(self) -> Iterator[list[RunRow]]:
        """The rows, the first few at once and then all others. No file, or one of another age: none."""
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
        except ValueError:  # a number that JSON has no word for: the row is listed again anyway
            return ""


def _row(line: str) -> RunRow | None:
    try:
        return row_from(from_json(line.rstrip().rstrip(",")))
    except (ValueError, RecursionError):
        return None
