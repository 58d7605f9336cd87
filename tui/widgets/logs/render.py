"""Draw one line of a log: its time, tag and level, search hits, and how much was cut.

Styles the parts of a line and cuts it into rows; `view.py` places the rows on the screen.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from rich.cells import get_character_cell_size
from rich.console import Console
from rich.style import Style
from rich.text import Text
from textual.strip import Strip

from remote.contract.events import split_source
from tui.backends.destination import write_file
from tui.store.logs.log_file import Line
from tui.store.logs.search import LogRows
from tui.text.format import size
from tui.widgets.logs.ansi import plain_line, read_terminal

_HEAD = 300
_SPANS = 200
_ERROR = re.compile(
    r"\b(?:ERROR|CRITICAL|FATAL)\b|^Traceback \(most recent call|^[\w.]*(?:Error|Exception)\b|^[❌✗]"
)
_WARNING = re.compile(r"\bWARN(?:ING)?\b|\b\w*Warning: |^⚠")
_PREFIX = re.compile(
    r"(?:\(\w+[^()]*\) )?(INFO|DEBUG|WARNING|ERROR|CRITICAL) \d\d-\d\d \d\d:\d\d:\d\d(?: \[[^]\n]*\])?"
)
"""vLLM's prefix of each message."""


@dataclass(frozen=True)
class Look:
    """The styles of a line's parts, and which parts are shown."""

    tag: Style
    time: Style
    event: Style
    failure: Style
    error: Style
    warning: Style
    hit: Style
    more: Style
    hits: Any = None
    """A compiled pattern over bytes whose hits are marked."""
    stamps: bool = False


def draw(line: Line, look: Look, columns: int) -> Text:
    """A line as styled text, at least `columns` of it where it is that long."""
    plain = line.text
    if line.is_event and plain[0] != "\x1e":
        text = read_terminal(plain, columns)
        text.stylize(look.failure if plain[0] == "✗" else look.event)
    else:
        text = _draw_text(plain, look, columns)
    if line.cut > 0:
        text.append(f" … {size(line.cut)} more", look.time)
    _mark_hits(text, look)
    if not look.stamps:
        return text
    stamp = "        " if line.t is None else time.strftime("%H:%M:%S", time.localtime(line.t))
    return Text.assemble((f"{stamp} ", look.time), text, end="", no_wrap=True)


def strip_of(text: Text, console: Console) -> Strip:
    """Styled text as the segments of a row."""
    return Strip(text.render(console))


def cut_rows(strip: Strip, width: int, most: int) -> list[Strip]:
    """Cut a strip into at most `most` rows of `width` columns; no wide character is cut in two."""
    if strip.cell_length <= width:
        return [strip]
    cuts, column, start = [], 0, 0
    for char in strip.text:
        wide = get_character_cell_size(char)
        if column + wide - start > width:
            cuts.append(column)
            start = column
            if len(cuts) == most:
                return list(strip.divide(cuts))
        column += wide
    return list(strip.divide([*cuts, strip.cell_length]))


def plain_of(line: Line) -> str:
    """A line's whole text without colours, for files and the clipboard."""
    tag, rest = _tag_of(line.text)
    return tag + plain_line(rest)


def write_plain(rows: LogRows, path: Path, *, force: bool = False) -> int:
    """Write lines into a file; returns how many. Raises what `write_file` raises."""

    def write(file: BinaryIO) -> int:
        count = 0
        while lines := rows.read(count, 1000):
            file.writelines(f"{plain_of(line)}\n".encode(errors="backslashreplace") for line in lines)
            count += len(lines)
        return count

    return write_file(path, write, force=force)


def _tag_of(line: str) -> tuple[str, str]:
    """Split off the tag: it is the run's, so a carriage return of the program goes back to its end."""
    _, rest = split_source(line)
    return line[: len(line) - len(rest)], rest


def _draw_text(line: str, look: Look, columns: int) -> Text:
    tag, rest = _tag_of(line)
    text = read_terminal(rest, columns)
    head = text.plain[:_HEAD]
    level = look.error if _ERROR.search(head) else look.warning if _WARNING.search(head) else None
    prefix = _PREFIX.match(head)
    if level is not None:
        # A warning's message is for reading: its word is enough of a sign.
        text.stylize_before(level, *(prefix.span(1) if prefix and level is look.warning else (0,)))
    if prefix:
        low, high = prefix.span(1)
        for start, end in ((0, low), (high, prefix.end())) if level else ((0, prefix.end()),):
            text.stylize(look.time, start, end)
    return Text.assemble((tag, look.tag), text, end="", no_wrap=True) if tag else text


def _mark_hits(text: Text, look: Look) -> None:
    if look.hits is None:
        return
    plain = text.plain
    raw = plain.encode(errors="replace")
    for count, match in enumerate(look.hits.finditer(raw)):
        if count == _SPANS:
            break
        start, end = match.span()
        if not plain.isascii():
            start, end = (len(raw[:at].decode(errors="replace")) for at in (start, end))
        text.stylize(look.hit, start, end)
