"""Whatever a log says, nothing of it can steer the terminal, and its columns add up."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len, get_character_cell_size
from rich.console import Console

from tui.widgets.logs.ansi import plain_line, read_terminal
from tui.widgets.logs.render import cut_rows, strip_of

pieces = st.one_of(
    st.text(max_size=5),
    st.sampled_from(
        ["\x1b[K", "\x1b[1K", "\x1b[2K", "\x1b[3C", "\x1b[2D", "\x1b[9G", "\r", "\x08", "\t", "\x1b", "\x1b["]
    ),
    st.sampled_from(
        ["\x1b[31m", "\x1b[0m", "\x1b[38;5;300m", "\x1b[38;2;1;2m", "世", "e\u0301", "👨\u200d👩"]
    ),
    st.binary(max_size=4).map(lambda raw: raw.decode(errors="replace")),
)
lines = st.lists(pieces, max_size=12).map(lambda parts: "".join(parts).replace("\n", ""))
ACTS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


@given(lines)
def test_nothing_acts(text: str) -> None:
    """On the screen and in copies."""
    for segment in read_terminal(text).render(Console()):
        assert not ACTS.search(segment.text)
        assert not segment.control
    assert not ACTS.search(plain_line(text))


@given(lines, st.integers(2, 9))
def test_columns_add_up(text: str, width: int) -> None:
    """Each sign takes its own columns, alone or in a row, in every terminal alike."""
    read = read_terminal(text)
    assert cell_len(read.plain) == sum(get_character_cell_size(char) for char in read.plain)
    rows = cut_rows(strip_of(read, Console()), width, 10_000)
    assert "".join(row.text for row in rows) == read.plain
    assert all(row.cell_length <= width for row in rows)


@given(st.lists(st.text("ab世界 ", max_size=6), min_size=1, max_size=5))
def test_a_bar_draws_over_itself(states: list[str]) -> None:
    """As a model of columns has it: what the last states do not cover is seen of those before."""
    columns: list[str] = []
    for state in states:
        at = 0
        for char in state:
            size = get_character_cell_size(char)
            columns += [" "] * (at + size - len(columns))
            if columns[at] == "":
                columns[at - 1] = " "
            if at + size < len(columns) and columns[at + size] == "":
                columns[at + size] = " "
            columns[at : at + size] = [char, ""][:size]
            at += size
    text = "\r".join(states)
    assert read_terminal(text + "\x1b[0m").plain == "".join(columns)
