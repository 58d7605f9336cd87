"""Buckets become dots, dots become characters, and lines can be told apart without colour."""

from __future__ import annotations

import pytest

from tui.store.charts.curves import Bucket
from tui.widgets.charts.braille import EMPTY, PATTERNS, Canvas, Scale
from tui.widgets.charts.palette import run_colour, run_letter

SOLID = PATTERNS[0]


def bucket(column: int, *values: float, joined: bool = True) -> Bucket:
    return Bucket(column, values[0], min(values), max(values), values[-1], joined)


def text(canvas: Canvas) -> list[str]:
    return ["".join(run for run, _ in row) for row in canvas.rows()]


SCALE = Scale(7, 1)
"""Value 0 at the bottom of two rows of cells."""


def test_each_dot_has_its_place() -> None:
    canvas = Canvas(1, 1)
    canvas.span(0, 0, 0, 0)
    canvas.span(1, 3, 3, 0)
    assert text(canvas) == ["⢁"]
    canvas.span(0, 0, 3, 0)
    canvas.span(1, 0, 3, 0)
    assert text(canvas) == ["⣿"]


def test_a_column_reaches_from_its_smallest_to_its_largest_over_cells() -> None:
    canvas = Canvas(1, 2)
    canvas.curve([bucket(0, 1, 6)], SCALE, 0, SOLID)
    assert text(canvas) == ["⡆", "⠇"]


def test_points_are_joined_and_gaps_are_not() -> None:
    joined, broken = Canvas(4, 1), Canvas(4, 1)
    joined.curve([bucket(0, 4), bucket(7, 4)], SCALE, 0, SOLID)
    broken.curve([bucket(0, 4), bucket(7, 4, joined=False)], SCALE, 0, SOLID)
    assert text(joined) == ["⣀⣀⣀⣀"]
    assert text(broken) == ["⡀  ⢀"]


@pytest.mark.parametrize("values", [(0, 7), (7, 0)])
@pytest.mark.parametrize("apart", [1, 2, 3])
def test_a_steep_line_has_no_holes(values: tuple[float, float], apart: int) -> None:
    canvas = Canvas(2, 2)
    canvas.curve([bucket(0, values[0]), bucket(apart, values[1])], SCALE, 0, SOLID)
    drawn = {line for column in range(4) for line in range(8) if _dot(canvas, column, line)}
    assert drawn == set(range(8))


def test_a_dashed_line_between_points_far_apart_is_dashed() -> None:
    solid, dashed = Canvas(20, 1), Canvas(20, 1)
    for canvas, pattern in ((solid, SOLID), (dashed, PATTERNS[1])):
        canvas.curve([bucket(0, 4), bucket(39, 4)], SCALE, 0, pattern)
    assert " " not in text(solid)[0]
    assert " " in text(dashed)[0].strip()


def test_lines_beyond_the_sides_are_cut_at_them() -> None:
    canvas = Canvas(2, 2)
    canvas.curve([bucket(-1000, 4), bucket(1000, 4)], SCALE, 0, SOLID)
    assert text(canvas) == ["⣀⣀", "  "]


def test_patterns_differ_without_colour() -> None:
    drawn = set()
    for pattern in PATTERNS:
        canvas = Canvas(12, 1)
        canvas.curve([bucket(column, 4) for column in range(24)], SCALE, 0, pattern)
        drawn.add(text(canvas)[0])
    assert len(drawn) == len(PATTERNS)
    assert len({pattern.sample for pattern in PATTERNS}) == len(PATTERNS)


def test_a_faint_line_gives_way_and_strong_ones_share_a_cell() -> None:
    canvas = Canvas(1, 1, faint={9})
    canvas.span(0, 0, 3, 9)
    canvas.span(1, 0, 0, 0)
    assert list(canvas.rows()) == [[("⠈", 0)]]
    canvas.span(0, 3, 3, 1)
    assert list(canvas.rows()) == [[("⡈", 1)]]


def test_rows_are_runs_of_one_ink() -> None:
    canvas = Canvas(5, 1)
    canvas.span(0, 0, 0, 0)
    canvas.span(2, 0, 0, 0)
    canvas.span(8, 0, 0, 1)
    assert list(canvas.rows()) == [[("⠁⠁", 0), ("  ", EMPTY), ("⠁", 1)]]


def test_no_canvas_no_dots() -> None:
    canvas = Canvas(-3, 0)
    canvas.curve([bucket(0, 1), bucket(3, 2)], SCALE, 0, SOLID)
    assert list(canvas.rows()) == []


def test_run_colours_stand_out_from_their_background() -> None:
    """At least 3:1, what WCAG 2.1 asks of graphics (1.4.11)."""
    for dark, background in ((True, "#262b34"), (False, "#f2f3f5")):
        for mark in range(8):
            assert _contrast(run_colour(mark, dark), background) >= 3, (mark, dark)


def test_neighbouring_runs_differ_in_letter_colour_and_pattern() -> None:
    letters = [run_letter(mark) for mark in range(26)]
    assert len(set(letters)) == 26
    for dark in (True, False):
        assert len({run_colour(mark, dark) for mark in range(8)}) == 8


def _dot(canvas: Canvas, column: int, line: int) -> bool:
    cell = text(canvas)[line // 4][column // 2]
    bits = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))[column % 2][line % 4]
    return cell != " " and bool((ord(cell) - 0x2800) & bits)


def _luminance(colour: str) -> float:
    red, green, blue = _light(colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_the_first_runs_differ_for_people_who_see_fewer_colours() -> None:
    """Seen without red or without green (Viénot, Brettel and Mollon, 1999), four colours stay apart."""
    for dark in (True, False):
        for matrix in (_WITHOUT_RED, _WITHOUT_GREEN):
            seen = [_seen(run_colour(mark, dark), matrix) for mark in range(4)]
            for one in range(4):
                for other in range(one):
                    apart = sum((a - b) ** 2 for a, b in zip(seen[one], seen[other], strict=True)) ** 0.5
                    assert apart > 10, (dark, matrix, one, other, apart)


_WITHOUT_RED = ((0.11238, 0.88762, 0.0), (0.11238, 0.88762, 0.0), (0.00401, -0.00401, 1.0))
_WITHOUT_GREEN = ((0.29275, 0.70725, 0.0), (0.29275, 0.70725, 0.0), (-0.02234, 0.02234, 1.0))


def _seen(colour: str, matrix: tuple[tuple[float, ...], ...]) -> tuple[float, float, float]:
    """A colour as CIE L*a*b* (D65), as somebody sees it whose eyes the matrix stands for."""
    light = _light(colour)
    red, green, blue = (sum(w * c for w, c in zip(row, light, strict=True)) for row in matrix)
    x = (0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.9505
    y = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    z = (0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.089
    fx, fy, fz = (v ** (1 / 3) if v > 0.008856 else 7.787 * v + 16 / 116 for v in (x, y, z))
    return 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)


def _light(colour: str) -> list[float]:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    return [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
