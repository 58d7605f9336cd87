"""Colours of runs, which colour-blind people can tell apart too.

Hues of Okabe and Ito's set ("Color Universal Design", jfly.uni-koeln.de/color), made lighter for dark and
darker for light backgrounds until each stands out. A run also has a letter and a line pattern.
"""

from __future__ import annotations

_DARK = ("#56b4e9", "#e69f00", "#1fc79a", "#e78ac3", "#f0e442", "#ff7b4a", "#8da0ff", "#c8ccd4")
_LIGHT = ("#0072b2", "#b45309", "#007a5a", "#a8327e", "#7a6a00", "#c0392b", "#3b4cc0", "#4a4f57")
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def run_colour(mark: int, dark: bool) -> str:
    """The colour of run number `mark`, from 0."""
    palette = _DARK if dark else _LIGHT
    return palette[mark % len(palette)]


def run_letter(mark: int) -> str:
    """The letter of run number `mark`, from 0."""
    return LETTERS[mark % len(LETTERS)]
