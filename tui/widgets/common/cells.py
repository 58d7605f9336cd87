"""Text fitted into a number of cells."""

from __future__ import annotations

from rich.cells import cell_len, set_cell_size

from tui.text.format import plain


def fit(text: str, width: int) -> str:
    """The text in exactly so many cells, its end left out where it must be."""
    text = plain(text)
    if cell_len(text) <= width:
        return set_cell_size(text, width)
    return set_cell_size(set_cell_size(text, width - 1).rstrip() + "…", width)


def pad(text: str, width: int) -> str:
    """The text with blanks up to so many cells, or as it is where it takes more."""
    text = plain(text)
    return text + " " * (width - cell_len(text))
