"""Cells are counted as rich and Textual count them, and what is fitted takes exactly as many as asked."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len as of_rich

from tui.text.cells import cell_len, fit, take, wrapped

# Signs whose width changed from one Unicode to the next: Python's tables and rich's are of other years.
_BETWEEN = ((0x2630, 0x2637), (0x268A, 0x268F), (0x4DC0, 0x4DFF), (0x1D300, 0x1D376))
_ALONE = {0x3164, 0xFFA0, 0x70F, 0x110BD, 0x110CD}


def _is_settled(character: str) -> bool:
    code = ord(character)
    return code not in _ALONE and not any(low <= code <= high for low, high in _BETWEEN)


LETTERS = st.characters(exclude_categories=("Cn", "Cs"), exclude_characters="\u200d\ufe0f").filter(
    _is_settled
)
_EMOJI = st.sampled_from(["👩\u200d🔬", "❤\ufe0f", "🇪🇺", "👍🏽", "漢字", "한글", "e\u0301", "ﾊﾝ", "\t", "a"])
TEXTS = st.lists(LETTERS | _EMOJI).map("".join)


def test_every_assigned_character_takes_as_many_cells_as_rich_says() -> None:
    other = [
        f"U+{code:04X}"
        for code in range(0x110000)
        if unicodedata.category(chr(code)) not in ("Cn", "Cs")
        and _is_settled(chr(code))
        and cell_len(chr(code)) != of_rich(chr(code))
    ]
    assert other == []


@given(TEXTS)
def test_texts_take_as_many_cells_as_rich_says(text: str) -> None:
    assert cell_len(text) == of_rich(text)


@given(TEXTS, st.integers(0, 30))
def test_what_is_fitted_takes_as_many_cells_as_asked(text: str, width: int) -> None:
    assert cell_len(fit(text, width)) == width
    assert text.startswith(taken := take(text, width))
    assert cell_len(taken) <= width


@given(TEXTS, st.integers(2, 30))
def test_what_is_wrapped_loses_nothing_and_fits(text: str, width: int) -> None:
    rows = wrapped(text, width)
    assert "".join(rows) == text
    assert all(cell_len(row) <= width for row in rows)
