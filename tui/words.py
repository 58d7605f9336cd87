"""Text for people: log text made safe, ages and sizes, tables. Pure functions.

What a run's stream says is turned into lines by `narrator`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from remote.contract.errors import VfmError
from tui.store.scores import scores_of

if TYPE_CHECKING:
    from tui.transfers import Removal

RESET = "\x1b[0m"
_SGR = re.compile(r"\x1b\[[0-9;:]*m")
# Everything that a terminal may obey, or that reorders what is read: C0 (but tab), DEL, C1, bidi overrides.
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def visible(text: str) -> str:
    """The text with control characters shown as escapes, never obeyed; tabs and colours stay."""
    text = text.removesuffix("\r")
    if not _CONTROL.search(text):
        return text
    parts, colours = _SGR.split(text), _SGR.findall(text)
    shown = [_CONTROL.sub(_escape, part) for part in parts]
    joined = "".join(part + colour for part, colour in zip(shown, [*colours, ""], strict=True))
    # A colour that a log line leaves on would run on into the next one.
    return joined + RESET if colours else joined


def escape_controls(text: str) -> str:
    """Text with every control character but tabs shown as an escape."""
    return _CONTROL.sub(_escape, text)


def plain(text: str) -> str:
    """The same without colours."""
    return visible(_SGR.sub("", text))


def one_line(error: Exception) -> str:
    """What went wrong, and what to do about it where that is known."""
    if isinstance(error, VfmError):
        return f"{error.message} · {error.hint.text}" if error.hint else error.message
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    return {10: "\\n", 13: "\\r"}.get(code, f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")


def files_and_bytes(files: int, bytes_: int) -> str:
    """`1 file, 12 B`."""
    return f"{files:,} file{'s' * (files != 1)}, {size(bytes_)}"


def removed(goes: Removal) -> str:
    """How much deleting takes away."""
    return "a link; what it leads to stays" if goes.is_link else files_and_bytes(goes.count, goes.bytes)


def duration(seconds: float) -> str:
    """`0.4 s`, `42 s`, `3 min 05 s`, `2 h 10 min`."""
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

    return "–" if not seconds else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def size(count: float) -> str:
    """Bytes in the unit that keeps the number short."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def number(value: float) -> str:
    """A metric's value in at most four significant digits."""
    return f"{value:.4g}"


def plus_minus(mean: float, error: float | None) -> str:
    """`0.412 ± 0.031`: a mean and its standard error, to the two digits that it is good for."""
    if not error or not math.isfinite(error):
        return f"{mean:.3f}" + (" ± 0" if error == 0 else "")
    digits = max(0, min(1 - math.floor(math.log10(error)), 6))
    return f"{mean:.{digits}f} ± {error:.{digits}f}"


def p_value(p: float) -> str:
    """A probability as it is reported: `0.032`, `< 0.001`."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def scores_line(metrics: Mapping[str, float]) -> str:
    """`reward 0.412 ± 0.031 · solved 0.20 ± 0.06`; empty where these are no evaluation's numbers."""
    scores = scores_of(metrics)
    return " · ".join(f"{score.name} {plus_minus(score.mean, score.standard_error)}" for score in scores)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns padded to their widest cell; the last one is left as long as it is."""
    lines = [list(header), *([visible(cell) for cell in row] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


STATUS_SIGNS = {"pending": "○", "running": "●", "done": "✓", "failed": "✗", "cancelled": "■"}
"""A sign for each status, so that colour is never all that tells them apart."""
PLAIN_SIGNS = {"pending": ".", "running": "*", "done": "+", "failed": "x", "cancelled": "-"}
"""The same for terminals whose font lacks those: `plain_signs` in the user's settings takes them."""


def status_words(status: str) -> str:
    """`✓ done`: the sign and the word; a status that this version does not know is shown as it is."""
    return f"{STATUS_SIGNS.get(status, '?')} {status}"


def age(seconds: float) -> str:
    """How long ago, in three or four characters: `12s`, `3m`, `5h`, `2d`, `7w`."""
    for unit, length in (("w", 604800), ("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length * (2 if unit == "w" else 1):
            return f"{seconds // length:.0f}{unit}"
    return f"{max(seconds, 0):.0f}s"
