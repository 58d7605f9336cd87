"""Text for people: what a terminal may obey is shown instead, and each thing is told once."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote.contract.events import (
    AttemptEvent,
    Event,
    FailureEvent,
    MetricsEvent,
    PhaseEvent,
    ProgressEvent,
    RestartEvent,
    UnknownEvent,
    encode_line,
)
from tui.cli.exit_codes import failure_text
from tui.text.format import duration, plain, size, table, visible
from tui.text.stream import StreamText


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\tb", "a\tb"),
        ("\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m\x1b[0m"),
        ("\x1b[2J\x1b[31mred", "\\x1b[2J\x1b[31mred\x1b[0m"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("50%\r100%\r", "50%\\r100%"),
        ("\x9b2J", "\\x9b2J"),
        ("a\u202eb", "a\\u202eb"),
        ("grün 🟩", "grün 🟩"),
    ],
)
def test_control_characters_are_shown(text: str, shown: str) -> None:
    assert visible(text) == shown
    assert "\x1b" not in plain(text)


@given(st.text())
def test_nothing_that_a_terminal_obeys_is_left(text: str) -> None:
    assert not [c for c in plain(text) if unicodedata.category(c) == "Cc" and c != "\t"]


def _told(*events: Event | str) -> list[str]:
    stream = StreamText()
    lines = [event if isinstance(event, str) else encode_line(event) for event in events]
    return [text for line in lines for text in stream.lines(line)] + stream.flush()


def test_a_step_is_told_once_though_the_trainer_says_it_too() -> None:
    total = ProgressEvent(done=0, total=40, what="steps")
    first, second = (MetricsEvent(step=n, values={"reward": 0.25, "loss": 1e-6}) for n in (1, 2))
    assert _told(total, first, "[train] step 1/40 reward 0.25 (3.0 s)", second) == [
        "[train] step 1/40 reward 0.25 (3.0 s)",
        "step 2/40 reward 0.25 · loss 1e-06",
    ]


def test_phases_are_told_with_their_time() -> None:
    events = (
        PhaseEvent(phase="vllm", status="started", t=10),
        PhaseEvent(phase="vllm", status="started", detail="loading weights", t=12),
        PhaseEvent(phase="vllm", status="done", detail="loading weights", t=15),
        PhaseEvent(phase="vllm", status="done", t=41),
        PhaseEvent(phase="train", status="failed", t=42),
    )
    assert _told(*events) == ["▶ vllm", "▶ vllm · loading weights", "✓ vllm · 31 s", "✗ train"]


def test_progress_is_told_now_and_then() -> None:
    events = [ProgressEvent(done=n, total=1000, what="packages", t=n / 1000) for n in range(1001)]
    told = _told(*events)
    assert 9 <= len(told) <= 12
    assert told[-1] == "  1,000/1,000 packages"


def test_an_interrupted_run_is_said_to_go_on_and_its_failure_forgotten() -> None:
    stream = StreamText()
    lost = FailureEvent(boundary="vllm", cause="", message="the server is gone")
    again = AttemptEvent(number=2, why="preempted")
    told = [text for event in (lost, again) for text in stream.lines(encode_line(event))]
    assert told == [
        "↻ attempt 2 (the machine was preempted): the run goes on from its last checkpoint, if it has one",
    ]
    assert stream.failure is None


def test_a_restart_of_the_server_is_told_once() -> None:
    again = RestartEvent(number=2, why="vLLM died while running: killed by SIGKILL")
    line = "↻ vLLM died while running: killed by SIGKILL: vLLM is started again (restart 2 of this run)"
    assert _told(again) == [line]


def test_what_a_newer_worker_says_does_no_harm() -> None:
    assert _told(UnknownEvent(data={"v": 9, "type": "dream"}), "\x1enot json") == ["\\x1enot json"]


def test_a_failure_with_escapes_in_its_cause() -> None:
    hint = {"text": "lower it", "key": "vllm.max_model_len", "to": 512}
    assert failure_text("vLLM died", "too \x1b[2Jlong", hint, "vfm launch a.yaml").splitlines() == [
        "error: vLLM died",
        "  cause: too \\x1b[2Jlong",
        "  hint:  lower it",
        "  try:   vfm launch a.yaml --set vllm.max_model_len=512",
    ]


def test_numbers_in_words() -> None:
    assert [duration(s) for s in (0.04, 42, 185, 7800)] == ["0.0 s", "42 s", "3 min 05 s", "2 h 10 min"]
    assert [size(n) for n in (12, 1500, 2_500_000, 6_100_000_000)] == ["12 B", "1.5 kB", "2.5 MB", "6.1 GB"]
    assert table(("A", "B"), [("xx", "y"), ("z", "")]) == "A   B\nxx  y\nz"


def test_the_command_that_mends_a_failure_sets_each_key_once() -> None:
    hint = {"text": "allow more time", "key": "modal.timeout", "to": 300}
    command = "vfm launch 'my config.yaml' --set modal.timeout=150 --set training.steps=2"
    said = failure_text("the time was up", "", hint, command)
    assert said.splitlines()[-1] == (
        "  try:   vfm launch 'my config.yaml' --set training.steps=2 --set modal.timeout=300"
    )
