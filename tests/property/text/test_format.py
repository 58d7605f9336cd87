"""Columns are where they are said to be, and names in them are shown, whatever they hold."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from tui.store.episodes.files import Episode, EpisodeRow
from tui.text.format import fit, pad, plain, table
from tui.widgets.episodes.layout import row_text, worth
from tui.widgets.runs.columns import middle

LETTERS = st.characters(exclude_categories=("Cn", "Cs"), exclude_characters="\u200d\ufe0f")
_NAMES = st.text(
    LETTERS | st.characters(min_codepoint=0xD800, max_codepoint=0xDFFF, exclude_categories=())
) | st.sampled_from(
    ["漢字の課題", "a\tb", "\x1b[31mred", "half\udcff", "👩\u200d🔬 lab", "e\u0301", "\u202eabc", ""]
)
_NUMBERS = st.floats() | st.sampled_from([1e300, -1e300, 1234.5, 999.9996, -123456.7])
_OBEYED = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


@given(_NAMES, st.integers(1, 40))
def test_a_cell_has_exactly_its_width(name: str, width: int) -> None:
    for cell in (fit(name, width), middle(name, width)):
        assert cell_len(cell) == width
        assert not _OBEYED.search(cell)
    assert cell_len(pad(name, width)) == max(width, cell_len(plain(name)))


@given(_NAMES, _NUMBERS)
def test_the_columns_of_an_episode_stand_still(task: str, reward: float) -> None:
    row = EpisodeRow(0, 1, task=task, reward=reward, turns=2)
    usual = EpisodeRow(0, 1, task="word 7", reward=0.5, turns=2)
    shown = row_text(row, 0.0, 1.0, 12, turns=True)
    assert shown.cell_length == row_text(usual, 0.0, 1.0, 12, turns=True).cell_length
    assert not _OBEYED.search(shown.plain)


@given(st.dictionaries(_NAMES, _NUMBERS, min_size=2, max_size=3))
def test_the_parts_of_a_reward_stand_below_each_other(parts: dict[str, float]) -> None:
    _, *rows = worth(Episode(task="t", reward=0.0, rewards=parts), 40)
    wide = worth(Episode(task="t", reward=0.0, rewards=parts), 4000)
    assert not any(_OBEYED.search(row.plain) for row in [*rows, *wide])
    assert all(row.cell_length <= 40 for row in rows)
    assert len({row.cell_length for row in worth(Episode(rewards=parts), 10**6)[1:]}) == 1


@given(st.lists(st.tuples(_NAMES, _NAMES, st.just("last")), min_size=1), st.booleans())
def test_the_columns_of_a_table_stand_still(rows: list[tuple[str, str, str]], wrap: bool) -> None:
    for width in (None, 40):
        text = table(("NAME", "VALUE", "last"), rows, width, wrap=wrap)
        assert not _OBEYED.search(text.replace("\n", ""))
        marked = [line for line in text.split("\n") if line.endswith("last")]
        assert len({cell_len(line.removesuffix("last")) for line in marked}) == 1
        if width is not None and max(cell_len(plain(name)) for name, _, _ in rows) < 20:
            assert all(cell_len(line) <= width for line in text.split("\n"))
    assert table(("A", "B"), [(plain("漢"), "y"), ("z", "")]) == "A   B\n漢  y\nz"
