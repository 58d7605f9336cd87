"""A line as a terminal shows it, and nothing that a terminal would obey beyond its own line."""

from __future__ import annotations

import time

import pytest
from rich.console import Console

from tui.widgets.logs.ansi import plain_line, read_terminal
from tui.widgets.logs.render import cut_rows, strip_of


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("crlf\r", "crlf"),
        (" 10%|█   |\r100%|████|", "100%|████|"),
        ("a long first state\rshort", "shortg first state"),
        ("a long first state\r\x1b[Kshort", "short"),
        ("12345\x1b[2K\rab", "ab"),
        ("12345\x1b[3D\x1b[1Kx", "  x45"),
        ("12345\x1b[3G\x1b[1K", "   45"),
        ("abc\x08\x08X", "aXc"),
        ("a\x1b[3Cb", "a   b"),
        ("ab\x1b[5Gc", "ab  c"),
        ("世界\rab", "ab界"),
        ("世界\ra", "a 界"),
        ("abcd\r世", "世cd"),
        ("a世d\rxx", "xx d"),
        ("世\x08x", " x"),
        ("e\u0301x\ry", "yx"),
        ("a\tb", "a       b"),
        ("世\tb", "世      b"),
        ("\x1b[31ma\x1b[0m\tb", "a       b"),
        ("👨\u200d👩 ❤\ufe0f", "👨👩 ❤"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\x1b]52;c;eA==\x1b\\", "\\x1b]52;c;eA==\\x1b\\"),
        ("\x1b[2J\x1b[H\x1bc", "\\x1b[2J\\x1b[H\\x1bc"),
        ("\x1b[?25l\x9b1m\x00\x7f", "\\x1b[?25l\\x9b1m\\x00\\x7f"),
        ("\u202eevil", "\\u202eevil"),
        ("[bold]no markup[/]", "[bold]no markup[/]"),
    ],
)
def test_what_is_shown(text: str, shown: str) -> None:
    assert read_terminal(text).plain == shown


def test_colours() -> None:
    """All kinds, on and off again."""
    text = read_terminal("\x1b[1;31mred\x1b[22;39mno\x1b[38;5;208mo\x1b[48;2;1;2;3mb\x1b[mx")
    looks = [text.get_style_at_offset(Console(), at) for at in (0, 3, 5, 6, 7)]
    assert [str(look) for look in looks] == [
        "bold color(1)",
        "none",
        "color(208)",
        "color(208) on #010203",
        "none",
    ]


def test_nothing_blinks_hides_or_leaves_the_theme() -> None:
    """Text that a log hides is shown, and its default colour is the theme's, not the terminal's."""
    text = read_terminal("\x1b[8;5;6;31;41mx\x1b[39;49my\x1b[" + "9" * 5000 + "mz")
    assert text.plain == "xyz"
    looks = [text.get_style_at_offset(Console(), at) for at in (0, 1, 2)]
    assert [str(look) for look in looks] == ["color(1) on color(1)", "none", "none"]


def test_a_colour_survives_its_bar() -> None:
    text = read_terminal("\x1b[32m 1%\r 2%\x1b[0m done")
    assert text.plain == " 2% done"
    assert str(text.get_style_at_offset(Console(), 1)) == "color(2)"


@pytest.mark.parametrize(
    "text",
    [
        "x" * 65_536,
        "\x1b[31m" * 13_000,
        "\x1b[999999999999C" * 4000,
        "é世" * 20_000,
        "\r".join(f"{i}%|{'█' * 50}" for i in range(1000)),
        "\x08" * 65_536,
        "\t" * 65_536,
        "e" + "\u0301" * 60_000,
        "x\r" + "世" * 40_000,
        "\x1b[" + "1;" * 30_000 + "m",
    ],
)
def test_no_line_takes_long(text: str) -> None:
    """The processor's time for one screen row of whatever 64 kB hold stays far below a frame."""
    read_terminal(text, 200)
    began = time.process_time()
    read_terminal(text, 200)
    assert time.process_time() - began < 0.05


def test_copies_keep_what_joins() -> None:
    assert plain_line("👨\u200d👩 \x1b[1mx") == "👨\u200d👩 x"


@pytest.mark.parametrize("width", [2, 3, 7, 10])
def test_rows_never_cut_a_wide_sign(width: int) -> None:
    text = "a世界b" * 9 + "e\u0301" * 5
    rows = cut_rows(strip_of(read_terminal(text), Console()), width, 1000)
    assert "".join(row.text for row in rows) == text
    assert all(row.cell_length in (width, width - 1) for row in rows[:-1])
    assert len(cut_rows(strip_of(read_terminal(text), Console()), width, 3)) == 3
