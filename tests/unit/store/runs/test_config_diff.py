"""In which keys configs differ, how runs did, and what the table says of it."""

from __future__ import annotations

import json

import pytest

from remote.contract.events import MetricsEvent
from remote.contract.spec import ExperimentSpec
from tui.store.charts.series import Metrics
from tui.store.runs.config_diff import Scores, differences, flatten, read_spec, scores
from tui.widgets.runs.compare_rows import ComparedRun, compare_rows
from tui.widgets.runs.compare_table import TableRow


def test_only_keys_that_differ_are_told_and_the_odd_value_is_marked() -> None:
    found = differences([{"a": 1, "b": 2}, {"a": 1, "b": 3}, {"a": 1, "b": 2}])
    assert [(row.key, row.values, row.odd) for row in found] == [("b", ("2", "3", "2"), (False, True, False))]


def test_of_two_values_the_second_is_the_odd_one() -> None:
    assert differences([{"a": 1}, {"a": 2}])[0].odd == (False, True)


def test_what_one_config_lacks_or_leaves_unset_is_a_difference() -> None:
    found = differences([{"a": None}, {}, {"a": True}])
    assert found[0].values == ("unset", "–", "true")


def test_a_config_that_cannot_be_read_is_neither_like_nor_unlike() -> None:
    assert differences([{"a": 1}, None, {"a": 1}]) == []
    found = differences([None, {"a": 1e-6}, {"a": 2e-6}])
    assert found[0].values == ("?", "1e-6", "2e-6")
    assert found[0].odd == (False, False, True)


def test_a_whole_spec_becomes_dotted_keys() -> None:
    spec = ExperimentSpec().model_dump(mode="json")
    flat = read_spec(json.dumps({"spec": spec}).encode())
    assert flat["training.learning_rate"] == 3e-6
    assert flat["modal.gpu.count"] == 1
    assert flat["training.environment_args"] == {}
    assert flat == flatten(spec)


@pytest.mark.parametrize("data", [b"{", b"[]", b'{"spec": 3}', b"\xff\xfe", b"{}"])
def test_what_is_no_spec_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_spec(data)


def told(*steps: dict[str, float]) -> Metrics:
    return Metrics(MetricsEvent(step=step, values=values, t=1.0) for step, values in enumerate(steps))


def test_scores_are_the_last_the_best_and_the_held_out_ones() -> None:
    metrics = told({"eval/total": 0.1}, {"reward": 0.2}, {"reward": 0.9}, {"reward": 0.5, "eval/total": 0.4})
    assert scores(metrics) == Scores(step=3, reward=0.5, best=0.9, best_step=2, before=0.1, after=0.4)
    assert scores(told({"eval/total": 0.1})) == Scores(step=0, before=0.1)
    assert scores(Metrics()) == Scores()


def named(rows: list[TableRow], label: str) -> TableRow:
    return next(row for row in rows if row.label == label)


def test_differences_come_first_then_how_runs_did() -> None:
    runs = [
        ComparedRun(
            "one", "done", {}, {"k": 1}, scores=Scores(9, 0.5, 0.6, 7, 0.1, 0.3), total_steps=9, seconds=60.0
        ),
        ComparedRun("two", "failed", {}, {"k": 2}, scores=Scores(3, 0.7, 0.7, 3), total_steps=9),
    ]
    rows = compare_rows(runs)
    labels = [row.label for row in rows]
    assert labels.index("k") < labels.index("results") < labels.index("status")
    assert [cell.text for cell in named(rows, "status").cells] == ["✓ done", "✗ failed"]
    assert [cell.text for cell in named(rows, "steps").cells] == ["9 of 9", "3 of 9"]
    assert [(cell.text, cell.strong) for cell in named(rows, "reward, best").cells] == [
        ("0.6 at step 7", False),
        ("0.7 at step 3", True),
    ]
    assert [cell.text for cell in named(rows, "held-out score").cells] == ["0.1 → 0.3", "–"]
    assert [cell.text for cell in named(rows, "took").cells] == ["1 min 00 s", "–"]


def test_alike_configs_and_unreadable_ones_are_told_in_words() -> None:
    alike = compare_rows([ComparedRun("one", spec={"k": 1}), ComparedRun("two", spec={"k": 1})])
    assert any(row.label == "the configs do not differ" for row in alike)
    broken = compare_rows([ComparedRun("one", spec={"k": 1}), ComparedRun("two", problem="it is damaged")])
    assert not any("no key" in row.label for row in broken)
    assert any(row.remark and row.label == "two: it is damaged" for row in broken)
