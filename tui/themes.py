"""The app's own themes, dark and light. Textual's others stay on offer in the palette.

Owns the colours. No meaning is carried by them alone: every status also has a sign and a word.
"""

from __future__ import annotations

from textual.theme import Theme

DARK = Theme(
    name="vfm-dark",
    primary="#5fafd7",
    secondary="#87afaf",
    accent="#ffaf5f",
    success="#87d787",
    warning="#ffd75f",
    error="#ff8787",
    foreground="#d7dae0",
    background="#15181d",
    surface="#1b1f26",
    panel="#262b34",
    dark=True,
)
LIGHT = Theme(
    name="vfm-light",
    primary="#005f87",
    secondary="#3a6b6b",
    accent="#af5f00",
    success="#1f7a1f",
    warning="#8a6500",
    error="#b3261e",
    foreground="#20242b",
    background="#fafafa",
    surface="#f2f3f5",
    panel="#e3e6ea",
    dark=False,
)
