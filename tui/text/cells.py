"""How many cells of a terminal a text takes, and text in exactly so many. Pure functions.

For the command line, which imports neither rich nor textual; a test holds both to the same widths.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

_JOINER, _AS_EMOJI = "\u200d", "\ufe0f"
_NO_WIDTH = frozenset({"Mn", "Me", "Mc", "Cc", "Zl", "Zp"})
_PART_OF_ANOTHER = ((0x1160, 0x11FF), (0xD7B0, 0xD7FF), (0x1F3FB, 0x1F3FF))
"""Vowels and ends of Hangul syllables, and skin tones: shown within the character before them."""


def cell_len(text: str) -> int:
    """The cells that a text takes. Control characters take none: show them as escapes first."""
    if text.isascii():
        return sum(character >= " " and character != "\x7f" for character in text)
    return sum(width for _, width in _clusters(text))


def fit(text: str, width: int) -> str:
    """The text in exactly so many cells: filled up with blanks, or its end left out for a `…`."""
    cells = cell_len(text)
    if cells <= width:
        return text + " " * (width - cells)
    if width < 1:
        return ""
    head = take(text, width - 1).rstrip()
    return head + "…" + " " * (width - 1 - cell_len(head))


def take(text: str, width: int) -> str:
    """The longest beginning of a text that takes at most so many cells."""
    end = 0
    for piece, cells in _clusters(text):
        width -= cells
        if width < 0:
            break
        end += len(piece)
    return text[:end]


def wrapped(text: str, width: int) -> list[str]:
    """A text in rows of at most so many cells (at least 2), cut where a row is full."""
    rows, width = [], max(width, 2)
    while cell_len(text) > width:
        rows.append(take(text, width))
        text = text[len(rows[-1]) :]
    return [*rows, text]


def _clusters(text: str) -> Iterator[tuple[str, int]]:
    """What is shown as one character, with its cells."""
    start, at, cells = 0, 0, 0
    while at < len(text):
        character, after = text[at], at + 1
        if character == _JOINER and at:
            after = min(at + 2, len(text))  # what is joined is drawn with what came before
        elif character == _AS_EMOJI:
            cells = 2 if cells else 0
        elif width := _width(character):
            if at > start:
                yield text[start:at], cells
            start, cells = at, width
        at = after
    if start < len(text):
        yield text[start:], cells


def _width(character: str) -> int:
    code, category = ord(character), unicodedata.category(character)
    if category in _NO_WIDTH or any(low <= code <= high for low, high in _PART_OF_ANOTHER):
        return 0
    if category == "Cf":  # but the soft hyphen, and signs that number what follows them
        return int(code == 0xAD or unicodedata.bidirectional(character) == "AN")
    kind = unicodedata.east_asian_width(character)  # of most that is not assigned: F
    return 2 if kind == "W" or (kind == "F" and category != "Cn") else 1
