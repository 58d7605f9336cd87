"""The app's own themes, dark and light; Textual's are available too.

Muted text is legible in every theme. Colour alone never carries a meaning: a status also has a sign and a
word.
"""

from __future__ import annotations

from collections.abc import Mapping

from textual.color import Color
from textual.theme import Theme

READABLE = 4.5
"""The contrast that text needs (WCAG 2 AA)."""
FAINT = 3.5
"""The contrast of text that is disabled."""

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
    variables={
        "scrollbar": "#3b4350",
        "scrollbar-hover": "#4d5766",
        "scrollbar-background": "#1b1f26",
        "scrollbar-corner-color": "#1b1f26",
    },
)
LIGHT = Theme(
    name="vfm-light",
    primary="#005f87",
    secondary="#3a6b6b",
    accent="#8c4b00",
    success="#1a6b1a",
    warning="#755500",
    error="#b3261e",
    foreground="#20242b",
    background="#fafafa",
    surface="#f2f3f5",
    panel="#e6e9ed",
    dark=False,
    variables={
        "scrollbar": "#c3c9d1",
        "scrollbar-hover": "#a9b1bc",
        "scrollbar-background": "#f2f3f5",
        "scrollbar-corner-color": "#f2f3f5",
    },
)


def legible(variables: Mapping[str, str]) -> dict[str, str]:
    """A theme's variables, with muted text in solid colours that are legible.

    Textual blends them with the background, which text within a line (`Content`) does not know. Themes that
    use the terminal's own colours stay as they are.
    """
    grounds = [Color.parse(variables[name]) for name in ("background", "surface", "panel")]
    ink = Color.parse(variables["foreground"])
    if any(colour.ansi is not None or colour.a < 1 for colour in (ink, *grounds)):
        return dict(variables)
    muted, faint = _mixed(ink, grounds, 0.6, READABLE), _mixed(ink, grounds[:2], 0.4, FAINT)
    return {
        **variables,
        **dict.fromkeys(("text-muted", "foreground-muted"), muted),
        **dict.fromkeys(("text-disabled", "foreground-disabled"), faint),
    }


def _mixed(ink: Color, grounds: list[Color], share: float, enough: float) -> str:
    """A colour blended with the background as far as it stays legible on all backgrounds."""
    while share < 1 and min(contrast(_thin(ink, grounds, share), ground) for ground in grounds) < enough:
        share += 0.02
    return _thin(ink, grounds, share).hex


def _thin(ink: Color, grounds: list[Color], share: float) -> Color:
    return grounds[0].blend(ink, min(share, 1.0))


def contrast(one: Color, other: Color) -> float:
    """The contrast of two colours, from 1 to 21 (WCAG 2)."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: Color) -> float:
    shares = [part / 255 for part in colour.rgb]
    red, green, blue = (s / 12.92 if s <= 0.03928 else ((s + 0.055) / 1.055) ** 2.4 for s in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
