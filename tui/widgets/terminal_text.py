"""Log text as a terminal would show it: colours, and progress bars that draw over themselves.

Owns reading one line. Whatever else a terminal would obey (titles, the clipboard, clearing the screen,
moving about) is shown as visible escapes, and does nothing. Pure.
"""

from __future__ import annotations

import re

from rich.color import Color
from rich.style import Style
from rich.text import Text

from tui.words import escape_controls

_TOKEN = re.compile(r"\x1b\[([0-9;:]*)([mKCDG])|\r|\x08")
_SPECIAL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_TAB = 8
_FLAGS = {1: "bold", 2: "dim", 3: "italic", 4: "underline", 7: "reverse", 9: "strike"}
_OFF = {22: ("bold", "dim"), 23: ("italic",), 24: ("underline",), 27: ("reverse",), 29: ("strike",)}
MAX_COLUMNS = 20_000
"""How far a cursor movement may go: a log does not get to allocate a screen."""


def read_terminal(text: str, base: Style | None = None) -> Text:
    """A line of a log as styled text."""
    style = base or Style.null()
    text = text.removesuffix("\r")
    if not _SPECIAL.search(text):
        return Text(text.expandtabs(_TAB), style, end="")
    if "\x1b" not in text and "\r" not in text and "\x08" not in text:
        return Text(escape_controls(text).expandtabs(_TAB), style, end="")
    return _Line(style).write(text)


class _Line:
    """A terminal's line of cells with a cursor."""

    def __init__(self, base: Style) -> None:
        self._base = base
        self._colours: dict[str, Color] = {}
        self._flags: set[str] = set()
        self._cells: list[tuple[str, Style]] = []
        self._at = 0
        self._style = base

    def write(self, text: str) -> Text:
        """Draw it all, and give what is to be seen."""
        at = 0
        for token in _TOKEN.finditer(text):
            self._put(text[at : token.start()])
            self._obey(token)
            at = token.end()
        self._put(text[at:])
        shown = Text(end="", no_wrap=True)
        run, style = "", self._base
        for cell, look in self._cells:
            if look is not style:
                shown.append(run, style)
                run, style = "", look
            run += cell
        return shown.append(run, style)

    def _put(self, text: str) -> None:
        """Write over what is there. A sign of two columns counts as one cell: bars are plain text."""
        if not text:
            return
        text = escape_controls(text).replace("\t", " " * 4)
        if self._at > len(self._cells):
            self._cells += [(" ", self._base)] * (self._at - len(self._cells))
        self._cells[self._at : self._at + len(text)] = [(char, self._style) for char in text]
        self._at += len(text)

    def _obey(self, token: re.Match[str]) -> None:
        kind, given = token.group(2), token.group(1)
        if kind is None:
            self._at = 0 if token.group() == "\r" else max(0, self._at - 1)
            return
        first = (given or "").replace(":", ";").split(";")[0]
        number = int(first[:6]) if first else 0
        match kind:
            case "m":
                self._paint(given or "0")
            case "K":
                self._erase(number)
            case "C":
                self._at = min(self._at + max(number, 1), MAX_COLUMNS)
            case "D":
                self._at = max(0, self._at - max(number, 1))
            case "G":
                self._at = min(max(number, 1) - 1, MAX_COLUMNS)

    def _erase(self, which: int) -> None:
        if which == 0:
            del self._cells[self._at :]
        elif which == 1:
            self._cells[: self._at] = [(" ", self._base)] * min(self._at, len(self._cells))
        else:
            self._cells.clear()

    def _paint(self, given: str) -> None:
        codes = [int(part[:6] or 0) for part in given.replace(":", ";").split(";")]
        while codes:
            code = codes.pop(0)
            if code in (38, 48):
                self._palette("color" if code == 38 else "bgcolor", codes)
            else:
                self._simple(code)
        flags = dict.fromkeys(self._flags, True)
        self._style = self._base + Style(
            color=self._colours.get("color"), bgcolor=self._colours.get("bgcolor"), **flags
        )

    def _simple(self, code: int) -> None:
        if code == 0:
            self._colours.clear()
            self._flags.clear()
        elif code in _FLAGS:
            self._flags.add(_FLAGS[code])
        elif code in _OFF:
            self._flags -= set(_OFF[code])
        elif code in (39, 49):
            self._colours.pop("color" if code == 39 else "bgcolor", None)
        elif 30 <= code <= 37 or 90 <= code <= 97:
            self._colours["color"] = Color.from_ansi(code - 30 if code < 90 else code - 82)
        elif 40 <= code <= 47 or 100 <= code <= 107:
            self._colours["bgcolor"] = Color.from_ansi(code - 40 if code < 100 else code - 92)

    def _palette(self, what: str, codes: list[int]) -> None:
        kind = codes.pop(0) if codes else 0
        if kind == 5 and codes:
            self._colours[what] = Color.from_ansi(min(codes.pop(0), 255))
        elif kind == 2 and len(codes) >= 3:
            red, green, blue = (min(codes.pop(0), 255) for _ in range(3))
            self._colours[what] = Color.from_rgb(red, green, blue)
