"""Text can be read: contrasts of the app's own themes, and of quiet text in every theme."""

from __future__ import annotations

import pytest
from textual.color import Color
from textual.theme import BUILTIN_THEMES, Theme

from tui.themes import DARK, FAINT, LIGHT, READABLE, contrast, legible

GROUNDS = ("background", "surface", "panel")
INKS = ("foreground", "primary", "secondary", "accent", "success", "warning", "error", "text-muted")
OURS = [DARK, LIGHT]
COLOURED = [theme for theme in BUILTIN_THEMES.values() if not theme.name.startswith("ansi")]


def colours(theme: Theme) -> dict[str, Color]:
    variables = legible(theme.to_color_system().generate())
    return {name: Color.parse(variables[name]) for name in (*GROUNDS, *INKS, "text-disabled")}


def test_contrast_is_wcags() -> None:
    assert contrast(Color.parse("#000"), Color.parse("#fff")) == pytest.approx(21)
    assert contrast(Color.parse("#777"), Color.parse("#fff")) == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", OURS, ids=lambda theme: theme.name)
@pytest.mark.parametrize("ink", INKS)
@pytest.mark.parametrize("ground", GROUNDS)
def test_every_ink_can_be_read_on_every_ground(theme: Theme, ink: str, ground: str) -> None:
    found = colours(theme)
    assert contrast(found[ink], found[ground]) >= READABLE


@pytest.mark.parametrize("theme", [*OURS, *COLOURED], ids=lambda theme: theme.name)
def test_quiet_text_is_quieter_and_legible_in_every_theme(theme: Theme) -> None:
    found = colours(theme)
    for ground in GROUNDS[:2]:
        plain = contrast(found["foreground"], found[ground])
        muted = contrast(found["text-muted"], found[ground])
        faint = contrast(found["text-disabled"], found[ground])
        assert faint <= muted <= plain + 0.01
        assert muted >= min(READABLE, plain - 0.01)
        assert faint >= min(FAINT, plain - 0.01)


def test_the_terminals_own_colours_stay() -> None:
    theme = BUILTIN_THEMES["ansi-dark"]
    variables = theme.to_color_system().generate()
    assert legible(variables) == variables
