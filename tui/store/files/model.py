"""A preview of a file: lines or a table, notes and warnings. Pure data.

Nothing here is safe to print: text of a file goes through `tui/text/format.py:plain` or the like.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

Look = Literal["terminal", "plain", "json", "yaml", "hex", "share", "heading", "role", "note"]
"""How a line is drawn; "terminal" lines may hold colours and progress bars."""
MAX_LINES = 5000
MAX_CHARS = 4000
"""Characters of a line or cell."""
MAX_ROWS = 200


@dataclass(frozen=True)
class Line:
    """One line without its end."""

    text: str
    look: Look = "plain"
    indent: int = 0
    """Cells by which it is indented, wrapped rows included."""


@dataclass(frozen=True)
class Lines:
    """Text. `wrap`: long lines are prose, to be wrapped rather than scrolled."""

    lines: Sequence[Line]
    wrap: bool = False


@dataclass(frozen=True)
class Table:
    """Rows of cells as text, with the columns' names and types."""

    columns: Sequence[str]
    types: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: Sequence[bool] = ()
    """Columns that are aligned to the right."""


Body: TypeAlias = Lines | Table


@dataclass(frozen=True)
class Preview:
    """What a file is, what can be shown of it, and what is wrong with it."""

    kind: str
    """For people: `JSON`, `table, 2 columns × 300 rows`, `PNG image, 640 × 480`."""
    body: Body
    notes: Sequence[str] = ()
    """What is left out, and the file's own metadata."""
    warnings: Sequence[str] = ()
    """What is damaged."""


class Damaged(Exception):
    """A file is not what its name says; the message is a sentence for people."""


def clean(text: str, limit: int = MAX_CHARS) -> str:
    """Text that can be encoded, no longer than a line may be. Its control characters are still there."""
    cut = len(text) - limit
    if cut > 0:
        text = f"{text[:limit]} … {cut:,} characters more"
    # JSON and Parquet may hold halves of surrogate pairs, which no terminal can be sent.
    return text.encode("utf-8", "backslashreplace").decode()


def lines_of(text: str, look: Look = "plain", indent: int = 0) -> list[Line]:
    """Text as lines, at most `MAX_LINES`. Only newlines end a line: `\\r` is a progress bar's."""
    parts = text.split("\n", MAX_LINES)
    if parts and not parts[-1]:
        parts.pop()
    more = len(parts) > MAX_LINES
    lines = [Line(clean(part.removesuffix("\r")), look, indent) for part in parts[:MAX_LINES]]
    return [*lines, Line(f"… more than {MAX_LINES:,} lines", "note")] if more else lines
