"""Format text: control characters, sizes and times, tables. Pure functions."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from remote.contract.errors import VfmError
from remote.contract.json_text import OBEYED
from tui.store.episodes.scores import scores_of

RESET = "\x1b[0m"
NO_NAME = "(no name)"
_SGR = re.compile(r"\x1b\[[0-9;:]*m")
# Characters that a terminal may obey or cannot be sent, or that reorder text. In log lines, tabs are
# white space.
_CONTROL = re.compile(f"[\x00-\x08\x0a-\x1f{OBEYED}]")
_CONTROL_OR_TAB = re.compile(f"[\x00-\x1f{OBEYED}]")


def visible(text: str) -> str:
    """A log line with its control characters escaped, except tabs and colours."""
    text = text.removesuffix("\r")
    if not _CONTROL.search(text):
        return text
    parts, colours = _SGR.split(text), _SGR.findall(text)
    shown = [_CONTROL.sub(_escape, part) for part in parts]
    joined = "".join(part + colour for part, colour in zip(shown, [*colours, ""], strict=True))
    # Otherwise a colour that a log line leaves on would reach the next one.
    return joined + RESET if colours else joined


def colourless(text: str) -> str:
    """A log line as `visible` shows it, without its colours."""
    return visible(_SGR.sub("", text))


def escape_controls(text: str) -> str:
    """Text with its control characters escaped, except tabs."""
    return _CONTROL.sub(_escape, text)


def plain(text: str) -> str:
    """A name, or a sentence with names, with all control characters escaped."""
    return _CONTROL_OR_TAB.sub(_escape, text)


def fit(text: str, width: int) -> str:
    """Text in exactly `width` cells: padded, or its end cut for a `…`."""
    from rich.cells import cell_len, set_cell_size

    text = plain(text)
    if cell_len(text) <= width:
        return set_cell_size(text, width)
    return set_cell_size(set_cell_size(text, width - 1).rstrip() + "…", width)


def pad(text: str, width: int) -> str:
    """Text padded to `width` cells, never cut."""
    from rich.cells import cell_len

    text = plain(text)
    return text + " " * (width - cell_len(text))


def listed(names: Sequence[str], most: int = 5) -> str:
    """The first `most` names, and how many more there are: `a, b and 3 more`."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more:,} more" if more > 0 else "")


def first_lines(lines: Sequence[str], most: int) -> list[str]:
    """The first `most` lines, and one that says how many more there are."""
    more = len(lines) - most
    return [*lines[:most], *([f"… and {more:,} more"] if more > 0 else [])]


def named(name: str) -> str:
    """A name for display; an empty one as `(no name)`."""
    return plain(name) if name else NO_NAME


def one_line(error: Exception) -> str:
    """An error's message and hint."""
    if isinstance(error, VfmError):
        return f"{error.message} · {error.hint.text}" if error.hint else error.message
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    return {9: "\\t", 10: "\\n", 13: "\\r"}.get(code, f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")


_AGES = 1e11
"""Seconds: thousands of years."""


def counted(count: int, what: str) -> str:
    """`1 file`, `1,234 files`."""
    return f"{count:,} {what}{'s' * (count != 1)}"


def files_and_bytes(files: int, bytes_: int) -> str:
    """`1 file, 12 B`."""
    return f"{counted(files, 'file')}, {size(bytes_)}"


def duration(seconds: float) -> str:
    """`0.4 s`, `42 s`, `3 min 05 s`, `2 h 10 min`; a dash for absurd values."""
    if not seconds < _AGES:
        return "–"
    if seconds < 10:
        return f"{max(seconds, 0.0):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def moment(seconds: float | None) -> str:
    """A Unix time as local date and time, or a dash."""
    import time

    try:
        return "–" if not seconds else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
    except (OverflowError, OSError, ValueError):  # out of the calendar's range
        return "–"


def size(count: float) -> str:
    """Bytes in the unit that keeps the number short."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def number(value: float) -> str:
    """A metric's value in at most four significant digits."""
    return f"{value:.4g}" if value == value else "NaN"


def plus_minus(mean: float, error: float | None) -> str:
    """`0.412 ± 0.031`: a mean and its standard error, to two digits of the error."""
    if not error or not math.isfinite(error):
        return f"{mean:.3f}" + (" ± 0" if error == 0 else "")
    digits = max(0, min(1 - math.floor(math.log10(error)), 6))
    return f"{mean:.{digits}f} ± {error:.{digits}f}"


def p_value(p: float) -> str:
    """A p-value: `0.032`, `< 0.001`."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def scores_line(metrics: Mapping[str, float]) -> str:
    """`reward 0.412 ± 0.031 · solved 0.20 ± 0.06`; empty where these are not of an evaluation."""
    scores = scores_of(metrics)
    return " · ".join(f"{score.name} {plus_minus(score.mean, score.standard_error)}" for score in scores)


_NARROWEST = 8
"""Cells that a column keeps at least."""
_GAP = 2


def table(
    header: Sequence[str], rows: Iterable[Sequence[str]], width: int | None = None, *, wrap: bool = False
) -> str:
    """Columns padded to their widest cell.

    If they do not fit into `width` cells, columns between the first and the last are cut or wrapped.
    """
    from rich.cells import cell_len

    lines = [[plain(cell) for cell in line] for line in (header, *rows)]
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    if width is not None:
        widths = _narrowed(widths, width)
    return "\n".join(text for line in lines for text in _table_rows(line, widths, wrap))


def _narrowed(widths: list[int], room: int) -> list[int]:
    """The widths, with the columns in the middle narrowed to fit, the widest first."""
    over = sum(widths) + _GAP * (len(widths) - 1) - room
    widths, middle = [*widths], range(1, len(widths) - 1)
    while over > 0 and (wide := [at for at in middle if widths[at] > _NARROWEST]):
        widest = max(wide, key=widths.__getitem__)
        others = [widths[at] for at in wide if widths[at] < widths[widest]]
        gives = max(1, min(over, widths[widest] - max(others, default=_NARROWEST)))
        widths[widest] -= gives
        over -= gives
    return widths


def _table_rows(line: Sequence[str], widths: Sequence[int], wrap: bool) -> Iterator[str]:
    """The rows of a line: one, or as many as its longest wrapped cell."""
    from rich.cells import chop_cells

    *cells, last = line
    padded = [
        (chop_cells(cell, max(width, 2)) or [""]) if wrap else [cell]
        for cell, width in zip(cells, widths, strict=False)
    ]
    for at in range(max(map(len, padded), default=1)):
        row = [
            fit(rows[at] if at < len(rows) else "", width)
            for rows, width in zip(padded, widths, strict=False)
        ]
        yield (" " * _GAP).join([*row, *([last] if at == 0 else [])]).rstrip()


STATUS_SIGNS = {"pending": "○", "running": "●", "done": "✓", "failed": "✗", "cancelled": "■"}
"""A sign for each status, for terminals without colour."""
PLAIN_SIGNS = {"pending": ".", "running": "*", "done": "+", "failed": "x", "cancelled": "-"}
"""The same for fonts that lack those; chosen by `plain_signs` in the user's settings."""


def status_text(status: str) -> str:
    """`✓ done`: sign and status."""
    return f"{STATUS_SIGNS.get(status, '?')} {status}"


def age(seconds: float) -> str:
    """How long ago, in three or four characters: `12s`, `3m`, `5h`, `2d`, `7w`."""
    for unit, length in (("w", 604800), ("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length * (2 if unit == "w" else 1):
            return f"{seconds // length:.0f}{unit}"
    return f"{max(seconds, 0):.0f}s"
