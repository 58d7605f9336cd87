"""The two lines that say how a run stands."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tui.widgets.runs.status_line import RunSummary, bar, first_line, roughly, second_line

LIVE = RunSummary(
    status="running",
    doing="train · step 43",
    environment="vf_wordle",
    model="builtin/smollm2-135m",
    backend="modal",
    step=42,
    total=200,
    eta=754.0,
    reward=0.41234,
    elapsed=500.0,
    cost=0.123,
)


def test_a_run_under_way() -> None:
    assert first_line(LIVE, 80).plain.startswith("● running  train · step 43   ━━━")
    assert first_line(LIVE, 80).plain.endswith("42/200  21 %  ETA 13 min")
    assert second_line(LIVE, 84).plain.startswith("vf_wordle · builtin/smollm2-135m · modal  ")
    assert second_line(LIVE, 80).plain.endswith("reward 0.4123 · 8 min 20 s · est. $0.12")


@pytest.mark.parametrize("width", range(20, 210, 9))
@pytest.mark.parametrize("run", [LIVE, replace(LIVE, doing="", ended_ago=90.0, eta=None, status="done")])
def test_lines_fit(run: RunSummary, width: int) -> None:
    for line in (first_line(run, width), second_line(run, width)):
        assert line.cell_length == width if width >= 65 else line.cell_length <= width
    assert first_line(run, width).plain.startswith(f"{'✓ done' if run.ended_ago else '● running'}")
    assert second_line(run, width).plain.startswith("vf_wordle")


def test_another_attempt_says_why_where_there_is_room() -> None:
    again = replace(LIVE, attempt="attempt 2 (the machine was preempted)")
    assert " · attempt 2 (the machine was preempted)" in first_line(again, 120).plain
    narrow = first_line(again, 70).plain
    assert " · attempt 2  " in narrow
    assert narrow.endswith("ETA 13 min")


def test_what_is_known_at_first_is_little() -> None:
    assert first_line(RunSummary("pending"), 40).plain.strip() == "○ pending"


def test_a_run_that_is_over_says_when() -> None:
    assert first_line(
        replace(LIVE, status="failed", doing="", eta=None, ended_ago=180.0), 80
    ).plain.startswith("✗ failed  3m ago")


def test_steps_without_a_total_have_no_bar() -> None:
    line = first_line(replace(LIVE, total=None, eta=None), 80).plain
    assert line.endswith(" 42")
    assert "━" not in line


@pytest.mark.parametrize(
    ("share", "shown"),
    [(0, "────"), (0.125, "╸───"), (0.5, "━━──"), (1, "━━━━"), (7, "━━━━"), (-1, "────")],
)
def test_bars_go_by_half_cells(share: float, shown: str) -> None:
    assert bar(share, 4).plain == shown


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (3.2, "3.2 s"),
        (40, "40 s"),
        (59.7, "1 min"),
        (754, "13 min"),
        (3580, "59 min 40 s"),
        (7860, "2 h 11 min"),
    ],
)
def test_what_is_left_is_told_roughly(seconds: float, words: str) -> None:
    assert roughly(seconds) == words


def test_names_are_shown_and_never_obeyed() -> None:
    run = replace(LIVE, model="[red]x\x1b[2J", doing="a\x1bb")
    assert r"[red]x\x1b[2J" in second_line(run, 120).plain
    assert r"a\x1bb" in first_line(run, 120).plain
