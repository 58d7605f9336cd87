"""A run as a row: its cache, its order, its sparkline, and what its stream adds."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote.contract.events import (
    AttemptEvent,
    EndEvent,
    Event,
    FailureEvent,
    MetricsEvent,
    PhaseEvent,
    ProgressEvent,
    RolloutEvent,
    encode_line,
)
from tui.store.runs.row import POINTS, SORT_KEYS, RunRow, row_from, sort_rows, thin
from tui.store.runs.row_cache import FIRST, RunCache
from tui.store.runs.row_fold import RunFold

numbers = st.floats(-1e12, 1e12)
maybe = st.none() | numbers
rows = st.builds(
    RunRow,
    run_id=st.text(min_size=1, max_size=12),
    status=st.sampled_from(["pending", "running", "done", "failed", "cancelled", "odd"]),
    environment=st.text(max_size=8),
    model=st.text(max_size=8),
    step=st.none() | st.integers(0, 1000),
    total_steps=st.none() | st.integers(0, 1000),
    reward=maybe,
    rewards=st.lists(numbers, max_size=POINTS).map(tuple),
    created=numbers,
    started=maybe,
    ended=maybe,
    cost=maybe,
    failure=st.text(max_size=8),
    config_path=st.none() | st.text(max_size=8),
    fix_key=st.text(max_size=3),
    fix_value=st.none() | st.booleans() | st.text(max_size=3) | st.integers(-9, 9),
    complete=st.booleans(),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(rows)
def test_a_row_comes_back_from_json(row: RunRow) -> None:
    assert row_from(json.loads(json.dumps(row.to_dict()))) == row


@given(st.dictionaries(st.sampled_from([*RunRow.__dataclass_fields__, "newer"]), json_values) | json_values)
def test_any_json_is_a_row_or_none(data: object) -> None:
    row = row_from(data)
    assert row is None or (row.run_id and sort_rows([row], "reward") == [row])


def test_names_of_a_newer_version_are_passed_over() -> None:
    assert row_from({"run_id": "a", "mood": "good"}) == RunRow("a")


def test_the_cache_passes_over_what_is_damaged(tmp_path: Path) -> None:
    cache = RunCache(tmp_path / "app" / "runs.json")
    cache.write([RunRow("a"), RunRow("b", reward=0.5), RunRow("c")])
    lines = cache.path.read_text().splitlines()
    assert json.loads(cache.path.read_text())["rows"][1]["reward"] == 0.5
    lines[2] = lines[2][:10]
    cache.path.write_text("\n".join([*lines, '{"run_id": 7}', "\x00\ufffd"]))
    assert [row.run_id for part in RunCache(cache.path).read() for row in part] == ["a", "c"]


def test_the_first_rows_of_a_long_cache_come_first(tmp_path: Path) -> None:
    cache = RunCache(tmp_path / "runs.json")
    written = [RunRow(f"r{i}", rewards=(0.1, 0.2)) for i in range(FIRST + 50)]
    cache.write(written)
    parts = list(cache.read())
    assert [len(part) for part in parts] == [FIRST, 50]
    assert [*parts[0], *parts[1]] == written


@pytest.mark.parametrize("content", [None, "", "[]", '{"v":99,"rows":[\n{"run_id":"a"}\n]}', "\x00"])
def test_no_cache_or_a_strange_one_is_empty(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "runs.json"
    if content is not None:
        path.write_text(content)
    assert [row for part in RunCache(path).read() for row in part] == []


def test_a_number_that_json_cannot_hold_is_left_out(tmp_path: Path) -> None:
    cache = RunCache(tmp_path / "runs.json")
    cache.write([RunRow("a", reward=math.nan), RunRow("b")])
    assert [row for part in cache.read() for row in part] == [RunRow("a"), RunRow("b")]


@given(st.lists(rows, max_size=12), st.sampled_from(list(SORT_KEYS)), st.booleans())
def test_sorting_keeps_all_rows_puts_the_unknown_last_and_is_stable(
    given_rows: list[RunRow], column: str, reverse: bool
) -> None:
    found = sort_rows(given_rows, column, reverse=reverse)
    assert sorted(map(id, found)) == sorted(map(id, given_rows))
    keys = [SORT_KEYS[column](row) for row in found]
    known = [key for key in keys if key is not None]
    assert keys == known + [None] * (len(keys) - len(known))
    assert known == sorted(known, reverse=reverse)
    assert sort_rows(found, column, reverse=reverse) == found


def test_equal_rows_keep_their_order_both_ways() -> None:
    same = [RunRow("a", status="done"), RunRow("b", status="done"), RunRow("c", status="running")]
    assert [row.run_id for row in sort_rows(same, "status")] == ["c", "a", "b"]
    assert [row.run_id for row in sort_rows(same, "status", reverse=True)] == ["a", "b", "c"]


@given(st.lists(st.floats(), max_size=300))
def test_a_thinned_series_keeps_its_ends_and_extremes(values: list[float]) -> None:
    finite = [value for value in values if math.isfinite(value)]
    found = thin(values)
    assert len(found) <= POINTS
    if finite:
        assert (found[0], found[-1]) == (finite[0], finite[-1])
        assert (min(found), max(found)) == (min(finite), max(finite))


def _lines(*events: Event) -> list[str]:
    return [encode_line(event) for event in events]


def test_a_training_in_mid_course() -> None:
    fold = RunFold()
    fold.take(_lines(PhaseEvent(phase="train", status="started", t=0.0)), 10)
    for step in range(1, 6):
        values = {"reward": step / 10, "loss": 1.0}
        fold.take(
            _lines(
                MetricsEvent(step=step, values=values, t=step * 10.0),
                ProgressEvent(done=step, total=20, what="steps", t=step * 10.0),
                RolloutEvent(step=step, task="t", messages=[], rewards={}, reward=9.0),
            ),
            100 * step,
        )
    row = fold.row(RunRow("a", status="running"))
    assert (row.step, row.total_steps, row.reward, row.eta) == (5, 20, 0.5, 150.0)
    assert row.rewards == (0.1, 0.2, 0.3, 0.4, 0.5)
    assert (row.phase, fold.position, fold.over) == ("train", 500, False)


def test_steps_that_are_done_again_count_once() -> None:
    fold = RunFold()
    steps = [MetricsEvent(step=n, values={"reward": n / 10}) for n in (1, 2, 3)]
    again = [MetricsEvent(step=n, values={"reward": n / 5}) for n in (3, 4)]
    fold.take(_lines(*steps, AttemptEvent(number=2, why="lost"), *again), 1)
    row = fold.row(RunRow("a", status="running"))
    assert (row.reward, row.rewards) == (0.8, (0.1, 0.2, 0.6, 0.8))
    assert row.attempt == "attempt 2 (its processes were gone)"


def test_an_evaluation_counts_episodes_and_shows_its_score() -> None:
    fold = RunFold()
    counts = [ProgressEvent(done=n, total=8, what="episodes", t=n * 5.0) for n in (0, 2, 4)]
    fold.take(_lines(*counts, MetricsEvent(step=0, values={"eval/total": 0.25})), 1)
    row = fold.row(RunRow("a", kind="evaluate", status="running"))
    assert (row.step, row.total_steps, row.reward, row.eta) == (4, 8, 0.25, 20.0)


def test_a_failure_is_told_and_nothing_goes_on() -> None:
    fold = RunFold()
    hint = {"text": "lower it", "key": "vllm.max_model_len", "from": 1, "to": 2}
    fold.take(
        _lines(
            PhaseEvent(phase="vllm", status="started"),
            FailureEvent(boundary="vllm", cause="c", message="out of memory", hint=hint),
            EndEvent(status="failed", exit_code=1),
        ),
        1,
    )
    row = fold.row(RunRow("a", status="failed"))
    assert (row.failure, row.hint, row.phase, fold.over) == ("out of memory", "lower it", "", True)
    assert (row.fix_key, row.fix_value) == ("vllm.max_model_len", 2)


def test_numbers_that_are_none_are_passed_over() -> None:
    fold = RunFold()
    fold.take(['\x1e{"v":1,"seq":1,"t":1,"type":"metrics","step":1,"values":{"reward":NaN}}'], 1)
    fold.take(["\x1e{torn", "text", '\x1e{"type":"progress","done":NaN,"total":Infinity,"what":"steps"}'], 2)
    row = fold.row(RunRow("a", status="running"))
    assert (math.isnan(row.reward or 0.0), row.step, row.total_steps) == (True, None, None)


odd_events = st.fixed_dictionaries(
    {"type": st.sampled_from(["progress", "metrics", "phase", "failure", "end"])},
    optional={
        **{
            name: json_values
            for name in ("seq", "done", "total", "step", "t", "status", "message", "hint", "detail")
        },
        "what": st.just("steps") | json_values,
        "phase": st.just("train") | json_values,
        "values": st.dictionaries(st.sampled_from(["reward", "eval/total"]), json_values) | json_values,
        "boundary": st.just("vllm"),
        "cause": st.just(""),
        "exit_code": st.just(0),
    },
)


@given(st.lists(odd_events, max_size=6), st.sampled_from(["train", "evaluate"]))
def test_no_event_upsets_a_row(events: list[dict[str, object]], kind: str) -> None:
    fold = RunFold()
    fold.take([f"\x1e{json.dumps(event)}" for event in events], 1)
    for status in ("running", "failed"):
        row = fold.row(RunRow("a", kind=kind, status=status))
        assert row_from(json.loads(json.dumps(row.to_dict()))) == row
