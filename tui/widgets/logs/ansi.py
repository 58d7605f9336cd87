"""Draw a line of a log as a terminal would: colours, and progress bars that draw over themselves. Pure.

rich reads the colours. Its `AnsiDecoder` alone would not do: of a bar it keeps the last state only, and it
drops other escapes. Here, whatever else a terminal would obey (titles, the clipboard, clearing the screen)
is shown as visible escapes, and does nothing.
"""

from __future__ import annotations

import re
from functools import lru_cache

from rich.ansi import AnsiDecoder
from rich.cells import cell_len, get_character_cell_size
from rich.style import Style
from rich.text import Text

from tui.text.format import escape_controls

_TOKEN = re.compile(r"\x1b\[([0-9;:]*)([mKCDG])|\r|\x08")
_SPECIAL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_MOVES = re.compile(r"\r|\x08|\x1b\[[0-9;:]*[KCDG]")
_JOINERS = re.compile("[\u200d\ufe00-\ufe0f]")
_TAB = 8
_PLAIN = Style.null()
_FLAGS = ("bold", "dim", "italic", "underline", "reverse", "strike")
_LONGEST = 100
"""Characters of an SGR sequence that is applied."""
MAX_COLUMNS = 2_000
"""How far a cursor movement may go: a log does not get to allocate a screen."""
LAST_STATES = 4_000
"""Characters of a line that draws over itself that are drawn: its last states."""


def read_terminal(text: str, columns: int | None = None) -> Text:
    """A line of a log as styled text; with `columns`, no more of it than fills so many.

    Emoji joiners are left out, since terminals disagree on joined emoji: the parts are shown side by side,
    two columns each. `plain_line` keeps the joiners.
    """
    text = _JOINERS.sub("", text) if not text.isascii() else text
    return _read(text, columns)


def plain_line(text: str) -> str:
    """A line's whole text as a terminal would leave it, without colours: for files and the clipboard."""
    return _read(text, None).plain


def _read(text: str, columns: int | None) -> Text:
    text = _needed(text.removesuffix("\r"), columns)
    if "\t" in text and (not text.isascii() or "\x1b" in text):
        return _Cells().write(text)
    if not _SPECIAL.search(text):
        return Text(text.expandtabs(_TAB), end="", no_wrap=True)
    if _MOVES.search(text):
        return _Cells().write(text)
    return _coloured(text)


def _needed(text: str, columns: int | None) -> str:
    """The part of a line that can be seen; of a progress bar, the last states."""
    if "\r" in text:
        if len(text) > LAST_STATES:
            text = text[text.find("\r", len(text) - LAST_STATES) + 1 or text.rfind("\r") + 1 :]
        if "\r" in text:
            return text
    if columns is None:
        return text
    return text[: 24 * columns + 4096] if "\x1b" in text else text[: 2 * columns + 256]


def _coloured(text: str) -> Text:
    """Text with colours and no other escapes: the usual case."""
    shown, pen, at = Text(end="", no_wrap=True), _Pen(), 0
    for token in _TOKEN.finditer(text):
        shown.append(escape_controls(text[at : token.start()]).expandtabs(_TAB), pen.style)
        pen.paint(token.group(1) or "0")
        at = token.end()
    return shown.append(escape_controls(text[at:]).expandtabs(_TAB), pen.style)


class _Pen:
    """The style that SGR sequences have set."""

    def __init__(self) -> None:
        self.style = self._set = _PLAIN

    def paint(self, codes: str) -> None:
        """Apply one sequence's numbers; of an endless one, nothing."""
        if len(codes) <= _LONGEST:
            self._set, self.style = _painted(self._set, codes)


@lru_cache(maxsize=1000)
def _painted(before: Style, codes: str) -> tuple[Style, Style]:
    """The style that is set after a sequence, and how it is shown.

    The default colour is shown as none, so that the line's own stays; what would blink or hide does not.
    """
    decoder = AnsiDecoder()
    decoder.style = before
    decoder.decode_line(f"\x1b[{codes.replace(':', ';')}m")
    style = decoder.style
    colours = {name: getattr(style, name) for name in ("color", "bgcolor")}
    flags = {name: getattr(style, name) or None for name in _FLAGS}
    return style, Style(**{name: x for name, x in colours.items() if x and not x.is_default}, **flags)


class _Cells:
    """A terminal's line of cells with a cursor. A wide character fills two; a combining mark none."""

    def __init__(self) -> None:
        self._pen = _Pen()
        self._cells: list[tuple[str, Style]] = []
        """One for each column; the right half of a wide character is empty."""
        self._at = 0

    def write(self, text: str) -> Text:
        """Draw the text, and return what is then visible."""
        at = 0
        for token in _TOKEN.finditer(text):
            self._put(text[at : token.start()])
            self._obey(token)
            at = token.end()
        self._put(text[at:])
        shown = Text(end="", no_wrap=True)
        run, style = "", _PLAIN
        for cell, look in self._cells:
            if look is not style:
                shown.append(run, style)
                run, style = "", look
            run += cell
        return shown.append(run, style)

    def _put(self, text: str) -> None:
        """Write text over the cells at the cursor."""
        if not text:
            return
        pieces = escape_controls(text).split("\t")
        for number, piece in enumerate(pieces):
            if number:
                self._at = min(self._at + _TAB - self._at % _TAB, max(MAX_COLUMNS, self._at))
            if piece:
                self._write_cells(self._cells_of(piece))

    def _cells_of(self, text: str) -> list[tuple[str, Style]]:
        style = self._pen.style
        if text.isascii() or cell_len(text) == len(text):
            return [(char, style) for char in text]
        cells: list[tuple[str, Style]] = []
        for char in text:
            width = get_character_cell_size(char)
            if width:
                cells.append((char, style))
                cells += [("", style)] * (width - 1)
            else:
                self._join(cells, char)
        return cells

    def _join(self, cells: list[tuple[str, Style]], mark: str) -> None:
        """Add a combining mark to the character before it."""
        before, at = (cells, len(cells) - 1) if cells else (self._cells, self._at - 1)
        while 0 <= at < len(before):
            sign, style = before[at]
            if sign:
                before[at] = (sign + mark, style)
                return
            at -= 1

    def _write_cells(self, new: list[tuple[str, Style]]) -> None:
        if self._at > len(self._cells):
            self._cells += [(" ", _PLAIN)] * (self._at - len(self._cells))
        end = self._at + len(new)
        self._part(self._at)
        self._part(end)
        self._cells[self._at : end] = new
        self._at = end

    def _part(self, at: int) -> None:
        """Turn a wide character that straddles a column into two spaces: half of it is overwritten."""
        if 0 < at < len(self._cells) and not self._cells[at][0]:
            self._cells[at - 1] = (" ", self._cells[at - 1][1])
            self._cells[at] = (" ", self._cells[at][1])

    def _obey(self, token: re.Match[str]) -> None:
        kind, given = token.group(2), token.group(1)
        if kind is None:
            self._at = 0 if token.group() == "\r" else max(0, self._at - 1)
            return
        first = (given or "").replace(":", ";").split(";")[0]
        number = int(first[:6]) if first else 0
        furthest = max(MAX_COLUMNS, self._at)
        match kind:
            case "m":
                self._pen.paint(given or "0")
            case "K":
                self._erase(number)
            case "C":
                self._at = min(self._at + max(number, 1), furthest)
            case "D":
                self._at = max(0, self._at - max(number, 1))
            case "G":
                self._at = min(max(number, 1) - 1, furthest)

    def _erase(self, which: int) -> None:
        self._part(self._at)
        if which == 0:
            del self._cells[self._at :]
        elif which == 1:
            count = min(self._at + 1, len(self._cells))
            self._part(count)
            self._cells[:count] = [(" ", _PLAIN)] * count
        elif which == 2:
            self._cells.clear()
