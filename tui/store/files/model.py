"""What a preview of a file holds: lines, a table or records, and what is to be said about them. Pure data.

Nothing here is safe to print: a file's text is shown through `words.plain` or the like.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

Look = Literal["terminal", "plain", "json", "yaml", "hex", "share", "heading", "role", "note"]
"""How a line is shown; "terminal" lines may carry colours and progress bars."""
MAX_LINES = 5000
MAX_CHARS = 4000
"""Of one line or cell."""
MAX_ROWS = 200


@dataclass(frozen=True)
class Line:
    """One line without its end."""

    text: str
    look: Look = "plain"
    indent: int = 0
    """Cells that all its rows are set in."""


@dataclass(frozen=True)
class Lines:
    """Text. `wrap`: long lines are prose and go on below, rather than to the right."""

    lines: Sequence[Line]
    wrap: bool = False


@dataclass(frozen=True)
class Table:
    """Rows of cells as text, with the columns' names and types."""

    columns: Sequence[str]
    types: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: Sequence[bool] = ()
    """Columns that are set to the right."""


Body: TypeAlias = Lines | Table


@dataclass(frozen=True)
class Preview:
    """What can be shown of a file without reading all of it."""

    kind: str
    """For people: `JSON`, `table, 2 columns × 300 rows`, `PNG image, 640 × 480`."""
    body: Body
    notes: Sequence[str] = ()
    """What is left out, and what the file says of itself."""
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
