"""Phases on an axis of time, and the words and lines made of them."""

from __future__ import annotations

from itertools import count

import pytest

from remote.contract.events import AttemptEvent, EndEvent, PhaseEvent, ProgressEvent, RestartEvent
from tui.store.runs.phases import Span, attempt_span, doing, spans, under_way
from tui.store.runs.state import RunState
from tui.widgets.runs.timeline_layout import chart, line, short

Told = tuple[float, str, str] | tuple[float, str, str, str]


def said(*told: Told, end: tuple[float, str] | None = None) -> RunState:
    """A run that told of these phases."""
    seq = count()
    state = RunState()
    for t, phase, status, *detail in told:
        state.add(
            PhaseEvent(seq=next(seq), t=t, phase=phase, status=status, detail=detail[0] if detail else None)
        )
    if end is not None:
        state.add(EndEvent(seq=next(seq), t=end[0], status=end[1], exit_code=0))
    return state


STARTED: tuple[Told, ...] = (
    (100.0, "image", "started"),
    (100.1, "image", "done", "reused"),
    (100.2, "prepare", "started"),
    (110.0, "prepare", "done"),
    (110.0, "vllm", "started"),
    (112.0, "vllm", "started", "resolving"),
    (120.0, "vllm", "done", "resolving"),
    (120.0, "vllm", "started", "loading weights"),
)
READY: tuple[Told, ...] = (
    *STARTED,
    (130.0, "vllm", "done", "loading weights"),
    (140.0, "vllm", "done"),
    (140.0, "train", "started"),
)


def by_name(found: list[Span]) -> dict[str, Span]:
    return {span.name: span for span in found}


def texts(
    state: RunState, now: float, width: int = 100, status: str = "running", unfold: bool = False
) -> list[str]:
    return [row.plain.rstrip() for row in chart(spans(state, "train", now, status), width, unfold=unfold)]


def test_what_is_done_goes_on_and_is_ahead() -> None:
    found = by_name(spans(said(*STARTED), "train", 125.0, "running"))
    assert [(s.name, s.state) for s in found.values()] == [
        ("image", "done"), ("prepare", "done"), ("vllm", "now"),
        ("train", "ahead"), ("save", "ahead"), ("finish", "ahead"),
    ]  # fmt: skip
    assert found["image"].note == "reused"
    assert found["vllm"].seconds == 15.0
    assert [(p.name, p.state, p.seconds) for p in found["vllm"].parts] == [
        ("resolving", "done", 8.0),
        ("loading weights", "now", 5.0),
    ]


def test_an_evaluation_has_no_training_ahead() -> None:
    assert [s.name for s in spans(RunState(), "evaluate", 0.0, "pending")] == [
        "image", "prepare", "vllm", "evaluate", "save", "finish",
    ]  # fmt: skip


def test_a_phase_of_a_newer_worker_is_shown_too() -> None:
    found = spans(said((1.0, "distil", "started")), "train", 2.0, "running")
    assert (found[-1].name, found[-1].state) == ("distil", "now")


def test_overlapping_phases_are_both_under_way() -> None:
    state = said((0.0, "prepare", "started"), (5.0, "vllm", "started"))
    found = by_name(spans(state, "train", 9.0, "running"))
    assert (found["prepare"].state, found["vllm"].state) == ("now", "now")
    assert (found["prepare"].seconds, found["vllm"].seconds) == (9.0, 4.0)
    prepare, vllm = texts(state, 9.0)[:2]
    assert prepare.index("━") < vllm.index("━")
    assert len(prepare) == len(vllm)  # both end now


def test_the_clock_of_the_runs_machine_may_be_ahead() -> None:
    assert by_name(spans(said(*STARTED), "train", 90.0, "running"))["vllm"].seconds == 10.0


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_nothing_outlives_its_run(status: str) -> None:
    found = by_name(spans(said(*STARTED), "train", 9999.0, status))  # killed: it never said an end
    assert (found["vllm"].state, found["vllm"].seconds) == (status, 10.0)
    assert found["vllm"].parts[-1].state == status


def test_what_failed_is_told_of_rather_than_what_came_after() -> None:
    state = said(*READY, (150.0, "train", "failed"), (150.0, "finish", "started"), (151.0, "finish", "done"))
    here = under_way(spans(state, "train", 160.0, "failed"))
    assert here is not None
    assert here.name == "train"


@pytest.mark.parametrize(
    ("progress", "words"),
    [
        ([], "vllm · loading weights"),
        ([(125.0, 12, 186, "packages")], "vllm · loading weights · 12/186 packages"),
        ([(125.0, 4096, 0, "bytes")], "vllm · loading weights · 4,096 bytes"),
        ([(105.0, 12, 186, "packages")], "vllm · loading weights"),  # of a phase before
    ],
)
def test_what_goes_on_now(progress: list[tuple[float, int, int, str]], words: str) -> None:
    state = said(*STARTED)
    for seq, (t, done, total, what) in enumerate(progress, 100):
        state.add(ProgressEvent(seq=seq, t=t, done=done, total=total, what=what))
    assert doing(state, spans(state, "train", 126.0, "running")) == words


def test_the_step_under_way_is_the_one_after_those_done() -> None:
    state = said(*READY)
    state.add(ProgressEvent(seq=90, t=150.0, done=4, total=20, what="steps"))
    assert doing(state, spans(state, "train", 151.0, "running")) == "train · step 5"


def test_one_line_says_all_where_it_fits() -> None:
    found = spans(said(*READY), "train", 150.0, "running")
    assert line(found, 80).plain == "✓ image 0.1s  ✓ prepare 9.8s  ✓ vllm 30s  ● train 10s  ○ save  ○ finish"


def test_one_line_gives_up_the_least_telling_first() -> None:
    found = spans(said(*STARTED), "train", 125.0, "running")
    whole = "✓ image  ✓ prepare  ● vllm 15s · loading weights 5.0s  ○ train  ○ save  ○ finish"
    assert line(found, len(whole)).plain == whole
    assert line(found, 66).plain == "✓ image  ✓ prepare  ● vllm 15s · loading weights 5.0s  ○ 3 ahead"
    assert line(found, 48).plain == "● vllm 15s · loading weights 5.0s  ○ 3 ahead"
    assert line(found, 20).cell_length == 20


@pytest.mark.parametrize("width", range(1, 130, 7))
def test_no_line_is_wider_than_there_is_room(width: int) -> None:
    found = spans(said(*STARTED), "train", 125.0, "running")
    assert line(found, width).cell_length <= width
    if width > 40:
        assert all(row.cell_length <= width for row in chart(found, width, eta=60.0))
        assert all(row.cell_length <= width for row in chart(found, width, unfold=True))


def test_the_chart_has_a_line_a_phase_and_its_sub_phases_below() -> None:
    rows = texts(said(*STARTED), 125.0)
    assert [row.split("━")[0].split("╸")[0].split("╺")[0].split() for row in rows[:3]] == [
        ["✓", "image", "0.1", "s"],
        ["✓", "prepare", "9.8", "s"],
        ["●", "vllm", "15", "s"],
    ]
    assert rows[3] == "  └ ✓ resolving 8.0s  ● loading weights 5.0s"
    assert rows[4] == "○ train  ○ save  ○ finish"
    unfolded = texts(said(*STARTED), 125.0, unfold=True)
    assert unfolded[3].split("━")[0].split("╸")[0].split("╺")[0].split() == ["✓", "resolving", "8.0", "s"]


def test_sub_phases_fold_away_once_their_phase_is_done() -> None:
    assert not any("resolving" in row for row in texts(said(*READY), 150.0, unfold=True))


def test_bars_are_in_proportion_and_what_is_left_is_dashed() -> None:
    found = spans(
        said((0.0, "vllm", "started"), (10.0, "vllm", "done"), (10.0, "train", "started")),
        "train",
        20.0,
        "running",
    )
    vllm, train, _ = (row.plain for row in chart(found, 100, eta=20.0))
    assert vllm.count("━") == train.count("━")
    assert abs(train.count("╌") - 2 * train.count("━")) <= 1
    assert train.index("━") > vllm.rindex("━")


def test_an_attempt_is_marked_and_what_was_done_before_it_stays_on_the_axis() -> None:
    state = said(*READY)
    state.add(AttemptEvent(seq=1_000_000, t=200.0, number=2, why="preempted"))
    state.add(PhaseEvent(seq=1_000_001, t=200.0, phase="prepare", status="started"))
    found, now = spans(state, "train", 220.0, "running"), attempt_span(state, 220.0, "running")
    assert {span.name: span.state for span in found if span.earlier} == {
        "prepare": "now",
        "vllm": "ahead",
        "train": "ahead",
    }
    again, image, prepare, vllm, train, rest = (row.plain.rstrip() for row in chart(found, 100, attempt=now))
    assert again.startswith("↻ attempt 2         20 s  ")
    assert again.endswith(" the machine was preempted ╷")
    assert again.index("╷") == prepare.index("╺")  # where its own bars begin
    assert prepare.index("─") < vllm.index("─") < train.index("─") < again.index("╷")
    assert (image.split()[0], vllm.split()[0], rest) == ("✓", "○", "○ save  ○ finish")
    assert line(found, 60, now).plain.startswith("↻ attempt 2  ")
    for width in range(41, 200, 13):
        assert all(row.cell_length <= width for row in chart(found, width, attempt=now, eta=60.0))
        assert line(found, width, now).cell_length <= width


def test_what_goes_on_is_the_server_while_it_starts_again_in_mid_run() -> None:
    state = said(*READY)
    state.add(RestartEvent(seq=1_000, t=200.0, number=1, why="vLLM died"))
    state.add(PhaseEvent(seq=1_001, t=200.0, phase="vllm", status="started"))
    state.add(PhaseEvent(seq=1_002, t=201.0, phase="vllm", status="started", detail="loading weights"))
    assert doing(state, spans(state, "train", 220.0, "running")) == "vllm · loading weights"
    state.add(PhaseEvent(seq=1_003, t=230.0, phase="vllm", status="done"))
    assert doing(state, spans(state, "train", 240.0, "running")).startswith("train")


def test_the_shortest_phase_is_still_seen() -> None:
    state = said((0.0, "image", "started"), (0.001, "image", "done"), (1.0, "train", "started"))
    assert "╸" in texts(state, 3600.0)[0]


def test_names_are_shown_and_never_obeyed() -> None:
    state = said((0.0, "vllm", "started"), (1.0, "vllm", "started", "[red]\x1b[2J"))
    assert "[red]" in texts(state, 2.0)[1]
    assert "\x1b" not in "".join(texts(state, 2.0))
    assert "\x1b" not in line(spans(state, "train", 2.0, "running"), 100).plain


@pytest.mark.parametrize(("seconds", "text"), [(0, "0.0s"), (9.96, "10s"), (59.6, "1m00s"), (7800, "2h10m")])
def test_short_durations(seconds: float, text: str) -> None:
    assert short(seconds) == text
